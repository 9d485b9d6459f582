"""Arrivals and instances without a source."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path

from edge.domain.study import Arrival, Instance


def instance(
    sop_uid: str, *, series_uid: str = "series", association: str = "a", announced: int | None = None
) -> Instance:
    """An instance that exists in name only."""
    return Instance(
        sop_uid=sop_uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        series_uid=series_uid,
        study_uid="study",
        modality="CT",
        format="dicom",
        path=Path(f"/nowhere/{sop_uid}"),
        size_bytes=4,
        sha256=sop_uid,
        announced_instances=announced,
        source="test",
        calling_ae="TEST",
        association=association,
        received_at_ns=0,
    )


def arrival(
    folder: Path,
    sop_uid: str,
    *,
    content: bytes = b"content",
    series_uid: str = "series",
    association: str = "a",
    announced: int | None = None,
) -> Arrival:
    """An arrival whose file lies in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sop_uid}-{hashlib.sha256(content).hexdigest()[:8]}.part"
    path.write_bytes(content)
    return Arrival(
        sop_uid=sop_uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        series_uid=series_uid,
        study_uid="study",
        modality="CT",
        format="dicom",
        received_path=path,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        announced_instances=announced,
        source="test",
        calling_ae="TEST",
        association=association,
    )


def arrival_of(instance: Instance) -> Arrival:
    """What a source received, of which an instance was made: its file is moved away when it is kept."""
    values = {
        each.name: getattr(instance, each.name) for each in fields(Arrival) if each.name != "received_path"
    }
    return Arrival(**values, received_path=instance.path)
