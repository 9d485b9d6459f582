"""Seats for callers at once: each caller has a session, and its buffers, for itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from edge.inference.deadline import Deadline

Seat = TypeVar("Seat")


class Pool(Generic[Seat]):
    """A fixed number of seats; who finds none free waits until the deadline.

    Args:
        seats: At least one.
        name: Names the pool in errors.
    """

    def __init__(self, seats: Sequence[Seat], *, name: str) -> None:
        assert seats, "a pool has a seat"
        self._count = len(seats)
        self._name = name
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        self._free = list(seats)

    @contextmanager
    def seat(self, deadline: Deadline) -> Iterator[Seat]:
        """Have a seat for as long as the `with` lasts.

        Raises:
            DeadlineExceededError: None became free in time.
        """
        seat = self.take(deadline)
        try:
            yield seat
        finally:
            self.give_back(seat)

    def take(self, deadline: Deadline) -> Seat:
        """Have a seat until it is given back.

        Raises:
            DeadlineExceededError: None became free in time.
        """
        deadline.check(self._name)
        with self._lock:
            if not self._free and not self._freed.wait_for(lambda: self._free, deadline.remaining_s()):
                raise deadline.exceeded(f"{self._name}: waiting for its turn")
            return self._free.pop()  # the last one used is still warm

    def give_back(self, seat: Seat) -> None:
        """Let others have it."""
        with self._lock:
            self._free.append(seat)
            self._freed.notify_all()

    def drain(self) -> list[Seat]:
        """Return all seats, after whoever uses them; nobody gets one any more."""
        drained: list[Seat] = []
        with self._lock:
            while len(drained) < self._count:
                self._freed.wait_for(lambda: self._free)
                drained.append(self._free.pop())
        return drained
