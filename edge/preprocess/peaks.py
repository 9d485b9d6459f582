"""Peaks of a spectrum: found by how far they stand out, fitted with their uncertainties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from edge.domain.spectral import Spectrum
from edge.preprocess.peak_shapes import Shape, area_of, areas_gradient, curve, jacobian, parameters_of
from edge.preprocess.spectrum import noise

GROUP_PEAKS_MAX = 8
_WINDOW_WIDTHS = 1.5  # what is fitted around a peak, in widths to either side
_NEAR_WIDTHS = 2.0  # peaks nearer than this are fitted together
_HEIGHT_REACH = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakRules:
    """What counts as a peak, and how it is fitted.

    Attributes:
        shape: `gauss`, `lorentz`, or `pseudo-voigt`: a mixture of both, for lines of unknown shape.
        prominence_sigmas: How far a peak must stand out, in standard deviations of the noise, 4 to 1000.
            Noise alone stands out by six to seven, from its lowest to its highest point.
        prominence_share: And as a share of the highest one, 0 to 1: real spectra have more ups and downs than
            white noise explains.
        width_min: Full width at half maximum, in units of the axis.
        width_max: Likewise; what is wider is background.
        peaks_max: The most prominent ones are kept, 1 to 100.
        evaluations_max: Of the model in one fit, 10 to 10 000.
    """

    shape: Shape = "pseudo-voigt"
    prominence_sigmas: float = 8.0
    prominence_share: float = 0.02
    width_min: float = 2.0
    width_max: float = 200.0
    peaks_max: int = 30
    evaluations_max: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """One fitted peak. Uncertainties are standard ones, from the covariance of the fit; white noise is meant.

    Attributes:
        position: In units of the axis.
        height: Above the baseline.
        width: Full width at half maximum, in units of the axis.
        area: Height times axis.
        mixing: 0 Gaussian, 1 Lorentzian.
        position_uncertainty: And so on; infinite where the fit says nothing about it.
        is_at_limit: A parameter ended at the limit it was given: the peak is not of this shape.
        has_converged: Whether the fit came to an end within its evaluations.
    """

    position: float
    height: float
    width: float
    area: float
    mixing: float
    position_uncertainty: float
    height_uncertainty: float
    width_uncertainty: float
    area_uncertainty: float
    is_at_limit: bool
    has_converged: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Peaks so near each other that they are fitted together.

    Attributes:
        axis: (points,) of the window.
        values: (points,) there.
        guesses: (peaks, 4): height, position, width, mixing.
        low: (peaks, 4) the lowest each may become.
        high: (peaks, 4) the highest.
    """

    axis: NDArray[np.float64]
    values: NDArray[np.float64]
    guesses: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """What a fit of a group gave.

    Attributes:
        parameters: (peaks, 4): height, position, width, mixing.
        covariance: (free, free) of the free parameters, peak by peak; infinite where it cannot be told.
        has_converged: Whether it came to an end.
    """

    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    has_converged: bool


FitsGroup = Callable[[Group, Shape, int], Fitted]


def find(values: NDArray[np.float64], axis: NDArray[np.float64], rules: PeakRules) -> NDArray[np.intp]:
    """Return where peaks are, from low to high axis; the most prominent ones where there are too many.

    Args:
        values: (points,) without their baseline.
        axis: (points,).
        rules: What counts as a peak.
    """
    from scipy.signal import find_peaks  # takes long, and few need it

    floor = max(rules.prominence_sigmas * noise(values), rules.prominence_share * float(values.max()))
    if not floor > 0:
        return np.array([], dtype=np.intp)
    step = float(np.median(np.diff(axis)))
    width_points = (
        rules.width_min / step / 2,
        rules.width_max / step * 2,
    )  # a coarse sieve; the fit is finer
    places, about = find_peaks(values, prominence=floor, width=width_points, rel_height=0.5)
    is_above = values[places] > 0
    places, prominences = places[is_above], about["prominences"][is_above]
    if places.size > rules.peaks_max:
        places = places[np.argsort(prominences)[::-1][: rules.peaks_max]]
    return np.sort(places).astype(np.intp)


def fit(spectrum: Spectrum, rules: PeakRules, *, fit_group: FitsGroup | None = None) -> tuple[Peak, ...]:
    """Find and fit the peaks of a spectrum that has no baseline any more.

    Args:
        spectrum: Without its baseline.
        rules: What counts as a peak, and its shape.
        fit_group: What fits peaks that lie together; None: our own.

    Returns:
        Peaks by their position.
    """
    places = find(spectrum.values, spectrum.axis, rules)
    one = fit_own if fit_group is None else fit_group
    peaks: list[Peak] = []
    for group in _groups(spectrum, places, rules):
        peaks += _peaks(group, one(group, rules.shape, rules.evaluations_max), rules.shape)
    return tuple(sorted(peaks, key=lambda peak: peak.position))


