"""The privacy gate: shut unless the scores, the time, the camera and the site all say otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.findings.gate import Gate, GateRules, LocalValidation, Passage
from tests.fakes.clock import FakeClock

RULES = GateRules(
    enter_score_min=0.9,
    stay_score_min=0.7,
    enter_ms=1000,
    enter_frames_min=5,
    gap_max_ms=400,
    age_max_ms=300,
)
BUNDLE, OTHER = "ab" * 32, "cd" * 32
DECLARED = LocalValidation(
    bundle_sha256=BUNDLE, validated_by="Dr. A. Example", validated_on="2026-11-22", report_sha256="ef" * 32
)
MS = 1_000_000


class Scene:
    """A gate, its clock, and frames that are assessed the moment they are captured."""

    def __init__(self, *, validation: LocalValidation | None = DECLARED) -> None:
        self.clock = FakeClock()
        self.clock.advance(100)
        self.gate = Gate(RULES, validation=validation, clock=self.clock)

    def frames(self, *scores: float, every_ms: float = 100, bundle: str = BUNDLE) -> Passage:
        passage = self.gate.passage()
        for score in scores:
            self.clock.advance(every_ms / 1000)
            now_ns = self.clock.monotonic_ns()
            passage = self.gate.look(score, bundle_sha256=bundle, captured_at_ns=now_ns)
        return passage

    def enter(self) -> Passage:
        return self.frames(*[0.95] * 11)


def test_a_gate_nobody_has_told_anything_is_shut() -> None:
    passage = Scene().gate.passage()
    assert (passage.side, passage.is_open) == ("outside", False)
    assert "no frame was assessed" in passage.reason


def test_it_opens_after_a_second_of_high_scores() -> None:
    scene = Scene()
    assert not scene.frames(*[0.95] * 10).is_open
    assert scene.frames(0.95) == Passage(side="inside", is_open=True, reason="")


def test_a_second_needs_several_frames() -> None:
    scene = Scene()
    assert not scene.frames(*[0.99] * 4, every_ms=390).is_open
    assert scene.frames(0.99, every_ms=390).is_open


def test_one_doubtful_frame_on_the_way_in_begins_the_wait_anew() -> None:
    scene = Scene()
    scene.frames(*[0.95] * 10, 0.89)
    assert not scene.frames(*[0.95] * 10).is_open
    assert scene.frames(0.95).is_open


def test_inside_it_takes_a_lower_score_to_stay() -> None:
    scene = Scene()
    scene.enter()
    assert scene.frames(0.7, 0.75, 0.7).is_open


def test_one_low_score_shuts_it_at_once() -> None:
    scene = Scene()
    scene.enter()
    passage = scene.frames(0.69)
    assert (passage.side, passage.is_open) == ("outside", False)
    assert "0.69" in passage.reason
    assert not scene.frames(0.95).is_open


def test_silence_shuts_it() -> None:
    scene = Scene()
    scene.enter()
    scene.clock.advance(0.4)
    assert scene.gate.passage().is_open
    scene.clock.advance(0.001)
    passage = scene.gate.passage()
    assert (passage.side, passage.is_open) == ("outside", False)
    assert "no frame was assessed for 401 ms" in passage.reason


def test_a_gap_between_frames_begins_the_wait_anew() -> None:
    scene = Scene()
    scene.enter()
    assert not scene.frames(0.99, every_ms=401).is_open
    assert scene.frames(*[0.99] * 10).is_open


def test_a_stale_answer_shuts_it() -> None:
    scene = Scene()
    scene.enter()
    captured_ns = scene.clock.monotonic_ns() + 1
    scene.clock.advance(0.301)
    passage = scene.gate.look(0.99, bundle_sha256=BUNDLE, captured_at_ns=captured_ns)
    assert not passage.is_open
    assert "301 ms old" in passage.reason


def test_a_frame_that_comes_twice_shuts_it() -> None:
    scene = Scene()
    scene.enter()
    now_ns = scene.clock.monotonic_ns()
    assert not scene.gate.look(0.99, bundle_sha256=BUNDLE, captured_at_ns=now_ns).is_open


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.1, 1.1])
def test_a_score_that_is_none_shuts_it(score: float) -> None:
    scene = Scene()
    scene.enter()
    assert "wanted 0 to 1" in scene.frames(score).reason


@pytest.mark.parametrize("reason", ["bundle refused", "the picture is frozen", "deadline exceeded"])
def test_trouble_shuts_it_and_is_named(reason: str) -> None:
    scene = Scene()
    scene.enter()
    assert scene.gate.shut(reason) == Passage(side="outside", is_open=False, reason=reason)
    assert not scene.frames(*[0.99] * 10).is_open
    assert scene.frames(0.99).is_open


def test_without_a_declaration_of_the_site_nothing_leaves() -> None:
    passage = Scene(validation=None).enter()
    assert (passage.side, passage.is_open) == ("inside", False)
    assert "local_validation" in passage.reason


def test_a_declaration_about_another_bundle_counts_for_nothing() -> None:
    passage = Scene(validation=replace(DECLARED, bundle_sha256=OTHER)).enter()
    assert (passage.side, passage.is_open) == ("inside", False)
    assert passage.reason == "the site validated bundle cdcdcdcdcdcd, in use is abababababab"


def test_another_bundle_in_the_middle_begins_the_wait_anew() -> None:
    scene = Scene()
    scene.enter()
    scene.frames(0.99, bundle=OTHER)
    passage = scene.frames(0.99)
    assert (passage.side, passage.is_open) == ("outside", False)


def test_a_frame_from_before_the_opening_does_not_leave() -> None:
    scene = Scene()
    scene.enter()
    opened_ns = scene.clock.monotonic_ns()
    scene.frames(0.95, 0.95)
    assert scene.gate.passage(captured_at_ns=opened_ns).is_open
    assert not scene.gate.passage(captured_at_ns=opened_ns - 1).is_open


def test_a_frame_that_nobody_has_judged_yet_does_not_leave() -> None:
    scene = Scene()
    scene.enter()
    assert not scene.gate.passage(captured_at_ns=scene.clock.monotonic_ns() + 1).is_open


def test_a_capture_time_in_the_future_does_not_lengthen_the_silence_that_is_allowed() -> None:
    scene = Scene()
    scene.frames(*[0.95] * 10)
    ahead_ns = scene.clock.monotonic_ns() + 290 * MS
    assert scene.gate.look(0.95, bundle_sha256=BUNDLE, captured_at_ns=ahead_ns).is_open
    scene.clock.advance(0.401)
    assert not scene.gate.passage().is_open


@dataclass(frozen=True)
class Look:
    """A frame is assessed `after_ms`, when it is `age_ms` old."""

    after_ms: int
    score: float
    age_ms: int
    bundle: str

    def tell(self, scene: Scene) -> int:
        captured_ns = scene.clock.monotonic_ns() - self.age_ms * MS
        scene.gate.look(self.score, bundle_sha256=self.bundle, captured_at_ns=captured_ns)
        return captured_ns


@dataclass(frozen=True)
class Trouble:
    """Something goes wrong `after_ms`."""

    after_ms: int
    score: float = math.nan
    age_ms: int = 0
    bundle: str = ""

    def tell(self, scene: Scene) -> int:
        scene.gate.shut("trouble")
        return scene.clock.monotonic_ns()


Event = Look | Trouble
WILD = st.one_of(
    st.builds(Trouble, after_ms=st.integers(1, 500)),
    st.builds(
        Look,
        after_ms=st.sampled_from([1, 40, 100, 200, 300, 399, 400, 401, 5000]),
        score=st.one_of(st.floats(0, 1), st.sampled_from([0.9, 0.95, 1.0, 0.7, math.nan])),
        age_ms=st.sampled_from([0, 0, 0, 10, 100, 300, 301]),
        bundle=st.sampled_from([BUNDLE, BUNDLE, OTHER]),
    ),
)
CALM = st.builds(
    Look,
    after_ms=st.sampled_from([100, 200, 399]),
    score=st.sampled_from([0.9, 0.95, 1.0]),
    age_ms=st.just(0),
    bundle=st.just(BUNDLE),
)
RUNS = st.lists(st.one_of(st.lists(CALM, min_size=5, max_size=14), st.lists(WILD, max_size=3)), max_size=8)
EVENTS = RUNS.map(lambda runs: [event for run in runs for event in run])


@settings(max_examples=400, deadline=None)
@given(
    events=EVENTS.filter(bool),
    validation=st.sampled_from([None, DECLARED, DECLARED, replace(DECLARED, bundle_sha256=OTHER)]),
    idle_ms=st.sampled_from([0, 100, 400, 401]),
)
def test_it_is_never_open_unless_every_condition_holds(
    events: list[Event], validation: LocalValidation | None, idle_ms: int
) -> None:
    scene = Scene(validation=validation)
    told: list[tuple[int, Event]] = []
    for event in events:
        scene.clock.advance(event.after_ms / 1000)
        told.append((event.tell(scene), event))
        assert implies(scene.gate.passage().is_open, all_conditions_hold(told, scene, validation))
    scene.clock.advance(idle_ms / 1000)
    assert implies(scene.gate.passage().is_open, all_conditions_hold(told, scene, validation))


@settings(max_examples=100, deadline=None)
@given(events=EVENTS)
def test_after_anything_at_all_it_opens_again_when_all_is_well_for_long_enough(events: list[Event]) -> None:
    scene = Scene()
    for event in events:
        scene.clock.advance(event.after_ms / 1000)
        event.tell(scene)
    scene.clock.advance(1)
    assert scene.frames(*[0.95] * 12).is_open


def implies(premise: bool, conclusion: bool) -> bool:
    return conclusion or not premise


def all_conditions_hold(
    told: list[tuple[int, Event]], scene: Scene, validation: LocalValidation | None
) -> bool:
    """The promise, written down a second time without any state: a run of frames at the end says inside."""
    runs = [good_run(told[start:]) for start in range(len(told))]
    entered = any(
        good and len(high) >= RULES.enter_frames_min and high[-1][0] - high[0][0] >= RULES.enter_ms * MS
        for start, good in enumerate(runs)
        for high in [high_prefix(told[start:])]
    )
    silent_ms = (scene.clock.monotonic_ns() - told[-1][0]) / MS
    declared = validation is not None and validation.bundle_sha256 == told[-1][1].bundle
    return entered and silent_ms <= RULES.gap_max_ms and declared


def high_prefix(run: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """The frames at the beginning of a run that all reach the score to enter."""
    below = [n for n, (_, event) in enumerate(run) if not event.score >= RULES.enter_score_min]
    return run[: (below or [len(run)])[0]] or run[:1]


def good_run(run: list[tuple[int, Event]]) -> bool:
    """Each is a fresh score of one bundle, high enough to stay, in order and without a gap."""
    captured = [at_ns for at_ns, _ in run]
    steps = [late - early for early, late in pairwise(captured)]
    return (
        all(event.score >= RULES.stay_score_min for _, event in run)
        and all(event.age_ms <= RULES.age_max_ms for _, event in run)
        and len({event.bundle for _, event in run}) == 1
        and all(0 < step <= RULES.gap_max_ms * MS for step in steps)
    )
