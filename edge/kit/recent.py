"""What recent measurements were like: a window that forgets the oldest."""

from __future__ import annotations

import threading
from collections import deque


class Recent:
    """The last so many values, safe to use from several threads."""

    def __init__(self, *, values_max: int = 1000) -> None:
        self._values: deque[float] = deque(maxlen=values_max)
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Take in a value."""
        with self._lock:
            self._values.append(value)

    def percentiles(self) -> dict[str, float]:
        """Return p50 and p99; empty without a value."""
        measured = {f"p{percent}": self.percentile(percent) for percent in (50, 99)}
        return {name: value for name, value in measured.items() if value is not None}

    def percentile(self, percent: float) -> float | None:
        """Return the value that `percent` of them do not exceed (nearest rank), or None without any."""
        with self._lock:
            ordered = sorted(self._values)
        if not ordered:
            return None
        return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]
