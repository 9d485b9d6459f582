"""How well nuclei are found, as the 2018 Data Science Bowl counts it."""

import numpy as np
from numpy.typing import NDArray
from shapes import Things

IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


def overlaps(found: Things, wanted: Things) -> NDArray[np.float64]:
    """Intersection over union of every pair: (found, wanted)."""
    _, found_at = np.unique(np.append(0, found.ravel()), return_inverse=True)
    _, wanted_at = np.unique(np.append(0, wanted.ravel()), return_inverse=True)
    shape = int(found_at.max()) + 1, int(wanted_at.max()) + 1
    both = np.zeros(shape)
    np.add.at(both, (found_at[1:], wanted_at[1:]), 1)
    areas_found, areas_wanted = both.sum(1), both.sum(0)
    union = areas_found[1:, None] + areas_wanted[None, 1:] - both[1:, 1:]
    return both[1:, 1:] / np.maximum(union, 1)


def hits(iou: NDArray[np.float64], least: float) -> tuple[int, int, int]:
    """Right ones, ones too many and missed ones: above one half every pair is the only one."""
    right = int((iou > least).any(axis=1).sum()) if iou.size else 0
    return right, iou.shape[0] - right, iou.shape[1] - right


def precision(iou: NDArray[np.float64], least: float) -> float:
    """Right ones over right, too many and missed: what the Bowl calls precision at a threshold."""
    right, extra, missed = hits(iou, least)
    total = right + extra + missed
    return right / total if total else 1.0


def mean_precision(iou: NDArray[np.float64]) -> float:
    """The Bowl's score of one picture: the mean over thresholds from 0.5 to 0.95."""
    return float(np.mean([precision(iou, least) for least in IOUS]))


def f1(counts: list[tuple[int, int, int]]) -> float:
    """F1 over the nuclei of all pictures together."""
    right, extra, missed = np.sum(counts, axis=0)
    return float(2 * right / max(2 * right + extra + missed, 1))
