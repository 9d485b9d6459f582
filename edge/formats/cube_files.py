"""Read a hyperspectral cube from whatever file it is in; with its references it becomes reflectance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.spectral import Cube
from edge.formats import cube_npz, cube_pack, cube_tiff, envi
from edge.formats.cube_names import files_of, references_beside
from edge.formats.cube_pack import Role
from edge.formats.cube_recording import CUBE_BYTES_MAX, Recording
from edge.formats.cube_reflectance import to_reflectance
from edge.formats.envi_header import HEADER_BYTES_MAX, parse_header

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ZIP_MAGIC = b"PK\x03\x04"


def read_cube(
    path: Path,
    *,
    bytes_max: int = CUBE_BYTES_MAX,
    white: Path | None = None,
    dark: Path | None = None,
    panel_reflectance: float = 1.0,
    wavelengths_nm: Sequence[float] | None = None,
) -> Cube:
    """Read a cube: ENVI, npz, TIFF, or a pack of ours.

    Args:
        path: ENVI header or binary, `.npz`, TIFF stack, or a pack that `cube_pack.write` made.
        bytes_max: Limit for a cube in memory, float32; each reference has the same limit.
        white: File of the white reference; None: the one of the pack, or the one that lies beside `path` by
            name (`cube_names.references_beside`).
        dark: File of the dark reference; likewise.
        panel_reflectance: Of the white panel, 0 to 1.
        wavelengths_nm: One for each band, in the file's order, where the file names none.

    Returns:
        Reflectance where there are references or the file says so; else what the file holds.

    Raises:
        FormatError: A file is missing, damaged, cut off, or too large.
        UnsupportedError: A file holds something other than a cube of real numbers.
        PictureRejectedError: The references do not fit.
        OSError: A file cannot be read.
    """
    axis = None if wavelengths_nm is None else np.asarray(wavelengths_nm, np.float64)
    with _opened(path, white=white, dark=dark) as files:
        recording = read_open(files["cube"], bytes_max=bytes_max, wavelengths_nm=axis)
        if recording.unit != "counts" or not files["white"]:
            return recording.cube()
        white_and_dark = [
            _read_reference(role, files[role], bytes_max, axis) if files[role] else None
            for role in cube_pack.REFERENCES
        ]
    of_white, of_dark = white_and_dark
    assert of_white is not None, "looked for above"
    done = to_reflectance(recording, white=of_white, dark=of_dark, panel_reflectance=panel_reflectance)
    return done.cube()


def read_open(
    files: Sequence[BinaryIO], *, bytes_max: int, wavelengths_nm: NDArray[np.float64] | None
) -> Recording:
    """Read one cube from its open files: the header or picture first, what belongs to it second.

    Raises:
        FormatError: They are damaged, too large, or one is missing.
        UnsupportedError: They hold something other than a cube of real numbers.
        OSError: They cannot be read.
    """
    lead, beside = files[0], files[1] if len(files) > 1 else None
    lead.seek(0)
    head = lead.read(4)
    lead.seek(0)
    if head == _ZIP_MAGIC:
        return cube_npz.read(lead, bytes_max=bytes_max, wavelengths_nm=wavelengths_nm)
    if head in TIFF_MAGIC:
        axis = wavelengths_nm
        if axis is None and beside is not None:
            axis = cube_tiff.parse_list(beside.read(cube_tiff.LIST_BYTES_MAX + 1))
        if axis is None:
            raise FormatError("no wavelengths for the pages of the TIFF file, wanted a list beside it")
        return cube_tiff.read(lead, axis, bytes_max=bytes_max)
    if head != b"ENVI":
        raise FormatError("no cube: neither ENVI with its header, nor npz, nor TIFF")
    header = parse_header(lead.read(HEADER_BYTES_MAX + 1))
    if beside is None:
        raise FormatError("an ENVI header without its binary")
    return envi.read(header, beside, bytes_max=bytes_max, wavelengths_nm=wavelengths_nm)


def _read_reference(
    role: Role, files: Sequence[BinaryIO], bytes_max: int, axis: NDArray[np.float64] | None
) -> Recording:
    try:
        return read_open(files, bytes_max=bytes_max, wavelengths_nm=axis)
    except UnsupportedError as trouble:
        raise UnsupportedError(f"{role} reference: {trouble}") from trouble
    except FormatError as trouble:
        raise FormatError(f"{role} reference: {trouble}") from trouble


@contextmanager
def _opened(
    path: Path, *, white: Path | None, dark: Path | None
) -> Iterator[Mapping[Role, Sequence[BinaryIO]]]:
    """Open the files of a cube and of its references; () for a reference there is none of."""
    if not path.is_file():
        raise FormatError("no such file, wanted a cube")
    with ExitStack() as stack:
        files: dict[Role, Sequence[BinaryIO]] = {"cube": (), "white": (), "dark": ()}
        if cube_pack.is_pack(path):
            files.update(stack.enter_context(cube_pack.opened(path)))
        else:
            beside_white, beside_dark = references_beside(path)
            white, dark = white or beside_white, dark or beside_dark
            files["cube"] = [stack.enter_context(each.open("rb")) for each in files_of(path)]
        given_by_role: Mapping[Role, Path | None] = {"white": white, "dark": dark}
        for role, given in given_by_role.items():
            if given is not None:
                files[role] = [stack.enter_context(each.open("rb")) for each in files_of(given)]
        yield files
