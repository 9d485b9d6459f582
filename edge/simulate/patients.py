"""The same study once more, as that of somebody who never was: new UIDs, another name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import pydicom
from pydicom.dataelem import DataElement
from pydicom.errors import InvalidDicomError
from pydicom.uid import generate_uid

from edge.domain.errors import FormatError
from edge.formats.dicom import index

_NEW = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def as_new_patient(files: Sequence[Path], folder: Path, *, patient: str) -> list[Path]:
    """Write copies of a study's files with new UIDs; references among them stay right.

    Args:
        files: Of one study.
        folder: Where the copies go; made if it is missing.
        patient: PatientName, PatientID and AccessionNumber of the copies, at most 16 characters.

    Raises:
        FormatError: A file is no DICOM object.
        OSError: A file cannot be read or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    renamed: dict[str, str] = defaultdict(generate_uid)
    copies = []
    datasets = [_read(path) for path in files]
    for dataset in datasets:
        for keyword in _NEW:
            if dataset.get(keyword):
                renamed[str(dataset[keyword].value)]  # the dictionary makes a new one
    for number, dataset in enumerate(datasets):
        dataset.walk(lambda _, element: _rename(element, renamed))
        dataset.PatientName = dataset.PatientID = dataset.AccessionNumber = patient
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        copies.append(folder / f"{number:05d}.dcm")
        dataset.save_as(copies[-1], enforce_file_format=True)
    return copies


def studies_of(files: Iterable[Path]) -> list[list[Path]]:
    """Sort files into studies, in the order in which they come.

    Raises:
        FormatError: A file is no DICOM object.
    """
    studies: dict[str, list[Path]] = {}
    for path in files:
        studies.setdefault(index(path).study_uid, []).append(path)
    return list(studies.values())


def _read(path: Path) -> pydicom.FileDataset:
    try:
        return pydicom.dcmread(path)
    except InvalidDicomError as trouble:
        raise FormatError(
            f"{path.name}: no DICOM file with its preamble; wanted one to make a copy of"
        ) from trouble


def _rename(element: DataElement, renamed: dict[str, str]) -> None:
    if element.VR == "UI" and not element.is_empty and element.VM == 1 and str(element.value) in renamed:
        element.value = renamed[str(element.value)]
