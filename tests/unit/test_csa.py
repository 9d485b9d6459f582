"""Siemens' private header is read in both its versions, and damage in it is no surprise."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.errors import FormatError
from edge.formats.csa import read_csa


def header(tags: dict[str, list[str]], *, version: int) -> bytes:
    parts = [b"SV10\x04\x03\x02\x01"] if version == 2 else []
    parts.append(struct.pack("<2I", len(tags), 77))
    base = 6
    for name, values in tags.items():
        items = [*values, *[""] * (base - len(values))]
        parts.append(struct.pack("<64si4siii", name.encode(), len(values), b"IS", 6, len(items), 77))
        for value in items:
            text = value.encode() + b"\0" if value else b""
            length = len(text)
            first = length + base if version == 1 else length
            parts.append(struct.pack("<4i", first, length, 77, length) + text + b"\0" * (-length % 4))
    return b"".join(parts)


TAGS = {"NumberOfImagesInMosaic": ["36"], "SliceNormalVector": ["0.0", "-0.5", "0.866"], "Empty": []}


@pytest.mark.parametrize("version", [1, 2])
def test_values_are_found_by_name(version: int) -> None:
    assert read_csa(header(TAGS, version=version)) == {
        "NumberOfImagesInMosaic": ("36",),
        "SliceNormalVector": ("0.0", "-0.5", "0.866"),
    }


def test_a_header_that_ends_too_early_is_refused() -> None:
    with pytest.raises(FormatError):
        read_csa(header(TAGS, version=2)[:200])


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_whatever_surprise_the_reader(tail: bytes, second: bool) -> None:
    start = b"SV10\x04\x03\x02\x01\x02\0\0\0" if second else b"\x02\0\0\0"
    with contextlib.suppress(FormatError):
        read_csa(start + tail)
