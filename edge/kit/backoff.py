"""How long to wait before trying again, so that many who failed together do not come back together."""

from __future__ import annotations

import random
from dataclasses import dataclass

_RANDOM = random.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential back-off with full jitter.

    Attributes:
        min_s: Ceiling of the first pause.
        max_s: Ceiling of every pause.
    """

    min_s: float = 1.0
    max_s: float = 60.0

    def pause_s(self, failures: int) -> float:
        """Return a pause after so many failures in a row: anything between 0 and a ceiling that doubles."""
        return _RANDOM.uniform(0.0, self.ceiling_s(failures))

    def ceiling_s(self, failures: int) -> float:
        """Return the longest pause that may follow so many failures in a row, from 1 on."""
        doublings = min(max(failures - 1, 0), 32)
        return min(self.max_s, self.min_s * 2.0**doublings)
