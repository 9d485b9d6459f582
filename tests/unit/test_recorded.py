"""A recording: every frame in its order, time of its own, and what could not be looked at is said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edge.cli.analyze import PACE
from edge.config.schema import Config
from edge.domain.errors import InferenceError
from edge.domain.finding import Code, Finding, ModelStamp, Observation, StreamSeen, Verdict
from edge.domain.frame import Frame
from edge.findings.identity import KeyedHash
from edge.findings.track import Pace
from edge.pipelines.live import IsPresent
from edge.pipelines.looked import Looked
from edge.pipelines.recorded import Recorded
from tests.builders.thermal import thermogram
from tests.fakes.clock import FakeClock

WARM = Code("99EDGE", "warm", "Warm")
FAST = Pace(settle_s=0.3, vanish_s=1.0, summary_s=60.0, gap_s=2.0)


class Warmth:
    """Says PRESENT where the picture is warm; cannot look at what is colder than freezing."""

    subject = WARM
    stamp: ModelStamp | None = None
    refusal = ""

    def __call__(self, frame: Frame, *, is_present: IsPresent) -> Looked:
        celsius = float(frame.content.celsius.mean())  # type: ignore[union-attr]  # shown thermograms only
        problems = [InferenceError("too cold to look at")] * (celsius < 0)
        for problem in problems:
            raise problem
        verdict = [Verdict.ABSENT, Verdict.PRESENT][int(celsius > 30)]
        return Looked(observations=(Observation(code=WARM, verdict=verdict),))


class Played:
    """A recording of ten frames a second, shown to one pipeline."""

    def __init__(self, clock: FakeClock, *, pace: Pace = FAST, is_still: bool = False) -> None:
        self.clock = clock
        self.losses: dict[str, int] = {}
        self.seen_s: list[float] = []
        self.findings: list[Finding] = []
        self.number = 0
        self.recorded = Recorded(
            pipeline="hands",
            source="ward",
            look=Warmth(),
            pace=pace,
            losses=lambda: self.losses,
            identity=KeyedHash(bytes(16)),
            clock=clock,
            is_still=is_still,
            told=lambda at_s, _frame, _looked: self.seen_s.append(at_s),
        )

    def show(self, temperatures: Sequence[float], *, after_frames: int = 0) -> None:
        self.number += after_frames
        for celsius in temperatures:
            frame = Frame(
                source="ward",
                sequence=self.number,
                captured_at_ns=7_000_000_000 + self.number * 100_000_000,
                timed_by="stream",
                content=thermogram(np.full((4, 4), celsius, np.float32)),
            )
            self.findings += self.recorded.see(frame)
            self.number += 1

    def end(self) -> list[tuple[str, str, float]]:
        self.findings += self.recorded.end("ward is over")
        return [
            (one.seen.phase, one.observation.verdict.value, self.recorded.seconds_in(one.observed_at_ns))
            for one in self.findings
            if isinstance(one.seen, StreamSeen)
        ]


def test_events_have_the_time_of_the_recording(clock: FakeClock) -> None:
    played = Played(clock)
    played.show([20.0] * 10 + [36.0] * 10)
    assert played.end() == [
        ("begin", "ABSENT", 0.3),
        ("end", "ABSENT", 1.3),
        ("begin", "PRESENT", 1.3),
        ("end", "PRESENT", 1.9),
    ]
    begin = played.findings[2]
    assert isinstance(begin.seen, StreamSeen)
    assert played.recorded.seconds_in(begin.seen.began_at_ns) == 1.0
    assert begin.notes == ("1.30 s into the recording",)
    assert played.seen_s == pytest.approx([n / 10 for n in range(20)])
    assert {one.seen.calibration is None for one in played.findings if isinstance(one.seen, StreamSeen)} == {
        False
    }


def test_a_still_is_one_set_without_an_end(clock: FakeClock) -> None:
    played = Played(clock, pace=Pace(settle_s=0.0, vanish_s=1.0, summary_s=60.0, gap_s=2.0), is_still=True)
    played.show([36.0])
    assert played.end() == [("begin", "PRESENT", 0.0)]
    assert played.findings[0].notes == ()


def test_what_never_lasted_is_not_assessed_rather_than_nothing(clock: FakeClock) -> None:
    played = Played(clock)
    played.show([36.0, 36.0])
    assert played.end() == [("begin", "NOT_ASSESSED", 0.1)]
    assert played.findings[0].observation.reason == "ward is over before anything had lasted 0.3 s"


def test_frames_that_nobody_could_look_at_are_said_after_the_gap(clock: FakeClock) -> None:
    played = Played(clock)
    played.show([36.0] * 10 + [-5.0] * 25 + [36.0] * 10)
    told = played.end()
    assert [(phase, verdict) for phase, verdict, _ in told] == [
        ("begin", "PRESENT"),
        ("end", "PRESENT"),
        ("begin", "NOT_ASSESSED"),
        ("end", "NOT_ASSESSED"),
        ("begin", "PRESENT"),
        ("end", "PRESENT"),
    ]
    assert told[2][2] == pytest.approx(2.9)
    assert "too cold to look at" in played.findings[2].observation.reason
    assert (played.recorded.frames, played.recorded.unassessed) == (45, 25)


def test_a_recording_that_nobody_could_look_at_is_not_assessed(clock: FakeClock) -> None:
    for frames in (1, 40):
        played = Played(clock)
        played.show([-5.0] * frames)
        assert {verdict for _, verdict, _ in played.end()} == {"NOT_ASSESSED"}
        assert "too cold to look at" in played.findings[0].observation.reason


def test_frames_that_could_not_be_read_are_a_gap_and_a_pause_is_none(clock: FakeClock) -> None:
    paused = Played(clock)
    paused.show([36.0] * 10)
    paused.show([36.0] * 10, after_frames=50)
    assert [verdict for _, verdict, _ in paused.end()] == ["PRESENT", "PRESENT"]
    holed = Played(clock)
    holed.show([36.0] * 10)
    holed.losses["could not be decoded"] = 50
    holed.show([36.0] * 10, after_frames=50)
    told = holed.end()
    assert [verdict for _, verdict, _ in told[1:4]] == ["PRESENT", "NOT_ASSESSED", "NOT_ASSESSED"]
    assert told[2][2] == pytest.approx(2.9)
    assert "could not be read" in holed.findings[2].observation.reason


def test_a_clock_that_steps_back_does_not_turn_time_around(clock: FakeClock) -> None:
    played = Played(clock)
    played.show([36.0] * 10)
    played.show([36.0] * 10, after_frames=-5)
    assert played.seen_s == sorted(played.seen_s)


def test_the_command_line_says_things_as_quickly_as_a_daemon_by_default() -> None:
    tree = Config.model_json_schema()["$defs"]["Pace"]["properties"]
    wanted = {name: tree[name]["default"] for name in ("settle_ms", "vanish_ms", "gap_max_ms")}
    assert wanted == {
        "settle_ms": PACE.settle_s * 1e3,
        "vanish_ms": PACE.vanish_s * 1e3,
        "gap_max_ms": PACE.gap_s * 1e3,
    }
    assert tree["summary_s"]["default"] == PACE.summary_s
