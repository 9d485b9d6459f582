"""How often something may happen: a little at once, and so much a minute after that."""

from __future__ import annotations

from edge.domain.ports import Clock

MINUTE_NS = 60 * 10**9


class Bucket:
    """A minute's worth of tokens that fills again evenly; for one thread."""

    def __init__(self, *, per_minute: int, clock: Clock) -> None:
        """Begin full.

        Args:
            per_minute: How often in a minute, at least 1; as many may come at once.
            clock: Of the machine.
        """
        assert per_minute >= 1, f"{per_minute} a minute is never"
        self._full_ns = MINUTE_NS
        self._price_ns = MINUTE_NS // per_minute
        self._held_ns = self._full_ns
        self._looked_ns = clock.monotonic_ns()
        self._clock = clock

    def take(self) -> bool:
        """Return whether it may happen now, and count it if so."""
        self._fill()
        if self._held_ns < self._price_ns:
            return False
        self._held_ns -= self._price_ns
        return True

    def wait_s(self) -> float:
        """Return for how long it may not, 0 where it may."""
        self._fill()
        return max(0, self._price_ns - self._held_ns) / 1e9

    def _fill(self) -> None:
        now_ns = self._clock.monotonic_ns()
        self._held_ns = min(self._full_ns, self._held_ns + now_ns - self._looked_ns)
        self._looked_ns = now_ns
