"""From a camera's picture to a finding at a subscriber, beside what others need for the bare picture.

A lamp goes on and off in the picture, twelve frames at a time. Ours is the whole path: RTSP, decoding, model,
event, the outbox on disk, MQTT, a subscriber. The peers only need the bare picture.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import av
import cv2
import numpy as np

from edge.simulate.encoding import VideoForm
from edge.simulate.footage import Recording, plain
from edge.simulate.rtsp import RtspServer
from edge.simulate.stream import Stream
from tests.bench.rows import Row
from tests.builders.bundles import write_bundle
from tests.builders.picture_bundles import write_picture_bundle
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.receiver import Receiver
from tests.peers.broker import Mosquitto

FORM = VideoForm(height_px=720, width_px=1280, fps=25.0)
HALF_FRAMES = 12
SECONDS = 15.0
BRIGHT_FROM = 128
FIRST_FRAME_OF = {"dark": 0, "bright": HALF_FRAMES}

Millis = list[float]


class Lamp:
    """The stream, and how long ago its lamp was switched."""

    def __init__(self) -> None:
        levels = [40] * HALF_FRAMES + [220] * HALF_FRAMES
        self.stream = Stream(Recording.of((plain(level, FORM) for level in levels), FORM))

    def since_switched_ms(self, state: str) -> float | None:
        """Return how long ago the first picture of this state was sent; None where it never was."""
        sent_ns = self.stream.sent_at_ns(FIRST_FRAME_OF[state])
        return None if sent_ns is None else (time.monotonic_ns() - sent_ns) / 1e6


def run() -> list[Row]:
    """Return p50, p95 and p99 from the camera to the subscriber, beside the bare pictures of the peers."""
    with ExitStack() as running, tempfile.TemporaryDirectory() as scratch:
        lamp = Lamp()
        server = running.enter_context(RtspServer(streams={"/lamp": lamp.stream}))
        url = server.url("/lamp")
        ours = running.enter_context(_findings(Path(scratch), url, lamp))
        measured = {
            "cv2.VideoCapture, bare picture": _bare(_cv2_levels(url), lamp),
            "PyAV defaults, bare picture": _bare(_pyav_levels(url), lamp),
        }
        findings = list(ours)
    return [
        Row(f"capture to finding over MQTT, p{percent}; {peer}", mine, theirs, "ms", theirs / mine)
        for peer, millis in measured.items()
        for percent in (50, 95, 99)
        for mine, theirs in [(float(np.percentile(findings, percent)), float(np.percentile(millis, percent)))]
    ]


@contextmanager
def _findings(folder: Path, url: str, lamp: Lamp) -> Iterator[Millis]:
    """Run the daemon on the camera; the list grows while it runs."""
    millis: Millis = []

    class Watching(Receiver):
        def arrived(self, finding: dict[str, object]) -> None:
            state = {"PRESENT": "bright", "ABSENT": "dark"}.get(str(finding["verdict"]))
            since_ms = lamp.since_switched_ms(state) if state and _phase(finding) == "begin" else None
            millis.extend([since_ms] if since_ms is not None else [])

    bundles = folder / "bundles"
    write_bundle(bundles, name="tiny")
    write_picture_bundle(bundles, name="brightness")
    with Mosquitto(folder / "broker") as broker, Watching(broker.port) as receiver:
        box = Appliance(folder / "box", broker_port=receiver.port, bundles=bundles, bundle="tiny")
        box.add(
            source={"kind": "camera", "name": "or", "url": url, "quality": {"frozen_s": 0, "black_level": 0}},
            pipeline={
                "kind": "video",
                "name": "light",
                "bundle": "brightness",
                "sources": ["or"],
                "pace": {"settle_ms": 0},
            },
        )
        with box:
            yield millis


def _phase(finding: dict[str, object]) -> object:
    stream = finding["stream"]
    return stream["phase"] if isinstance(stream, dict) else None


def _bare(levels: Iterator[float], lamp: Lamp) -> Millis:
    """Return how late each switch of the lamp is seen."""
    millis: Millis = []
    state = ""
    ends_s = time.monotonic() + SECONDS
    for level in levels:
        seen = "bright" if level > BRIGHT_FROM else "dark"
        since_ms = lamp.since_switched_ms(seen)
        if state and seen != state and since_ms is not None:
            millis.append(since_ms)
        state = seen
        if time.monotonic() > ends_s:
            return millis
    return millis


def _cv2_levels(url: str) -> Iterator[float]:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    try:
        while True:
            is_read, picture = capture.read()
            if not is_read:
                return
            yield float(picture[::64, ::64].mean())
    finally:
        capture.release()


def _pyav_levels(url: str) -> Iterator[float]:
    with av.open(url, options={"rtsp_transport": "tcp"}) as container:
        for frame in container.decode(video=0):
            yield float(frame.to_ndarray(format="gray")[::64, ::64].mean())
