"""Turn the pixel data of a DICOM file into arrays of samples."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.encaps import generate_frames

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats.dicom_codecs import JPEG_BASELINE, RLE, Pixels, decode, decode_elsewhere
from edge.formats.dicom_scan import DEFLATED_LITTLE, UNDEFINED, inflated

JPEG_END, JPEG_TAIL_BYTES = (
    b"\xff\xd9",
    64,
)  # the codec fills up with grey what is cut off; some pad behind it
GREY = ("MONOCHROME1", "MONOCHROME2")
HALVED = "YBR_FULL_422"  # uncompressed, two pixels share their colour: Y Y Cb Cr (PS3.3 C.7.6.3.1.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """How the pictures of an object are stored; two objects of one format may be stacked.

    Attributes:
        rows: Height in pixels.
        columns: Width in pixels.
        samples: 1 for grey, 3 for colour.
        bits_allocated: 1, 8, 16, 32 or 64.
        bits_stored: How many of them count.
        high_bit: The most significant one of those.
        is_signed: Two's complement.
        is_float: IEEE numbers, of FloatPixelData or DoubleFloatPixelData.
        photometric: PhotometricInterpretation.
        is_planar: Of colour, whole planes one after the other instead of pixels.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_float: bool
    photometric: str
    is_planar: bool = False

    @property
    def frame_bytes(self) -> int:
        """Size of one picture when it is not compressed."""
        samples = 2 if self.photometric == HALVED else self.samples
        return self.rows * self.columns * samples * self.bits_allocated // 8

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array of one picture: (rows, columns), and of colour (rows, columns, 3)."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples, in little endian order."""
        kind = "f" if self.is_float else "i" if self.is_signed else "u"
        return np.dtype(f"<{kind}{self.bits_allocated // 8}")

    @property
    def ends(self) -> tuple[int, int]:
        """Lowest and highest sample that the bits that count can hold."""
        if self.is_signed:
            return -(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1
        return 0, (1 << self.bits_stored) - 1

    def __str__(self) -> str:
        """Say it in the words of a refusal."""
        sign = "float" if self.is_float else "signed" if self.is_signed else "unsigned"
        return f"{self.rows}x{self.columns} {self.photometric} {self.bits_stored} bit {sign}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelSource:
    """Where the pictures of one object lie.

    Attributes:
        label: Names the object in messages: its number and the tail of its UID, never a file name.
        path: The file.
        format: How they are stored.
        transfer_syntax_uid: How they are compressed.
        data_set_offset: Where the data set begins in the file.
        offset: Where the value of the pixel data begins, in the inflated data set of a deflated file.
        length: Its length in bytes, or `UNDEFINED` for encapsulated ones.
        frames: How many there are.
        is_big_endian: Whether the samples are.
    """

    label: str
    path: Path
    format: PixelFormat
    transfer_syntax_uid: str
    data_set_offset: int
    offset: int
    length: int
    frames: int
    is_big_endian: bool


def check(source: PixelSource, size_bytes: int) -> None:
    """Refuse what cannot be decoded to grey pictures, before any memory is taken for it.

    Args:
        source: What the header promises.
        size_bytes: Of the file.

    Raises:
        UnsupportedError: Colour, or a depth that no codec here gives.
        FormatError: The file is shorter than its header promises.
    """
    form, name = source.format, source.label
    if form.samples != 1 or form.photometric not in GREY:
        raise UnsupportedError(f"{name}: a {form.photometric or 'colour'} picture, wanted MONOCHROME1 or 2")
    check_stored(source, size_bytes)


def check_stored(source: PixelSource, size_bytes: int) -> None:
    """Refuse what contradicts itself, or is deeper than any codec here gives, whatever its colours.

    Raises:
        UnsupportedError: A depth that no codec here gives.
        FormatError: The file is shorter than its header promises, or its header cannot be.
    """
    form, name = source.format, source.label
    if form.bits_allocated not in ((32, 64) if form.is_float else (8, 16, 32)):
        raise UnsupportedError(f"{name}: {form.bits_allocated} bits allocated, wanted 8, 16 or 32")
    if not (0 < form.bits_stored <= form.bits_allocated and form.high_bit < form.bits_allocated):
        raise FormatError(f"{name}: {form.bits_stored} bits stored of {form.bits_allocated} allocated")
    if form.high_bit + 1 < form.bits_stored:
        raise FormatError(f"{name}: {form.bits_stored} bits stored below high bit {form.high_bit}")
    if form.rows * form.columns == 0 or source.frames < 1:
        raise FormatError(f"{name}: {form.rows} rows, {form.columns} columns, {source.frames} frames")
    if source.length == UNDEFINED or source.transfer_syntax_uid == DEFLATED_LITTLE:
        return
    wanted = form.frame_bytes * source.frames
    there = min(source.length, size_bytes - source.offset)
    if there < wanted:
        raise FormatError(f"{name}: {there} bytes of pixels, the header promises {wanted}")


def read_frames(source: PixelSource, wanted: frozenset[int]) -> Iterator[tuple[int, Pixels]]:
    """Decode some pictures of a file that passed `check`, in their order.

    Args:
        source: The file.
        wanted: Numbers of frames, from 0.

    Yields:
        Frame number and samples, (rows, columns[, 3]), as stored: not masked to the bits that count.

    Raises:
        UnsupportedError: No codec for this transfer syntax gives a picture.
        FormatError: The pixel data are damaged.
    """
    if source.length == UNDEFINED:
        return _compressed(source, wanted)
    return _plain(source, wanted)


def read_into(source: PixelSource, frame: int, buffer: Pixels) -> Pixels:
    """Read one uncompressed little endian picture without an allocation, and return it as an array.

    Args:
        source: Not compressed, not deflated.
        frame: Its number, from 0.
        buffer: At least `frame_bytes` bytes of uint8; the array returned is a view of it.
    """
    form = source.format
    view = buffer[: form.frame_bytes]
    handle = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        got = os.preadv(handle, [view.data], source.offset + frame * form.frame_bytes)
    finally:
        os.close(handle)
    if got != form.frame_bytes:
        raise FormatError(f"{source.label}: ends within frame {frame + 1}")
    return laid_out(view.view(form.dtype), form)


def laid_out(samples: Pixels, form: PixelFormat) -> Pixels:
    """Return samples as `PixelFormat.shape` says, wherever their planes lie."""
    if form.photometric == HALVED and samples.size == 2 * form.rows * form.columns:
        pairs = samples.reshape(-1, 4)
        return pairs[:, [0, 2, 3, 1, 2, 3]].reshape(form.shape)
    if form.samples > 1 and form.is_planar:
        return np.moveaxis(samples.reshape(form.samples, form.rows, form.columns), 0, -1)
    return samples.reshape(form.shape)


def is_plain(source: PixelSource) -> bool:
    """Whether `read_into` may be used."""
    return (
        source.length != UNDEFINED
        and not source.is_big_endian
        and source.transfer_syntax_uid != DEFLATED_LITTLE
    )


def significant(samples: Pixels, form: PixelFormat) -> Pixels:
    """Return samples with only the bits that count, sign-extended; the same array where nothing is to do."""
    if form.is_float:
        return samples
    low_bit = form.high_bit + 1 - form.bits_stored
    spare = form.bits_allocated - form.bits_stored
    if spare == 0:
        return samples
    if low_bit == 0:
        lowest, highest = form.ends
        if samples.max() <= highest and (lowest == 0 or samples.min() >= lowest):
            return samples
    lifted: Pixels = samples << np.array(spare - low_bit, samples.dtype)
    lowered: Pixels = lifted >> np.array(spare, samples.dtype)
    return lowered


def _plain(source: PixelSource, wanted: frozenset[int]) -> Iterator[tuple[int, Pixels]]:
    form = source.format
    if is_plain(source):
        for frame in sorted(wanted):
            yield frame, read_into(source, frame, np.empty(form.frame_bytes, np.uint8))
        return
    whole, start = source.path.read_bytes(), source.offset
    if source.transfer_syntax_uid == DEFLATED_LITTLE:
        whole = inflated(whole, source.data_set_offset)
    dtype = form.dtype.newbyteorder(">") if source.is_big_endian else form.dtype
    if source.is_big_endian and dtype.itemsize == 1 and whole[start - 8 : start - 6] == b"OW":
        whole, start = _swapped(whole[start : start + source.length]), 0  # two samples are one word
    for frame in sorted(wanted):
        at = start + frame * form.frame_bytes
        if at + form.frame_bytes > len(whole):
            raise FormatError(f"{source.label}: ends within frame {frame + 1}")
        samples = np.frombuffer(whole, dtype, form.frame_bytes // dtype.itemsize, at)
        yield frame, laid_out(samples.astype(form.dtype, copy=False), form)


def _swapped(words: bytes) -> bytes:
    return np.frombuffer(words[: len(words) // 2 * 2], ">u2").astype("<u2").tobytes()


def _compressed(source: PixelSource, wanted: frozenset[int]) -> Iterator[tuple[int, Pixels]]:
    with source.path.open("rb") as file:
        file.seek(source.offset)
        value = file.read()
    try:
        frames = generate_frames(value, number_of_frames=source.frames)
        for number, encoded in enumerate(islice(frames, max(wanted) + 1)):
            if number in wanted:
                yield number, _as_stored(source, number, _decode(source, number, encoded))
    except (EOFError, IndexError, struct.error, ValueError) as trouble:
        raise FormatError(f"{source.label}: the compressed pixels are damaged: {trouble}") from trouble


def _decode(source: PixelSource, frame: int, encoded: bytes) -> Pixels:
    form, syntax = source.format, source.transfer_syntax_uid
    if syntax == JPEG_BASELINE and JPEG_END not in encoded[-JPEG_TAIL_BYTES:]:
        raise FormatError(f"{source.label}: frame {frame + 1} is a JPEG without its end")
    is_rgb = form.photometric == "RGB"
    samples = decode(encoded, syntax, dtype=form.dtype, frame_bytes=form.frame_bytes, is_rgb=is_rgb)
    if samples is not None:
        return samples
    try:
        return decode_elsewhere(source.path, frame, syntax)
    except UnsupportedError as trouble:
        raise UnsupportedError(f"{source.label}: {trouble}") from trouble


def _as_stored(source: PixelSource, frame: int, decoded: Pixels) -> Pixels:
    """Give decoded samples the shape and type that the header promises."""
    form = source.format
    is_whole = decoded.size == form.rows * form.columns * form.samples
    if not is_whole or decoded.dtype.itemsize > form.dtype.itemsize:
        raise FormatError(
            f"{source.label}: frame {frame + 1} decodes to {decoded.shape} of {decoded.dtype}, "
            f"the header promises {'x'.join(map(str, form.shape))} of {form.dtype}"
        )
    if decoded.dtype.itemsize == form.dtype.itemsize:
        decoded = decoded.view(form.dtype)
    stored: Pixels = decoded.astype(form.dtype, copy=False)
    # What comes with a shape is pixel by pixel; RLE is always plane by plane (PS3.5 G.2).
    is_flat = decoded.ndim == 1
    is_planar = is_flat and (form.is_planar or source.transfer_syntax_uid == RLE)
    return laid_out(stored, replace(form, is_planar=is_planar))
