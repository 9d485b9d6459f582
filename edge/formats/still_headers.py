"""How large a still picture is, read from its first bytes: before anybody gives it memory."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from edge.domain.errors import FormatError, UnsupportedError

PNG: Final = b"\x89PNG\r\n\x1a\n"
JPEG: Final = b"\xff\xd8\xff"
TIFFS: Final = {b"II*\0": "<", b"MM\0*": ">"}
_NO_SIZE = frozenset((0xC4, 0xC8, 0xCC))  # among the frame headers of a JPEG: tables
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))  # markers of a JPEG that nothing follows
_WIDTH, _HEIGHT = 256, 257
_BITS = 258
_TOPS: Final = {341: "SMaxSampleValue", 281: "MaxSampleValue"}  # who is believed first
_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I"}
_SAMPLES_MAX = 8  # of a pixel, that say something of themselves
_CHUNKS_MAX = 1000  # of a PNG, before its pixels


class Declared(NamedTuple):
    """What a file says of the numbers in it.

    Attributes:
        bits: Of each number so many lower ones hold the picture.
        by: Where it says so.
    """

    bits: int
    by: str


class Still(NamedTuple):
    """What the header of a still picture says.

    Attributes:
        kind: `PNG`, `JPEG`, `TIFF`, `BMP`, `WebP`.
        width_px: Before it is turned as its EXIF says.
        height_px: Likewise.
        pages: Pictures in it; 2 stands for several.
        packed_bits: Of each number in a TIFF that has 9 to 15 of them; else 16.
        declared: How many bits of 16 hold the picture, or None where nothing says so.
    """

    kind: str
    width_px: int
    height_px: int
    pages: int = 1
    packed_bits: int = 16
    declared: Declared | None = None


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
    """Read the first chunk; `sBIT` says that numbers of fewer bits were scaled up to all (PNG, 11.3.2.7)."""
    width, height = struct.unpack_from(">II", content, 16)
    return Still("PNG", width, height, declared=Declared(16, "sBIT") if _has_sbit(content) else None)


def _has_sbit(content: bytes) -> bool:
    """Whether there is such a chunk where it belongs: before the pixels."""
    at = len(PNG)
    for _ in range(_CHUNKS_MAX):
        name = content[at + 4 : at + 8]
        if name in (b"sBIT", b"IDAT", b""):
            return name == b"sBIT"
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    return False


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
    """Read the first directory (TIFF 6.0, section 2), and whether there is a second."""
    order = TIFFS[content[:4]]
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, at)
    entries = {
        struct.unpack_from(f"{order}H", content, entry)[0]: entry
        for entry in range(at + 2, at + 2 + 12 * count, 12)
    }
    (following,) = struct.unpack_from(f"{order}I", content, at + 2 + 12 * count)
    if not entries.keys() >= {_WIDTH, _HEIGHT}:
        raise FormatError("a TIFF that does not say how large it is")
    width, height = (_numbers(content, order, entries[tag])[:1] for tag in (_WIDTH, _HEIGHT))
    if not (width and height):
        raise FormatError("a TIFF whose sides are no numbers")
    said = {tag: _numbers(content, order, entries[tag]) for tag in (_BITS, *_TOPS) if tag in entries}
    packed = next((bits for bits in said.get(_BITS, ()) if 8 < bits < 16), 16)
    return Still(
        "TIFF",
        width[0],
        height[0],
        pages=2 if following else 1,
        packed_bits=packed,
        declared=_declared(said) if packed == 16 else Declared(packed, "BitsPerSample"),
    )


def _declared(said: Mapping[int, Sequence[int]]) -> Declared | None:
    """Return what a TIFF says the highest number is (TIFF 6.0, sections 19 and 8), as bits.

    As bits, for some writers put the highest of this very picture there.
    """
    tops = ((max(said[tag], default=0), name) for tag, name in _TOPS.items() if tag in said)
    return next((Declared(top.bit_length(), name) for top, name in tops if 0 < top < 1 << 16), None)


def _numbers(content: bytes, order: str, entry: int) -> tuple[int, ...]:
    """Return the whole numbers of an entry; () where they are none, too many, or not there."""
    _, form, count = struct.unpack_from(f"{order}HHI", content, entry)
    if form not in _TIFF_NUMBERS or not 0 < count <= _SAMPLES_MAX:
        return ()
    packed = struct.Struct(f"{order}{count}{_TIFF_NUMBERS[form]}")
    at = entry + 8
    if packed.size > 4:
        (at,) = struct.unpack_from(f"{order}I", content, at)
    return packed.unpack_from(content, at) if at + packed.size <= len(content) else ()


_KINDS: Final[dict[str, tuple[Callable[[bytes], bool], Callable[[bytes], Still]]]] = {
    "PNG": (lambda begin: begin.startswith(PNG), _png),
    "JPEG": (lambda begin: begin.startswith(JPEG), _jpeg),
    "TIFF": (lambda begin: begin[:4] in TIFFS, _tiff),
    "BMP": (lambda begin: begin.startswith(b"BM") and begin[6:10] == bytes(4), _bmp),
    "WebP": (lambda begin: begin.startswith(b"RIFF") and begin[8:12] == b"WEBP", _webp),
}
