"""Pictures leave only where the gate is open; what is asked at the box is answered or refused in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.domain.errors import ConfigurationError, PixelsHeldBackError
from edge.domain.finding import Code, Observation, Verdict
from edge.domain.frame import Frame
from edge.findings.gate import Gate, GateRules, LocalValidation
from edge.ops.control import Control, ask
from edge.pipelines.looked import Looked
from edge.pipelines.snapshots import Album, Gatekeeper, coarse, to_png
from tests.fakes.clock import FakeClock
from tests.fakes.picture import FakePicture

INSIDE = Code("99EDGE", "inside", "Endoscope inside the body")
WEIGHTS = "ab" * 32
RULES = GateRules(
    enter_score_min=0.9, stay_score_min=0.6, enter_ms=100, enter_frames_min=3, gap_max_ms=500, age_max_ms=500
)
DECLARED = LocalValidation(
    bundle_sha256=WEIGHTS, validated_by="Dr. Example", validated_on="2026-11-22", report_sha256="cd" * 32
)


class Theatre:
    """A camera, its gate, and its album."""

    def __init__(self, clock: FakeClock, validation: LocalValidation | None) -> None:
        self.clock = clock
        self.gate = Gate(RULES, validation=validation, clock=clock)
        self.album = Album({"or": self.gate}, blur="nothing")
        self.keeper = Gatekeeper(self.gate, bundle_sha256=WEIGHTS)
        self.sequence = 0

    def show(self, score: float | None, *, frames: int = 1) -> None:
        for _ in range(frames):
            self.sequence += 1
            self.clock.advance(0.04)
            frame = Frame(
                source="or",
                sequence=self.sequence,
                captured_at_ns=self.clock.monotonic_ns(),
                timed_by="arrival",
                content=FakePicture.grey(120),
            )
            verdict = Verdict.PRESENT
            looked = Looked(observations=(Observation(code=INSIDE, verdict=verdict, score=score),))
            for onlooker in (self.keeper, self.album):
                onlooker.assessed(frame, looked)


@pytest.fixture
def theatre(clock: FakeClock) -> Theatre:
    return Theatre(clock, DECLARED)


def test_a_picture_from_inside_leaves_with_what_was_seen_in_it(theatre: Theatre) -> None:
    theatre.show(0.97, frames=10)
    picture = theatre.album.snapshot("or")
    assert picture.ndim == 3
    assert (picture != 120).any(), "what was seen is drawn in"


@pytest.mark.parametrize(
    ("score", "frames", "why"),
    [
        (0.2, 10, "outside: the score"),
        (0.97, 2, "outside: inside for"),
        (None, 5, "0 scores for one picture"),
    ],
)
def test_nothing_leaves_until_it_is_known_to_be_inside(
    theatre: Theatre, score: float | None, frames: int, why: str
) -> None:
    theatre.show(score, frames=frames)
    with pytest.raises(PixelsHeldBackError, match=why):
        theatre.album.snapshot("or")


def test_the_first_doubt_shuts_it(theatre: Theatre) -> None:
    theatre.show(0.97, frames=10)
    theatre.keeper.missed("the runtime failed")
    with pytest.raises(PixelsHeldBackError, match="the runtime failed"):
        theatre.album.snapshot("or")


def test_a_site_that_declared_nothing_keeps_its_pictures(clock: FakeClock) -> None:
    theatre = Theatre(clock, None)
    theatre.show(0.97, frames=10)
    with pytest.raises(PixelsHeldBackError, match="has not declared"):
        theatre.album.snapshot("or")


def test_a_camera_without_a_gate_never_gives_a_picture(theatre: Theatre) -> None:
    with pytest.raises(PixelsHeldBackError, match="never leave"):
        theatre.album.snapshot("room")
    with pytest.raises(PixelsHeldBackError, match="no picture was assessed yet"):
        theatre.album.snapshot("or")


def test_what_is_blurred_has_a_few_blocks_left() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (360, 640, 3), dtype=np.uint8)
    assert len(np.unique(coarse(picture).reshape(-1, 3), axis=0)) <= 24 * 14


def test_a_question_is_answered_and_a_refusal_says_why(tmp_path: Path) -> None:
    album = Album({}, blur="nothing")
    png = to_png(np.full((8, 8, 3), (10, 200, 30), np.uint8))

    def snapshot(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        answers: Mapping[str, Any] = {"or": {"bytes": len(png)}}
        return answers.get(asked["source"]) or {"picture": album.snapshot(asked["source"])}

    with Control(tmp_path, answers={"snapshot": snapshot}):
        assert ask(tmp_path, {"ask": "snapshot", "source": "or"}) == {"ok": True, "bytes": len(png)}
        assert ask(tmp_path, {"ask": "snapshot", "source": "room"})["why"].startswith(
            "room: its pictures never leave"
        )
        assert "wanted ask: snapshot" in ask(tmp_path, {"ask": "everything"})["why"]
        assert (tmp_path / "control.sock").stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigurationError, match="wanted a daemon that runs"):
        ask(tmp_path, {"ask": "snapshot", "source": "or"})
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded[0, 0].tolist() == [30, 200, 10]
