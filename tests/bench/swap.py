"""A model is exchanged while frames come at 25 Hz: none is lost, and how long an answer takes meanwhile."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.bundles.store import load
from edge.domain.finding import ModelStamp
from edge.inference.engine import Engine
from edge.inference.handle import PictureHandle
from edge.kit.clock import SystemClock
from tests.bench.rows import Row
from tests.builders.networks import SIDE_PX, write_residual_bundle
from tests.fakes.picture import FakePicture

PERIOD_S = 0.04
BEFORE = 200  # frames
AFTER = 25
PICTURE = FakePicture.grey(120, height_px=SIDE_PX, width_px=SIDE_PX)


@dataclass
class Frames:
    """Answers to frames of a camera, in ms from the moment the frame was due.

    Attributes:
        before: Before the exchange was asked for.
        during: From then until the new version spoke, and a second longer.
        stamps: Who answered each.
    """

    before: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)


def exchanged() -> Frames:
    """Look at frames at 25 Hz, and let another version take over in the middle."""
    frames = Frames()
    with tempfile.TemporaryDirectory() as folder:
        first = write_residual_bundle(Path(folder, "first"))
        second = load(write_residual_bundle(Path(folder, "second"), version="2.0.0"))
        engine = Engine(
            ["residual"],
            roots=[first.parent],
            threads=1,
            providers=["cpu"],
            state_dir=Path(folder),
            clock=SystemClock(),
        )
        with engine:
            model = engine.picture_model("residual")
            camera = _Camera(model, frames)
            for _ in range(BEFORE):
                frames.before.append(camera.next_ms())
            swapped: Future[ModelStamp] = engine.swap(second)
            left = AFTER
            while left:
                frames.during.append(camera.next_ms())
                left -= swapped.done()
            assert swapped.result().version == "2.0.0"
    return frames


class _Camera:
    def __init__(self, model: PictureHandle, frames: Frames) -> None:
        self._model = model
        self._frames = frames
        self._due_s = time.perf_counter()

    def next_ms(self) -> float:
        self._due_s += PERIOD_S
        while (left_s := self._due_s - time.perf_counter()) > 0:
            time.sleep(min(left_s, 0.04))
        with self._model.held() as active:
            active.model.look(PICTURE, deadline_s=30)
            self._frames.stamps.append(active.stamp.version)
        return 1e3 * (time.perf_counter() - self._due_s)


def run() -> list[Row]:
    """Return p50 and p99 during the exchange beside those before it; a ratio of 0.5 is what is allowed."""
    frames = exchanged()
    rows = []
    for percent in (50, 99):
        during, before = (float(np.percentile(ms, percent)) for ms in (frames.during, frames.before))
        name = f"25 Hz, p{percent} over {len(frames.during)} frames while a version is measured and exchanged"
        rows.append(Row(f"{name}, beside {BEFORE} frames before", during, before, "ms", before / during))
    return rows
