"""ENVI cubes: a header and a binary, in every interleave, type and byte order, line by line into memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError
from edge.formats.cube_recording import Bands, Recording, check_size, count_missing, order_bands
from edge.formats.envi_header import Header

_SLAB_BYTES = 8 << 20  # read at once: large enough for the disk, small beside the cube


def read(
    header: Header,
    binary: BinaryIO,
    *,
    bytes_max: int,
    wavelengths_nm: NDArray[np.float64] | None = None,
) -> Recording:
    """Read the binary that a header describes.

    Args:
        header: What `envi_header.parse_header` gave.
        binary: Open and seekable.
        bytes_max: Limit for the cube in memory, float32, without its bad bands.
        wavelengths_nm: (bands,) in the file's order, for headers that name none.

    Raises:
        FormatError: It is cut off, does not fit its header, or is too large.
        OSError: It cannot be read.
    """
    size_bytes = binary.seek(0, os.SEEK_END)
    if size_bytes != header.file_bytes:
        raise FormatError(f"the binary has {size_bytes} bytes, its header announces {header.file_bytes}")
    bands = _bands(header, wavelengths_nm)
    shape = (*header.shape[:2], int(bands.order.size))
    check_size(shape, bytes_max=bytes_max)
    values = np.empty(shape, np.float32)
    full = 0
    for top, slab in _slabs(header, bands, binary):
        into = values[top : top + slab.shape[0]]
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite, then NaN
            into[...] = slab
        full += _mark(header, slab, into)
        _scale(header, bands, into)
    return _recording(header, bands, values, full=full)


def _bands(header: Header, given_nm: NDArray[np.float64] | None) -> Bands:
    if header.wavelengths is not None:
        return order_bands(header.wavelengths, unit=header.wavelength_unit, is_bad=header.is_bad)
    if given_nm is None:
        raise FormatError("the ENVI header names no wavelengths, wanted one for each band")
    if given_nm.shape != header.shape[2:]:
        raise FormatError(f"{given_nm.size} wavelengths given, the file has {header.shape[2]} bands")
    return order_bands(given_nm, unit="nm", is_bad=header.is_bad)


def _slabs(header: Header, bands: Bands, file: BinaryIO) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the first line and (lines, samples, kept bands) of slab after slab, in the file's type."""
    lines, samples, count = header.shape
    item = header.dtype.itemsize
    start = header.offset_bytes
    step = max(1, _SLAB_BYTES // (samples * count * item))
    for top in range(0, lines, step):
        rows = min(step, lines - top)
        if header.interleave == "bsq":
            planes = np.empty((bands.order.size, rows, samples), header.dtype)
            for plane, band in zip(planes, bands.order, strict=True):
                file.seek(start + ((int(band) * lines + top) * samples) * item)
                _fill(file, plane)
            yield top, planes.transpose(1, 2, 0)
            continue
        file.seek(start + top * samples * count * item)
        is_bil = header.interleave == "bil"
        raw = np.empty((rows, count, samples) if is_bil else (rows, samples, count), header.dtype)
        _fill(file, raw)
        slab = raw.transpose(0, 2, 1) if is_bil else raw
        is_whole = np.array_equal(bands.order, np.arange(count))
        yield top, slab if is_whole else slab[..., bands.order]


def _fill(file: BinaryIO, array: NDArray[Any]) -> None:
    left = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # it is a buffer
    while left:
        count = file.readinto(left)  # type: ignore[attr-defined]  # every binary file has it
        if not count:
            raise FormatError(f"the binary ends {len(left)} bytes before its header says")
        left = left[count:]


def _mark(header: Header, slab: NDArray[Any], into: NDArray[np.float32]) -> int:
    """Mark what the header calls missing or full; return how many values were full."""
    if header.ignored is not None:
        into[slab == header.ignored] = np.nan
    if header.ceiling is None or header.dtype.kind == "f":
        return 0
    is_full = slab >= header.ceiling
    into[is_full] = np.nan
    return int(is_full.sum())


def _scale(header: Header, bands: Bands, into: NDArray[np.float32]) -> None:
    if header.gains is not None:
        into *= header.gains[bands.order].astype(np.float32)
    if header.offsets is not None:
        into += header.offsets[bands.order].astype(np.float32)
    if header.scale is not None:
        into /= np.float32(header.scale)


def _recording(header: Header, bands: Bands, values: NDArray[np.float32], *, full: int) -> Recording:
    notes = list(header.notes)
    if full:
        notes.append(f"{full} values at the detector's ceiling of {header.ceiling:g} not used")
    missing = count_missing(values)
    if missing:
        notes.append(f"{missing} pixels have no value in at least one band")
    how = {"reflectance": "gains of the header", "radiance": "gains of the header", "counts": ""}
    return Recording(
        values=values,
        bands=bands,
        unit="reflectance" if header.scale is not None else header.gives,
        calibration="scale factor of the header" if header.scale is not None else how[header.gives],
        exposure_ms=header.exposure_ms,
        notes=tuple(notes),
    )
