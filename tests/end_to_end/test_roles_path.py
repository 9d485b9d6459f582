"""Several series of a study, each in its role, through the real daemon: one answer for the study."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders.pair import axial, coronal
from tests.builders.volume_bundles import write_pair
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.receiver import Receiver
from tests.fulfils import assert_fulfils_schema
from tests.waiting import until

HASTE_S = 0.5


def pipeline(name: str, mark: str, wait_s: float) -> dict[str, Any]:
    rules = {"T1": f"(?i)^{mark}t1", "FLAIR": f"(?i)^{mark}flair"}
    return {
        "name": name,
        "bundle": "pair",
        "select": {"modalities": ["CT"], "slices_min": 5},
        "roles": [{"role": role, "series_description": rule} for role, rule in rules.items()],
        "roles_wait_s": wait_s,
    }


@pytest.fixture
def box(tmp_path: Path, receiver: Receiver) -> Iterator[Appliance]:
    write_pair(tmp_path / "bundles")
    box = Appliance(tmp_path / "box", broker_port=receiver.port, bundles=tmp_path / "bundles", bundle="pair")
    box.document["pipelines"] = [pipeline("patient", "", 600.0), pipeline("hasty", "hasty ", HASTE_S)]
    with box:
        yield box


def send(box: Appliance, *folders: Path) -> None:
    files = [str(path) for folder in folders for path in folder.iterdir()]
    subprocess.run(
        ["storescu", "-aec", "EDGE", "127.0.0.1", str(box.dicom_port), *files],
        check=True,
        capture_output=True,
        timeout=60,
    )


def t1(folder: Path, study: int, *, mark: str = "") -> Path:
    said = {"StudyInstanceUID": f"1.2.{study}", "SeriesDescription": f"{mark}T1 mprage", "SeriesNumber": 4}
    return axial(folder, **said)


def flair(folder: Path, study: int, *, mark: str = "") -> Path:
    said = {"StudyInstanceUID": f"1.2.{study}", "SeriesDescription": f"{mark}FLAIR cor", "SeriesNumber": 7}
    return coronal(folder, **said)


def waiting(box: Appliance) -> dict[str, Any]:
    """What pipelines wait for, as the status file says."""
    status = json.loads((box.state / "status.json").read_text())
    return {one["pipeline"]: one["lacks"] for one in status["waiting"]}


def said_of(receiver: Receiver, pipeline: str, *, count: int) -> list[dict[str, Any]]:
    """What a pipeline said, once that is as much as it ought to be."""

    def said() -> list[dict[str, Any]]:
        return [one for one in receiver.findings() if one["pipeline"] == pipeline]

    until(lambda: len(said()) >= count, within_s=60, what=f"{count} findings of {pipeline}")
    assert len(said()) == count
    return said()


def test_a_study_is_looked_at_whichever_role_comes_first_and_though_we_are_killed_in_between(
    tmp_path: Path, box: Appliance, receiver: Receiver
) -> None:
    send(box, t1(tmp_path / "a1", 1))
    send(box, flair(tmp_path / "b2", 2), t1(tmp_path / "c1", 3, mark="hasty "))
    until(lambda: box.said().count("a study waits") == 6, within_s=60, what="three studies wait for two")
    until(lambda: waiting(box) == {"patient": {"FLAIR": 2, "T1": 2}}, within_s=10, what="its status")
    box.kill()
    box.start()
    send(box, flair(tmp_path / "a2", 1), t1(tmp_path / "b1", 2), tmp_path / "a1")  # the last one again
    said = said_of(receiver, "patient", count=4)
    assert len({one["study"] for one in said}) == len({one["subject"] for one in said})
    for whole in said:
        assert (whole["verdict"], whole["revision"]) == ("PRESENT", 1)
        assert whole["measurements"][0]["value"] == pytest.approx(12 * 10 * 8 / 1000, rel=0.15)
        series = whole["series"]
        assert [(one["role"], one["number"], one["instances"]) for one in series["roles"]] == [
            ("T1", 4, 12),
            ("FLAIR", 7, 20),
        ]
        assert (series["instances"], series["modality"], series["closed_because"]) == (32, "CT", "quiet")
        assert_fulfils_schema(whole)
    assert "mprage" not in json.dumps(said) + box.said()

    by_roles = {len(one["series"]["roles"]): one for one in said_of(receiver, "hasty", count=3)}
    alone, nobody = by_roles[1], by_roles[0]  # the latter: it is said twice that none of its roles came
    assert alone["verdict"] == nobody["verdict"] == "NOT_ASSESSED"
    assert alone["reason"] == f"role FLAIR did not come within {HASTE_S:g} s"
    none_came = f"roles T1 and FLAIR did not come within {HASTE_S:g} s"
    assert nobody["reason"] == f"{none_came}: no series of the study plays a role here"
    assert [one["role"] for one in alone["series"]["roles"]] == ["T1"]
    assert_fulfils_schema(nobody)
    send(box, flair(tmp_path / "c2", 3, mark="hasty "))  # it came after all
    late = said_of(receiver, "hasty", count=5)[3:]
    assert [(one["verdict"], one["revision"]) for one in late] == [("PRESENT", 2)] * 2
    assert {(one["subject"], one["study"]) for one in late} == {(alone["subject"], alone["study"])}
