"""A study comes in by DICOM, a finding goes out over MQTT: the real daemon, a real scanner, a real broker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.builders.bundles import write_bundle
from tests.builders.heads import ball_series
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.kept import data_set_of, kept_files
from tests.end_to_end.receiver import Receiver
from tests.fulfils import assert_fulfils_schema
from tests.peers.broker import Mosquitto
from tests.waiting import until

STORESCU = "/usr/bin/storescu"


@pytest.fixture
def box(tmp_path: Path, broker: Mosquitto) -> Iterator[Appliance]:
    write_bundle(tmp_path / "bundles", name="tiny")
    with Appliance(
        tmp_path / "box", broker_port=broker.port, bundles=tmp_path / "bundles", bundle="tiny"
    ) as running:
        yield running


def storescu(box: Appliance, files: Sequence[Path]) -> None:
    subprocess.run(
        [STORESCU, "-aec", "EDGE", "127.0.0.1", str(box.dicom_port), *map(str, files)],
        check=True,
        capture_output=True,
        timeout=60,
    )


def findings_of(receiver: Receiver, count: int) -> list[dict[str, Any]]:
    until(lambda: len(receiver.findings()) >= count, within_s=60, what=f"{count} findings")
    return receiver.findings()


def test_a_head_sent_by_a_scanner_comes_back_as_a_volume(
    tmp_path: Path, box: Appliance, receiver: Receiver
) -> None:
    files = ball_series(tmp_path / "sent", name="head")
    storescu(box, files)
    (finding,) = findings_of(receiver, 1)
    assert finding["verdict"] == "PRESENT"
    assert finding["measurements"][0]["value"] == pytest.approx(7.2, rel=0.25)  # a ball of radius 12 mm
    assert finding["series"] == {
        "modality": "MR",
        "instances": 10,
        "closed_because": "count",
        "roles": [],
        "roles_more": 0,
    }
    assert receiver.topics() == ["edge/v1/test/box-1/finding/tiny"]


def test_what_is_kept_is_what_was_sent(tmp_path: Path, box: Appliance, receiver: Receiver) -> None:
    files = ball_series(tmp_path / "sent", name="head")
    storescu(box, files)
    findings_of(receiver, 1)
    sent = {str(dcmread(path).SOPInstanceUID): data_set_of(path) for path in files}
    kept = {uid: data_set_of(paths[0]) for uid, paths in kept_files(box.state).items()}
    assert kept == sent


def test_every_message_fulfils_the_schema_and_names_no_patient(
    tmp_path: Path, box: Appliance, receiver: Receiver
) -> None:
    files = ball_series(tmp_path / "sent", name="head")
    storescu(box, files)
    storescu(box, files[:4])  # the same bytes again: no second finding
    (finding,) = findings_of(receiver, 1)
    assert_fulfils_schema(finding)
    said = json.dumps(finding) + box.said()
    header = dcmread(files[0])
    for secret in ("TEST", str(header.StudyInstanceUID), str(header.SeriesInstanceUID)):
        assert secret not in said


def test_a_series_with_a_hole_is_not_assessed_and_set_aside(
    tmp_path: Path, box: Appliance, receiver: Receiver
) -> None:
    files = ball_series(tmp_path / "sent", name="head")
    storescu(box, [*files[:4], *files[6:]])
    (finding,) = findings_of(receiver, 1)
    assert finding["verdict"] == "NOT_ASSESSED"
    assert finding["reason"]
    assert finding["measurements"] == []
    assert len(kept_files(box.state)) == 8


def test_late_slices_make_a_new_revision_of_the_whole_series(
    tmp_path: Path, box: Appliance, receiver: Receiver
) -> None:
    files = ball_series(tmp_path / "sent", name="head")
    storescu(box, files[:6])
    findings_of(receiver, 1)
    storescu(box, files[6:])
    first, second = findings_of(receiver, 2)
    assert (first["revision"], second["revision"]) == (1, 2)
    assert second["series"]["instances"] == 10
    assert second["verdict"] == "PRESENT"
    assert first["subject"] == second["subject"]


def test_a_modality_nobody_is_meant_for_is_said_to_be_not_assessed(
    tmp_path: Path, box: Appliance, receiver: Receiver
) -> None:
    (file, *_) = ball_series(tmp_path / "sent", name="head")
    dataset = dcmread(file)
    dataset.Modality = "US"
    dataset.save_as(file)
    storescu(box, [file])
    (finding,) = findings_of(receiver, 1)
    assert finding["verdict"] == "NOT_ASSESSED"
    assert finding["pipeline"] == "intake"
    assert "US" in finding["reason"]


def test_a_folder_that_is_moved_in_is_assessed(tmp_path: Path, box: Appliance, receiver: Receiver) -> None:
    ball_series(tmp_path / "moved", name="head")
    shutil.move(tmp_path / "moved", box.inbox / "study")
    (finding,) = findings_of(receiver, 1)
    assert finding["verdict"] == "PRESENT"


def test_a_finding_waits_until_somebody_listens(tmp_path: Path, box: Appliance, broker: Mosquitto) -> None:
    storescu(box, ball_series(tmp_path / "sent", name="head"))
    until(lambda: "nobody listens" in box.said(), within_s=30, what="the broker says that nobody listens")
    with Receiver(broker.port) as late:
        (finding,) = findings_of(late, 1)
    assert finding["verdict"] == "PRESENT"


@pytest.mark.parametrize(
    "away_s", [pytest.param(2.0, id="short"), pytest.param(60.0, id="a minute", marks=pytest.mark.proof)]
)
@pytest.mark.timeout(240)
def test_nothing_is_lost_and_order_is_kept_while_the_broker_is_away(
    tmp_path: Path, box: Appliance, broker: Mosquitto, receiver: Receiver, away_s: float
) -> None:
    series = [ball_series(tmp_path / str(number), name=f"head-{number}") for number in range(6)]
    for files in series[:2]:
        storescu(box, files)
    broker.kill()
    for files in series[2:4]:
        storescu(box, files[:6])
    _wait(away_s)
    for files in series[2:4]:
        storescu(box, files[6:])  # a second revision of what is still in the outbox
    broker.start()
    for files in series[4:]:
        storescu(box, files)
    until(lambda: len({f["subject"] for f in receiver.findings()}) == 6, within_s=60, what="six subjects")
    until(lambda: _last_revisions(receiver) == [1, 1, 1, 1, 2, 2], within_s=60, what="both second revisions")
    for ids in receiver.dedupe_ids().values():
        assert len(ids) == 1
    assert _is_in_order(receiver)


def test_the_books_balance_and_the_status_is_told(tmp_path: Path, box: Appliance, receiver: Receiver) -> None:
    storescu(box, ball_series(tmp_path / "sent", name="head"))
    findings_of(receiver, 1)
    assert box.stop() == 0
    status = json.loads((box.state / "status.json").read_text())
    assert {stage["name"] for stage in status["stages"]} == {"door", "inbox", "imaging", "outbox"}
    for stage in status["stages"]:
        left = stage["out"] + stage["set_aside"] + sum(stage["dropped"].values()) + stage["held"]
        assert stage["taken"] == left, stage["name"]
    books = {stage["name"]: stage for stage in status["stages"]}
    assert (books["door"]["out"], books["imaging"]["out"], books["outbox"]["out"]) == (10, 1, 1)


def test_a_daemon_with_nothing_to_do_sleeps(tmp_path: Path, box: Appliance, receiver: Receiver) -> None:
    storescu(box, ball_series(tmp_path / "sent", name="head"))
    findings_of(receiver, 1)
    before_s = box.cpu_s()
    _wait(2.0)
    assert box.cpu_s() - before_s < 0.8  # it once went round and round here, at a whole core


def test_a_key_that_was_lost_is_made_anew_and_told_of(
    tmp_path: Path, box: Appliance, receiver: Receiver
) -> None:
    storescu(box, ball_series(tmp_path / "sent", name="head"))
    findings_of(receiver, 1)
    assert box.stop() == 0
    (box.state / "identity.key").unlink()
    box.start()
    assert "identity.key was gone and is made anew" in box.said()


def test_a_signal_that_another_thread_takes_ends_the_daemon_too(box: Appliance) -> None:
    box.signal_last_thread(signal.SIGTERM)
    assert box.wait() == 0


def test_a_second_daemon_on_the_same_state_says_so_and_leaves(box: Appliance) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "edge", "run", str(box.config)],
        capture_output=True,
        text=True,
        timeout=60,
        env={key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"},
        check=False,
    )
    assert second.returncode != 0
    assert "Traceback" not in second.stderr
    assert "another process uses it" in second.stderr
    assert box.is_running()


def test_an_altered_bundle_is_not_used_and_every_series_says_so(
    tmp_path: Path, broker: Mosquitto, receiver: Receiver
) -> None:
    folder = write_bundle(tmp_path / "altered", name="tiny")
    network = folder / "model.fp32.onnx"
    network.write_bytes(network.read_bytes()[:-1] + b"\0")
    with Appliance(
        tmp_path / "box2", broker_port=broker.port, bundles=tmp_path / "altered", bundle="tiny"
    ) as box:
        storescu(box, ball_series(tmp_path / "sent", name="head"))
        (finding,) = findings_of(receiver, 1)
    assert finding["verdict"] == "NOT_ASSESSED"
    assert "sha256" in finding["reason"]


def _wait(seconds: float) -> None:
    """An outage lasts as long as it lasts."""
    from time import monotonic

    end = monotonic() + seconds
    until(lambda: monotonic() >= end, within_s=seconds + 5)


def _last_revisions(receiver: Receiver) -> list[int]:
    last: dict[str, int] = {}
    for finding in receiver.findings():
        last[finding["subject"]] = max(last.get(finding["subject"], 0), finding["revision"])
    return sorted(last.values())


def _is_in_order(receiver: Receiver) -> bool:
    """Whether the revisions of each subject came in their order; a repeat of an earlier one is no harm."""
    first_seen: dict[str, list[int]] = {}
    for finding in receiver.findings():
        seen = first_seen.setdefault(finding["subject"], [])
        if finding["revision"] not in seen:
            seen.append(finding["revision"])
    return all(seen == sorted(seen) for seen in first_seen.values())
