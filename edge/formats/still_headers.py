"""How large a still picture is, read from its first bytes: before anybody gives it memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from edge.domain.errors import FormatError, UnsupportedError

PNG: Final = b"\x89PNG\r\n\x1a\n"
JPEG: Final = b"\xff\xd8\xff"
TIFFS: Final = {b"II*\0": "<", b"MM\0*": ">"}
_NO_SIZE = frozenset((0xC4, 0xC8, 0xCC))  # among the frame headers of a JPEG: tables
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))  # markers of a JPEG that nothing follows
_WIDTH, _HEIGHT = 256, 257
_TIFF_NUMBERS = {3: "H", 4: "I"}


class Still(NamedTuple):
    """What the header of a still picture says.

    Attributes:
        kind: `PNG`, `JPEG`, `TIFF`, `BMP`, `WebP`.
        width_px: Before it is turned as its EXIF says.
        height_px: Likewise.
        pages: Pictures in it; 2 stands for several.
    """

    kind: str
    width_px: int
    height_px: int
    pages: int = 1


def kind_of(begin: bytes) -> str | None:
    """Say which kind of still picture begins so, or None; a TIFF may also hold other things."""
    return next((kind for kind, (begins, _) in _KINDS.items() if begins(begin)), None)


def read_header(content: bytes) -> Still:
    """Read how large a picture is.

    Args:
        content: The whole file: a TIFF says it at its end.

    Raises:
        FormatError: It is none of the kinds, or its header is not whole.
    """
    kind = kind_of(content[:16])
    if kind is None:
        raise FormatError(f"begins with {content[:8]!r}, wanted a PNG, JPEG, TIFF, BMP or WebP")
    try:
        return _KINDS[kind][1](content)
    except (struct.error, IndexError) as short:
        raise FormatError(f"a {kind} that ends in its header") from short


def _png(content: bytes) -> Still:
    width, height = struct.unpack_from(">II", content, 16)
    return Still("PNG", width, height)


def _bmp(content: bytes) -> Still:
    if struct.unpack_from("<I", content, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", content, 18)
    else:
        width, height = struct.unpack_from("<ii", content, 18)
    return Still("BMP", width, abs(height))


def _webp(content: bytes) -> Still:
    form = content[12:16]
    if form == b"VP8X":
        if content[20] & 0x02:
            raise UnsupportedError("a WebP that moves, wanted a still picture")
        return Still("WebP", 1 + _three(content, 24), 1 + _three(content, 27))
    if form == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return Still("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    width, height = struct.unpack_from("<HH", content, 26)
    return Still("WebP", width & 0x3FFF, height & 0x3FFF)


def _three(content: bytes, at: int) -> int:
    return content[at] | content[at + 1] << 8 | content[at + 2] << 16


def _jpeg(content: bytes) -> Still:
    """Walk over the segments to the header of the frame (ITU-T T.81, B.1.1 and B.2.2)."""
    at = 2
    while True:
        if content[at] != 0xFF:
            raise FormatError("a JPEG whose segments are out of step")
        marker = content[at + 1]
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return Still("JPEG", width, height)
        at += 2 + struct.unpack_from(">H", content, at + 2)[0]


def _tiff(content: bytes) -> Still:
    """Read width and height of the first directory (TIFF 6.0, section 2), and whether there is a second."""
    order = TIFFS[content[:4]]
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, at)
    sides = {}
    for number in range(count):
        entry = at + 2 + 12 * number
        tag, form = struct.unpack_from(f"{order}HH", content, entry)
        if tag in (_WIDTH, _HEIGHT):
            if form not in _TIFF_NUMBERS:
                raise FormatError("a TIFF whose sides are no numbers")
            (sides[tag],) = struct.unpack_from(order + _TIFF_NUMBERS[form], content, entry + 8)
    (following,) = struct.unpack_from(f"{order}I", content, at + 2 + 12 * count)
    if len(sides) < 2:
        raise FormatError("a TIFF that does not say how large it is")
    return Still("TIFF", sides[_WIDTH], sides[_HEIGHT], pages=2 if following else 1)


_KINDS: Final[dict[str, tuple[Callable[[bytes], bool], Callable[[bytes], Still]]]] = {
    "PNG": (lambda begin: begin.startswith(PNG), _png),
    "JPEG": (lambda begin: begin.startswith(JPEG), _jpeg),
    "TIFF": (lambda begin: begin[:4] in TIFFS, _tiff),
    "BMP": (lambda begin: begin.startswith(b"BM") and begin[6:10] == bytes(4), _bmp),
    "WebP": (lambda begin: begin.startswith(b"RIFF") and begin[8:12] == b"WEBP", _webp),
}
