"""What lies in a folder of studies: is it an object for us, is it whole, what does it say about itself."""

from __future__ import annotations

import hashlib
import math
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.domain.errors import FormatError
from edge.formats.dicom import DicomIndex, index
from edge.formats.dicom_scan import PIXEL_DATA, UNDEFINED, scan_file

_CHUNK_BYTES = 1 << 20
_DICOMDIR = "1.2.840.10008.1.3.10"
_NIFTI1_BYTES, _NIFTI2_BYTES = 348, 540
_GZIP = 31  # zlib's window bits for a gzip header


class Contents(Protocol):
    """What a watched folder is for."""

    def comes_with_another(self, path: Path, /) -> bool:
        """Whether a file is taken together with another one, and never alone.

        Raises:
            OSError: It cannot be read.
        """

    def lead(self, path: Path, /) -> Path:
        """Return the file that one comes with, or the file itself.

        Raises:
            OSError: It cannot be read.
        """

    def identify(self, path: Path, *, is_patient: bool) -> Identity:
        """Say what a file is.

        Args:
            path: The file.
            is_patient: Whether to wait for a file that is not whole yet; else it is taken as it is.

        Raises:
            UnfinishedError: It is not whole, and `is_patient`.
            FormatError: It is nothing for us.
            OSError: It cannot be read.
        """

    def copy_in(self, path: Path, target: Path, identity: Identity, /) -> tuple[int, str]:
        """Copy what a file stands for; return the size of the copy in bytes and the SHA-256 of its content.

        Raises:
            UnfinishedError: It changed meanwhile.
            OSError: It cannot be read or written.
        """

    def companions(self, path: Path, /) -> Sequence[Path]:
        """Return the other files that are taken with one, and may be removed with it.

        Raises:
            OSError: It cannot be read.
        """


class UnfinishedError(FormatError):
    """A file that ends before what its header announces; perhaps it is still being written."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What an object says about itself.

    Attributes:
        format: `dicom`, `nifti`, `cube` or `spectrum`.
        suffix: Of the file we keep: `.dcm`, `.nii`, `.nii.gz`, `.cube`, `.spectrum`.
        content_offset: Where what the digest is made of begins.
        sop_uid: "" where the format has none; it is then `uid_of_content`.
    """

    format: str
    suffix: str
    content_offset: int = 0
    sop_uid: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    series_uid: str = ""
    study_uid: str = ""
    modality: str = ""
    announced_instances: int | None = None


class Studies:
    """DICOM and NIfTI files, each one by itself."""

    def __init__(self, *, nifti_modality: str) -> None:
        """Store what NIfTI files show, for they do not say; or ""."""
        self._nifti_modality = nifti_modality

    def comes_with_another(self, _path: Path) -> bool:
        """No file does."""
        return False

    def lead(self, path: Path) -> Path:
        """Each file stands for itself."""
        return path

    def identify(self, path: Path, *, is_patient: bool) -> Identity:
        """Say what a file is; see `Contents.identify`."""
        with path.open("rb") as file:
            head = file.read(132)
        name = path.name.lower()
        if name.endswith((".nii", ".nii.gz")):
            if is_patient:
                _check_nifti(path)
            suffix = ".nii.gz" if head[:2] == b"\x1f\x8b" else ".nii"
            return Identity("nifti", suffix, modality=self._nifti_modality, announced_instances=1)
        if head[128:] == b"DICM" or name.endswith((".dcm", ".dicom", ".ima")):
            return _identify_dicom(path, is_patient=is_patient)
        raise FormatError("neither DICOM (.dcm, or DICM behind 128 bytes) nor NIfTI (.nii, .nii.gz)")

    def copy_in(self, path: Path, target: Path, identity: Identity) -> tuple[int, str]:
        """Copy a file; the digest is of what begins at `identity.content_offset`."""
        return _copy(path, target, content_offset=identity.content_offset)

    def companions(self, _path: Path) -> Sequence[Path]:
        """There are none."""
        return ()


