"""Baselines and peak fits through rampy, for sites that have it: an optional extra under the GPL.

This is rampy's only home. It takes seconds to import, so it is imported when it is first asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from edge.domain.errors import ConfigurationError
from edge.domain.spectral import Spectrum
from edge.preprocess.baseline import Baseline
from edge.preprocess.peak_shapes import Shape
from edge.preprocess.peaks import Fitted, Group

METHODS = {"arpls": "arPLS", "als": "als", "drpls": "drPLS", "rubberband": "rubberband", "polynomial": "poly"}
"""Our names of the methods that rampy has, and its own."""


def baseline(spectrum: Spectrum, how: Baseline) -> NDArray[np.float64]:
    """Do what `edge.preprocess.baseline.baseline` does.

    Raises:
        ConfigurationError: rampy is not installed or has no such method.
    """
    rampy = _rampy()
    if how.method not in METHODS or (how.method == "polynomial" and not how.regions):
        raise ConfigurationError(
            f"rampy has no baseline {how.method} as asked for, wanted {', '.join(METHODS)}"
        )
    options: dict[str, dict[str, object]] = {
        "arpls": {"lam": how.smoothness, "ratio": how.ratio},
        "als": {"lam": how.smoothness, "p": how.asymmetry, "niter": how.iterations_max},
        "drpls": {
            "lam": how.smoothness,
            "ratio": how.ratio,
            "eta": how.roughness,
            "niter": how.iterations_max,
        },
        "rubberband": {},
        "polynomial": {"polynomial_order": how.degree},
    }
    regions = np.array(how.regions or [(spectrum.axis[0], spectrum.axis[-1])], np.float64)
    regions = np.nextafter(regions, regions + np.array([-1.0, 1.0]))  # rampy's regions leave their ends out
    _, found = rampy.baseline(
        spectrum.axis.copy(),
        spectrum.values.copy(),
        roi=regions,
        method=METHODS[how.method],
        **options[how.method],
    )
    return np.asarray(found, np.float64).ravel()


def fit_group(group: Group, shape: Shape, evaluations_max: int) -> Fitted:
    """Do what `edge.preprocess.peaks.fit_own` does, with rampy's shapes and numerical slopes.

    Raises:
        ConfigurationError: rampy is not installed.
    """
    rampy = _rampy()
    free = 4 if shape == "pseudo-voigt" else 3
    peaks = len(group.guesses)

    def curve(axis: NDArray[np.float64], *flat: float) -> NDArray[np.float64]:
        total = np.zeros_like(axis)
        for height, position, width, *mixing in np.reshape(flat, (peaks, free)):
            if shape == "gauss":
                total += rampy.gaussian(axis, height, position, width / 2)
            elif shape == "lorentz":
                total += rampy.lorentzian(axis, height, position, width / 2)
            else:
                total += rampy.pseudovoigt(axis, height, position, width / 2, *mixing)
        return total

    low, high = group.low[:, :free].ravel(), group.high[:, :free].ravel()
    start = np.clip(group.guesses[:, :free].ravel(), low + 1e-9 * (high - low), high - 1e-9 * (high - low))
    try:
        found, covariance = curve_fit(
            curve,
            group.axis,
            group.values,
            p0=start,
            bounds=(low, high),
            x_scale="jac",
            max_nfev=evaluations_max,
        )
    except RuntimeError:  # it did not come to an end
        size = start.size
        return Fitted(
            parameters=_filled(start, shape), covariance=np.full((size, size), np.inf), has_converged=False
        )
    return Fitted(
        parameters=_filled(found, shape), covariance=np.asarray(covariance, np.float64), has_converged=True
    )


def _filled(flat: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    if shape == "pseudo-voigt":
        return flat.reshape(-1, 4)
    free = flat.reshape(-1, 3)
    return np.hstack([free, np.full((len(free), 1), 1.0 if shape == "lorentz" else 0.0)])


def _rampy() -> Any:
    try:
        import rampy
    except ImportError as trouble:
        raise ConfigurationError(
            "rampy is not installed, wanted for spectra: pip install edge[raman]"
        ) from trouble
    return rampy
