"""Bytes to domain types, one file a format, no state."""
