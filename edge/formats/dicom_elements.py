"""The raw values of a DICOM header, and how they read as text and numbers."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the data set of one file is written."""

    is_explicit: bool
    is_big_endian: bool

    @property
    def order(self) -> str:
        """Byte order as `struct` and NumPy write it."""
        return ">" if self.is_big_endian else "<"


@dataclass(frozen=True, slots=True, eq=False)
class Elements:
    """Raw values of the top-level elements that were asked for.

    Attributes:
        transfer_syntax_uid: As the meta information says, or what the bytes look like where there is none.
        media_sop_class_uid: From the meta information, or "".
        media_sop_uid: From the meta information, or "".
        data_set_offset: Where the data set begins in the file.
        encoding: How it is written.
        values: Tag to value; a sequence or encapsulated pixels of undefined length are b"".
        pixels_offset: Where the value of the pixel data begins in the file, or None where none was reached;
            in the inflated data set for a deflated file.
        pixels_tag: Which of the three kinds of pixel data it is, or 0.
        pixels_bytes: Its length; `UNDEFINED` for encapsulated pixels.
        is_truncated: The file ends within an element that was asked for, or within its header.
    """

    transfer_syntax_uid: str
    media_sop_class_uid: str
    media_sop_uid: str
    data_set_offset: int
    encoding: Encoding
    values: dict[int, bytes]
    pixels_offset: int | None
    pixels_tag: int
    pixels_bytes: int
    is_truncated: bool

    def text(self, tag: int) -> str:
        """Return a value as text without padding, "" where it is absent."""
        return text_of(self.values.get(tag, b""))

    def floats(self, tag: int) -> tuple[float, ...]:
        """Return the numbers of a DS or IS element, () where it is absent or holds none."""
        return _floats(self.values.get(tag, b""))

    def integer(self, tag: int) -> int | None:
        """Return the number of an IS element, None where it is absent or none."""
        numbers = self.floats(tag)
        return int(numbers[0]) if numbers and abs(numbers[0]) < 2**53 else None

    def binary(self, tag: int, kind: str) -> tuple[float, ...]:
        """Return the numbers of a binary element; `kind` as in `struct`: H (US), h (SS), f (FL), d (FD)."""
        return _binary(self.values.get(tag, b""), self.encoding.order, kind)


# The slices of a series repeat nearly all of their values: parsing each once halves the time of a header.
@lru_cache(maxsize=4096)
def text_of(raw: bytes) -> str:
    """Return a value as text without padding."""
    return raw.decode("latin-1").strip("\0 ")


@lru_cache(maxsize=4096)
def _floats(raw: bytes) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text_of(raw).split("\\") if part.strip())
    except ValueError:
        return ()


@lru_cache(maxsize=4096)
def _binary(raw: bytes, order: str, kind: str) -> tuple[float, ...]:
    return struct.unpack_from(f"{order}{len(raw) // struct.calcsize(kind)}{kind}", raw)
