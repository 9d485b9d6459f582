"""The hand-over of live streams: the newest wins, nobody waits to put, every loss is counted."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from edge.domain.ports import Clock

Item = TypeVar("Item")

OVERTAKEN = "a newer one came"
CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The books of a hand-over at one moment; taken = out + dropped + held.

    Attributes:
        taken: Items that were put.
        out: Items that were taken out.
        held: Items inside.
        dropped: Items given up, by reason.
        oldest_ns: Monotonic time at which the oldest item held came, or None when empty.
        last_move_ns: Monotonic time of the last item put or taken out.
    """

    taken: int
    out: int
    held: int
    oldest_ns: int | None
    last_move_ns: int
    dropped: Mapping[str, int] = field(default_factory=dict)


class Latest(Generic[Item]):
    """Holds the newest few items for one reader, safe to use from several threads."""

    def __init__(self, size: int = 2, *, clock: Clock) -> None:
        """Make it empty.

        Args:
            size: How many it holds, at least 1; 2 let a reader that is late by less than a frame miss none.
            clock: Time.
        """
        assert size >= 1, f"a hand-over of {size} holds nothing"
        self._clock = clock
        self._size = size
        self._held: deque[tuple[int, Item]] = deque()
        self._changed = threading.Condition()
        self._taken = self._out = 0
        self._dropped: Counter[str] = Counter()
        self._last_move_ns = clock.monotonic_ns()
        self._is_closed = False

    def put(self, item: Item) -> None:
        """Hand an item over without waiting; the oldest is given up where there is no room."""
        with self._changed:
            self._taken += 1
            if self._is_closed:
                self._dropped[CLOSED] += 1
                return
            if len(self._held) == self._size:
                self._held.popleft()
                self._dropped[OVERTAKEN] += 1
            self._last_move_ns = self._clock.monotonic_ns()
            self._held.append((self._last_move_ns, item))
            self._changed.notify()

    def take(self, *, timeout_s: float) -> Item | None:
        """Return the oldest item held; None when there is none within `timeout_s`, or none will ever be."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._held or self._is_closed, timeout_s) or not self._held:
                return None
            _, item = self._held.popleft()
            self._out += 1
            self._last_move_ns = self._clock.monotonic_ns()
            return item

    def close(self) -> None:
        """Take nothing more in; what is held can still be taken out, and nobody waits any longer."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def is_over(self) -> bool:
        """Nothing is held, and nothing will come."""
        with self._changed:
            return self._is_closed and not self._held

    def counts(self) -> Counts:
        """Return the books as they stand."""
        with self._changed:
            return Counts(
                taken=self._taken,
                out=self._out,
                held=len(self._held),
                dropped=dict(self._dropped),
                oldest_ns=self._held[0][0] if self._held else None,
                last_move_ns=self._last_move_ns,
            )


class Readers(Generic[Item]):
    """Who is handed the items of one source; readers come and go while it gives them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: tuple[Latest[Item], ...] = ()

    def __iter__(self) -> Iterator[Latest[Item]]:
        """Return those of this moment."""
        return iter(self._all)

    def add(self, reader: Latest[Item]) -> None:
        """Hand it every item from now on."""
        with self._lock:
            self._all = (*self._all, reader)

    def remove(self, reader: Latest[Item]) -> None:
        """Hand it nothing more."""
        with self._lock:
            self._all = tuple(one for one in self._all if one is not reader)
