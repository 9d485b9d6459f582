"""Indices: one number a pixel out of two wavelengths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import PictureRejectedError
from edge.domain.spectral import Cube


def normalised_difference(
    cube: Cube, *, first_nm: float, second_nm: float, width_nm: float
) -> NDArray[np.float32]:
    """Return (a − b) / (a + b), −1 to 1 for reflectance.

    Args:
        cube: Any.
        first_nm: Where a is measured.
        second_nm: Where b is measured.
        width_nm: Bands within half of this of a wavelength are averaged; at least the nearest one within it.

    Returns:
        (height, width) float32; NaN where the sum is not positive.

    Raises:
        PictureRejectedError: The cube has no band there.
    """
    first, second = (_plane(cube, nm, width_nm) for nm in (first_nm, second_nm))
    total = first + second
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, (first - second) / total, np.float32(np.nan)).astype(np.float32)


def ratio(cube: Cube, *, first_nm: float, second_nm: float, width_nm: float) -> NDArray[np.float32]:
    """Return a / b; NaN where b is not positive; arguments as for `normalised_difference`."""
    first, second = (_plane(cube, nm, width_nm) for nm in (first_nm, second_nm))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(second > 0, first / second, np.float32(np.nan)).astype(np.float32)


def _plane(cube: Cube, at_nm: float, width_nm: float) -> NDArray[np.float32]:
    away = np.abs(cube.wavelengths_nm - at_nm)
    near = np.flatnonzero(away <= width_nm / 2)
    if near.size == 0 and away.min() <= width_nm:
        near = np.array([int(away.argmin())])
    if near.size == 0:
        raise PictureRejectedError(f"no band within {width_nm:g} nm of {at_nm:g} nm, wanted one")
    plane: NDArray[np.float32] = cube.values[..., near[0] : near[-1] + 1].mean(axis=-1, dtype=np.float32)
    return plane
