"""Whittaker's smoother: values that are near the data and have small differences, by one banded solve."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_banded, solveh_banded

from edge.domain.errors import PictureRejectedError

POINTS_MIN = 5


def smooth(
    values: NDArray[np.float64], *, smoothness: float, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Solve (W + λ DᵀD) z = W y with second differences D (Eilers, Anal. Chem. 75 (2003) 3631).

    Differences are those of neighbouring points, whatever lies between them on the axis.

    Args:
        values: (points,).
        smoothness: λ, more than 0.
        weights: (points,) 0 and more; None: all 1.

    Raises:
        PictureRejectedError: Fewer than five points, or weights that leave nothing to fit.
    """
    if values.size < POINTS_MIN:
        raise PictureRejectedError(f"{values.size} points, wanted {POINTS_MIN} or more")
    known = np.ones(values.size) if weights is None else weights
    upper = smoothness * _penalty(values.size)[:3]
    upper[2] += known
    try:
        smoothed: NDArray[np.float64] = solveh_banded(upper, known * values, check_finite=False)
    except np.linalg.LinAlgError as trouble:
        raise PictureRejectedError("no smooth curve through points without weight") from trouble
    return smoothed


def smooth_doubly(
    values: NDArray[np.float64], *, smoothness: float, weights: NDArray[np.float64], roughness: float
) -> NDArray[np.float64]:
    """Solve (W + D₁ᵀD₁ + λ (I − ηW) D₂ᵀD₂) z = W y: where there is no peak the curve may bend more.

    Xu, Liu, Cai, Shi, Zhou and Ren, Appl. Opt. 58 (2019) 3913, equation 11.

    Args:
        values: (points,).
        smoothness: λ.
        weights: (points,) 0 to 1.
        roughness: η, 0 to 1.
    """
    if values.size < POINTS_MIN:
        raise PictureRejectedError(f"{values.size} points, wanted {POINTS_MIN} or more")
    points = values.size
    banded = np.zeros((5, points))
    rows = smoothness * (1 - roughness * weights)
    penalty = _penalty(points)
    for diagonal in range(5):  # banded[d, j] is the entry in column j of row j + d − 2
        shift = diagonal - 2
        columns = np.arange(max(0, -shift), min(points, points - shift))
        banded[diagonal, columns] = penalty[diagonal, columns] * rows[columns + shift]
    banded[2] += weights
    banded[2, 1:-1] += 2.0
    banded[2, [0, -1]] += 1.0
    banded[1, 1:] -= 1.0
    banded[3, :-1] -= 1.0
    try:
        smoothed: NDArray[np.float64] = solve_banded((2, 2), banded, weights * values, check_finite=False)
    except np.linalg.LinAlgError as trouble:
        raise PictureRejectedError("no smooth curve through points without weight") from trouble
    return smoothed


@lru_cache(maxsize=4)
def _penalty(points: int) -> NDArray[np.float64]:
    """Return DᵀD of second differences, (5, points), as LAPACK lays out bands."""
    banded = np.zeros((5, points))
    for i, first in enumerate((1.0, -2.0, 1.0)):
        for j, second in enumerate((1.0, -2.0, 1.0)):
            banded[2 + i - j, j : points - 2 + j] += first * second
    banded.flags.writeable = False
    return banded
