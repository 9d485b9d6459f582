"""The plug is pulled while studies arrive and findings leave; nothing that was answered may be missing."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.builders.bundles import write_bundle
from tests.builders.heads import ball_series
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.kept import data_set_of, kept_files
from tests.end_to_end.receiver import Receiver
from tests.end_to_end.sender import Sender
from tests.peers.broker import Mosquitto
from tests.waiting import until

SERIES = 20
SLICES = 10
PACE_S = 0.03  # so that there is something on its way at each kill


@pytest.mark.timeout(300)
def test_nothing_answered_is_lost_over_three_kills(tmp_path: Path) -> None:
    pull_the_plug(tmp_path, kills=3, seed=1)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(4))
def test_nothing_answered_is_lost_over_five_kills_four_times(tmp_path: Path, seed: int) -> None:
    pull_the_plug(tmp_path, kills=5, seed=100 + seed)


def pull_the_plug(folder: Path, *, kills: int, seed: int) -> None:
    """Send 200 instances in 20 series, kill the daemon at random moments, and compare both ends."""
    chance = random.Random(seed)
    write_bundle(folder / "bundles", name="tiny")
    files = [
        file
        for number in range(SERIES)
        for file in ball_series(folder / "sent" / str(number), name=f"head-{number}", slices=SLICES)
    ]
    with Mosquitto(folder / "broker") as broker, Receiver(broker.port) as receiver:
        box = Appliance(folder / "box", broker_port=broker.port, bundles=folder / "bundles", bundle="tiny")
        box.start()
        with Sender(box.dicom_port, files, pace_s=PACE_S, seed=seed) as sender:
            for _ in range(kills):
                _pass(chance.uniform(0.05, 1.5))
                box.kill()
                box.start()
            until(sender.is_done, within_s=120, what="every instance answered")
            until(lambda: _whole(receiver) >= SERIES, within_s=120, what="a whole finding for every series")
        assert box.stop() == 0
        _compare(box, sender, receiver)
    print(f"{kills} kills: {len(sender.answered)} answered, {len(receiver.findings())} findings received")


def _compare(box: Appliance, sender: Sender, receiver: Receiver) -> None:
    kept = kept_files(box.state)
    for sop_uid, sent in sender.answered.items():
        assert [data_set_of(path) for path in kept[sop_uid]] == [data_set_of(sent)], sop_uid
    for finding_id, dedupe_ids in receiver.dedupe_ids().items():
        assert len(dedupe_ids) == 1, f"{finding_id} came as {dedupe_ids}"


def _whole(receiver: Receiver) -> int:
    """Count the series whose finding speaks of all their slices."""
    whole = {f["subject"] for f in receiver.findings() if f["series"]["instances"] == SLICES}
    return len(whole)


def _pass(seconds: float) -> None:
    """Let time go by in small steps: the moment of a kill is the point of this test."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)
