"""An npz is not believed about its size."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundles.arrays import UNPACKED_BYTES_MAX, read_npz
from edge.domain.errors import BundleRejectedError
from tests.builders.bundles import golden, npz

RIGHT = golden()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def npy(shape: str, *, dtype: str = "<f4", values: bytes = b"") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values


def bomb() -> bytes:
    """A few MB that unpack to more than is allowed; the member's name and zeros are all there is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("image.npy", npy("(1,)", values=bytes(4)))
    content = bytearray(file.getvalue())
    place = content.index(b"PK\x01\x02") + 24  # the size it says it has, in the directory
    content[place : place + 4] = struct.pack("<I", UNPACKED_BYTES_MAX + 1)
    return bytes(content)


def test_arrays_come_as_they_were_written_and_cannot_be_changed() -> None:
    counted, turned = np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.asfortranarray(np.eye(3))
    image, labels = read_npz(npz(image=counted, labels=turned), ["image", "labels"], origin="g")
    np.testing.assert_array_equal(image, counted)
    np.testing.assert_array_equal(labels, turned)
    assert not image.flags.writeable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bomb(), r"g: unpacks to 1073741825 bytes, at most 1073741824 are allowed"),
        (
            zipped(image=npy("(1000000, 1000000)")),
            r"has the shape \(1000000, 1000000\), 4000000000000",
        ),
        (zipped(image=npy("(-4, -4)", values=bytes(99))), "wanted an npz|says it has the shape"),
        (zipped(image=npy("(3,)", dtype="|O", values=pickle.dumps([1]))), "of type object, wanted numbers"),
        (zipped(image=npy("(3,)", dtype="|S4", values=bytes(12))), "wanted numbers"),
        (zipped(image=b"no array"), "wanted an npz with `image`"),
        (zipped(other=npy("(1,)", values=bytes(4))), "wanted an npz with `image`"),
        (zipped(**{f"a{n}": b"" for n in range(65)}), "holds 65 arrays, at most 64"),
        (b"no zip", "wanted an npz with `image`"),
    ],
)
def test_a_file_that_claims_too_much_or_is_none_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(BundleRejectedError, match=message):
        read_npz(content, ["image"], origin="g")


@settings(max_examples=150, deadline=None)
@given(place=st.integers(min_value=0), flip=st.integers(1, 255), cut=st.integers(0, 300))
def test_damaged_bytes_are_read_or_refused_and_never_more(place: int, flip: int, cut: int) -> None:
    damaged = bytearray(RIGHT[: len(RIGHT) - cut])
    damaged[place % len(damaged)] ^= flip
    with contextlib.suppress(BundleRejectedError):
        read_npz(bytes(damaged), ["image", "labels"], origin="g")
