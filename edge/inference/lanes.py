"""Two lanes for a device that serves one at a time: live first, imaging never starved."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

from numpy.typing import NDArray

from edge.inference.deadline import Deadline
from edge.inference.session import Answers, Session

Lane = Literal["live", "imaging"]


class Lanes:
    """Who is next: the oldest of the live lane; after `live_burst_max` of those, one of the imaging lane.

    A turn is one run of a network: a frame, a batch of spectra, a tile of a volume. So a frame waits for a
    tile at most, and a volume gets a tile through for every `live_burst_max` frames.

    Args:
        live_burst_max: So many live turns in a row while imaging waits, at least 1.
    """

    def __init__(self, *, live_burst_max: int) -> None:
        self._burst_max = live_burst_max
        self._changed = threading.Condition()
        self._waiting: dict[Lane, deque[object]] = {"live": deque(), "imaging": deque()}
        self._is_busy = False
        self._burst = 0

    def live(self, deadline: Deadline) -> AbstractContextManager[None]:
        """Take a turn of the live lane: the device is ours while the `with` lasts.

        Raises:
            DeadlineExceededError: It did not become free in time.
        """
        return self._turn("live", deadline)

    def imaging(self, deadline: Deadline) -> AbstractContextManager[None]:
        """Take a turn of the imaging lane: the device is ours while the `with` lasts.

        Raises:
            DeadlineExceededError: It did not become free in time.
        """
        return self._turn("imaging", deadline)

    @contextmanager
    def _turn(self, lane: Lane, deadline: Deadline) -> Iterator[None]:
        ticket = object()
        queue = self._waiting[lane]
        with self._changed:
            queue.append(ticket)
            try:
                if not self._changed.wait_for(lambda: self._is_next(lane, ticket), deadline.remaining_s()):
                    raise deadline.exceeded(f"{lane} lane: waiting for its turn")
            finally:
                queue.remove(ticket)
                self._changed.notify_all()
            self._is_busy = True
            self._burst = self._burst + 1 if lane == "live" and self._waiting["imaging"] else 0
        try:
            yield
        finally:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()

    def _is_next(self, lane: Lane, ticket: object) -> bool:
        other: Lane = "imaging" if lane == "live" else "live"
        has_right_of_way = (lane == "imaging") == (self._burst >= self._burst_max)
        is_first = self._waiting[lane][0] is ticket
        return not self._is_busy and is_first and (has_right_of_way or not self._waiting[other])


class TurnTaking:
    """A session on such a device: each run takes its turn."""

    def __init__(self, session: Session, turn: Callable[[Deadline], AbstractContextManager[object]]) -> None:
        self.runtime = session.runtime
        self.provider = session.provider
        self._session = session
        self._turn = turn

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Run once, when it is our turn.

        Raises:
            DeadlineExceededError: It was ended, or not begun, because the time was up.
            InferenceError: The runtime failed.
        """
        with self._turn(deadline):
            return self._session.run(given, deadline)

    def close(self) -> None:
        """Free the network."""
        self._session.close()
