"""On a device that serves one at a time live goes first, and imaging is never starved."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.errors import DeadlineExceededError
from edge.inference.deadline import Deadline
from edge.inference.lanes import Lane, Lanes
from edge.kit.clock import SystemClock
from tests.waiting import until

CLOCK = SystemClock()


class Crowd:
    """Callers that wait in the order they came, while somebody holds the device."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.served: list[str] = []
        self._threads: list[threading.Thread] = []

    def come(self, lane: Lane, name: str) -> None:
        """Let one more wait, and go on when it does."""
        thread = threading.Thread(target=self._ask, args=(lane, name), name=name)
        waiting = len(self.lanes._waiting[lane])
        thread.start()
        until(lambda: len(self.lanes._waiting[lane]) > waiting, within_s=5)
        self._threads.append(thread)

    def gone(self) -> list[str]:
        """Wait until all were served; in which order."""
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
        return self.served

    def _ask(self, lane: Lane, name: str) -> None:
        with turn(self.lanes, lane, 30):
            self.served.append(name)


@contextmanager
def turn(lanes: Lanes, lane: Lane, given_s: float) -> Iterator[None]:
    ways = {"live": lanes.live, "imaging": lanes.imaging}
    with ways[lane](Deadline(CLOCK, given_s)):
        yield


def served(order: list[Lane], *, live_burst_max: int) -> list[str]:
    """Who is served after whom, of callers who all wait in this order when the device becomes free."""
    lanes = Lanes(live_burst_max=live_burst_max)
    crowd = Crowd(lanes)
    with turn(lanes, "imaging", 30):
        for number, lane in enumerate(order):
            crowd.come(lane, f"{lane} {number}")
    return crowd.gone()


def test_live_goes_first_in_the_order_it_came_and_imaging_after_each_burst() -> None:
    order: list[Lane] = ["imaging", "imaging", "live", "live", "live", "live", "live"]
    assert served(order, live_burst_max=2) == [
        "live 2",
        "live 3",
        "imaging 0",
        "live 4",
        "live 5",
        "imaging 1",
        "live 6",
    ]


@given(st.lists(st.sampled_from(["live", "imaging"]), max_size=14), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_everybody_is_served_and_nobody_waits_for_more_than_a_burst(order: list[Lane], burst: int) -> None:
    names = served(order, live_burst_max=burst)
    assert sorted(names) == sorted(f"{lane} {number}" for number, lane in enumerate(order))
    for lane in ("live", "imaging"):
        of_lane = [name for name in names if name.startswith(lane)]
        assert of_lane == sorted(of_lane, key=lambda name: int(name.split()[1]))
    lanes_in_turn = "".join(name[0] for name in names)
    while_both_wait = lanes_in_turn.rstrip("i") if lanes_in_turn.endswith("i") else lanes_in_turn.rstrip("l")
    assert "l" * (burst + 1) not in while_both_wait[: while_both_wait.rfind("i") + 1]
    assert "ii" not in while_both_wait


def test_a_live_caller_that_finds_the_device_free_does_not_wait_for_anybody() -> None:
    lanes = Lanes(live_burst_max=1)
    for _ in range(5):
        with turn(lanes, "live", 0.01):
            pass


def test_who_waits_too_long_says_so_and_leaves_the_queue() -> None:
    lanes = Lanes(live_burst_max=1)
    crowd = Crowd(lanes)
    with turn(lanes, "imaging", 30):
        with pytest.raises(
            DeadlineExceededError, match=r"live lane: waiting for its turn: not done in the 0.01"
        ):
            lanes.live(Deadline(CLOCK, 0.01)).__enter__()
        crowd.come("live", "second")
    assert crowd.gone() == ["second"]


def test_a_turn_that_fails_is_over() -> None:
    lanes = Lanes(live_burst_max=1)
    with pytest.raises(ZeroDivisionError), turn(lanes, "live", 1):
        raise ZeroDivisionError
    with turn(lanes, "imaging", 1):
        pass
