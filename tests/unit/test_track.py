"""Events: what lasts is one thing, what flickers is nothing, and a gap is said."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.finding import Code, Observation, Verdict
from edge.findings.track import Pace, Said, Tracker, intersection_over_union

SUBJECT = Code("99EDGE", "inside", "Endoscope inside the body")
HOT = Code("99EDGE", "hot-spot", "Hot spot")
PACE = Pace(settle_s=0.5, vanish_s=1.0, summary_s=10.0, gap_s=2.0)
SECOND = 1_000_000_000


def tracker(pace: Pace = PACE) -> Tracker:
    numbers = count(1)
    return Tracker(pace, subject=SUBJECT, utc_ns=lambda: 0, new_id=lambda: f"event {next(numbers)}")


def state(verdict: Verdict, segment: str = "") -> Observation:
    return Observation(code=SUBJECT, verdict=verdict, reason="seen", segment=segment)


def thing(left: float, top: float = 10.0) -> Observation:
    return Observation(code=HOT, verdict=Verdict.PRESENT, box_px=(left, top, 20.0, 20.0))


def told(said: Sequence[Said]) -> list[tuple[str, str, str]]:
    return [(one.event_id, one.phase, one.observation.verdict.value) for one in said]


def play(
    on: Tracker, frames: Sequence[Sequence[Observation]], *, fps: float = 10.0, start_s: float = 0.0
) -> list[Said]:
    said: list[Said] = []
    for number, observations in enumerate(frames):
        said += on.update(observations, now_ns=round((start_s + number / fps) * SECOND))
    return said


def test_a_verdict_is_said_once_it_has_lasted_and_ends_when_another_has() -> None:
    frames = [[state(Verdict.ABSENT)]] * 10 + [[state(Verdict.PRESENT)]] * 10
    assert told(play(tracker(), frames)) == [
        ("event 1", "begin", "ABSENT"),
        ("event 1", "end", "ABSENT"),
        ("event 2", "begin", "PRESENT"),
    ]


def test_a_verdict_that_flickers_is_not_said() -> None:
    steady = [[state(Verdict.ABSENT)]] * 10
    flicker = [[state(Verdict.PRESENT)]] * 3 + [[state(Verdict.ABSENT)]]
    said = play(tracker(), steady + flicker * 20)
    assert told(said) == [("event 1", "begin", "ABSENT")]


def test_what_no_frame_shows_any_more_does_not_stand_for_ever() -> None:
    steady = [[state(Verdict.PRESENT)]] * 10
    unsteady = [[state(Verdict.ABSENT)], [state(Verdict.NOT_ASSESSED)]] * 100
    one = tracker()
    said = play(one, steady + unsteady)
    assert told(said)[:3] == [
        ("event 1", "begin", "PRESENT"),
        ("event 1", "end", "PRESENT"),
        (said[2].event_id, "begin", "NOT_ASSESSED"),
    ]
    assert not one.is_present(SUBJECT)
    assert {each.phase for each in said[3:]} == {"summary"}


def test_verdicts_of_which_none_lasts_are_not_assessed_and_not_silence() -> None:
    said = play(tracker(), [[state(Verdict.ABSENT)], [state(Verdict.PRESENT)]] * 40)
    assert [(each.phase, each.observation.verdict) for each in said] == [("begin", Verdict.NOT_ASSESSED)]
    assert "none of them lasts" in said[0].observation.reason


def test_regions_have_events_of_their_own() -> None:
    frames = [[state(Verdict.PRESENT, "left"), state(Verdict.ABSENT, "right")]] * 10
    assert {(one.observation.segment, one.phase) for one in play(tracker(), frames)} == {
        ("left", "begin"),
        ("right", "begin"),
    }


def test_an_event_that_does_not_change_is_summed_up_now_and_then() -> None:
    said = play(tracker(), [[state(Verdict.PRESENT)]] * 260)
    assert [one.phase for one in said] == ["begin", "summary", "summary"]
    assert [one.revision for one in said] == [1, 2, 3]
    assert said[-1].frames > said[0].frames


def test_a_gap_is_not_assessed_and_ends_with_the_next_frame() -> None:
    one = tracker()
    play(one, [[state(Verdict.PRESENT)]] * 10)
    assert one.idle(now_ns=2 * SECOND, reason="camera offline") == ()
    gap = one.idle(now_ns=3 * SECOND, reason="camera offline")
    assert told(gap) == [("event 1", "end", "PRESENT"), ("event 2", "begin", "NOT_ASSESSED")]
    assert gap[1].observation.reason == "camera offline"
    assert one.idle(now_ns=4 * SECOND, reason="camera offline") == ()
    back = play(one, [[state(Verdict.PRESENT)]] * 10, start_s=5.0)
    assert told(back) == [("event 2", "end", "NOT_ASSESSED"), ("event 3", "begin", "PRESENT")]


def test_a_slow_answer_is_no_gap() -> None:
    one = tracker()
    said: list[Said] = []
    for number in range(10):  # each frame is answered 1.5 s after it was captured
        captured_ns = number * SECOND * 3 // 2
        answered_ns = captured_ns + SECOND * 3 // 2
        said += one.update([state(Verdict.PRESENT)], now_ns=captured_ns, answered_ns=answered_ns)
        said += one.idle(now_ns=answered_ns + SECOND, reason="slow")
    assert {each.observation.verdict for each in said} == {Verdict.PRESENT}


def test_a_source_that_never_shows_anything_is_not_assessed() -> None:
    one = tracker()
    assert one.idle(now_ns=7 * SECOND, reason="refused") == ()
    assert told(one.idle(now_ns=9 * SECOND, reason="refused")) == [("event 1", "begin", "NOT_ASSESSED")]


def test_a_thing_that_moves_is_one_event() -> None:
    frames = [[thing(left=10.0 + 4 * number)] for number in range(30)] + [[]] * 15
    assert told(play(tracker(), frames)) == [("event 1", "begin", "PRESENT"), ("event 1", "end", "PRESENT")]


def test_things_that_pass_each_other_stay_apart() -> None:
    frames = [[thing(10.0 + 5 * n, top=10.0), thing(160.0 - 5 * n, top=35.0)] for n in range(30)]
    assert [one.phase for one in play(tracker(), frames)] == ["begin", "begin"]


def test_a_thing_that_is_hidden_for_a_moment_is_the_same_one() -> None:
    frames = [[thing(10.0)]] * 10 + [[]] * 5 + [[thing(12.0)]] * 10
    assert [one.phase for one in play(tracker(), frames)] == ["begin"]


def test_a_glint_is_nothing() -> None:
    assert play(tracker(), [[thing(10.0)], [], [], [], [], [], []] * 5) == []


def test_more_things_than_can_be_followed_are_counted() -> None:
    one = tracker(Pace(settle_s=0, vanish_s=1.0, summary_s=10.0, gap_s=2.0, things_max=2))
    said = play(one, [[thing(0.0), thing(100.0), thing(200.0)]])
    assert [each.phase for each in said] == ["begin", "begin"]
    assert (one.overfull, one.is_overfull) == (1, True)
    one.update([thing(0.0), thing(100.0)], now_ns=10**9)
    assert (one.overfull, one.is_overfull) == (1, False)
    one.update([thing(0.0), thing(100.0), thing(200.0)], now_ns=2 * 10**9)
    one.idle(now_ns=9 * 10**9, reason="nobody looks")
    assert (one.overfull, one.is_overfull) == (2, False)


@pytest.mark.parametrize(
    ("other", "share"),
    [((0, 0, 2, 2), 1.0), ((1, 0, 2, 2), 1 / 3), ((5, 5, 1, 1), 0.0), ((0, 0, 1, 1), 0.25)],
)
def test_overlap_is_shared_area_over_all_area(other: tuple[float, ...], share: float) -> None:
    overlaps = intersection_over_union(np.array([[0.0, 0, 2, 2]]), np.array([other], np.float64))
    assert overlaps[0, 0] == pytest.approx(share)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.sampled_from([Verdict.PRESENT, Verdict.ABSENT, Verdict.NOT_ASSESSED])),
        st.tuples(st.just("things"), st.lists(st.floats(0, 500), max_size=5)),
        st.tuples(st.just("nothing"), st.floats(0.05, 5.0)),
    ),
    max_size=60,
)


def _step(on: Tracker, kind: str, what: object, now_ns: int) -> tuple[Said, ...]:
    acts = {
        "frame": lambda: on.update([state(what)], now_ns=now_ns),  # type: ignore[arg-type]  # drawn as a pair
        "things": lambda: on.update([thing(left) for left in what], now_ns=now_ns),  # type: ignore[attr-defined]  # as above
        "nothing": lambda: on.idle(now_ns=now_ns, reason="nothing came"),
    }
    return acts[kind]()


@given(steps=steps, settle_s=st.sampled_from([0.0, 0.3]))
@settings(max_examples=200, deadline=None)
def test_every_event_begins_once_ends_once_and_counts_up(
    steps: list[tuple[str, object]], settle_s: float
) -> None:
    one = tracker(Pace(settle_s=settle_s, vanish_s=1.0, summary_s=3.0, gap_s=2.0))
    said: list[Said] = []
    now_ns = 0
    for kind, what in steps:
        now_ns += round({"nothing": what}.get(kind, 0.1) * SECOND)  # type: ignore[operator]  # a pause is a number
        said += _step(one, kind, what, now_ns)
    said += one.close(now_ns=now_ns, reason="stopped")
    for event in {each.event_id for each in said}:
        about = [each for each in said if each.event_id == event]
        phases = [each.phase for each in about]
        assert phases[0] == "begin"
        assert phases.count("begin") == 1
        assert "end" not in phases[:-1]
        assert [each.revision for each in about] == list(range(1, len(about) + 1))
    standing = {each.event_id for each in said} - {each.event_id for each in said if each.phase == "end"}
    assert len(standing) == 1, "after the close only the gap stands"
