"""The hand-over of live streams: the newest wins, and the sum is always right."""

from __future__ import annotations

import threading

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.kit.clock import SystemClock
from edge.kit.queues import CLOSED, OVERTAKEN, Latest, Readers
from tests.fakes.clock import FakeClock


class HandOver(RuleBasedStateMachine):
    """Puts, takes and closes in any order, beside a list that does the same the slow way."""

    @initialize(size=st.integers(1, 4))
    def begin(self, size: int) -> None:
        self.clock = FakeClock()
        self.size = size
        self.latest: Latest[int] = Latest(size, clock=self.clock)
        self.held: list[int] = []
        self.given_up: list[int] = []
        self.puts = self.takes = self.refused = 0
        self.is_closed = False

    @rule(number=st.integers())
    def put(self, number: int) -> None:
        self.clock.advance(0.01)
        self.latest.put(number)
        self.puts += 1
        self.refused += self.is_closed
        self.held += [] if self.is_closed else [number]
        self.given_up += self.held[: -self.size]
        self.held = self.held[-self.size :]

    @rule()
    def take(self) -> None:
        expected = self.held[0] if self.held else None
        assert self.latest.take(timeout_s=0.0) == expected
        self.takes += expected is not None
        self.held = self.held[1:]

    @rule()
    def close(self) -> None:
        self.latest.close()
        self.is_closed = True

    @invariant()
    def in_is_out_and_dropped_and_held(self) -> None:
        counts = self.latest.counts()
        assert counts.taken == counts.out + sum(counts.dropped.values()) + counts.held
        assert (counts.taken, counts.out, counts.held) == (self.puts, self.takes, len(self.held))
        assert counts.dropped.get(OVERTAKEN, 0) == len(self.given_up)
        assert counts.dropped.get(CLOSED, 0) == self.refused
        assert counts.held <= self.size
        assert (counts.oldest_ns is None) == (not self.held)
        assert self.latest.is_over == (self.is_closed and not self.held)


TestHandOver = HandOver.TestCase


def test_the_oldest_gives_way_and_the_order_stays() -> None:
    latest: Latest[int] = Latest(2, clock=FakeClock())
    for number in range(5):
        latest.put(number)
    assert [latest.take(timeout_s=0.0) for _ in range(3)] == [3, 4, None]
    assert latest.counts().dropped == {OVERTAKEN: 3}


def test_who_waits_is_woken_by_what_comes() -> None:
    latest: Latest[str] = Latest(2, clock=SystemClock())
    taken: list[str | None] = []
    waiting = threading.Thread(target=lambda: taken.append(latest.take(timeout_s=10.0)))
    waiting.start()
    latest.put("frame")
    waiting.join(5.0)
    assert taken == ["frame"]


def test_who_waits_is_woken_by_the_end() -> None:
    latest: Latest[str] = Latest(2, clock=SystemClock())
    waiting = threading.Thread(target=lambda: latest.take(timeout_s=60.0))
    waiting.start()
    latest.close()
    waiting.join(5.0)
    assert not waiting.is_alive()


def test_nobody_waits_to_put_while_many_put_and_one_takes() -> None:
    latest: Latest[int] = Latest(2, clock=SystemClock())
    taken: list[int] = []

    def take_all() -> None:
        while not latest.is_over:
            item = latest.take(timeout_s=0.05)
            taken.extend([item] if item is not None else [])

    def put_many() -> None:
        for number in range(500):
            latest.put(number)

    reader = threading.Thread(target=take_all)
    writers = [threading.Thread(target=put_many) for _ in range(3)]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(10.0)
    latest.close()
    reader.join(10.0)
    counts = latest.counts()
    assert counts.taken == 1500
    assert counts.out == len(taken) == 1500 - sum(counts.dropped.values())


def test_readers_come_and_go_while_items_are_handed_out() -> None:
    clock = FakeClock()
    first, second = Latest[int](clock=clock), Latest[int](clock=clock)
    readers = Readers[int]()
    readers.add(first)
    for reader in readers:
        readers.add(second)  # from the next item on
        reader.put(1)
    for reader in readers:
        readers.remove(first)
        reader.put(2)
    for reader in readers:
        reader.put(3)
    assert [first.take(timeout_s=0) for _ in range(3)] == [1, 2, None]
    assert [second.take(timeout_s=0) for _ in range(3)] == [2, 3, None]
