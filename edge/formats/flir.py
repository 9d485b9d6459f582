"""FLIR FFF files, and SEQ and CSQ sequences, which are FFF after FFF.

An FFF is a header, a table of records, and the records: the pixels are one of them, the camera another.
The pixels are rows of 16 bits, a PNG (whose two bytes most cameras swap), or JPEG-LS (in CSQ). The layout is
known from ExifTool (Phil Harvey, `FLIR.pm`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.thermal import RawThermogram
from edge.formats.flir_camera import byte_order, read_camera
from edge.formats.thermal_bytes import check_size, counts_of, read_part, unpack
from edge.formats.thermal_codecs import decode_jpeg_ls, decode_png

MAGIC = b"FFF\0"
RECORD_MAX_BYTES = 64 << 20
GAP_MAX_BYTES = 1 << 20  # between two pictures of a sequence
_HEADER, _ENTRY, _ENTRIES_MAX = 64, 32, 256
_CAMERA_MAX_BYTES = 1 << 16
_RAW, _CAMERA = 0x01, 0x20
_PIXELS_AT = 32  # in the record of the pixels
_MEANINGS = {0x05: "gain maps", 0x06: "coarse maps"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the table of records."""

    kind: int
    at: int
    size_bytes: int


def read_sequence(file: BinaryIO) -> Iterator[RawThermogram]:
    """Yield every picture of an FFF, SEQ or CSQ file, in its order.

    Args:
        file: Open for reading, can seek.

    Raises:
        FormatError: It is no such file; or, after all whole pictures, one is damaged or cut off.
        UnsupportedError: It holds no pixels, or in a form this build does not know.
    """
    at: int | None = 0
    while at is not None:
        picture, end = read_fff(file, at)
        yield picture
        at = _next(file, end)


def read_fff(file: BinaryIO, at: int) -> tuple[RawThermogram, int]:
    """Return the picture of the FFF that begins at a byte, and the byte after its last record.

    Raises:
        FormatError: It is damaged or cut off.
        UnsupportedError: It holds no pixels, or in a form this build does not know.
    """
    entries = {entry.kind: entry for entry in _entries(file, at)}
    if _RAW not in entries:
        held = ", ".join(_MEANINGS.get(kind, f"{kind:#x}") for kind in sorted(entries)) or "none"
        raise UnsupportedError(f"an FFF without pixels; its records are {held}")
    if _CAMERA not in entries:
        raise UnsupportedError("an FFF without a camera record: nothing says what its counts mean")
    pixels, about = entries[_RAW], entries[_CAMERA]
    camera = read_camera(
        read_part(
            file,
            at + about.at,
            about.size_bytes,
            what="a FLIR camera record",
            max_bytes=_CAMERA_MAX_BYTES,
        )
    )
    raw = read_part(
        file,
        at + pixels.at,
        pixels.size_bytes,
        what="a FLIR pixel record",
        max_bytes=RECORD_MAX_BYTES,
        may_end=True,  # records are padded, and recorders leave the padding of the last one out
    )
    picture = RawThermogram(
        counts=_counts(raw),
        scale=camera.scale,
        surroundings=camera.surroundings,
        atmosphere=camera.atmosphere,
        saturated_counts=camera.saturated_counts,
        recorded_at_s=camera.taken_at_s,
        camera=camera.model,
    )
    return picture, at + max(entry.at + entry.size_bytes for entry in entries.values())


def _entries(file: BinaryIO, at: int) -> Iterator[_Entry]:
    """Yield the table of records; a kind that comes twice counts once, the last one."""
    header = read_part(file, at, _HEADER, what=f"an FFF header at byte {at}", max_bytes=_HEADER)
    if header[:4] != MAGIC:
        raise FormatError(f"{header[:4]!r} at byte {at}, wanted the {MAGIC!r} of an FFF")
    order = next((o for o in "<>" if 100 <= unpack(f"{o}I", header, 0x14, what="an FFF header")[0] < 200), "")
    if not order:
        raise FormatError(f"an FFF of version {header[0x14:0x18].hex()}, wanted 100 to 199 in either order")
    table_at, count = unpack(f"{order}2I", header, 0x18, what="an FFF header")
    if not 0 < count <= _ENTRIES_MAX:
        raise FormatError(f"an FFF of {count} records, wanted 1 to {_ENTRIES_MAX}")
    table = read_part(
        file, at + table_at, count * _ENTRY, what="an FFF table", max_bytes=_ENTRIES_MAX * _ENTRY
    )
    for number in range(count):
        kind, _, _, _, place, size_bytes = unpack(f"{order}2H4I", table, number * _ENTRY, what="an FFF table")
        if kind:
            yield _Entry(kind, place, size_bytes)


def _next(file: BinaryIO, end: int) -> int | None:
    """Return where the next FFF begins, or None at the end of the file; nothing else may be there."""
    file.seek(end)
    tail = file.read(GAP_MAX_BYTES)
    if not tail.strip(b"\0"):
        return None
    found = tail.find(MAGIC)
    if found < 0:
        raise FormatError(f"{tail[:4]!r} at byte {end} after a picture, wanted the {MAGIC!r} of the next one")
    return end + found


def _counts(record: bytes) -> NDArray[np.uint16]:
    what = "a FLIR pixel record"
    order = byte_order(record, mark=2, what=what)
    width, height = unpack(f"{order}2H", record, 2, what=what)
    check_size(width, height, what=what)
    pixels = record[_PIXELS_AT:]
    if pixels.startswith(b"\x89PNG"):
        return _in_order(decode_png(pixels, width=width, height=height))
    if pixels.startswith(b"\xff\xd8\xff"):
        return decode_jpeg_ls(pixels, width=width, height=height)
    return counts_of(pixels, width=width, height=height, order=order, what=what)


def _in_order(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Undo the swapped bytes of a PNG where they are swapped: in the wrong order neighbours differ wildly."""
    swapped = stored.byteswap()
    return stored if _roughness(stored) < _roughness(swapped) else swapped


def _roughness(counts: NDArray[np.uint16]) -> float:
    steps = np.abs(np.diff(counts.astype(np.int32), axis=1))
    return float(steps.mean()) if steps.size else 0.0
