"""One window of answers of one source: sums and counts while it fills, and what they say when it is full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.inference.drift_measures import Array, distance, shares_of, stability_index
from edge.inference.drift_reference import Reference
from edge.kit.moments import told

TOLD_MAX: Final = 4  # so many numbers are named in an alert


@dataclass(slots=True)
class Window:
    """Answers so far.

    Attributes:
        answers: How many.
        began_ns: UTC of the first, 0 where there is none.
        last_ns: UTC of the last.
        sums: (numbers,).
        counts: (numbers, bins).
    """

    answers: int
    began_ns: int
    last_ns: int
    sums: Array
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, reference: Reference) -> Window:
        """Return one without answers."""
        return cls(0, 0, 0, np.zeros(len(reference.names)), np.zeros(reference.shares.shape, np.int64))

    def add(self, vector: Array, places: NDArray[np.int64], *, at_ns: int) -> None:
        """Count one answer.

        Args:
            vector: (numbers,).
            places: (numbers,) the bin of each.
            at_ns: UTC.
        """
        self.counts[np.arange(len(places)), places] += 1
        self.sums += vector
        self.began_ns = self.began_ns or at_ns
        self.last_ns = at_ns
        self.answers += 1

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "answers": self.answers,
            "began_ns": self.began_ns,
            "last_ns": self.last_ns,
            "sums": self.sums.tolist(),
            "counts": self.counts.tolist(),
        }

    @classmethod
    def of_json(cls, document: Mapping[str, Any], reference: Reference) -> Window:
        """Read it again.

        Raises:
            ValueError: It does not fit the reference.
            KeyError: Something is missing.
            TypeError: Something is of another type.
        """
        sums = np.array(document["sums"], np.float64)
        counts = np.array(document["counts"], np.int64)
        answers = int(document["answers"])
        if sums.shape != reference.mean.shape or counts.shape != reference.shares.shape:
            raise ValueError("a window of another form")
        if not np.isfinite(sums).all() or not 0 <= answers < reference.window or counts.min() < 0:
            raise ValueError("a window that cannot be")
        if (counts.sum(axis=1) != answers).any():
            raise ValueError("a window whose counts do not add up")
        return cls(answers, int(document["began_ns"]), int(document["last_ns"]), sums, counts)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a full window says.

    Attributes:
        answers: How many it had.
        began_ns: UTC of the first.
        last_ns: UTC of the last.
        mean: (numbers,).
        index: (numbers,) population stability index.
        distance: Mahalanobis, of the mean.
        moved_since_ns: UTC of the first answer of the first window in a row that has drifted; 0: it has not.
    """

    answers: int
    began_ns: int
    last_ns: int
    mean: Array
    index: Array
    distance: float
    moved_since_ns: int

    @property
    def since(self) -> str:
        """Since when, for people."""
        return _at(self.moved_since_ns)

    def moved(self, reference: Reference) -> list[int]:
        """Return which numbers moved, the farthest first; where only all together did, the farthest ones."""
        over = self.index / reference.index_max
        moved = [int(one) for one in np.argsort(-over) if over[one] > 1]
        away = np.abs(self.mean - reference.mean) / reference.deviation
        return moved or [int(one) for one in np.argsort(-away)[:TOLD_MAX]]

    def told(self, reference: Reference) -> str:
        """Say what moved, from what to what."""
        moved = self.moved(reference)
        parts = [
            f"{reference.names[one]} {_short(reference.mean[one])} → {_short(self.mean[one])} "
            f"(PSI {self.index[one]:.2f}, limit {reference.index_max[one]:.2f})"
            for one in moved[:TOLD_MAX]
        ]
        more = f" and {len(moved) - TOLD_MAX} more" if len(moved) > TOLD_MAX else ""
        away = f"distance {self.distance:.2f}, limit {reference.distance_max:.2f}"
        return f"{', '.join(parts)}{more}; {away}; {self.answers} answers until {_at(self.last_ns)}"

    def about(self, reference: Reference) -> dict[str, Any]:
        """Return it for a reader, as JSON holds it."""
        return {
            "answers": self.answers,
            "from": _at(self.began_ns),
            "until": _at(self.last_ns),
            "since": self.since if self.moved_since_ns else None,
            "distance": round(self.distance, 3),
            "distance_limit": round(reference.distance_max, 3),
            "moved": [reference.names[one] for one in self.moved(reference)] if self.moved_since_ns else [],
            "psi": dict(zip(reference.names, np.round(self.index, 3).tolist(), strict=True)),
            "psi_limit": dict(zip(reference.names, np.round(reference.index_max, 3).tolist(), strict=True)),
            "mean": dict(zip(reference.names, map(_rounded, self.mean), strict=True)),
            "mean_then": dict(zip(reference.names, map(_rounded, reference.mean), strict=True)),
        }

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "answers": self.answers,
            "began_ns": self.began_ns,
            "last_ns": self.last_ns,
            "mean": self.mean.tolist(),
            "index": self.index.tolist(),
            "distance": self.distance,
            "moved_since_ns": self.moved_since_ns,
        }

    @classmethod
    def of_json(cls, document: Mapping[str, Any], reference: Reference) -> Judged:
        """Read it again.

        Raises:
            ValueError: It does not fit the reference.
            KeyError: Something is missing.
            TypeError: Something is of another type.
        """
        mean, index = (np.array(document[name], np.float64) for name in ("mean", "index"))
        whole = {name: int(document[name]) for name in ("answers", "began_ns", "last_ns", "moved_since_ns")}
        judged = cls(mean=mean, index=index, distance=float(document["distance"]), **whole)
        numbers = np.concatenate([mean, index, [judged.distance]])
        if mean.shape != reference.mean.shape or index.shape != mean.shape or not np.isfinite(numbers).all():
            raise ValueError("a judgement of another form")
        return judged


def judge(window: Window, reference: Reference, *, moved_since_ns: int) -> Judged:
    """Judge a full window.

    Args:
        window: With at least one answer.
        reference: What it is held against.
        moved_since_ns: UTC since when the windows before it had drifted without a break; 0 where the last
            one had not.
    """
    mean = window.sums / window.answers
    index = stability_index(shares_of(window.counts, reference.bins), reference.shares)
    off = distance(mean, reference=reference.mean, precision=reference.precision)
    has_moved = off > reference.distance_max or bool((index > reference.index_max).any())
    since_ns = (moved_since_ns or window.began_ns) if has_moved else 0
    return Judged(window.answers, window.began_ns, window.last_ns, mean, index, off, since_ns)


def _at(utc_ns: int) -> str:
    return told(utc_ns, to="seconds")


def _short(number: float) -> str:
    return f"{number:.4g}"


def _rounded(number: float) -> float:
    return float(f"{number:.5g}")
