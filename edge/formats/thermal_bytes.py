"""Reading parts of a file that may lie about itself: nothing short, nothing larger than was allowed."""

from __future__ import annotations

import math
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError

PIXELS_MAX = 4096 * 4096


def read_part(
    file: BinaryIO, at: int, size_bytes: int, *, what: str, max_bytes: int, may_end: bool = False
) -> bytes:
    """Return a part of a file.

    Args:
        file: Open for reading, can seek.
        at: Where the part begins.
        size_bytes: How long it is said to be.
        what: Its name for a message.
        max_bytes: More than this is not believed.
        may_end: The file may end within it; whoever reads on looks whether enough is there.

    Raises:
        FormatError: It is too large, or the file ends within it.
    """
    if not 0 <= size_bytes <= max_bytes:
        raise FormatError(f"{what} of {size_bytes} bytes, wanted 0 to {max_bytes}")
    if at < 0:
        raise FormatError(f"{what} at byte {at}, wanted one within the file")
    file.seek(at)
    part = file.read(size_bytes)
    if len(part) != size_bytes and not may_end:
        raise FormatError(f"{what} ends after {len(part)} bytes, wanted {size_bytes}")
    return part


def unpack(layout: str, part: bytes, at: int, *, what: str) -> tuple[Any, ...]:
    """Return numbers out of a part.

    Raises:
        FormatError: The part ends before them.
    """
    try:
        return struct.unpack_from(layout, part, at)
    except struct.error as trouble:
        raise FormatError(
            f"{what} of {len(part)} bytes, wanted at least {at + struct.calcsize(layout)}"
        ) from trouble


def text_in(part: bytes) -> str:
    """Return text up to its first zero."""
    return part.partition(b"\0")[0].decode("latin-1").strip()


def check_size(width: int, height: int, *, what: str) -> None:
    """Refuse pictures that no thermal camera makes.

    Raises:
        FormatError: A side is 0, or there are more than 16 million pixels.
    """
    if width < 1 or height < 1 or width * height > PIXELS_MAX:
        raise FormatError(f"{what} of {width} × {height} pixels, wanted 1 to {PIXELS_MAX}")


def counts_of(pixels: bytes, *, width: int, height: int, order: str, what: str) -> NDArray[np.uint16]:
    """Return (height, width) counts out of rows without gaps.

    Args:
        pixels: At least width · height · 2 bytes.
        width: Of the picture.
        height: Of the picture.
        order: `<` or `>`.
        what: Name for a message.

    Raises:
        FormatError: There are not as many bytes.
    """
    wanted = math.prod((width, height, 2))
    if len(pixels) < wanted:
        raise FormatError(
            f"{what} of {width} × {height} pixels in {len(pixels)} bytes, wanted {wanted} bytes"
        )
    stored = np.frombuffer(pixels, dtype=f"{order}u2", count=width * height).reshape(height, width)
    return stored.astype(np.uint16)
