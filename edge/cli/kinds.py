"""What kind of input a file is: by its content first, by its name where the content does not say."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats import still_headers, thermal_files
from edge.formats.cube_names import list_beside
from edge.formats.spectral_files import SPECTRUM_ENDS
from edge.sources import video_files

Kind = Literal["dicom", "nifti", "video", "picture", "thermal", "cube", "spectrum"]

NIFTI_ENDS = (".nii", ".nii.gz")
DICOM_ENDS = (".dcm", ".dicom", ".ima")
THERMAL_ENDS = (".csq", ".fcf", ".fff", ".ptw", ".seq")
SPECTRUM_CLAIMS = (".jcamp", ".jdx", ".spc")
MOTION_JPEG_ENDS = (".mjpeg", ".mjpg")
VIDEO_CLAIMS = tuple(end for end in video_files.ENDS if end != ".ts")  # also a language to write programs in
CLAIMS = (*NIFTI_ENDS, *DICOM_ENDS, *THERMAL_ENDS, *SPECTRUM_CLAIMS, *VIDEO_CLAIMS)
"""Whoever calls a file so means it: damage is told, not skipped."""

HEAD_BYTES = 65_536
_PREAMBLE = slice(128, 132)
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG = still_headers.JPEG
_FLIR = b"FLIR\0"
_FLIR_BYTES_MAX = 4 << 20  # the parts of a JPEG that are no picture come first
_OTHER_THERMAL = (b"AFF\0", b"FPF ", b"AIO")


def kind_of(file: Path, head: bytes) -> Kind | None:
    """Say what a file seems to be, without reading it; None: nothing speaks for any kind.

    Args:
        file: Its name counts where its content does not say, and for NIfTI.
        head: Its first bytes, up to `HEAD_BYTES`.
    """
    name = file.name.lower()
    if name.endswith(NIFTI_ENDS):
        return "nifti"
    if head[_PREAMBLE] == b"DICM":
        return "dicom"
    return _by_content(file, head) or _by_name(name)


def _by_content(file: Path, head: bytes) -> Kind | None:
    if head.startswith(_JPEG) and file.name.lower().endswith(MOTION_JPEG_ENDS):
        return "video"
    if head.startswith(_TIFF):
        return "cube" if list_beside(file) is not None else "thermal"
    if head.startswith(_JPEG):
        return "thermal" if _FLIR in head else "picture"
    if still_headers.kind_of(head[:16]) is not None:
        return "thermal" if _is_grey_of_16_bits(head) else "picture"
    if thermal_files.is_thermal(head[:16]) or head.startswith(_OTHER_THERMAL):
        return "thermal"
    if head.startswith(b"ENVI") or (head.startswith(b"PK\x03\x04") and _is_npz(file)):
        return "cube"
    if video_files.begins_like_video(head[: video_files.HEAD_BYTES]):
        return "video"
    first = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].splitlines()[:1]
    return "spectrum" if first and first[0].startswith(b"##") and b"=" in first[0] else None


def is_radiometric(file: Path) -> bool:
    """Whether a picture is a JPEG of a thermal camera, whose degrees come later than in its first bytes.

    Raises:
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        return opened.read(len(_JPEG)) == _JPEG and _FLIR in opened.read(_FLIR_BYTES_MAX)


def _is_grey_of_16_bits(head: bytes) -> bool:
    """Whether a PNG may be counts of a thermal camera; its header says so."""
    return head.startswith(still_headers.PNG) and head[24:26] == b"\x10\x00"


def _by_name(name: str) -> Kind | None:
    if name.endswith(DICOM_ENDS):
        return "dicom"
    if name.endswith(VIDEO_CLAIMS):
        return "video"
    if name.endswith(THERMAL_ENDS):
        return "thermal"
    if name.endswith((".hdr", ".npz")):
        return "cube"
    return "spectrum" if name.endswith(SPECTRUM_ENDS) else None


def is_meant(file: Path, kind: Kind | None, head: bytes, trouble: FormatError) -> bool:
    """Whether a file that came with its folder, and cannot be read, claims to be what it is taken for.

    Args:
        file: Nobody named it.
        kind: What it was taken for.
        head: Its first bytes.
        trouble: Why it cannot be read.
    """
    if file.name.lower().endswith(CLAIMS):
        return True
    is_else = isinstance(trouble, UnsupportedError)  # well formed, and something else: a photo, a table
    match kind:
        case "video":
            return not is_else
        case "thermal":
            return head.startswith(_JPEG) or not is_else  # a JPEG that is taken for one names its maker
        case "cube":
            return head.startswith((b"ENVI", *_TIFF)) or names_wavelengths(file)
        case "spectrum":
            return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"##TITLE", b"##title"))
        case "nifti" | "picture":
            return True
        case _:
            return False


def _is_npz(file: Path) -> bool:
    if file.name.lower().endswith(".npz"):
        return True
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def names_wavelengths(file: Path) -> bool:
    """Whether an npz archive is that of a cube; one that cannot be opened might be."""
    if not file.name.lower().endswith(".npz"):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return "wavelengths_nm.npy" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return True
