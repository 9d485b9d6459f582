"""What a file in a watched folder is: part of which cube or spectrum, and whether that is whole."""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats import cube_pack, cube_tiff, spectrum_files
from edge.formats.cube_names import (
    ENVI_ENDS,
    NPZ_ENDS,
    TIFF_ENDS,
    files_of,
    header_of,
    is_reference,
    references_beside,
)
from edge.formats.cube_pack import Role
from edge.formats.envi_header import HEADER_BYTES_MAX, parse_header
from edge.formats.spectrum_points import FILE_BYTES_MAX

SPECTRUM_ENDS = (
    ".txt",
    ".csv",
    ".tsv",
    ".asc",
    ".dat",
    ".dpt",
    ".prn",
    ".xy",
    ".jdx",
    ".dx",
    ".jcm",
    ".jcamp",
    ".spc",
)
MODALITIES = {"cube": "HSI", "spectrum": "SPECTRUM"}
"""Words of our own for `Arrival.modality`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralFile:
    """One measurement, and the files it is made of.

    Attributes:
        kind: `cube` or `spectrum`; the suffix of the file we keep is this word too.
        lead: The file that stands for the measurement: the header of an ENVI cube. Only this one is taken;
            the others come with it.
        parts: Its files by role, the lead first; references only where they lie beside it.
        is_reference: A white or dark reference: it comes with every cube it belongs to, never alone.
        lacking: Why it is not whole, or "". It may still be under way.
    """

    kind: Literal["cube", "spectrum"]
    lead: Path
    parts: Mapping[Role, tuple[Path, ...]]
    is_reference: bool = False
    lacking: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of it, references included."""
        return tuple(path for files in self.parts.values() for path in files)

    @property
    def own_files(self) -> tuple[Path, ...]:
        """The files that are nobody else's: what may be removed once it is taken."""
        return self.parts["cube"]


def recognise(path: Path, *, kind: Literal["cube", "spectrum"]) -> SpectralFile:
    """Say which measurement a file belongs to.

    Args:
        path: Any file of a watched folder.
        kind: What the folder is for.

    Returns:
        The measurement. Where `lead` is another file, this one comes with that.

    Raises:
        FormatError: It is nothing for such a folder.
        OSError: It cannot be read.
    """
    if kind == "spectrum":
        if not path.name.lower().endswith(SPECTRUM_ENDS):
            raise FormatError(f"no spectrum by its name, wanted one of {', '.join(SPECTRUM_ENDS)}")
        return SpectralFile(
            kind="spectrum", lead=path, parts={"cube": (path,)}, lacking=_lack_of_spectrum(path)
        )
    lead = _lead_of(path)
    parts, lacking = _cube_parts(lead)
    return SpectralFile(kind="cube", lead=lead, parts=parts, is_reference=is_reference(lead), lacking=lacking)


def bring(found: SpectralFile, target: Path) -> tuple[int, str]:
    """Copy a measurement into one new file: as it is, or as a pack where it has several files.

    Args:
        found: What `recognise` gave.
        target: A file that is not there yet; it is not synced.

    Returns:
        Its size in bytes and its SHA-256. The same measurement gives the same digest.

    Raises:
        FormatError: A file changed while it was copied.
        OSError: A file cannot be read or written.
    """
    before = [_fingerprint(path) for path in found.files]
    if len(found.files) == 1:
        shutil.copyfile(found.lead, target)
    else:
        cube_pack.write(target, found.parts)
    if before != [_fingerprint(path) for path in found.files]:
        raise FormatError("it changed while it was copied")
    with target.open("rb") as file:
        return target.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _lead_of(path: Path) -> Path:
    """Return the file that stands for a cube's.

    Raises:
        FormatError: It is no file of a cube, by its name.
    """
    name = path.name.lower()
    if name.endswith((".hdr", *NPZ_ENDS, *TIFF_ENDS)):
        return path
    header = header_of(path)
    if header is not None:
        return header
    if name.endswith(ENVI_ENDS):
        return path  # its header may be under way
    if name.endswith(("wavelengths.txt", "wavelengths.csv", ".wavelengths")):
        raise FormatError("a list of wavelengths, which comes with its cubes")
    raise FormatError("no cube by its name, wanted .hdr with its binary, .npz or .tif")


def _cube_parts(lead: Path) -> tuple[dict[Role, tuple[Path, ...]], str]:
    """Return the files of a cube and what is lacking, "" for nothing."""
    parts: dict[Role, tuple[Path, ...]] = {"cube": (lead,)}
    lacking = []
    white, dark = references_beside(lead)
    leads: Mapping[Role, Path | None] = {"cube": lead, "white": white, "dark": dark}
    for role, path in leads.items():
        if path is None:
            continue
        try:
            parts[role] = files_of(path)
            why = _lack_of_cube(parts[role])
        except FormatError as trouble:
            why = str(trouble)
        if why:
            lacking.append(why if role == "cube" else f"{role} reference: {why}")
    return parts, "; ".join(lacking)


def _lack_of_cube(files: tuple[Path, ...]) -> str:
    """Say what is lacking of the files of one cube, without reading its values."""
    lead = files[0]
    name = lead.name.lower()
    if name.endswith(NPZ_ENDS):
        return "" if zipfile.is_zipfile(lead) else "the archive has no end"
    if name.endswith(TIFF_ENDS):
        if len(files) == 1:
            return f"no wavelengths: wanted {lead.stem}.wavelengths.txt beside it"
        return _lack_of_tiff(lead)
    if not name.endswith(".hdr"):
        return "its ENVI header is missing"
    with lead.open("rb") as file:
        header = parse_header(file.read(HEADER_BYTES_MAX + 1))
    seen = files[1].stat().st_size
    return "" if seen == header.file_bytes else f"{seen} bytes, its header announces {header.file_bytes}"


def _lack_of_tiff(path: Path) -> str:
    if path.stat().st_size == 0:
        return "it is empty"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            cube_tiff.read_directory(content)
        except UnsupportedError:
            return ""  # whole, and refused when it is read
        except FormatError as trouble:
            return str(trouble)
    return ""


def _lack_of_spectrum(path: Path) -> str:
    if path.stat().st_size > FILE_BYTES_MAX:
        return ""  # whole or not, it is refused when it is read
    with path.open("rb") as file:
        content = file.read(os.fstat(file.fileno()).st_size)
    try:
        spectrum_files.parse(content)
    except UnsupportedError:
        return ""
    except FormatError as trouble:
        return str(trouble)
    return ""
