"""Files of the command line as instances and series, as if they had come in by a door and been closed."""

from __future__ import annotations

import hashlib
import mmap
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from edge.domain.errors import FormatError
from edge.domain.study import ClosedBecause, Instance, Series, uid_of_content
from edge.formats import dicom
from edge.formats.dicom_scan import DEFLATED_LITTLE, PIXEL_DATA, UNDEFINED, scan_file
from edge.formats.spectral_files import MODALITIES, SpectralFile
from edge.sources.folder_files import Identity, dicom_identity

SOURCE = "analyze"
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_PIECE_BYTES = 1 << 20


def dicom_instance(file: Path) -> Instance:
    """Read what a door would know about a DICOM object.

    Raises:
        FormatError: It is no DICOM object.
    """
    about = dicom.index(file)
    if not about.sop_uid:
        raise FormatError("names no SOP instance; wanted a picture")
    with file.open("rb") as opened:
        opened.seek(about.data_set_offset)
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return _instance(
        dicom_identity(about), path=file, size_bytes=file.stat().st_size, sha256=digest, source=SOURCE
    )


def dicom_shortfall(file: Path) -> str:
    """Say what is missing at the end of a DICOM file, "" where it is whole."""
    elements = scan_file(file, (), last=PIXEL_DATA)
    if elements.is_truncated:
        return "cut off: it ends within its header"
    if elements.pixels_offset is None or elements.transfer_syntax_uid == DEFLATED_LITTLE:
        return ""
    size_bytes = file.stat().st_size
    if elements.pixels_bytes != UNDEFINED:
        end = elements.pixels_offset + elements.pixels_bytes
        return f"cut off: {size_bytes} bytes, its pixel data need {end}" if end > size_bytes else ""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        at = elements.pixels_offset
        while whole[at : at + 4] == _ITEM:
            at += 8 + int.from_bytes(whole[at + 4 : at + 8], "little")
        return "" if whole[at : at + 4] == _SEQUENCE_END else "cut off: its compressed pixel data have no end"


def nifti_instance(file: Path, modality: str) -> Instance:
    """Return a NIfTI file as an instance; it does not say what it shows."""
    return _hashed(Identity("nifti", ".nii", modality=modality), file, [file], source=SOURCE)


def spectral_instance(found: SpectralFile) -> Instance:
    """Return a cube or a spectrum as an instance; its source is its kind, by which it finds its readings."""
    identity = Identity(found.kind, f".{found.kind}", modality=MODALITIES[found.kind])
    return _hashed(identity, found.lead, found.files, source=found.kind)


def _hashed(identity: Identity, path: Path, files: Iterable[Path], *, source: str) -> Instance:
    """Return the instance whose content are these files, one after the other."""
    digest, size_bytes = hashlib.sha256(), 0
    for file in files:
        with file.open("rb") as opened:
            while piece := opened.read(_PIECE_BYTES):
                digest.update(piece)
                size_bytes += len(piece)
    return _instance(identity, path=path, size_bytes=size_bytes, sha256=digest.hexdigest(), source=source)


def _instance(identity: Identity, *, path: Path, size_bytes: int, sha256: str, source: str) -> Instance:
    return Instance(
        sop_uid=identity.sop_uid or uid_of_content(sha256),
        sop_class_uid=identity.sop_class_uid,
        transfer_syntax_uid=identity.transfer_syntax_uid,
        series_uid=identity.series_uid,
        study_uid=identity.study_uid,
        modality=identity.modality,
        format=identity.format,
        path=path,
        size_bytes=size_bytes,
        sha256=sha256,
        announced_instances=identity.announced_instances,
        source=source,
        calling_ae=SOURCE,
        association="",
        received_at_ns=time.time_ns(),
    )


def grouped(instances: Sequence[Instance]) -> list[Series]:
    """Group by series; the same bytes given twice count once, as at a door."""
    kept: dict[tuple[str, str], Instance] = {}
    for instance in instances:
        kept.setdefault((instance.sop_uid, instance.sha256), instance)
    groups: dict[str, list[Instance]] = {}
    for instance in kept.values():
        groups.setdefault(instance.series_uid or instance.sop_uid, []).append(instance)
    return [
        Series(
            series_uid=name,
            study_uid=group[0].study_uid,
            modality="+".join(dict.fromkeys(instance.modality for instance in group if instance.modality)),
            instances=tuple(group),
            closed_because=ClosedBecause.ASKED,
        )
        for name, group in groups.items()
    ]
