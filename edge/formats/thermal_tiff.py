"""Grey TIFF files of 16 bits, one picture or several: the plain part of TIFF 6.0, in strips."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats.thermal_bytes import check_size, counts_of, read_part, unpack

MAGICS = (b"II*\0", b"MM\0*")
_PAGES_MAX = 1_000_000
_TAGS_MAX = 512
_STRIPS_MAX = 65_536
_PART_MAX_BYTES = 64 << 20
_WHAT = "a TIFF directory"

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS_AT, _CHANNELS, _STRIP_BYTES, _PREDICTOR, _TILES_AT, _FORMAT = 273, 277, 279, 317, 324, 339
_KEPT = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS_AT, _CHANNELS, _STRIP_BYTES}
_KEPT |= {_PREDICTOR, _TILES_AT, _FORMAT}
_SIZES = {3: ("H", 2), 4: ("I", 4)}  # SHORT and LONG; nothing else is a count or a place
_BLACK_IS_ZERO, _UNSIGNED, _DIFFERENCES = 1, 1, 2

Tags = Mapping[int, tuple[int, ...]]


def read_pages(file: BinaryIO) -> Iterator[NDArray[np.uint16]]:
    """Yield the pictures of a TIFF, (height, width) each.

    Args:
        file: Open for reading, can seek.

    Raises:
        FormatError: It is no TIFF; or, after all whole pictures, one is damaged.
        UnsupportedError: It is not grey, not of 16 bits, or packed in a way this build does not know.
    """
    head = read_part(file, 0, 8, what="a TIFF header", max_bytes=8)
    order = {MAGICS[0]: "<", MAGICS[1]: ">"}.get(head[:4])
    if order is None:
        raise FormatError(f"{head[:4]!r}, wanted the beginning of a TIFF")
    (at,) = unpack(f"{order}I", head, 4, what="a TIFF header")
    if not at:
        raise FormatError("a TIFF without a picture, as it is while it is being written")
    seen: set[int] = set()
    while at:
        if at in seen or len(seen) == _PAGES_MAX:
            raise FormatError(f"a TIFF whose pages lead back to byte {at}")
        seen.add(at)
        tags, at = _directory(file, at, order)
        yield _page(file, tags, order)


def _directory(file: BinaryIO, at: int, order: str) -> tuple[Tags, int]:
    """Return what a directory says, as far as it concerns us, and where the next one is."""
    (count,) = unpack(f"{order}H", read_part(file, at, 2, what=_WHAT, max_bytes=2), 0, what=_WHAT)
    if not 0 < count <= _TAGS_MAX:
        raise FormatError(f"{_WHAT} of {count} entries, wanted 1 to {_TAGS_MAX}")
    size_bytes = count * 12 + 4
    table = read_part(file, at + 2, size_bytes, what=_WHAT, max_bytes=size_bytes)
    tags: dict[int, tuple[int, ...]] = {}
    for number in range(count):
        tag, kind, values, place = unpack(f"{order}HHII", table, number * 12, what=_WHAT)
        if tag not in _KEPT:
            continue
        if kind not in _SIZES or not 0 < values <= _STRIPS_MAX:
            raise FormatError(f"TIFF tag {tag} of kind {kind} with {values} values, wanted numbers")
        letter, width = _SIZES[kind]
        packed = table[number * 12 + 8 : number * 12 + 12]
        if values * width > 4:
            packed = read_part(file, place, values * width, what=f"TIFF tag {tag}", max_bytes=_STRIPS_MAX * 4)
        tags[tag] = unpack(f"{order}{values}{letter}", packed, 0, what=f"TIFF tag {tag}")
    (following,) = unpack(f"{order}I", table, count * 12, what=_WHAT)
    return tags, following


def _page(file: BinaryIO, tags: Tags, order: str) -> NDArray[np.uint16]:
    width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
    check_size(width, height, what="a TIFF")
    _check_kind(tags)
    unpack_strip = _UNPACKERS[_one(tags, _COMPRESSION, 1)]
    places, lengths = tags.get(_STRIPS_AT, ()), tags.get(_STRIP_BYTES, ())
    if not places or len(places) != len(lengths):
        raise FormatError(f"a TIFF of {len(places)} strips and {len(lengths)} lengths, wanted one for each")
    wanted = width * height * 2
    rows = bytearray()
    for place, length in zip(places, lengths, strict=True):
        packed = read_part(file, place, length, what="a TIFF strip", max_bytes=_PART_MAX_BYTES)
        rows += unpack_strip(packed, wanted - len(rows))
    counts = counts_of(bytes(rows), width=width, height=height, order=order, what="a TIFF")
    if _one(tags, _PREDICTOR, 1) == _DIFFERENCES:
        counts = np.cumsum(counts, axis=1, dtype=np.uint16)
    return counts


def _check_kind(tags: Tags) -> None:
    """Refuse what is no grey picture of 16 bits.

    Raises:
        UnsupportedError: It is something else.
    """
    if _TILES_AT in tags:
        raise UnsupportedError("a TIFF in tiles, wanted strips")
    asked = (
        ("bits", _BITS, 1, (16,)),
        ("channels", _CHANNELS, 1, (1,)),
        ("sample format", _FORMAT, _UNSIGNED, (_UNSIGNED,)),
        ("photometric interpretation", _PHOTOMETRIC, _BLACK_IS_ZERO, (_BLACK_IS_ZERO,)),
        ("compression", _COMPRESSION, 1, tuple(_UNPACKERS)),
        ("predictor", _PREDICTOR, 1, (1, _DIFFERENCES)),
    )
    for name, tag, default, wanted in asked:
        seen = tags.get(tag, (default,))
        if len(seen) != 1 or seen[0] not in wanted:
            raise UnsupportedError(f"a TIFF with {name} {seen}, wanted one of {wanted}")


def _one(tags: Tags, tag: int, default: int) -> int:
    return tags.get(tag, (default,))[0]


def _plain(packed: bytes, wanted: int) -> bytes:
    return packed[:wanted]


def _deflated(packed: bytes, wanted: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, max(wanted, 1))
    except zlib.error as trouble:
        raise FormatError(f"a TIFF strip cannot be decoded: {trouble}") from trouble


def _by(decode: Callable[..., bytes | bytearray]) -> Callable[[bytes, int], bytes]:
    def unpacked(packed: bytes, wanted: int) -> bytes:
        try:
            return bytes(decode(packed, out=max(wanted, 1)))
        except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as trouble:
            raise FormatError(f"a TIFF strip cannot be decoded: {trouble}") from trouble

    return unpacked


_UNPACKERS: Mapping[int, Callable[[bytes, int], bytes]] = {
    1: _plain,
    5: _by(imagecodecs.lzw_decode),
    8: _deflated,
    32946: _deflated,
    32773: _by(imagecodecs.packbits_decode),
}