def _copy(path: Path, target: Path, *, content_offset: int) -> tuple[int, str]:
    digest = hashlib.sha256()
    size_bytes = 0
    with path.open("rb") as source, target.open("xb") as copy:
        before = os.fstat(source.fileno())
        while chunk := source.read(_CHUNK_BYTES):
            copy.write(chunk)
            digest.update(memoryview(chunk)[max(0, content_offset - size_bytes) :])
            size_bytes += len(chunk)
        after = os.fstat(source.fileno())
    if (before.st_size, before.st_mtime_ns) != (
        after.st_size,
        after.st_mtime_ns,
    ) or size_bytes != after.st_size:
        raise UnfinishedError("it changed while it was copied")
    return size_bytes, digest.hexdigest()


def _identify_dicom(path: Path, *, is_patient: bool) -> Identity:
    if is_patient:
        _check_dicom(path)
    header = index(path)
    if header.sop_class_uid == _DICOMDIR:
        raise FormatError("a DICOMDIR, which lists objects and is none")
    if not header.sop_uid:
        raise FormatError("a DICOM file without a SOPInstanceUID")
    return dicom_identity(header)


def dicom_identity(header: DicomIndex) -> Identity:
    """Say who a DICOM object is, by its header."""
    return Identity(
        "dicom",
        ".dcm",
        content_offset=header.data_set_offset,
        sop_uid=header.sop_uid,
        sop_class_uid=header.sop_class_uid,
        transfer_syntax_uid=header.transfer_syntax_uid,
        series_uid=header.series_uid,
        study_uid=header.study_uid,
        modality=header.modality,
        announced_instances=header.announced_instances,
    )


def _check_dicom(path: Path) -> None:
    elements = scan_file(path, (), last=PIXEL_DATA)
    size_bytes = path.stat().st_size
    if elements.is_truncated:
        raise UnfinishedError(f"its header reaches past its {size_bytes} bytes")
    if elements.pixels_offset is None or elements.pixels_bytes == UNDEFINED:
        return
    wanted = elements.pixels_offset + elements.pixels_bytes
    if wanted > size_bytes:
        raise UnfinishedError(f"{size_bytes} bytes, wanted {wanted}")


def _check_nifti(path: Path) -> None:
    """Compare the size, inflated where it is compressed, with what the header announces."""
    with path.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = zlib.decompressobj(_GZIP) if is_compressed else None
        head, size_bytes = b"", 0
        while chunk := file.read(_CHUNK_BYTES):
            try:
                plain = stream.decompress(chunk) if stream is not None else chunk
            except zlib.error as trouble:
                raise UnfinishedError(f"its gzip stream is damaged: {trouble}") from trouble
            head = head or plain[:_NIFTI2_BYTES]
            size_bytes += len(plain)
    wanted = _nifti_bytes(head)
    if size_bytes < wanted:
        raise UnfinishedError(f"{size_bytes} bytes, wanted {wanted}")


def _nifti_bytes(head: bytes) -> int:
    for order in "<>":
        if len(head) >= _NIFTI1_BYTES and struct.unpack_from(f"{order}i", head)[0] == _NIFTI1_BYTES:
            dimensions = struct.unpack_from(f"{order}8h", head, 40)
            bits = struct.unpack_from(f"{order}h", head, 72)[0]
            offset = struct.unpack_from(f"{order}f", head, 108)[0]
        elif len(head) >= _NIFTI2_BYTES and struct.unpack_from(f"{order}i", head)[0] == _NIFTI2_BYTES:
            dimensions = struct.unpack_from(f"{order}8q", head, 16)
            bits = struct.unpack_from(f"{order}h", head, 14)[0]
            offset = struct.unpack_from(f"{order}q", head, 168)[0]
        else:
            continue
        voxels: int = math.prod(max(1, size) for size in dimensions[1 : 1 + max(0, min(7, dimensions[0]))])
        return int(offset) + voxels * int(bits) // 8
    raise UnfinishedError(f"no NIfTI header in its first {len(head)} bytes")
