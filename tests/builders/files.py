"""A closed series out of files that lie somewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge.domain.study import ClosedBecause, Instance, Series
from edge.formats.dicom import index


def series_of_files(paths: Iterable[Path]) -> Series:
    """The series that these DICOM files make up, whatever their UIDs say."""
    instances = tuple(dicom_instance(path) for path in sorted(paths))
    return Series(
        series_uid=instances[0].series_uid,
        study_uid=instances[0].study_uid,
        modality="+".join(sorted({instance.modality for instance in instances})),
        instances=instances,
        closed_because=ClosedBecause.ASKED,
    )


def series_of_nifti(path: Path, *, modality: str = "MR") -> Series:
    instance = _instance(path, format="nifti", sop_uid="2.25.1", series_uid="2.25.1", modality=modality)
    return Series(
        series_uid="2.25.1",
        study_uid="",
        modality=modality,
        instances=(instance,),
        closed_because=ClosedBecause.ASKED,
    )


def dicom_instance(path: Path) -> Instance:
    seen = index(path)
    return _instance(
        path,
        format="dicom",
        sop_uid=seen.sop_uid,
        sop_class_uid=seen.sop_class_uid,
        transfer_syntax_uid=seen.transfer_syntax_uid,
        series_uid=seen.series_uid,
        study_uid=seen.study_uid,
        modality=seen.modality,
    )


def _instance(
    path: Path,
    *,
    format: str,  # noqa: A002  # the name of the attribute
    sop_uid: str,
    series_uid: str,
    modality: str,
    sop_class_uid: str = "",
    transfer_syntax_uid: str = "",
    study_uid: str = "",
) -> Instance:
    return Instance(
        sop_uid=sop_uid,
        sop_class_uid=sop_class_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        series_uid=series_uid,
        study_uid=study_uid,
        modality=modality,
        format=format,
        path=path,
        size_bytes=path.stat().st_size,
        sha256="",
        announced_instances=None,
        source="test",
        calling_ae="TEST",
        association="1",
        received_at_ns=0,
    )
