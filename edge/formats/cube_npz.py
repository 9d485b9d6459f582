"""Cubes as NumPy archives: `values` (height, width, bands), `wavelengths_nm`, and what they are."""

from __future__ import annotations

import errno
import zipfile
import zlib
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats.cube_recording import Recording, check_size, count_missing, order_bands

_MEMBERS_MAX = 64
_SMALL_VALUES_MAX = 1 << 20  # of everything beside the cube
_TEXT_BYTES_MAX = 1024
_TROUBLES = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    NotImplementedError,  # a compression method that Python does not know
    OverflowError,
    RuntimeError,  # an archive that wants a password
    SyntaxError,
    ValueError,
)


def read(file: BinaryIO, *, bytes_max: int, wavelengths_nm: NDArray[np.float64] | None = None) -> Recording:
    """Read a cube from an archive that `numpy.savez` wrote.

    Args:
        file: The archive, open and seekable. It holds `values`, or one single array of three axes;
            `wavelengths_nm`; and may hold the texts `unit` (`reflectance`, `radiance`, `counts`) and
            `calibration`.
        bytes_max: Limit for the cube in memory, float32.
        wavelengths_nm: (bands,) for archives that name none.

    Raises:
        FormatError: It is damaged, too large, or holds no cube with wavelengths.
        UnsupportedError: Its values are no real numbers.
        OSError: It cannot be read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _read(archive, bytes_max=bytes_max, given_nm=wavelengths_nm)
    except OSError as trouble:
        if trouble.errno != errno.EINVAL:  # a place before the beginning, from a damaged directory
            raise
        raise FormatError("no readable NumPy archive: its directory is damaged") from trouble
    except _TROUBLES as trouble:
        raise FormatError(f"no readable NumPy archive: {type(trouble).__name__}") from trouble


def _read(archive: zipfile.ZipFile, *, bytes_max: int, given_nm: NDArray[np.float64] | None) -> Recording:
    names = archive.namelist()
    if len(names) > _MEMBERS_MAX:
        raise FormatError(f"an archive of {len(names)} arrays, wanted at most {_MEMBERS_MAX}")
    shapes = {name.removesuffix(".npy"): _shape(archive, name) for name in names if name.endswith(".npy")}
    cubes = [name for name, (shape, _) in shapes.items() if len(shape) == 3]
    name = "values" if "values" in cubes else cubes[0] if len(cubes) == 1 else ""
    if not name:
        raise FormatError(
            f"an archive with {len(cubes)} arrays of three axes, wanted one, or one called values"
        )
    (height, width, count), dtype = shapes[name]
    if dtype.kind not in "iuf":
        raise UnsupportedError(f"values are {dtype}, wanted whole or real numbers")
    check_size((height, width, count), bytes_max=bytes_max)
    axis = _axis(archive, shapes, given_nm, count=count)
    bands = order_bands(axis, unit="nm")
    stored = _array(archive, name)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.ascontiguousarray(stored[..., bands.order], np.float32)
    missing = count_missing(values)
    notes = (f"{missing} pixels have no value in at least one band",) if missing else ()
    return Recording(
        values=values,
        bands=bands,
        unit=_unit(_word(archive, shapes, "unit")),
        calibration=_word(archive, shapes, "calibration"),
        notes=notes,
    )


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of an array, and nothing behind it."""
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        if version not in ((1, 0), (2, 0)):
            raise UnsupportedError(f"an array of version {version}, wanted (1, 0) or (2, 0)")
        read_header = np.lib.format.read_array_header_1_0
        if version == (2, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(member)
    return shape, dtype


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _axis(
    archive: zipfile.ZipFile,
    shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]],
    given_nm: NDArray[np.float64] | None,
    *,
    count: int,
) -> NDArray[np.float64]:
    if "wavelengths_nm" in shapes:
        shape, dtype = shapes["wavelengths_nm"]
        if shape != (count,) or count > _SMALL_VALUES_MAX or dtype.kind not in "iuf":
            raise FormatError(
                f"wavelengths_nm is {dtype} {shape}, wanted one number for each of {count} bands"
            )
        return _array(archive, "wavelengths_nm").astype(np.float64)
    if given_nm is None:
        raise FormatError("the archive names no wavelengths_nm, wanted one for each band")
    if given_nm.shape != (count,):
        raise FormatError(f"{given_nm.size} wavelengths given, the archive has {count} bands")
    return given_nm


def _word(
    archive: zipfile.ZipFile, shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]], name: str
) -> str:
    if name not in shapes:
        return ""
    shape, dtype = shapes[name]
    if shape != () or dtype.kind != "U" or dtype.itemsize > _TEXT_BYTES_MAX:
        raise FormatError(f"{name} is {dtype} {shape}, wanted a short text")
    return str(_array(archive, name))


def _unit(word: str) -> Literal["reflectance", "radiance", "counts"]:
    match word:
        case "reflectance":
            return "reflectance"
        case "radiance":
            return "radiance"
        case "" | "counts":
            return "counts"
        case other:
            raise FormatError(f"unit is {other[:40]!r}, wanted reflectance, radiance or counts")
