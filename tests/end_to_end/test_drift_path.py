"""A scanner's upgrade changes its pictures: the real daemon says so on a real broker, and findings go on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from edge.cli import bundle_reference, status
from edge.simulate.series import write_series
from tests.builders.bundles import write_bundle
from tests.builders.heads import ball
from tests.builders.volumes import volume
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.receiver import Receiver
from tests.end_to_end.test_path import STORESCU
from tests.peers.broker import Mosquitto
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("log_as_found")

WINDOW = 20
FOUND = "edge/v1/test/box-1/finding/tiny"
ALERT = "edge/v1/test/box-1/alert/warning/drift-tiny-door-mr-two"


def patients(folder: Path, count: int, *, gain: float = 1.0, seed: int = 0) -> list[Path]:
    """Write a series for each of some patients, who differ; a gain is that of the scanner."""
    rng = np.random.default_rng(seed)
    files: list[Path] = []
    for number in range(count):
        voxels = ball(slices=5, side=24) + rng.normal(0, rng.uniform(4, 8), (5, 24, 24))
        grid = volume(voxels.clip(0).astype(np.int16), spacing_mm=(3.0, 2.0, 2.0))
        who = f"{seed}-{number}"  # it makes the UIDs
        written = write_series(grid, folder / who, patient=f"TEST^{who}", description=who)
        files += [scaled(file, by=0.5 * gain * rng.uniform(0.9, 1.1)) for file in written]
    return files


def scaled(file: Path, *, by: float) -> Path:
    """Scale what a slice shows, as another amplifier would."""
    header = dcmread(file)
    header.PixelData = (header.pixel_array * by).astype(header.pixel_array.dtype).tobytes()
    header.save_as(file)
    return file


def send(box: Appliance, files: Sequence[Path], *, scanner: str) -> None:
    subprocess.run(
        [STORESCU, "-aet", scanner, "-aec", "EDGE", "127.0.0.1", str(box.dicom_port), *map(str, files)],
        check=True,
        capture_output=True,
        timeout=60,
    )


def told(receiver: Receiver, topic: str) -> list[dict[str, Any]]:
    pairs = zip(receiver.topics(), receiver.findings(), strict=True)
    return [body for seen, body in pairs if seen == topic]


def test_a_scanner_after_its_upgrade_is_noticed_and_its_findings_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_bundle(tmp_path / "bundles", name="tiny")
    patients(tmp_path / "made-for", 40)
    assert bundle_reference.run(folder, [tmp_path / "made-for"], most=100, window=WINDOW, every_s=None) == 0
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Receiver(broker.port, topic="edge/v1/#") as receiver,
        Appliance(
            tmp_path / "box", broker_port=broker.port, bundles=tmp_path / "bundles", bundle="tiny"
        ) as box,
    ):
        send(box, patients(tmp_path / "before", 2, seed=1), scanner="MR_ONE")
        send(box, patients(tmp_path / "after", WINDOW + 1, gain=1.3, seed=2), scanner="MR_TWO")
        until(lambda: ALERT in receiver.topics(), within_s=60, what="the alert")
        until(lambda: len(told(receiver, FOUND)) == WINDOW + 3, within_s=60, what="all findings")
        assert {one["verdict"] for one in told(receiver, FOUND)} == {"PRESENT"}
        assert "no longer like" in told(receiver, FOUND)[-1]["notes"][-1]
        assert told(receiver, FOUND)[0]["notes"] == []
        drift = told(receiver, "edge/v1/test/box-1/model/tiny/state")[-1]["drift"]
        assert drift["state"] == "drifted"
        with Receiver(broker.port, client_id="late", topic=ALERT) as late:
            until(late.findings, within_s=10, what="the retained alert")
            assert "pictures of door-mr-two are no longer like" in late.findings()[0]["text"]
        until(lambda: '"drifted"' in (box.state / "status.json").read_text(), within_s=10, what="its status")
        assert status.run(box.config) == 1
        shown = capsys.readouterr().out
        assert "pictures of door-mr-two: drifted" in shown
        assert "degraded: model tiny: pictures of door-mr-two have changed since" in shown
        assert box.stop() == 0
    memory = json.loads((box.state / "drift.json").read_text())
    answers = {
        where: place["window"]["answers"] for where, place in memory["models"]["tiny"]["places"].items()
    }
    assert answers == {"door-mr-one": 2, "door-mr-two": 1}
