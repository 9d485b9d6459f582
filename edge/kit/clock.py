"""The clock of the machine; tests bring their own."""

from __future__ import annotations

import time


class SystemClock:
    """Time as the operating system tells it."""

    def monotonic_ns(self) -> int:
        """Return a time that never goes back, in ns from an arbitrary start."""
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        """Return ns since 1970-01-01T00:00:00Z."""
        return time.time_ns()
