"""Doors out; they carry, they do not think."""
