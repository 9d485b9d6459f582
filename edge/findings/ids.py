"""Identifiers that sort by time and repeat never: UUID version 7 (RFC 9562)."""

from __future__ import annotations

import secrets
import uuid

from edge.domain.ports import Clock


def uuid7(clock: Clock) -> str:
    """Return a new UUIDv7: 48 bits of Unix time in ms, then 74 random bits."""
    milliseconds = clock.utc_ns() // 1_000_000
    bits = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    return str(uuid.UUID(int=bits | 0b10 << 62 | secrets.randbits(62)))
