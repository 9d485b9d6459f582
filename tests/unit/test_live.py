"""The live path: newest frames become findings, losses are counted, a gap is said."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.domain.errors import InferenceError, StorageFullError
from edge.domain.finding import Code, Finding, ModelStamp, Observation, Verdict
from edge.domain.frame import Calibration, Frame, Thermogram
from edge.findings.envelope import wrap
from edge.findings.identity import KeyedHash
from edge.findings.track import Event, Pace
from edge.kit.journal import Entry, Journal
from edge.kit.queues import Latest
from edge.kit.stage import Stage
from edge.pipelines.live import IsPresent, Live
from edge.pipelines.looked import Looked
from edge.sinks.outbox import QUEUE, from_row, to_entry
from tests.fakes.clock import FakeClock

WARM = Code("99EDGE", "warm", "Warm")
PACE = Pace(settle_s=0.0, vanish_s=1.0, summary_s=60.0, gap_s=1.0)
CALIBRATION = Calibration(
    state="site",
    emissivity=0.98,
    reflected_celsius=21.0,
    air_celsius=22.0,
    distance_m=0.8,
    humidity=0.45,
    window_transmission=1.0,
    uncertainty_celsius=0.6,
)


class Warmth:
    """Says PRESENT where the picture is warm on average; raises where it is told to."""

    subject = WARM
    stamp: ModelStamp | None = None

    def __init__(self) -> None:
        self.refusal = ""
        self.score: float | None = None
        self.trouble: list[Exception] = []
        self.boxes = 0

    def __call__(self, frame: Frame, *, is_present: IsPresent) -> Looked:
        for trouble in self.trouble:
            raise trouble
        assert isinstance(frame.content, Thermogram)
        verdict = [Verdict.ABSENT, Verdict.PRESENT][int(frame.content.celsius.mean() > 30)]
        observation = Observation(code=WARM, verdict=verdict, score=self.score)
        boxes = [
            Observation(code=WARM, verdict=Verdict.PRESENT, box_px=(10.0 * number, 0.0, 5.0, 5.0))
            for number in range(self.boxes)
        ]
        return Looked(observations=(observation, *boxes), latency_ms={"measure": 0.5})


class Neighbour:
    """An onlooker that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def assessed(self, frame: Frame, looked: Looked) -> None:
        self.told.append("assessed")

    def missed(self, reason: str) -> None:
        self.told.append(reason)


class Theatre:
    """One live pipeline with everything around it."""

    def __init__(self, journal: Journal, clock: FakeClock) -> None:
        self.clock = clock
        self.journal = journal
        self.waiting: Latest[Frame] = Latest(clock=clock)
        self.look = Warmth()
        self.stage = Stage("live", clock)
        self.losses: dict[str, int] = {}
        self.trouble = ""
        self.asked = 0
        self.neighbour = Neighbour()
        self.sequence = 0
        self.beat: Callable[[], None] = lambda: None
        self.envelope: Callable[[Finding, int], Entry] = lambda finding, at_ns: to_entry(
            wrap(finding, site="site", device="box", sequence=1), received_at_ns=at_ns
        )
        self.live = self.looker()

    def looker(self, *, after: Event | None = None) -> Live:
        return Live(
            pipeline="hands",
            source="thermo",
            frames=self.waiting,
            look=self.look,
            pace=PACE,
            age_max_ms=200.0,
            losses=lambda: self.losses,
            trouble=self.why_no_frames,
            onlookers=[self.neighbour],
            journal=self.journal,
            envelope=lambda finding, at_ns: self.envelope(finding, at_ns),
            identity=KeyedHash(bytes(16)),
            stage=self.stage,
            clock=self.clock,
            beat=lambda: self.beat(),
            after=after,
        )

    def why_no_frames(self) -> str:
        self.asked += 1
        return self.trouble

    def show(self, celsius: float, *, age_s: float = 0.0) -> None:
        self.hand_over(celsius, age_s=age_s)
        self.live.work_once(timeout_s=0.0)

    def hand_over(self, celsius: float, *, age_s: float = 0.0, ahead_s: float = 0.0) -> None:
        self.sequence += 1
        frame = Frame(
            source="thermo",
            sequence=self.sequence,
            captured_at_ns=self.clock.monotonic_ns() + round(ahead_s * 1e9),
            timed_by="arrival",
            content=Thermogram(celsius=np.full((4, 4), celsius, np.float32), calibration=CALIBRATION),
        )
        self.clock.advance(age_s)
        self.waiting.put(frame)

    def findings(self) -> list[dict[str, Any]]:
        return [json.loads(from_row(item.body).envelope.body) for item in self.journal.items(QUEUE)]

    def told(self) -> list[tuple[str, str]]:
        return [(finding["stream"]["phase"], finding["verdict"]) for finding in self.findings()]


