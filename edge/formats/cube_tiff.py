"""Cubes as TIFF stacks: one page a band, and a list of wavelengths in a text file beside it."""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats.cube_recording import Recording, check_size, count_missing, order_bands

PAGES_MAX = 4096
TAGS_MAX = 4096
LIST_BYTES_MAX = 1 << 20
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _SAMPLE_FORMAT = 256, 257, 258, 262, 277, 339
_WANTED_TAGS = (_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _SAMPLE_FORMAT)
_FORM_OF_TYPE = {1: "B", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True, slots=True)
class Page:
    """What the directory of a page says."""

    height: int
    width: int
    bits: int
    sample_format: int


def read(file: BinaryIO, axis: NDArray[np.float64], *, bytes_max: int) -> Recording:
    """Read a cube from a TIFF file with a page for each band.

    Args:
        file: The TIFF file, classic or BigTIFF, open and seekable.
        axis: (bands,) wavelengths in the order of the pages, in nm or µm.
        bytes_max: Limit for the cube in memory, float32, and for the file.

    Raises:
        FormatError: It is damaged, too large, or the wavelengths are not those of its pages.
        UnsupportedError: Its pages are no grey pictures of one size and type.
        OSError: It cannot be read.
    """
    size_bytes = file.seek(0, os.SEEK_END)
    if size_bytes > bytes_max:
        raise FormatError(f"a TIFF file of {size_bytes} bytes, at most {bytes_max} are allowed")
    file.seek(0)
    content = file.read()
    pages = read_directory(content)
    first = pages[0]
    if any(page != first for page in pages):
        raise UnsupportedError("its pages differ in size or type, wanted one page like the other")
    if axis.shape != (len(pages),):
        raise FormatError(f"{axis.size} wavelengths for {len(pages)} pages, wanted one for each")
    bands = order_bands(axis, unit="")
    check_size((first.height, first.width, int(bands.order.size)), bytes_max=bytes_max)
    values = np.empty((first.height, first.width, bands.order.size), np.float32)
    for place, page in enumerate(bands.order):
        try:
            picture = imagecodecs.tiff_decode(content, index=int(page))
        except (imagecodecs.TiffError, ValueError, RuntimeError, IndexError) as trouble:
            raise FormatError(f"page {page} of the TIFF file cannot be decoded") from trouble
        if picture.shape != (first.height, first.width):
            raise FormatError(f"page {page} decodes to {picture.shape}, wanted {(first.height, first.width)}")
        with np.errstate(over="ignore", invalid="ignore"):
            values[..., place] = picture
    missing = count_missing(values)
    notes = (f"{missing} pixels have no value in at least one band",) if missing else ()
    return Recording(values=values, bands=bands, unit="counts", notes=notes)


def parse_list(content: bytes) -> NDArray[np.float64]:
    """Parse a list of wavelengths: numbers between blanks, commas or line ends; `#` begins a comment.

    Raises:
        FormatError: It holds something else.
    """
    if len(content) > LIST_BYTES_MAX:
        raise FormatError(f"a list of wavelengths of more than {LIST_BYTES_MAX} bytes")
    lines = content.decode("utf-8-sig", "replace").splitlines()
    words = " ".join(line.partition("#")[0] for line in lines).replace(",", " ").replace(";", " ").split()
    try:
        return np.array([float(word) for word in words], np.float64)
    except ValueError as trouble:
        raise FormatError("the list of wavelengths holds something other than numbers") from trouble


def read_directory(content: bytes | mmap.mmap) -> list[Page]:
    """Read the directories of a TIFF file, without its pictures.

    Raises:
        FormatError: It is damaged or has too many pages.
        UnsupportedError: A page is no grey picture.
    """
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None:
        raise FormatError("no TIFF file")
    try:
        (version,) = struct.unpack_from(f"{order}H", content, 2)
        if version not in (42, 43):
            raise FormatError(f"no TIFF file: its version is {version}, wanted 42 or 43")
        is_big = version == 43
        (at,) = struct.unpack_from(f"{order}{'Q' if is_big else 'I'}", content, 8 if is_big else 4)
        pages: list[Page] = []
        seen: set[int] = set()
        while at:
            if at in seen or len(pages) >= PAGES_MAX:
                raise FormatError(f"a TIFF file with more than {len(pages)} pages, or in a circle")
            seen.add(at)
            page, at = _page(content, at, order, is_big=is_big)
            pages.append(page)
    except (struct.error, OverflowError) as trouble:
        raise FormatError("a TIFF file that ends within its directory") from trouble
    if not pages:
        raise FormatError("a TIFF file without a page")
    return pages


def _page(content: bytes | mmap.mmap, at: int, order: str, *, is_big: bool) -> tuple[Page, int]:
    """Return a page and where the next one's directory lies."""
    count_form, entry_bytes, next_form = ("Q", 20, "Q") if is_big else ("H", 12, "I")
    (count,) = struct.unpack_from(f"{order}{count_form}", content, at)
    if count > TAGS_MAX:
        raise FormatError(f"a page with {count} tags, wanted at most {TAGS_MAX}")
    start = at + struct.calcsize(f"={count_form}")
    tags: dict[int, int] = {}
    for place in range(start, start + count * entry_bytes, entry_bytes):
        tag, kind = struct.unpack_from(f"{order}HH", content, place)
        if tag in _WANTED_TAGS and kind in _FORM_OF_TYPE:
            value_at = place + (12 if is_big else 8)
            (tags[tag],) = struct.unpack_from(f"{order}{_FORM_OF_TYPE[kind]}", content, value_at)
    (after,) = struct.unpack_from(f"{order}{next_form}", content, start + count * entry_bytes)
    if tags.get(_SAMPLES, 1) != 1 or tags.get(_PHOTOMETRIC, 1) != 1:
        raise UnsupportedError("a page in colours or with inverted greys, wanted a grey picture a band")
    bits, form = tags.get(_BITS, 1), tags.get(_SAMPLE_FORMAT, 1)
    if (bits, form) not in {(8, 1), (16, 1), (32, 1), (16, 2), (32, 2), (32, 3), (64, 3)}:
        raise UnsupportedError(f"pages of {bits} bits in sample format {form}, wanted 8 to 64 bit numbers")
    if not 0 < tags.get(_WIDTH, 0) < 1 << 24 or not 0 < tags.get(_HEIGHT, 0) < 1 << 24:
        raise FormatError(f"a page of {tags.get(_HEIGHT, 0)} × {tags.get(_WIDTH, 0)} pixels")
    return Page(tags[_HEIGHT], tags[_WIDTH], bits, form), after
