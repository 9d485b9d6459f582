"""Shapes of peaks: Gauss, Lorentz and the mixture of both, with their slopes and areas.

The pseudo-Voigt is h (η L + (1 − η) G) with one width for both (Wertheim, Butler, West and Buchanan, Rev.
Sci. Instrum. 45 (1974) 1369); Gauss and Lorentz are its ends, η = 0 and η = 1.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = Literal["gauss", "lorentz", "pseudo-voigt"]
_FOUR_LN2 = 4 * math.log(2)
_GAUSS_AREA = math.sqrt(math.pi / _FOUR_LN2)
_LORENTZ_AREA = math.pi / 2


def parameters_of(flat: NDArray[np.float64], shape: Shape, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (peaks, 4) height, position, width, mixing out of the free parameters of a fit."""
    free = flat.reshape(-1, scale.size) * scale
    if shape == "pseudo-voigt":
        return free
    mixing = np.full((free.shape[0], 1), 1.0 if shape == "lorentz" else 0.0)
    return np.hstack([free, mixing])


def curve(axis: NDArray[np.float64], parameters: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    """Return (points,) the sum of the peaks; parameters (peaks, 4) height, position, width, mixing."""
    height, _, _, mixing = parameters.T
    gauss, lorentz, _ = _unit_shapes(axis, parameters, shape)
    total: NDArray[np.float64] = lorentz @ (height * mixing) + gauss @ (height * (1 - mixing))
    return total


def jacobian(axis: NDArray[np.float64], parameters: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    """Return (points, free): the slope of the curve for each free parameter, peak by peak."""
    height, _, width, mixing = parameters.T
    gauss, lorentz, away = _unit_shapes(axis, parameters, shape)
    mixed = mixing * lorentz + (1 - mixing) * gauss
    # d/dx of exp(−4 ln2 u²) and 1 / (1 + 4 u²), u = (x − x₀) / w
    steep = height * ((1 - mixing) * gauss * 2 * _FOUR_LN2 + mixing * lorentz**2 * 8) * away / width
    columns = [mixed, steep, steep * away]
    if shape == "pseudo-voigt":
        columns.append(height * (lorentz - gauss))
    return np.stack(columns, axis=2).reshape(axis.size, -1)


def area_of(height: float, width: float, mixing: float) -> float:
    """Return the area under a peak."""
    return height * width * (mixing * _LORENTZ_AREA + (1 - mixing) * _GAUSS_AREA)


def areas_gradient(height: float, width: float, mixing: float) -> NDArray[np.float64]:
    """Return (4,) how the area changes with height, position, width, mixing."""
    unit = mixing * _LORENTZ_AREA + (1 - mixing) * _GAUSS_AREA
    return np.array([width * unit, 0.0, height * unit, height * width * (_LORENTZ_AREA - _GAUSS_AREA)])


def _unit_shapes(
    axis: NDArray[np.float64], parameters: NDArray[np.float64], shape: Shape
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return (points, peaks) each: Gauss and Lorentz of height 1, and the distance in widths."""
    away = (axis[:, None] - parameters[:, 1]) / parameters[:, 2]
    squared = away**2
    gauss = np.zeros_like(away) if shape == "lorentz" else np.exp(-_FOUR_LN2 * np.minimum(squared, 250.0))
    lorentz = np.zeros_like(away) if shape == "gauss" else 1 / (1 + 4 * squared)
    return gauss, lorentz, away
