"""The pixels of a cube as rows: only whole ones, some at a time, with their mean and covariance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import PictureRejectedError

PIXELS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statistics:
    """What pixels have in common.

    Attributes:
        mean: (bands,) float64.
        covariance: (bands, bands) float64, with n − 1.
        pixels: How many were counted.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    pixels: int


def is_whole(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return (height, width): which pixels have a number in every band."""
    # A sum is NaN or infinite where a part is: one pass, no array as large as the cube.
    with np.errstate(over="ignore", invalid="ignore"):
        whole: NDArray[np.bool_] = np.isfinite(values.sum(axis=-1, dtype=np.float64))
    return whole


def statistics(
    values: NDArray[np.float32], chosen: NDArray[np.bool_], *, per_band: float = 1.0
) -> Statistics:
    """Count mean and covariance of chosen pixels, in float64, some pixels at a time.

    Args:
        values: (height, width, bands).
        chosen: (height, width), whole pixels only.
        per_band: At least so many pixels are wanted for each band.

    Raises:
        PictureRejectedError: There are fewer.
    """
    bands = values.shape[-1]
    pixels = int(np.count_nonzero(chosen))
    if pixels < max(2.0, per_band * bands):
        raise PictureRejectedError(
            f"{pixels} whole pixels for {bands} bands, wanted at least {max(2.0, per_band * bands):.0f}"
        )
    # One pass: sums of what is left when a first guess of the mean is taken off, so that nothing cancels.
    guess = next(rows_of(values, chosen)).mean(axis=0, dtype=np.float64)
    total, squares = np.zeros(bands), np.zeros((bands, bands))
    for rows in rows_of(values, chosen):
        centred = rows - guess
        total += centred.sum(axis=0)
        squares += centred.T @ centred
    off = total / pixels
    covariance = (squares - pixels * np.outer(off, off)) / (pixels - 1)
    return Statistics(mean=guess + off, covariance=covariance, pixels=pixels)


def rows_of(values: NDArray[np.float32], chosen: NDArray[np.bool_]) -> Iterator[NDArray[np.float32]]:
    """Yield (some, bands) of chosen pixels, in order."""
    for lines in blocks(values.shape[0], values.shape[1]):
        some = chosen[lines]
        rows = values[lines].reshape(-1, values.shape[-1]) if some.all() else values[lines][some]
        if rows.size:
            yield rows


def blocks(height: int, width: int) -> Iterator[slice]:
    """Yield slices of lines that hold about `PIXELS_AT_ONCE` pixels each."""
    step = max(1, PIXELS_AT_ONCE // max(width, 1))
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))
