"""SAM: the angle between each pixel's spectrum and the spectra that are looked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.preprocess.cube_pixels import blocks


def spectral_angles(values: NDArray[np.float32], references: NDArray[np.float64]) -> NDArray[np.float32]:
    """Measure angles, which brightness does not change (Kruse et al., Remote Sens. Environ. 44 (1993) 145).

    Args:
        values: (height, width, bands).
        references: (classes, bands), none of them all zero.

    Returns:
        (height, width, classes) float32, radians from 0 to π; NaN where a pixel is not whole or all zero.
    """
    sizes = np.sqrt((references**2).sum(axis=1, keepdims=True))
    assert (sizes > 0).all(), "a reference spectrum that is all zero"
    units = (references / sizes).T.astype(np.float32)
    angles = np.empty((*values.shape[:2], references.shape[0]), np.float32)
    for lines in blocks(*values.shape[:2]):
        some = values[lines]
        norms = np.sqrt(np.einsum("ijk,ijk->ij", some, some, dtype=np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            cosines = (some @ units) / norms[..., None]
        angles[lines] = np.arccos(np.clip(cosines, -1, 1))
    return angles


def classes_of(angles: NDArray[np.float32], *, angle_max: float) -> NDArray[np.int16]:
    """Give each pixel the class of its smallest angle.

    Args:
        angles: (height, width, classes) radians.
        angle_max: Above this a pixel is of no class.

    Returns:
        (height, width) int16: the class, −1 for none, −2 where nothing could be measured.
    """
    is_measured = np.all(np.isfinite(angles), axis=-1)
    best = np.where(np.isnan(angles), np.inf, angles).argmin(axis=-1)
    smallest = np.take_along_axis(angles, best[..., None], axis=-1)[..., 0]
    near = np.where(smallest <= angle_max, best, -1)
    return np.where(is_measured, near, -2).astype(np.int16)
