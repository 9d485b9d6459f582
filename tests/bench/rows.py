"""One line of the comparison: us beside the peer, measured in one run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A comparison.

    Attributes:
        name: What was measured, and beside whom.
        ours: Our figure.
        peer: The peer's.
        unit: Of both: `obj/s`, `ms` …
        ratio: How many times better we are; above 1 we win.
    """

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
