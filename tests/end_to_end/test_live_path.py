"""A camera's picture becomes findings: the real daemon, a camera over RTSP, a real broker, beside DICOM."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.bundles.store import load
from edge.simulate.encoding import VideoForm
from edge.simulate.footage import Recording, plain
from edge.simulate.rtsp import RtspServer
from edge.simulate.stream import Faults, Stream
from tests.builders.bundles import write_bundle
from tests.builders.heads import ball_series
from tests.builders.picture_bundles import write_picture_bundle
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.receiver import Receiver
from tests.fulfils import assert_fulfils_schema
from tests.waiting import until

FORM = VideoForm(height_px=144, width_px=256, fps=25.0, bit_rate_kbps=300)
EDGE = [sys.executable, "-m", "edge"]
SILENCE_S = 0.5
LATE_S = 3.0  # the machine may be busy
BLIND = {"frozen_s": 0, "black_level": 0, "blinded_share": 1.0, "blurred_ratio": 0}
PACE = {"settle_ms": 100, "gap_max_ms": 1000, "age_max_ms": 1000, "summary_s": 60}


def footage(level: int) -> Recording:
    return Recording.of((plain(level, FORM) for _ in range(25)), FORM)


@pytest.fixture
def camera() -> Stream:
    return Stream(footage(40))


@pytest.fixture
def server(camera: Stream) -> Iterator[RtspServer]:
    with RtspServer(streams={"/or": camera}) as running:
        yield running


@pytest.fixture
def box(tmp_path: Path, receiver: Receiver, server: RtspServer) -> Iterator[Appliance]:
    bundles = tmp_path / "bundles"
    write_bundle(bundles, name="tiny")
    digest = load(write_picture_bundle(bundles, name="brightness")).digest
    validation = {
        "bundle_sha256": digest,
        "validated_by": "Dr. Test",
        "validated_on": "2026-11-22",
        "report_sha256": "0" * 64,
    }
    gate = {"enter_ms": 200, "enter_frames_min": 3, "local_validation": validation}
    appliance = Appliance(tmp_path / "box", broker_port=receiver.port, bundles=bundles, bundle="tiny")
    appliance.add(
        source={
            "kind": "camera",
            "name": "or",
            "url": server.url("/or"),
            "silence_s": SILENCE_S,
            "open_s": 5,
            "retry_min_s": 0.1,
            "retry_max_s": 0.3,
            "quality": BLIND,
            "snapshots": "gated",
        },
        pipeline={
            "kind": "video",
            "name": "light",
            "bundle": "brightness",
            "sources": ["or"],
            "pace": PACE,
            "gate": gate,
        },
    )
    with appliance as running:
        yield running


def seen(receiver: Receiver, pipeline: str = "light") -> list[tuple[str, str]]:
    """Phase and verdict of every finding of a live pipeline, in order."""
    return [
        (finding["stream"]["phase"], finding["verdict"])
        for finding in receiver.findings()
        if finding["pipeline"] == pipeline
    ]


def until_seen(receiver: Receiver, last: tuple[str, str]) -> dict[str, Any]:
    until(lambda: seen(receiver)[-1:] == [last], within_s=20, what=f"{last} of {seen(receiver)}")
    return [finding for finding in receiver.findings() if finding["pipeline"] == "light"][-1]


def test_what_a_camera_shows_is_said_when_it_changes(
    box: Appliance, receiver: Receiver, camera: Stream
) -> None:
    until_seen(receiver, ("begin", "ABSENT"))
    camera.show(footage(220))
    finding = until_seen(receiver, ("begin", "PRESENT"))
    assert seen(receiver)[-3:] == [("begin", "ABSENT"), ("end", "ABSENT"), ("begin", "PRESENT")]
    assert_fulfils_schema(finding)
    assert finding["stream"]["source"] == "or"
    assert finding["stream"]["timed_by"] == "stream"
    assert finding["model"]["id"] == "brightness"
    assert set(finding["latency_ms"]) == {"arrive", "preprocess", "infer", "decode"}
    assert finding["score"] > 0.6


def test_a_camera_that_goes_is_not_assessed_and_studies_go_on(
    tmp_path: Path, box: Appliance, receiver: Receiver, server: RtspServer
) -> None:
    until_seen(receiver, ("begin", "ABSENT"))
    server.__exit__()
    lost = until_seen(receiver, ("begin", "NOT_ASSESSED"))
    assert "or" in lost["reason"]
    files = ball_series(tmp_path / "sent", name="head")
    subprocess.run(
        ["storescu", "-aec", "EDGE", "127.0.0.1", str(box.dicom_port), *map(str, files)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    until(
        lambda: any(f["pipeline"] == "tiny" for f in receiver.findings()),
        within_s=30,
        what="the study's finding",
    )
    server.__enter__()
    until_seen(receiver, ("begin", "ABSENT"))
    assert ("end", "NOT_ASSESSED") in seen(receiver)


@pytest.fixture
def states(receiver: Receiver) -> Iterator[Receiver]:
    with Receiver(receiver.port, client_id="states", topic="edge/v1/+/+/source/+/state") as listening:
        yield listening


def state_of(states: Receiver, source: str) -> str:
    said = [document["state"] for document in states.findings() if document["source"] == source]
    return said[-1] if said else ""


def becomes(states: Receiver, source: str, state: str, *, within_s: float) -> None:
    until(lambda: state_of(states, source) == state, within_s=within_s, what=f"{source} {state}")


@contextmanager
def silent(stream: Stream, server: RtspServer) -> Iterator[None]:
    stream.faults = Faults(is_silent=True)
    yield
    stream.faults = Faults()


@contextmanager
def garbage(stream: Stream, server: RtspServer) -> Iterator[None]:
    stream.faults = Faults(garbage_share=1.0)
    yield
    stream.faults = Faults()


@contextmanager
def killed(stream: Stream, server: RtspServer) -> Iterator[None]:
    server.__exit__()
    yield
    server.__enter__()


def test_whatever_one_camera_does_the_others_findings_go_on(
    tmp_path: Path, box: Appliance, receiver: Receiver, states: Receiver, server: RtspServer, camera: Stream
) -> None:
    well = Stream(footage(40))
    with RtspServer(streams={"/well": well}) as other:
        box.stop()
        box.add(
            source={"kind": "camera", "name": "well", "url": other.url("/well"), "quality": BLIND},
            pipeline={
                "kind": "video",
                "name": "well",
                "bundle": "brightness",
                "sources": ["well"],
                "pace": PACE,
            },
        )
        box.start()
        levels = cycle((220, 40))
        for trouble in (silent, garbage, killed):
            becomes(states, "or", "online", within_s=20)
            becomes(states, "well", "online", within_s=20)
            with trouble(camera, server):
                becomes(states, "or", "offline", within_s=SILENCE_S + LATE_S)
                before = len(seen(receiver, "well"))
                well.show(footage(next(levels)))
                until(lambda: len(seen(receiver, "well")) > before, within_s=LATE_S, what="a finding")  # noqa: B023  # asked at once
                assert state_of(states, "well") == "online"
        becomes(states, "or", "online", within_s=20)


def test_a_picture_leaves_only_while_the_gate_is_open(
    tmp_path: Path, box: Appliance, receiver: Receiver, camera: Stream
) -> None:
    out = tmp_path / "seen.png"
    words = [*EDGE, "snapshot", str(box.config), "or", "--out", str(out)]
    until_seen(receiver, ("begin", "ABSENT"))
    refused = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert "counts as outside" in refused.stderr
    camera.show(footage(250))
    until_seen(receiver, ("begin", "PRESENT"))
    until(
        lambda: subprocess.run(words, capture_output=True, timeout=30, check=False).returncode == 0,
        within_s=20,
        what="a picture",
    )
    picture = cv2.imread(str(out))
    assert picture is not None
    assert picture.shape == (144, 256, 3)
    assert picture.mean() > 200
