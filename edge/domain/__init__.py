"""Nouns: standard library and NumPy only."""
