"""Keeping it alive."""
