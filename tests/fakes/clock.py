"""A clock that moves when the test says so."""

from __future__ import annotations


class FakeClock:
    """Stands still until `advance`."""

    def __init__(self, *, utc_ns: int = 1_700_000_000_000_000_000) -> None:
        self._elapsed_ns = 0
        self._utc_ns = utc_ns

    def monotonic_ns(self) -> int:
        return self._elapsed_ns

    def utc_ns(self) -> int:
        return self._utc_ns + self._elapsed_ns

    def advance(self, seconds: float) -> None:
        self._elapsed_ns += round(seconds * 1e9)

    def jump_utc(self, seconds: float) -> None:
        """Move the wall clock alone, as NTP does."""
        self._utc_ns += round(seconds * 1e9)
