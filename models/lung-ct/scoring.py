"""How well marked nodules match drawn ones: by size, with the price in false marks."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TOUCHING = np.ones((3, 3, 3), np.uint8)
SIZES_MM = ((3.0, 4.0), (4.0, 6.0), (6.0, 8.0), (8.0, 15.0), (15.0, 40.0))
PER_SCAN = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A nodule that is there: its diameter, its place, and the voxels it fills."""

    diameter_mm: float
    place: tuple[int, int, int]
    voxels: NDArray[np.int64]  # (n, 3)


@dataclass(slots=True)
class Tally:
    """What was found over some scans."""

    scans: int = 0
    false_marks: list[float] = field(default_factory=list)  # the score of each
    nodules: list[tuple[float, float]] = field(default_factory=list)  # diameter, score; -1 where missed
    errors_mm: list[tuple[float, float]] = field(default_factory=list)  # diameter, marked minus drawn

    def add(self, more: "Tally") -> None:
        """Add what was found over other scans."""
        self.scans += more.scans
        self.false_marks += more.false_marks
        self.nodules += more.nodules
        self.errors_mm += more.errors_mm


def count(
    tally: Tally, marked: Mask, score: NDArray[np.float32] | None, drawn: Sequence[Drawn], voxel_mm: float
) -> None:
    """Add a scan: a nodule is found by a piece that shares a voxel with it, or with its middle's neighbours.

    Args:
        tally: Is added to.
        marked: (x, y, z), what the network calls a nodule.
        score: (x, y, z), a piece is worth the highest in it; None: all are worth 1.
        drawn: What is there.
        voxel_mm: Edge of a voxel.
    """
    pieces, pieces_count = ndimage.label(marked, structure=TOUCHING)
    numbers = np.arange(1, pieces_count + 1)
    worth = np.ones(pieces_count) if score is None else np.asarray(ndimage.maximum(score, pieces, numbers))
    voxels = np.bincount(pieces.ravel(), minlength=pieces_count + 1)
    belongs = np.zeros(pieces_count + 1, bool)
    tally.scans += 1
    for nodule in drawn:
        x, y, z = (slice(max(0, p - 1), p + 2) for p in nodule.place)
        touched = np.concatenate([pieces[tuple(nodule.voxels.T)], pieces[x, y, z].ravel()])
        hits = np.unique(touched[touched > 0])
        belongs[hits] = True
        tally.nodules.append((nodule.diameter_mm, float(worth[hits - 1].max()) if len(hits) else -1.0))
        if len(hits) == 1:
            seen_mm = (6 * voxels[hits[0]] * voxel_mm**3 / math.pi) ** (1 / 3)
            tally.errors_mm.append((nodule.diameter_mm, seen_mm - nodule.diameter_mm))
    tally.false_marks += [float(worth[n - 1]) for n in numbers if not belongs[n]]


def curve(tally: Tally, per_scan: Iterable[float] = PER_SCAN) -> list[tuple[float, float, float]]:
    """False marks per scan, the score that leaves so many, and the share of nodules found at it."""
    falls = sorted(tally.false_marks, reverse=True)
    points = []
    for rate in per_scan:
        allowed = int(rate * tally.scans)
        bar = falls[allowed] if allowed < len(falls) else 0.0
        found = sum(score > bar for _, score in tally.nodules)
        points.append((rate, bar, found / max(1, len(tally.nodules))))
    return points


def by_size(tally: Tally, bar: float = 0.0) -> list[str]:
    """One line for each size: how many were found, and how well their diameters were measured."""
    lines = []
    for low, high in SIZES_MM:
        scores = [score for diameter, score in tally.nodules if low <= diameter < high]
        errors = np.array([error for diameter, error in tally.errors_mm if low <= diameter < high])
        if not scores:
            continue
        found = sum(score > bar for score in scores)
        measured = f"{errors.mean():+.2f} ± {errors.std():.2f} mm" if len(errors) else "-"
        lines.append(
            f"{low:g} to {high:g} mm | {found} of {len(scores)} = {found / len(scores):.3f} | {measured}"
        )
    return lines
