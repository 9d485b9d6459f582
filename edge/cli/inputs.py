"""Files of the command line as series, as if they had come in by a door and been closed."""

from __future__ import annotations

import hashlib
import mmap
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.cli.paths import files_of, missing
from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.study import ClosedBecause, Instance, Series
from edge.formats import dicom, nifti
from edge.formats.dicom_scan import DEFLATED_LITTLE, PIXEL_DATA, UNDEFINED, scan_file

NIFTI_ENDS = (".nii", ".nii.gz")
CLAIMS_TO_BE_A_PICTURE = (*NIFTI_ENDS, ".dcm", ".dicom", ".ima")
AIR_HU_MAX = -300.0
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


@dataclass(slots=True)
class Inputs:
    """What was found.

    Attributes:
        series: Everything that can be looked at, in the order of the command line.
        unreadable: What is missing, garbage or cut off, with the reason.
        skipped: How many files in folders are no pictures.
        notes: What was assumed.
    """

    series: list[Series] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    skipped: int = 0
    notes: list[str] = field(default_factory=list)


def read_inputs(paths: Sequence[Path], *, modality: str | None) -> Inputs:
    """Find every picture under the paths and group them by series.

    Args:
        paths: Files and folders.
        modality: What NIfTI files show, for they do not say; None: judged by their values.
    """
    inputs = Inputs(unreadable=missing(paths))
    instances: list[Instance] = []
    for path in paths:
        if not path.exists():
            continue
        before = len(instances) + len(inputs.unreadable)
        for file in files_of(path):
            is_meant = file == path or file.name.lower().endswith(CLAIMS_TO_BE_A_PICTURE)
            try:
                instances.append(_instance(file, modality, inputs))
            except FormatError as trouble:
                if is_meant:
                    inputs.unreadable.append(f"{file}: {str(trouble).removeprefix(f'{file.name}: ')}")
                else:
                    inputs.skipped += 1
        if len(instances) + len(inputs.unreadable) == before:
            inputs.unreadable.append(f"{path}: no picture in this folder")
    inputs.series = _grouped(instances)
    return inputs


def _instance(file: Path, modality: str | None, inputs: Inputs) -> Instance:
    """Read what a door would know about a file.

    Raises:
        FormatError: It is neither DICOM nor NIfTI.
    """
    if not file.is_file():
        raise FormatError("neither a file nor a folder")
    if file.name.lower().endswith(NIFTI_ENDS):
        return _nifti_instance(file, modality or _judged(file, inputs))
    about = dicom.index(file)
    if not about.sop_uid:
        raise FormatError("names no SOP instance; wanted a picture")
    shortfall = _shortfall(file)
    if shortfall:
        inputs.unreadable.append(f"{file}: {shortfall}")
    with file.open("rb") as opened:
        opened.seek(about.data_set_offset)
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Instance(
        sop_uid=about.sop_uid,
        sop_class_uid=about.sop_class_uid,
        transfer_syntax_uid=about.transfer_syntax_uid,
        series_uid=about.series_uid,
        study_uid=about.study_uid,
        modality=about.modality,
        format="dicom",
        path=file,
        size_bytes=file.stat().st_size,
        sha256=digest,
        announced_instances=about.announced_instances,
        source="analyze",
        calling_ae="analyze",
        association="",
        received_at_ns=time.time_ns(),
    )


def _nifti_instance(file: Path, modality: str) -> Instance:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Instance(
        sop_uid=f"2.25.{int(digest[:32], 16)}",
        sop_class_uid="",
        transfer_syntax_uid="",
        series_uid="",
        study_uid="",
        modality=modality,
        format="nifti",
        path=file,
        size_bytes=file.stat().st_size,
        sha256=digest,
        announced_instances=None,
        source="analyze",
        calling_ae="analyze",
        association="",
        received_at_ns=time.time_ns(),
    )


def _judged(file: Path, inputs: Inputs) -> str:
    """Judge by its values whether a NIfTI file is a CT: only there is air far below zero.

    Raises:
        FormatError: It cannot be read.
    """
    try:
        scan = nifti.read(file)
    except UnsupportedError:
        return "MR"  # the path says why it cannot be looked at
    modality = "CT" if float(scan.volumes[0].voxels.min()) < AIR_HU_MAX else "MR"
    inputs.notes.append(f"{file}: taken as {modality}; --modality says otherwise")
    return modality


def _shortfall(file: Path) -> str:
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


def _grouped(instances: Sequence[Instance]) -> list[Series]:
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
