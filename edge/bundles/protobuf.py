"""The fields of a protobuf message, one after another, nothing copied and nothing believed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge.domain.errors import FormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED: Final = {FIXED64: 8, FIXED32: 4}


class Walk:
    """Counts what is visited, so that a file of a billion empty fields comes to an end."""

    def __init__(self, *, fields_max: int) -> None:
        """Store how many fields may be visited, in all messages together."""
        self._left = fields_max

    def fields(self, message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Yield the number and the value of each field.

        Args:
            message: Its bytes.

        Yields:
            A varint as a number from 0 to 2^64 - 1; all others as the bytes they have.

        Raises:
            FormatError: It is no protobuf message, or too many fields were visited.
        """
        place, end = 0, len(message)
        while place < end:
            self._left -= 1
            if self._left < 0:
                raise FormatError("has more parts than are allowed")
            tag, place = _varint(message, place)
            number, kind = tag >> 3, tag & 7
            if kind == VARINT:
                value, place = _varint(message, place)
                yield number, value
                continue
            if kind == BYTES:
                size, place = _varint(message, place)
            elif kind in FIXED:
                size = FIXED[kind]
            else:
                raise FormatError(f"holds a field of wire type {kind}")
            if size > end - place:
                raise FormatError(f"is cut off: a field has {size} bytes, {end - place} are left")
            yield number, message[place : place + size]
            place += size


def varints(packed: memoryview) -> Iterator[int]:
    """Yield the numbers of a packed field.

    Raises:
        FormatError: The last one is cut off.
    """
    place = 0
    while place < len(packed):
        value, place = _varint(packed, place)
        yield value


def signed(value: int) -> int:
    """Return what a varint means where the field is an int64."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number and the place behind it."""
    value = shift = 0
    while True:
        if place >= len(message):
            raise FormatError("is cut off in the middle of a number")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, place
        shift += 7
        if shift > 63:
            raise FormatError("holds a number of more than 64 bits")
