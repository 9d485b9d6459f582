"""Radiometric JPEG of FLIR cameras: an FFF, cut into the APP1 segments of a picture for people."""

from __future__ import annotations

import io
from typing import BinaryIO

from edge.domain.errors import FormatError
from edge.domain.thermal import RawThermogram
from edge.formats.flir import read_fff
from edge.formats.thermal_bytes import read_part, unpack

MAGIC = b"\xff\xd8\xff"
_APP1, _START_OF_SCAN, _END = 0xE1, 0xDA, 0xD9
_NAME = b"FLIR\0\x01"
_PART_HEAD = 8  # name, part, last part
_SEGMENTS_MAX = 4096


def read_jpeg(file: BinaryIO) -> RawThermogram:
    """Return the thermogram within a JPEG.

    Args:
        file: Open for reading, can seek.

    Raises:
        FormatError: It is no JPEG, has no radiometric part, or one that is damaged or incomplete.
        UnsupportedError: The radiometric part holds pixels in a form this build does not know.
    """
    parts: dict[int, bytes] = {}
    wanted = 0
    at = 2
    for _ in range(_SEGMENTS_MAX):
        head = read_part(file, at, 4, what=f"a JPEG segment at byte {at}", max_bytes=4)
        marker, size_bytes = unpack(">HH", head, 0, what="a JPEG segment")
        if marker >> 8 != 0xFF or size_bytes < 2:
            raise FormatError(f"{head.hex()} at byte {at} of a JPEG, wanted a marker and a length")
        if marker & 0xFF in (_START_OF_SCAN, _END):
            break
        if marker & 0xFF == _APP1:
            part = read_part(file, at + 4, size_bytes - 2, what="a JPEG segment", max_bytes=0xFFFF)
            if part.startswith(_NAME) and len(part) >= _PART_HEAD:
                parts[part[6]], wanted = part[_PART_HEAD:], part[7] + 1
        at += 2 + size_bytes
    else:
        raise FormatError(f"a JPEG of more than {_SEGMENTS_MAX} segments before its pixels")
    if not parts:
        raise FormatError("a JPEG without a radiometric part, wanted one of a thermal camera")
    if sorted(parts) != list(range(wanted)):
        raise FormatError(f"parts {sorted(parts)} of a radiometric JPEG, wanted 0 to {wanted - 1}")
    picture, _ = read_fff(io.BytesIO(b"".join(parts[number] for number in range(wanted))), 0)
    return picture
