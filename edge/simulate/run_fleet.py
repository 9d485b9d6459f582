"""A fleet that is not there in the foreground, until Ctrl-C or for a given time."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from edge.simulate.fleet import SimulatedFleet, Tally
from edge.simulate.foreground import wait


def run_fleet(fleet: SimulatedFleet, *, for_s: float | None) -> int:
    """Let the devices live, and tell at the end on stdout, as JSON, what has happened to them; returns 0.

    Raises:
        ConfigurationError: It ended before its time.
    """
    with fleet:
        wait(lambda: in_words(fleet.tally()), for_s=for_s)
        tally = fleet.tally()
    sys.stdout.write(json.dumps(summary(tally)) + "\n")
    return 0


def in_words(tally: Tally) -> str:
    """Return what has happened so far, for people."""
    words = [f"{tally.up} of {tally.devices} devices are connected"]
    words += [f"{count} {state}" for state, count in sorted(tally.ends.items())]
    if tally.applied_ms:
        words.append(f"applied within {quantile(tally.applied_ms, 0.99):.0f} ms (p99)")
    if tally.up < tally.devices and tally.troubles:
        trouble = max(tally.troubles, key=lambda text: tally.troubles[text])
        words.append(f"last trouble: {trouble}")
    return ", ".join(words)


def summary(tally: Tally) -> dict[str, Any]:
    """Return what has happened, as JSON can hold it."""
    return {
        "devices": tally.devices,
        "up": tally.up,
        "ends": {str(state): count for state, count in tally.ends.items()},
        "applied_ms": _spread(tally.applied_ms),
        "went_back_ms": _spread(tally.went_back_ms),
    }


def _spread(values_ms: Sequence[float]) -> dict[str, float]:
    if not values_ms:
        return {}
    named = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(quantile(values_ms, share), 1) for name, share in named.items()}


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