def fit_own(group: Group, shape: Shape, evaluations_max: int) -> Fitted:
    """Fit by least squares with limits (Branch, Coleman and Li, SIAM J. Sci. Comput. 21 (1999) 1).

    The covariance is s² (JᵀJ)⁻¹ with s² from the residuals, as for white noise.
    """
    free = 4 if shape == "pseudo-voigt" else 3
    scale = np.array([max(float(np.abs(group.values).max()), 1e-300), 1.0, 1.0, 1.0])[:free]

    def residuals(flat: NDArray[np.float64]) -> NDArray[np.float64]:
        away = curve(group.axis, parameters_of(flat, shape, scale), shape) - group.values
        return np.asarray(away / scale[0], np.float64)

    def slopes(flat: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = jacobian(group.axis, parameters_of(flat, shape, scale), shape)
        return np.asarray(columns * np.tile(scale, len(group.guesses)) / scale[0], np.float64)

    start, low, high = (np.ravel(each[:, :free] / scale) for each in (group.guesses, group.low, group.high))
    found = least_squares(
        residuals,
        np.clip(start, low + 1e-9 * (high - low), high - 1e-9 * (high - low)),
        jac=slopes,
        bounds=(low, high),
        x_scale="jac",
        max_nfev=evaluations_max,
    )
    covariance = _covariance(np.asarray(found.jac, np.float64), float(2 * found.cost)) * np.outer(
        *(2 * [np.tile(scale, len(group.guesses))])
    )
    return Fitted(
        parameters=parameters_of(found.x, shape, scale), covariance=covariance, has_converged=found.status > 0
    )


def _covariance(slopes: NDArray[np.float64], squares: float) -> NDArray[np.float64]:
    points, free = slopes.shape
    _, sizes, rows = np.linalg.svd(slopes, full_matrices=False)
    if points <= free or sizes[-1] <= np.finfo(float).eps * points * sizes[0]:
        return np.full((free, free), np.inf)
    scaled = rows / sizes[:, None]
    return np.asarray(scaled.T @ scaled * squares / (points - free), np.float64)


def _groups(spectrum: Spectrum, places: NDArray[np.intp], rules: PeakRules) -> list[Group]:
    """Put peaks that overlap together, with what is around them."""
    if places.size == 0:
        return []
    from scipy.signal import peak_widths  # takes long, and few need it

    axis, values = spectrum.axis, spectrum.values
    in_points = peak_widths(values, places, rel_height=0.5)[0]
    widths = np.clip(in_points * np.gradient(axis)[places], rules.width_min, rules.width_max)
    runs = [[0]]
    for number in range(1, places.size):
        gap = axis[places[number]] - axis[places[number - 1]]
        is_near = gap < _NEAR_WIDTHS * max(widths[number], widths[number - 1])
        if is_near and len(runs[-1]) < GROUP_PEAKS_MAX:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [_group(axis, values, places[run], widths[run], rules) for run in runs]


def _group(
    axis: NDArray[np.float64],
    values: NDArray[np.float64],
    places: NDArray[np.intp],
    widths: NDArray[np.float64],
    rules: PeakRules,
) -> Group:
    at, heights = axis[places], values[places]
    left = float((at - _WINDOW_WIDTHS * widths).min())
    right = float((at + _WINDOW_WIDTHS * widths).max())
    window = slice(int(np.searchsorted(axis, left)), int(np.searchsorted(axis, right, side="right")))
    count = places.size
    mixing = np.full(count, 0.5)
    return Group(
        axis=axis[window],
        values=values[window],
        guesses=np.column_stack([heights, at, widths, mixing]),
        low=np.column_stack(
            [np.zeros(count), at - widths, np.full(count, rules.width_min / 2), np.zeros(count)]
        ),
        high=np.column_stack(
            [_HEIGHT_REACH * heights, at + widths, np.full(count, rules.width_max * 2), np.ones(count)]
        ),
    )


def _peaks(group: Group, fitted: Fitted, shape: Shape) -> Sequence[Peak]:
    free = 4 if shape == "pseudo-voigt" else 3
    span = group.high - group.low
    near_low = (fitted.parameters - group.low)[:, :3] <= 1e-6 * span[:, :3]
    near_high = (group.high - fitted.parameters)[:, :3] <= 1e-6 * span[:, :3]
    is_at_limit = np.any(near_low | near_high, axis=1).tolist()
    peaks = []
    for number, (height, position, width, mixing) in enumerate(fitted.parameters.tolist()):
        own = slice(number * free, number * free + free)
        covariance = fitted.covariance[own, own]
        with np.errstate(invalid="ignore"):
            deviations = np.sqrt(np.diag(covariance))
            gradient = areas_gradient(height, width, mixing)[:free]
            area_variance = float(gradient @ covariance @ gradient)
        is_known = bool(np.isfinite(covariance).all())
        peaks.append(
            Peak(
                position=position,
                height=height,
                width=width,
                area=area_of(height, width, mixing),
                mixing=mixing,
                position_uncertainty=float(deviations[1]),
                height_uncertainty=float(deviations[0]),
                width_uncertainty=float(deviations[2]),
                area_uncertainty=float(np.sqrt(max(area_variance, 0.0))) if is_known else float("inf"),
                is_at_limit=is_at_limit[number],
                has_converged=fitted.has_converged,
            )
        )
    return peaks
