"""A sender's timestamps on our own clock: without its jitter, through wraps, restarts and lies."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.capture_time import CaptureTime

RATE_HZ = 90_000
PERIOD_MS = 40
MS = 1_000_000


class Heard:
    """A stream of 25 frames a second, and what is said about its clock."""

    def __init__(self, *, first: int = 0) -> None:
        self.said: list[str] = []
        self.times = CaptureTime(rate_hz=RATE_HZ, wrap_bits=32, remark=self.said.append)
        self.first = first

    def frame(self, number: float, *, late_ms: float = 0.0, jump_s: float = 0.0) -> tuple[float, str]:
        """Let a frame come; return how long after it was sent we say that it was captured, in ms."""
        sent_ms = number * PERIOD_MS
        timestamp = (self.first + round((sent_ms / 1e3 + jump_s) * RATE_HZ)) % 2**32
        captured_ns, timed_by = self.times.place(timestamp, arrival_ns=round((sent_ms + late_ms) * MS))
        return captured_ns / MS - sent_ms, timed_by


def test_jitter_is_taken_out_and_a_frame_that_was_held_up_shows_its_age() -> None:
    heard, chance = Heard(), random.Random(1)
    lateness = [chance.uniform(5, 30) for _ in range(250)]
    captured = [heard.frame(number, late_ms=late)[0] for number, late in enumerate(lateness)]
    assert captured[-1] == pytest.approx(min(lateness), abs=0.1)
    spread = max(captured[50:]) - min(captured[50:])
    assert spread < 5
    held_up, timed_by = heard.frame(250, late_ms=600)
    assert held_up == pytest.approx(min(lateness), abs=0.1)
    assert timed_by == "stream"
    assert heard.said == []


def test_nothing_is_captured_after_it_came() -> None:
    heard = Heard()
    assert heard.frame(0, late_ms=50) == (50.0, "stream")
    assert heard.frame(1, late_ms=10) == (10.0, "stream")


def test_timestamps_may_begin_again_at_zero() -> None:
    heard = Heard(first=2**32 - 10 * 3600)
    captured = [heard.frame(number, late_ms=5)[0] for number in range(50)]
    assert captured == pytest.approx([5.0] * 50, abs=0.1)
    assert heard.said == []


def test_b_frames_go_back_a_little_without_a_word() -> None:
    heard = Heard()
    for number in (0, 3, 1, 2, 6, 4, 5):
        heard.times.place(number * 3600, arrival_ns=number * PERIOD_MS * MS + 200 * MS)
    assert heard.said == []


@pytest.mark.parametrize(
    ("jump_s", "said"),
    [
        (-3.0, "its clock went back by 3.0 s"),
        (3600.0, "its clock jumped ahead by 3600.0 s"),
        (-30_000.0, "its clock"),
    ],
)
def test_a_clock_that_jumps_is_said_and_its_times_are_taken_anew(jump_s: float, said: str) -> None:
    heard = Heard()
    for number in range(50):
        heard.frame(number, late_ms=5)
    after = [heard.frame(number, late_ms=5, jump_s=jump_s)[0] for number in range(50, 100)]
    assert after == pytest.approx([5.0] * 50, abs=0.2)
    assert len(heard.said) == 1
    assert heard.said[0].startswith(said)


def test_a_line_that_stalls_is_no_jump() -> None:
    heard = Heard()
    for number in range(50):
        heard.frame(number, late_ms=5)
    stalled = [heard.frame(number, late_ms=5 + (200 - number) * PERIOD_MS)[0] for number in range(50, 200)]
    assert stalled == pytest.approx([5.0] * 150, abs=0.2)
    assert heard.said == []


def test_a_line_that_became_slower_is_the_new_measure_once_the_window_has_passed() -> None:
    heard = Heard()
    for number in range(100):
        heard.frame(number, late_ms=5)
    captured = [heard.frame(number, late_ms=105)[0] for number in range(100, 400)]
    assert captured[0] == pytest.approx(5.0, abs=0.1)
    assert captured[-1] == pytest.approx(105.0, abs=0.1)


def test_timestamps_that_stand_still_are_not_believed() -> None:
    heard = Heard()
    answers = [heard.times.place(7, arrival_ns=number * PERIOD_MS * MS) for number in range(50)]
    assert answers[-1] == (49 * PERIOD_MS * MS, "arrival")
    assert heard.said[-1] == "its timestamps stand still; frames are timed by their arrival"


def test_a_rate_that_the_senders_own_wall_clock_denies_is_not_believed() -> None:
    heard = Heard()
    for number in range(50):
        heard.frame(number)
    heard.times.hear(seconds=100.0, timestamp=0)
    heard.times.hear(seconds=105.0, timestamp=2 * RATE_HZ)
    assert heard.said == [
        "its timestamps run at 0.40 of the rate it names; frames are timed by their arrival"
    ]
    assert heard.frame(50, late_ms=3)[1] == "arrival"
    heard.times.hear(seconds=110.0, timestamp=7 * RATE_HZ)
    assert heard.said[-1] == ""
    assert heard.frame(51, late_ms=3)[1] == "stream"


def test_a_wall_clock_that_is_set_spoils_one_comparison_only() -> None:
    heard = Heard()
    heard.frame(0)
    for report in range(5):
        heard.times.hear(seconds=100.0 + 5 * report, timestamp=5 * report * RATE_HZ)
    heard.times.hear(seconds=50.0, timestamp=25 * RATE_HZ)
    heard.times.hear(seconds=55.0, timestamp=30 * RATE_HZ)
    assert heard.said == []


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 5_000)), min_size=1, max_size=60),
)
def test_whatever_a_sender_says_no_frame_is_from_the_future_or_older_than_what_is_believed(
    frames: list[tuple[int, int]],
) -> None:
    times = CaptureTime(rate_hz=RATE_HZ, wrap_bits=32, remark=lambda _: None)
    arrival_ns = 0
    for timestamp, wait_ms in frames:
        arrival_ns += wait_ms * MS
        captured_ns, _ = times.place(timestamp, arrival_ns=arrival_ns)
        assert arrival_ns - 10_001 * MS <= captured_ns <= arrival_ns
