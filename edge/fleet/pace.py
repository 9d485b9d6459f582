"""How fast packages may come, all downloads of a device together: a thin line keeps room for findings."""

from __future__ import annotations

import threading
from typing import Final

from edge.domain.ports import Clock

SHARE_S: Final = 0.25  # so much time's worth is taken at once
PIECE_BYTES_MIN: Final = 1024


class Pace:
    """Says how long to rest after what has come; for any number of threads.

    Args:
        bytes_per_s: Of all together; 0: as fast as they come.
        clock: Of the machine.
    """

    def __init__(self, bytes_per_s: int, clock: Clock) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._free_ns = 0

    def piece_bytes(self, most_bytes: int) -> int:
        """Return how much to take at once, at most what is said."""
        if not self._bytes_per_s:
            return most_bytes
        return min(most_bytes, max(PIECE_BYTES_MIN, round(self._bytes_per_s * SHARE_S)))

    def rest_s(self, count_bytes: int) -> float:
        """Count what has come, and return for how long nobody may take more; 0 where nobody counts."""
        if not self._bytes_per_s:
            return 0.0
        cost_ns = count_bytes * 10**9 // self._bytes_per_s
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            self._free_ns = max(self._free_ns, now_ns) + cost_ns
            return (self._free_ns - now_ns) / 1e9
