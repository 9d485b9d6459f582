"""A radiograph comes in by DICOM, boxes go out over MQTT: the real daemon, a real scanner, a real broker."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.builders.dicom_pictures import lit, write_picture
from tests.builders.picture_tasks import Form, write_task_bundle
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.receiver import Receiver
from tests.fulfils import assert_fulfils_schema
from tests.peers.broker import Mosquitto
from tests.waiting import until

STORESCU = "/usr/bin/storescu"
FINDER, MARKER = "picture-detection", "picture-segmentation"
SHOWN: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 4000, "bits": 12}


@pytest.fixture
def box(tmp_path: Path, broker: Mosquitto) -> Iterator[Appliance]:
    """Two models look at radiographs: a finder of bright cells, a marker of bright pixels."""
    for task in (FINDER, MARKER):
        write_task_bundle(tmp_path / "bundles", task, Form(channels="GREY"), name=task)
    appliance = Appliance(
        tmp_path / "box",
        broker_port=broker.port,
        bundles=tmp_path / "bundles",
        bundle=FINDER,
        modality="CR",
    )
    pipelines = appliance.document["pipelines"]
    assert isinstance(pipelines, list)
    pipelines.append({"name": MARKER, "bundle": MARKER, "select": {"modalities": ["CR"]}, "pictures_max": 1})
    with appliance as running:
        yield running


def storescu(box: Appliance, files: Sequence[Path]) -> None:
    subprocess.run(
        [STORESCU, "-aec", "EDGE", "127.0.0.1", str(box.dicom_port), *map(str, files)],
        check=True,
        capture_output=True,
        timeout=60,
    )


def told(receiver: Receiver, pipeline: str) -> list[dict[str, Any]]:
    return [one for one in receiver.findings() if one["pipeline"] == pipeline]


def test_two_views_sent_by_a_scanner_come_back_as_boxes_in_each(
    tmp_path: Path, box: Appliance, receiver: Receiver
) -> None:
    spacing: dict[str, Any] = {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}
    places = {1: (64, 32, 96, 64), 2: (0, 96, 32, 128)}
    files = [
        write_picture(
            tmp_path / f"{number}.dcm",
            lit((128, 128), place),
            number=number,
            series_uid="1.2.826.0.1.99",
            **SHOWN,
            **spacing,
        )
        for number, place in places.items()
    ]
    broken = write_picture(
        tmp_path / "3.dcm", lit((64, 64), places[1]), number=3, series_uid="1.2.826.0.1.99", Rows=512, **SHOWN
    )
    storescu(box, [*files, broken])
    until(lambda: len(told(receiver, FINDER)) >= 5, within_s=60, what="findings about three pictures")
    until(lambda: told(receiver, MARKER) != [], within_s=60, what="the word of the marker")
    for finding in receiver.findings():
        assert_fulfils_schema(finding)
    things = {one["picture"]["number"]: one for one in told(receiver, FINDER) if one["box_px"]}
    assert things[1]["box_px"] == pytest.approx([64, 32, 32, 32], abs=0.5)
    assert things[2]["box_px"] == pytest.approx([0, 96, 32, 32], abs=0.5)
    assert things[1]["picture"]["spacing_mm"] == [0.2, 0.2]
    assert [round(each["value"], 1) for each in things[1]["measurements"]] == [6.4, 6.4]
    assert things[1]["series"]["modality"] == "CR"
    (unread,) = (one for one in told(receiver, FINDER) if one["verdict"] == "NOT_ASSESSED")
    assert unread["picture"]["number"] == 3
    assert "the header promises" in unread["reason"]
    (refusal,) = told(receiver, MARKER)
    assert refusal["verdict"] == "NOT_ASSESSED"
    assert "3 pictures, at most 1" in refusal["reason"]
    said = json.dumps(receiver.findings()) + box.said()
    header = dcmread(files[0])
    for secret in ("SECRET", str(header.SOPInstanceUID), str(header.SeriesInstanceUID)):
        assert secret not in said
