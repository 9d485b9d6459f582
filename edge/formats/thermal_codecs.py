"""PNG and JPEG-LS pictures of 16 bits; what they say about their size is believed only after a look."""

from __future__ import annotations

import zlib
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats.thermal_bytes import check_size, unpack

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_END = b"\xff\xd9"
_GREY = 0
_JPEG_LS = 0xFFF7
_BEFORE_FRAME = (0xFFF8, 0xFFFE, 0xFFDD)  # presets, a comment, restarts
_SEGMENTS_MAX = 64
_TROUBLES = (RuntimeError, ValueError, TypeError, OverflowError, MemoryError)


def decode_png(packed: bytes, *, width: int | None = None, height: int | None = None) -> NDArray[np.uint16]:
    """Return the counts of a grey PNG of 16 bits.

    Args:
        packed: The file.
        width: What it must have, if that is known.
        height: The same.

    Raises:
        FormatError: It is damaged, or of another size.
        UnsupportedError: It has colours, or not 16 bits.
    """
    if packed[:8] != _PNG or packed[12:16] != b"IHDR":
        raise FormatError(f"{packed[:8]!r}, wanted the beginning of a PNG")
    columns, rows, bits, colour = unpack(">IIBB", packed, 16, what="a PNG")
    check_size(columns, rows, what="a PNG")
    if (bits, colour) != (16, _GREY):
        raise UnsupportedError(f"a PNG of {bits} bits and colour type {colour}, wanted 16 bits of grey")
    _check_same((columns, rows), (width, height), what="a PNG")
    _check_chunks(packed, unpacked_bytes_max=rows * (columns * 2 + 8) + 64)
    return _decoded(imagecodecs.png_decode, packed, (rows, columns), what="a PNG")


def decode_jpeg_ls(packed: bytes, *, width: int, height: int) -> NDArray[np.uint16]:
    """Return the counts of a JPEG-LS picture of 16 bits.

    Raises:
        FormatError: It is damaged, or of another size.
        UnsupportedError: It has colours, or not 16 bits.
    """
    at = _frame_at(packed)
    bits, rows, columns, channels = unpack(">BHHB", packed, at, what="a JPEG-LS picture")
    if not 8 < bits <= 16 or channels != 1:
        raise UnsupportedError(f"JPEG-LS of {bits} bits in {channels} channels, wanted 9 to 16 in one")
    check_size(columns, rows, what="a JPEG-LS picture")
    _check_end(packed, _JPEG_END, what="a JPEG-LS picture")
    _check_same((columns, rows), (width, height), what="a JPEG-LS picture")
    return _decoded(imagecodecs.jpegls_decode, packed, (rows, columns), what="a JPEG-LS picture")


def _frame_at(packed: bytes) -> int:
    """Return where a JPEG says its size; what stands before that in JPEG-LS is passed over."""
    at = 2
    for _ in range(_SEGMENTS_MAX):
        marker, size_bytes = unpack(">HH", packed, at, what="a JPEG-LS picture")
        if marker == _JPEG_LS:
            return at + 4
        if not (marker & 0xFFF0 == 0xFFE0 or marker in _BEFORE_FRAME):
            raise UnsupportedError(f"a JPEG of kind {marker:04x}, wanted {_JPEG_LS:04x}: JPEG-LS")
        at += 2 + size_bytes
    raise FormatError(f"a JPEG of more than {_SEGMENTS_MAX} segments before its pixels")


def _check_chunks(packed: bytes, *, unpacked_bytes_max: int) -> None:
    """Refuse a PNG with a wrong check sum: its decoder would only warn, and pixels are measurements here.

    Raises:
        FormatError: It is cut off, or its bytes are not those that were written.
    """
    at, stream = len(_PNG), zlib.decompressobj()
    kind = b""
    while kind != b"IEND":
        size_bytes, kind = unpack(">I4s", packed, at, what="a PNG")
        content = packed[at + 8 : at + 8 + size_bytes]
        (check,) = unpack(">I", packed, at + 8 + size_bytes, what="a PNG")
        if zlib.crc32(kind + content) != check:
            raise FormatError(f"a PNG with a wrong check sum at byte {at}")
        try:
            unpacked_bytes_max -= (
                len(stream.decompress(content, unpacked_bytes_max)) if kind == b"IDAT" else 0
            )
        except zlib.error as trouble:
            raise FormatError(f"a PNG cannot be decoded: {trouble}") from trouble
        if unpacked_bytes_max <= 0:
            raise FormatError("a PNG that holds more than its pixels")
        at += size_bytes + 12
    if not stream.eof:
        raise FormatError("a PNG whose pixels are cut off")


def _check_end(packed: bytes, end: bytes, *, what: str) -> None:
    if end not in packed[-64:]:
        raise FormatError(f"{what} of {len(packed)} bytes without its end, wanted a whole one")


def _check_same(seen: tuple[int, int], wanted: tuple[int | None, int | None], *, what: str) -> None:
    if any(other is not None and one != other for one, other in zip(seen, wanted, strict=True)):
        raise FormatError(f"{what} of {seen[0]} × {seen[1]} pixels, wanted {wanted[0]} × {wanted[1]}")


def _decoded(decode: Any, packed: bytes, shape: tuple[int, int], *, what: str) -> NDArray[np.uint16]:
    try:
        pixels = np.asarray(decode(packed))
    except _TROUBLES as trouble:
        raise FormatError(f"{what} cannot be decoded: {trouble}") from trouble
    if pixels.shape != shape or pixels.dtype != np.uint16:
        raise FormatError(f"{what} became {pixels.dtype} {pixels.shape}, wanted uint16 {shape}")
    return np.ascontiguousarray(pixels)
