"""Colour pictures of DICOM objects as bytes of red, green and blue, whatever they are stored as."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats.dicom_codecs import JPEG_BASELINE, Pixels
from edge.formats.dicom_dataset import TROUBLES, unwarned
from edge.formats.dicom_pixels import (
    GREY,
    HALVED,
    PixelFormat,
    PixelSource,
    check_stored,
    read_frames,
    significant,
)
from edge.formats.dicom_scan import UNDEFINED

PALETTE: Final = "PALETTE COLOR"
DIRECT: Final = ("RGB", "YBR_FULL", HALVED, "YBR_ICT", "YBR_RCT")
PIXELS_MAX: Final = 100_000_000  # 300 MB of colour; a mammogram has 24 million
_LUMA: Final = ("YBR_FULL", HALVED)  # what codecs of wavelets undo by themselves is not among them

Colours = NDArray[np.uint8]


def check_picture(source: PixelSource, size_bytes: int) -> None:
    """Refuse what cannot be decoded to a picture, grey or in colour, before any memory is taken for it.

    Raises:
        UnsupportedError: Colours, a depth or a size that this build does not look at.
        FormatError: The file is shorter than its header promises, or its header cannot be.
    """
    form, name = source.format, source.label
    samples = 3 if form.photometric in DIRECT else 1
    if form.photometric not in (*GREY, PALETTE, *DIRECT):
        wanted = ", ".join((*GREY, PALETTE, *DIRECT))
        raise UnsupportedError(f"{name}: a picture in '{form.photometric}'; wanted one of {wanted}")
    if form.samples != samples:
        raise FormatError(f"{name}: {form.samples} samples for a pixel of {form.photometric}, not {samples}")
    if form.photometric not in GREY and (form.is_float or form.bits_allocated not in (8, 16)):
        raise UnsupportedError(f"{name}: {form.bits_allocated} bits of colour allocated, wanted 8 or 16")
    if form.rows * form.columns > PIXELS_MAX:
        raise UnsupportedError(
            f"{name}: has {form.columns} x {form.rows} px, wanted at most {PIXELS_MAX} pixels"
        )
    if form.photometric == HALVED and source.length != UNDEFINED and form.columns % 2:
        raise FormatError(f"{name}: pairs of pixels share a colour, and its {form.columns} columns are odd")
    check_stored(source, size_bytes)


def read_colours(
    source: PixelSource, wanted: frozenset[int], header: Dataset
) -> Iterator[tuple[int, Colours]]:
    """Decode some colour pictures of a file that passed `check_picture`, in their order.

    Args:
        source: The file; not of grey pictures.
        wanted: Numbers of frames, from 0.
        header: Of the same file, for its palette.

    Yields:
        Frame number and (rows, columns, 3) RGB.

    Raises:
        UnsupportedError: No codec for this transfer syntax gives a picture.
        FormatError: The pixel data or the palette are damaged.
    """
    form = source.format
    if form.photometric == PALETTE:
        first, colours = _palette(source, header)
        for frame, samples in read_frames(source, wanted):
            yield frame, colours[np.asarray(significant(samples, form), np.int64) - first]
        return
    for frame, samples in read_frames(source, wanted):
        bytes_of_it = _eight_bits(significant(samples, form), form)
        yield frame, _rgb(bytes_of_it) if _is_luma(source) else np.ascontiguousarray(bytes_of_it)


def _is_luma(source: PixelSource) -> bool:
    """Whether what was decoded is brightness and colour differences; a JPEG gives RGB by itself."""
    return source.format.photometric in _LUMA and source.transfer_syntax_uid != JPEG_BASELINE


def _rgb(ybr: Colours) -> Colours:
    """Convert YBR_FULL, (rows, columns, 3), as PS3.3 C.7.6.3.1.2 has it."""
    swapped = np.ascontiguousarray(ybr[..., [0, 2, 1]])
    return np.asarray(cv2.cvtColor(swapped, cv2.COLOR_YCrCb2RGB), np.uint8)


def _eight_bits(samples: Pixels, form: PixelFormat) -> Colours:
    if form.is_signed:
        raise UnsupportedError("colours are signed numbers, wanted unsigned ones")
    return np.asarray(samples >> max(form.bits_stored - 8, 0), np.uint8)


def _palette(source: PixelSource, header: Dataset) -> tuple[int, Colours]:
    """Return the lowest sample, and the colour of each from it on.

    Raises:
        FormatError: There is no palette, or it is damaged.
    """
    lowest, highest = source.format.ends
    dtype = np.int32 if source.format.is_signed else np.uint32
    try:
        with unwarned():
            colours = apply_color_lut(np.arange(lowest, highest + 1, dtype=dtype), header)
    except (IndexError, *TROUBLES) as trouble:
        what = f"its palette cannot be read: {type(trouble).__name__}"
        raise FormatError(f"{source.label}: {what}") from trouble
    deep = colours.dtype.itemsize > 1 and int(colours.max(initial=0)) > 255
    return lowest, np.asarray(colours[..., :3] >> (8 if deep else 0), np.uint8)
