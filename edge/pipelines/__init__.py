"""The path, top to bottom."""
