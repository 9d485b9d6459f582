"""How much time is left for one answer."""

from __future__ import annotations

from edge.domain.errors import DeadlineExceededError
from edge.domain.ports import Clock


class Deadline:
    """A moment on the injected clock; everything that works for one answer shares it."""

    __slots__ = ("_clock", "_ends_ns", "_given_s")

    def __init__(self, clock: Clock, given_s: float) -> None:
        self._clock = clock
        self._given_s = given_s
        self._ends_ns = clock.monotonic_ns() + round(given_s * 1e9)

    def remaining_s(self) -> float:
        """Return what is left, 0 when it has passed."""
        return max(0.0, (self._ends_ns - self._clock.monotonic_ns()) / 1e9)

    def check(self, doing: str) -> None:
        """Go on, or say what there was no time for.

        Raises:
            DeadlineExceededError: The moment has passed.
        """
        if self.remaining_s() <= 0:
            raise self.exceeded(doing)

    def exceeded(self, doing: str) -> DeadlineExceededError:
        """Return the error that says so."""
        return DeadlineExceededError(f"{doing}: not done in the {self._given_s:g} s it was given")