@pytest.fixture
def theatre(tmp_path: Path, clock: FakeClock) -> Iterator[Theatre]:
    with Journal(tmp_path / "journal.db", clock) as journal:
        yield Theatre(journal, clock)


def test_what_changes_is_said_once_with_everything_about_it(theatre: Theatre) -> None:
    theatre.losses["newest wins"] = 5
    for celsius in (20.0, 20.0, 36.0, 36.0):
        theatre.show(celsius, age_s=0.01)
        theatre.losses["newest wins"] += 1
    assert theatre.told() == [("begin", "ABSENT"), ("end", "ABSENT"), ("begin", "PRESENT")]
    first, ended, _ = theatre.findings()
    assert first["stream"]["event_id"] == ended["stream"]["event_id"]
    assert ended["stream"]["lost"] == {"newest wins": 2}
    assert ended["stream"]["calibration"]["emissivity"] == 0.98
    assert ended["latency_ms"] == {"arrive": 10.0, "measure": 0.5}
    assert ended["series"] is None
    assert theatre.live.health().balances


def test_a_frame_that_is_too_old_is_dropped_and_counted(theatre: Theatre) -> None:
    theatre.show(36.0, age_s=0.3)
    assert theatre.findings() == []
    assert theatre.live.health().dropped == {"stale": 1}


def test_frames_that_wait_too_long_give_way_and_are_counted(theatre: Theatre) -> None:
    theatre.hand_over(20.0)
    theatre.hand_over(20.0)
    theatre.show(36.0)
    assert theatre.told() == [("begin", "ABSENT")]
    health = theatre.live.health()
    assert (health.taken, health.out, health.held, dict(health.dropped)) == (3, 1, 1, {"a newer one came": 1})
    assert health.balances
    assert json.loads(json.dumps(asdict(health)))["dropped"] == {"a newer one came": 1}


def test_frames_that_are_all_too_old_end_in_not_assessed(theatre: Theatre) -> None:
    for _ in range(8):
        theatre.show(36.0, age_s=0.3)
    assert theatre.told() == [("begin", "NOT_ASSESSED")]
    assert "300 ms old, wanted at most 200 ms" in theatre.findings()[0]["reason"]


def test_a_frame_that_cannot_be_looked_at_is_set_aside_and_the_next_one_is_looked_at(
    theatre: Theatre,
) -> None:
    theatre.show(36.0)
    theatre.look.trouble.append(InferenceError("the runtime failed"))
    theatre.show(36.0)
    theatre.look.trouble.clear()
    theatre.show(20.0)
    assert theatre.told() == [("begin", "PRESENT"), ("end", "PRESENT"), ("begin", "ABSENT")]
    health = theatre.live.health()
    assert (health.taken, health.out, health.set_aside) == (3, 2, 1)


def test_nobody_looking_for_too_long_is_said_with_the_reason(theatre: Theatre) -> None:
    theatre.show(36.0)
    theatre.look.trouble.append(InferenceError("the runtime failed"))
    for _ in range(12):
        theatre.clock.advance(0.1)
        theatre.show(36.0)
    assert theatre.told()[-1] == ("begin", "NOT_ASSESSED")
    assert "the runtime failed" in theatre.findings()[-1]["reason"]
    assert "the runtime failed" in theatre.live.gap
    theatre.look.trouble.clear()
    theatre.show(36.0)
    assert theatre.live.gap == ""


def test_a_refused_bundle_is_not_assessed_and_says_why(theatre: Theatre) -> None:
    theatre.look.refusal = "bundle x: altered"
    for _ in range(12):
        theatre.clock.advance(0.1)
        theatre.show(36.0)
    assert theatre.told() == [("begin", "NOT_ASSESSED")]
    assert "altered" in theatre.findings()[0]["reason"]


def test_the_end_of_the_daemon_ends_what_was_seen(theatre: Theatre) -> None:
    theatre.show(36.0)
    theatre.live.stop()
    theatre.live.run()
    assert theatre.told() == [("begin", "PRESENT"), ("end", "PRESENT"), ("begin", "NOT_ASSESSED")]
    assert "stopped" in theatre.findings()[-1]["reason"]


def test_a_recording_that_is_over_is_not_assessed_and_costs_nothing(theatre: Theatre) -> None:
    beats: list[None] = []
    theatre.beat = lambda: beats.append(None)
    theatre.waiting.close()
    looking = threading.Thread(target=theatre.live.run)
    looking.start()
    threading.Event().wait(0.05)
    theatre.live.stop()
    looking.join()
    assert len(beats) < 5


def test_a_frame_that_is_stamped_ahead_of_now_does_not_put_off_the_gap(theatre: Theatre) -> None:
    theatre.hand_over(36.0, ahead_s=0.15)
    theatre.live.work_once(timeout_s=0.0)
    assert theatre.findings()[0]["latency_ms"]["arrive"] == 0.0
    theatre.clock.advance(1.05)
    theatre.live.work_once(timeout_s=0.0)
    assert theatre.told()[-1] == ("begin", "NOT_ASSESSED")


