"""Seats for callers at once: each caller has a session, and its buffers, for itself."""

from __future__ import annotations

import queue
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
        self._free: queue.LifoQueue[Seat] = queue.LifoQueue(len(seats))  # the last one used is still warm
        for seat in seats:
            self._free.put_nowait(seat)

    @contextmanager
    def seat(self, deadline: Deadline) -> Iterator[Seat]:
        """Have a seat for as long as the `with` lasts.

        Raises:
            DeadlineExceededError: None became free in time.
        """
        deadline.check(self._name)
        try:
            seat = self._free.get(timeout=deadline.remaining_s())
        except queue.Empty:
            raise deadline.exceeded(f"{self._name}: waiting for its turn") from None
        try:
            yield seat
        finally:
            self._free.put_nowait(seat)

    def drain(self) -> list[Seat]:
        """Return all seats, after whoever uses them; nobody gets one any more."""
        return [self._free.get() for _ in range(self._count)]
