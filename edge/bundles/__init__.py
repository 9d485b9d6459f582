"""Signed models on disk: what a manifest says, and proof that the bytes are those it speaks of."""