def test_frames_that_are_stamped_far_ahead_of_now_are_no_live_picture(theatre: Theatre) -> None:
    for _ in range(12):
        theatre.hand_over(36.0, ahead_s=3600.0)
        theatre.clock.advance(0.1)
        theatre.live.work_once(timeout_s=0.0)
    assert theatre.told() == [("begin", "NOT_ASSESSED")]
    assert "ahead of now, wanted at most 200 ms" in theatre.findings()[0]["reason"]
    assert theatre.live.health().dropped == {"stamped ahead of now": 12}


def test_a_full_disk_does_not_keep_it_from_stopping_in_order(theatre: Theatre) -> None:
    def no_room(_finding: Finding, _at_ns: int) -> Entry:
        raise StorageFullError("the disk is full")

    theatre.live.work_once(timeout_s=0.0)
    theatre.clock.advance(2.0)
    theatre.envelope = no_room
    theatre.waiting.close()
    theatre.beat = theatre.live.stop
    theatre.live.run()
    assert theatre.findings() == []


def test_the_books_agree_while_a_frame_is_worked_on(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    theatre.hand_over(36.0)
    counts = theatre.waiting.counts

    def then_work() -> object:
        before = counts()
        theatre.live.work_once(timeout_s=0.0)
        return before

    monkeypatch.setattr(theatre.waiting, "counts", then_work)
    assert theatre.live.health().balances


def test_more_things_at_once_than_can_be_followed_are_told_of_in_health(theatre: Theatre) -> None:
    theatre.look.boxes = PACE.things_max + 3
    theatre.show(36.0)
    assert "of the rest nothing is said" in theatre.live.health().note
    assert theatre.live.not_followed == 3
    theatre.look.boxes = PACE.things_max
    theatre.show(36.0)
    assert theatre.live.health().note == ""
    assert theatre.live.not_followed == 3
    assert theatre.live.health().balances


def test_why_the_source_gives_no_frames_is_asked_once_a_frame(theatre: Theatre) -> None:
    theatre.show(36.0)
    theatre.show(36.0)
    assert theatre.asked == 2


def test_a_picture_that_cannot_be_trusted_shuts_the_gate_at_once(theatre: Theatre) -> None:
    theatre.show(36.0)
    assert theatre.neighbour.told == ["assessed"]
    theatre.trouble = "blurred"
    theatre.show(36.0)
    assert theatre.neighbour.told[-1] == "blurred"


def test_a_number_that_cannot_be_written_down_is_not_assessed_and_not_silence(theatre: Theatre) -> None:
    theatre.look.score = float("nan")
    theatre.show(36.0)
    assert theatre.told() == [("begin", "NOT_ASSESSED")]
    assert "cannot be written down" in theatre.findings()[0]["reason"]
    assert theatre.live.health().out == 1


def test_who_takes_anothers_place_ends_what_it_has_left_standing(theatre: Theatre) -> None:
    theatre.show(36.0)
    theatre.live.stop(because="the pipeline is being changed")
    theatre.live.stop()  # once more, as at the stop of all: the first reason counts
    theatre.live.run()
    theatre.live = theatre.looker(after=theatre.live.left)
    theatre.show(36.0)
    assert theatre.told() == [
        ("begin", "PRESENT"),
        ("end", "PRESENT"),
        ("begin", "NOT_ASSESSED"),
        ("end", "NOT_ASSESSED"),
        ("begin", "PRESENT"),
    ]
    _, _, left, ended, _ = theatre.findings()
    assert "the pipeline is being changed" in left["reason"]
    assert left["stream"]["event_id"] == ended["stream"]["event_id"]
    assert (left["revision"], ended["revision"]) == (1, 2)


def test_who_takes_anothers_place_and_sees_nothing_either_says_why(theatre: Theatre) -> None:
    theatre.live.stop(because="the pipeline is being changed")
    theatre.live.run()
    theatre.live = theatre.looker(after=theatre.live.left)
    theatre.trouble = "it is unplugged"
    for _ in range(3):
        theatre.clock.advance(61)
        theatre.live.work_once(timeout_s=0.0)
    assert theatre.told()[:2] == [("begin", "NOT_ASSESSED"), ("summary", "NOT_ASSESSED")]
    assert "it is unplugged" in theatre.findings()[-1]["reason"]


def test_a_pipeline_that_is_taken_away_leaves_nothing_standing(theatre: Theatre) -> None:
    theatre.show(36.0)
    theatre.live.stop(because="the pipeline is being changed", is_for_good=True)
    theatre.live.run()
    assert theatre.told()[1:] == [("end", "PRESENT"), ("begin", "NOT_ASSESSED"), ("end", "NOT_ASSESSED")]
    assert theatre.live.left is None
