"""Networks that wait give their memory back, wake on demand, and are kept warm while nobody asks anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest

from edge.domain.errors import BundleRejectedError, InferenceError
from edge.inference.behind import WAITING_MAX, Behind
from edge.inference.deadline import Deadline
from edge.inference.keeping import KeptSession
from edge.inference.memory import Budget, resident_mb
from edge.inference.session import Session
from tests.fakes.clock import FakeClock
from tests.fakes.session import FakeExam, FakeSession


class House:
    """Sessions in one budget."""

    def __init__(self, *, limit_mb: float) -> None:
        self.clock = FakeClock()
        self.budget = Budget(limit_mb=limit_mb)
        self.opened: list[FakeSession] = []

    def _open(self) -> FakeSession:
        self.opened.append(FakeSession(self.clock))
        return self.opened[-1]

    def kept(self, name: str, *, memory_mb: float) -> KeptSession:
        self.clock.advance(1)
        return KeptSession(
            self._open(),
            name=name,
            memory_mb=memory_mb,
            reopen=self._open,
            budget=self.budget,
            clock=self.clock,
        )

    def ask(self, session: Session) -> float:
        self.clock.advance(1)
        return float(session.run(np.ones(1), Deadline(self.clock, 5))["answer"][0])


def test_the_network_that_waited_longest_is_closed_and_opened_again_on_demand() -> None:
    house = House(limit_mb=250)
    first, second = house.kept("first", memory_mb=100), house.kept("second", memory_mb=100)
    house.ask(first)
    third = house.kept("third", memory_mb=100)
    assert (first.is_open, second.is_open, third.is_open) == (True, False, True)
    assert house.ask(second) == 1.0
    assert (first.is_open, second.is_open, third.is_open) == (False, True, True)
    assert house.budget.held_mb == 200
    for session in (first, second, third):
        session.close()
    assert house.budget.held_mb == 0
    assert all(session.is_closed for session in house.opened)


def test_a_network_that_fits_nowhere_is_used_all_the_same() -> None:
    house = House(limit_mb=50)
    large = house.kept("large", memory_mb=100)
    assert (large.is_open, house.ask(large)) == (True, 1.0)


def test_without_a_limit_all_stay_open() -> None:
    house = House(limit_mb=0)
    sessions = [house.kept(str(n), memory_mb=1e6) for n in range(3)]
    assert all(session.is_open for session in sessions)


def test_a_network_in_use_is_not_closed() -> None:
    house = House(limit_mb=150)
    busy = house.kept("busy", memory_mb=100)
    within, go_on = threading.Event(), threading.Event()

    class Slow(FakeSession):
        def run(self, given: Any, deadline: Deadline) -> Any:
            within.set()
            assert go_on.wait(10)
            return super().run(given, deadline)

    busy._session = Slow(house.clock)
    asking = threading.Thread(target=house.ask, args=(busy,))
    asking.start()
    assert within.wait(10)
    other = house.kept("other", memory_mb=100)
    assert (busy.is_open, other.is_open) == (True, True)
    go_on.set()
    asking.join(10)


def test_a_network_that_opens_no_more_is_an_error_of_the_item() -> None:
    clock = FakeClock()

    def gone() -> Session:
        raise BundleRejectedError("its file is gone")

    session = KeptSession(
        FakeSession(clock), name="gone", memory_mb=1, reopen=gone, budget=Budget(limit_mb=1), clock=clock
    )
    assert session.doze()
    with pytest.raises(InferenceError, match=r"gone: .* opens no more: its file is gone"):
        session.run(np.ones(1), Deadline(clock, 5))


def test_memory_is_measured() -> None:
    assert 10 < resident_mb() < 100_000


# ── keeping warm ──────────────────────────────────────────────────────────────────────────────────


class FakeActive:
    def __init__(self, session: KeptSession) -> None:
        self.sessions = (session,)
        self.exam = FakeExam()


class FakeHandle:
    """A handle as far as keeping warm looks at it."""

    def __init__(self, session: KeptSession) -> None:
        self.is_idle = True
        self._active = FakeActive(session)

    def held(self) -> AbstractContextManager[FakeActive]:
        return self._held()

    @contextmanager
    def _held(self) -> Iterator[FakeActive]:
        yield self._active


def test_a_model_that_nobody_asked_is_run_once_and_not_while_anybody_asks() -> None:
    house = House(limit_mb=0)
    rested, dozing = house.kept("rested", memory_mb=1), house.kept("dozing", memory_mb=1)
    assert dozing.doze()
    handles: dict[str, Any] = {"rested": FakeHandle(rested), "dozing": FakeHandle(dozing)}
    behind = Behind(handles, keep_warm_s=60, clock=house.clock)
    assert behind.warm() == []  # nobody has rested long enough
    house.clock.advance(61)
    handles["dozing"].is_idle = False
    assert behind.warm() == []  # somebody asks something
    handles["dozing"].is_idle = True
    assert behind.warm() == ["rested"]  # who dozes sleeps on
    assert behind.warm() == []
    assert (house.opened[0].runs, dozing.is_open) == (1, False)


def test_what_is_done_behind_is_done_one_after_the_other_and_ends_with_a_stop() -> None:
    behind = Behind({}, keep_warm_s=0, clock=FakeClock())
    within, done = threading.Event(), list[int]()

    def endless() -> None:
        within.set()
        while True:
            behind.breathe(0.001)

    with behind:
        first = behind.do(lambda: done.append(1))
        assert behind.settle(timeout_s=10)
        second = behind.do(endless)
        third = behind.do(lambda: done.append(3))
        assert within.wait(10)
        assert not behind.settle(timeout_s=0.01)
    assert first.done()
    assert isinstance(second.exception(), CancelledError)
    assert third.cancelled()
    assert done == [1]


def test_more_than_can_be_worked_off_is_refused() -> None:
    behind = Behind({}, keep_warm_s=0, clock=FakeClock())
    free = threading.Event()
    with behind:
        try:
            for _ in range(WAITING_MAX):
                behind.do(lambda: free.wait(10))
            with pytest.raises(BundleRejectedError, match="models are waiting to be measured"):
                behind.do(lambda: None)
        finally:
            free.set()
