"""Baselines: what lies under the peaks of a spectrum, by six published methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from edge.domain.errors import PictureRejectedError
from edge.domain.spectral import Spectrum
from edge.preprocess.whittaker import smooth, smooth_doubly

_NOTHING = 1e-12  # of the largest value: rounding

Method = Literal["arpls", "airpls", "als", "drpls", "rubberband", "polynomial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """How a baseline is found.

    Attributes:
        method: One of six.
        smoothness: λ of the penalized ones (arpls, airpls, als, drpls), 1 to 1e12: higher is stiffer.
        asymmetry: p of als, 0.0001 to 0.1: the weight of what lies above.
        ratio: When to end, 1e-6 to 0.1. arpls: weights change by less than this share. drpls: the curve
            changes by less than this share of the spectrum's standard deviation. airpls: what lies below is
            less than this share of the spectrum.
        roughness: η of drpls, 0 to 1.
        degree: Of the polynomial, 0 to 12.
        regions: Where there is no peak, in units of the axis: the polynomial is fitted there only. (): it is
            fitted everywhere, again and again, to the lower of spectrum and curve.
        iterations_max: 1 to 1000.
    """

    method: Method = "arpls"
    smoothness: float = 1e5
    asymmetry: float = 0.01
    ratio: float = 0.001
    roughness: float = 0.5
    degree: int = 3
    regions: tuple[tuple[float, float], ...] = ()
    iterations_max: int = 100


def baseline(spectrum: Spectrum, how: Baseline) -> NDArray[np.float64]:
    """Return (points,) what lies under the peaks; take it off to get them.

    Raises:
        PictureRejectedError: Too few points for the method.
    """
    match how.method:
        case "arpls":
            return arpls(spectrum.values, how)
        case "airpls":
            return airpls(spectrum.values, how)
        case "als":
            return als(spectrum.values, how)
        case "drpls":
            return drpls(spectrum.values, how)
        case "rubberband":
            return rubberband(spectrum.axis, spectrum.values)
        case "polynomial":
            return polynomial(spectrum.axis, spectrum.values, how)


def arpls(values: NDArray[np.float64], how: Baseline) -> NDArray[np.float64]:
    """Reweight by a logistic function of what lies above and below.

    Baek, Park, Ahn and Choo, Analyst 140 (2015) 250: w = 1 / (1 + exp(2 (d − (2σ − m)) / σ)), where m and σ
    are the mean and the standard deviation of the negative differences d = y − z.
    """
    weights = np.ones(values.size)
    size = float(np.abs(values).max())
    for _ in range(how.iterations_max):
        curve = smooth(values, smoothness=how.smoothness, weights=weights)
        away = values - curve
        mean, deviation = _below(away)
        if deviation <= _NOTHING * size:
            break
        new = expit(-2 * (away - (2 * deviation - mean)) / deviation)
        change = float(np.linalg.norm(weights - new) / np.linalg.norm(weights))
        weights = new
        if change < how.ratio:
            break
    return curve


def airpls(values: NDArray[np.float64], how: Baseline) -> NDArray[np.float64]:
    """Reweight what lies below by its distance, more in each round; what lies above counts nothing.

    Zhang, Chen and Liang, Analyst 135 (2010) 1138: w = exp(t |d| / ‖d₋‖₁) where d = y − z < 0, in round t.
    """
    weights = np.ones(values.size)
    size = float(np.abs(values).sum())
    for turn in range(1, how.iterations_max + 1):
        curve = smooth(values, smoothness=how.smoothness, weights=weights)
        away = values - curve
        is_below = away < 0
        total = float(np.abs(away[is_below]).sum())
        if total < how.ratio * size or not is_below.any():
            break
        exponent = np.minimum(turn * np.abs(away) / total, 50.0)
        weights = np.where(is_below, np.exp(exponent), 0.0)
        weights[[0, -1]] = float(np.exp(min(turn * np.abs(away[is_below]).min() / total, 50.0)))
    return curve


def als(values: NDArray[np.float64], how: Baseline) -> NDArray[np.float64]:
    """Weigh what lies above with p and what lies below with 1 − p (Eilers and Boelens, Leiden 2005)."""
    weights = np.ones(values.size)
    for _ in range(how.iterations_max):
        curve = smooth(values, smoothness=how.smoothness, weights=weights)
        new = np.where(values > curve, how.asymmetry, 1 - how.asymmetry)
        if np.array_equal(new, weights):
            break
        weights = new
    return curve


def drpls(values: NDArray[np.float64], how: Baseline) -> NDArray[np.float64]:
    """Reweight the data and the penalty.

    Xu, Liu, Cai, Shi, Zhou and Ren, Appl. Opt. 58 (2019) 3913: w = (1 − u / (1 + |u|)) / 2 with
    u = exp(t) (d − (2σ − m)) / σ in round t = 0, 1, …
    """
    weights = np.ones(values.size)
    curve = smooth_doubly(values, smoothness=how.smoothness, weights=weights, roughness=how.roughness)
    scatter, size = float(values.std()), float(np.abs(values).max())
    for turn in range(how.iterations_max):
        away = values - curve
        mean, deviation = _below(away)
        if deviation <= _NOTHING * size:
            break
        u = np.exp(min(turn, 100)) * (away - (2 * deviation - mean)) / deviation
        weights = 0.5 * (1 - u / (1 + np.abs(u)))
        before = curve
        curve = smooth_doubly(values, smoothness=how.smoothness, weights=weights, roughness=how.roughness)
        if float(np.linalg.norm(curve - before)) <= how.ratio * scatter:
            break
    return curve


def rubberband(axis: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stretch a band below the spectrum: the lower convex hull (Andrew, Inf. Process. Lett. 9 (1979) 216)."""
    hull: list[int] = []
    x, y = axis.tolist(), values.tolist()
    for point in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (x[b] - x[a]) * (y[point] - y[a]) > (y[b] - y[a]) * (x[point] - x[a]):
                break
            hull.pop()
        hull.append(point)
    return np.interp(axis, axis[hull], values[hull])


def polynomial(axis: NDArray[np.float64], values: NDArray[np.float64], how: Baseline) -> NDArray[np.float64]:
    """Fit a polynomial to regions without peaks, or to the lower of spectrum and curve, again and again.

    Lieber and Mahadevan-Jansen, Appl. Spectrosc. 57 (2003) 1363.

    Raises:
        PictureRejectedError: The regions hold too few points.
    """
    chosen = np.ones(axis.size, dtype=bool)
    if how.regions:
        chosen = np.any([(axis >= low) & (axis <= high) for low, high in how.regions], axis=0)
    if int(chosen.sum()) <= how.degree:
        raise PictureRejectedError(f"{int(chosen.sum())} points without peaks for degree {how.degree}")
    fit = np.polynomial.Polynomial.fit
    if how.regions:
        return np.asarray(fit(axis[chosen], values[chosen], how.degree)(axis), np.float64)
    lower = values
    for _ in range(how.iterations_max):
        curve = np.asarray(fit(axis, lower, how.degree)(axis), np.float64)
        new = np.minimum(lower, curve)
        if float(np.abs(new - lower).max()) <= how.ratio * float(np.ptp(values)):
            break
        lower = new
    return curve


def _below(away: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard deviation of what lies below."""
    below = away[away < 0]
    return (float(below.mean()), float(below.std())) if below.size else (0.0, 0.0)
