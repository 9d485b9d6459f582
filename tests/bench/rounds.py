"""Several ways to do one thing, timed in turns, so that a busy moment touches all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

Timed = Callable[[], float]


def timed(once: Callable[[], object]) -> Timed:
    """Return something that does it and says how long it took, in ms."""

    def run() -> float:
        started = time.perf_counter()
        once()
        return 1e3 * (time.perf_counter() - started)

    return run


def in_turns(work: Mapping[str, Timed], *, rounds: int) -> dict[str, list[float]]:
    """Return the times of each, in ms; the order turns, and the first round, which warms up, is left out."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            taken[name].append(work[name]())
    return {name: times[1:] for name, times in taken.items()}


def low(times: list[float]) -> float:
    """Return the time that a tenth of the runs stays below: what it takes where nobody disturbs."""
    return sorted(times)[len(times) // 10]
