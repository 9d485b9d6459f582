"""Bands of a cube: chosen by wavelength, named where they are near infrared, resampled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import PictureRejectedError
from edge.domain.spectral import NEAR_INFRARED_NM, Cube
from edge.preprocess.cube_pixels import blocks

_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
_REACH_SIGMA = 4.0


def select(cube: Cube, *, low_nm: float, high_nm: float) -> Cube:
    """Keep the bands from `low_nm` to `high_nm`.

    Raises:
        PictureRejectedError: There is none.
    """
    axis = cube.wavelengths_nm
    kept = np.flatnonzero((axis >= low_nm) & (axis <= high_nm))
    if kept.size == 0:
        raise PictureRejectedError(
            f"a cube from {axis[0]:g} to {axis[-1]:g} nm has no band from {low_nm:g} to {high_nm:g} nm"
        )
    part = slice(int(kept[0]), int(kept[-1]) + 1)
    return Cube(
        values=cube.values[..., part],
        wavelengths_nm=axis[part],
        unit=cube.unit,
        calibration=cube.calibration,
        notes=cube.notes,
    )


def near_infrared(cube: Cube) -> Cube:
    """Keep the bands that are near infrared in this house: `NEAR_INFRARED_NM`.

    Raises:
        PictureRejectedError: There is none.
    """
    low, high = NEAR_INFRARED_NM
    return select(cube, low_nm=low, high_nm=high)


def is_near_infrared(wavelengths_nm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which bands are near infrared in this house: 700 to 900 nm, both ends included."""
    low, high = NEAR_INFRARED_NM
    return (wavelengths_nm >= low) & (wavelengths_nm <= high)


def resample(cube: Cube, *, wavelengths_nm: NDArray[np.float64], fwhm_nm: float | None = None) -> Cube:
    """Give a cube at other wavelengths.

    Args:
        cube: Any.
        wavelengths_nm: (wanted,) strictly increasing.
        fwhm_nm: Width of the wanted bands: each becomes a mean weighted by a Gaussian of this full width at
            half maximum, bands weighted by the range that each stands for. None: linear between neighbours.

    Returns:
        The cube there, (height, width, wanted).

    Raises:
        PictureRejectedError: A wanted wavelength lies outside the cube, or has no band near it.
    """
    axis, wanted = cube.wavelengths_nm, np.asarray(wavelengths_nm, np.float64)
    if not (axis[0] <= wanted.min() and wanted.max() <= axis[-1]):
        raise PictureRejectedError(
            f"a cube from {axis[0]:g} to {axis[-1]:g} nm, wanted {wanted.min():g} to {wanted.max():g} nm"
        )
    weights = _linear(axis, wanted) if fwhm_nm is None else _gaussian(axis, wanted, fwhm_nm)
    how = "linearly" if fwhm_nm is None else f"with a width of {fwhm_nm:g} nm"
    return Cube(
        values=_weighted(cube.values, weights),
        wavelengths_nm=wanted.copy(),
        unit=cube.unit,
        calibration=cube.calibration,
        notes=(*cube.notes, f"{axis.size} bands resampled to {wanted.size} {how}"),
    )


def _weighted(values: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Multiply spectra with (bands, wanted); a missing value counts only where it has a weight."""
    used = np.flatnonzero(weights.any(axis=1))
    few = weights[used].astype(np.float32)
    out = np.empty((*values.shape[:2], weights.shape[1]), np.float32)
    for lines in blocks(*values.shape[:2]):
        some = values[lines] if used.size == values.shape[2] else values[lines][..., used]
        rows = some.reshape(-1, used.size)
        means = rows @ few
        if not np.isfinite(means).all():
            is_missing = ~np.isfinite(rows)
            means = np.where(is_missing, np.float32(0), rows) @ few
            means[(is_missing.astype(np.float32) @ (few != 0).astype(np.float32)) > 0] = np.nan
        out[lines] = means.reshape(*some.shape[:2], -1)
    return out


def _linear(axis: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.zeros((axis.size, wanted.size))
    right = np.clip(np.searchsorted(axis, wanted), 1, max(axis.size - 1, 1))
    if axis.size == 1:
        return np.ones((1, wanted.size))
    left = right - 1
    share = (wanted - axis[left]) / (axis[right] - axis[left])
    columns = np.arange(wanted.size)
    weights[left, columns] = 1 - share
    weights[right, columns] += share
    return weights


def _gaussian(axis: NDArray[np.float64], wanted: NDArray[np.float64], fwhm_nm: float) -> NDArray[np.float64]:
    sigma = fwhm_nm / _FWHM_PER_SIGMA
    away = (axis[:, None] - wanted[None, :]) / sigma
    stands_for = np.gradient(axis)[:, None] if axis.size > 1 else np.ones((1, 1))
    weights = np.where(np.abs(away) <= _REACH_SIGMA, np.exp(-0.5 * away**2), 0.0) * stands_for
    total = weights.sum(axis=0)
    lonely = np.flatnonzero(np.abs(away).min(axis=0) > _FWHM_PER_SIGMA / 2)
    if lonely.size:
        raise PictureRejectedError(
            f"no band within {fwhm_nm / 2:g} nm of {wanted[lonely[0]]:g} nm, wanted one in half the width"
        )
    return np.asarray(weights / total, np.float64)
