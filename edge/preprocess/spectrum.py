"""Single spectra: noise, cosmic rays, smoothing, normalisation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label, median_filter

from edge.domain.errors import PictureRejectedError
from edge.domain.spectral import Spectrum
from edge.preprocess import spectral, whittaker

_SIGMA_PER_MAD = 1.4826  # of a normal distribution
_MEDIAN_POINTS = 11
_POINTS_FOR_LAG_2 = 50
_SPIKE_FOOT_SIGMAS = 4.0


def noise(values: NDArray[np.float64]) -> float:
    """Return the standard deviation of the noise, from fourth differences: peaks and baseline drop out.

    1.4826 · median |y(i − 2k) − 4 y(i − k) + 6 y(i) − 4 y(i + k) + y(i + 2k)| / √70, the larger of k = 1 and
    k = 2: a spectrometer that interpolates makes noise that neighbours share, and k = 1 does not see all of
    it. Noise that more than two neighbours share is taken for too small.

    Raises:
        PictureRejectedError: Fewer than five points.
    """
    if values.size < whittaker.POINTS_MIN:
        raise PictureRejectedError(f"{values.size} points, wanted {whittaker.POINTS_MIN} or more")
    sizes = []
    for lag in (1, 2) if values.size >= _POINTS_FOR_LAG_2 else (1,):
        last = values.size - 4 * lag
        shifted = (values[place * lag : place * lag + last] for place in range(5))
        bends = sum(factor * part for factor, part in zip((1, -4, 6, -4, 1), shifted, strict=True))
        sizes.append(float(np.median(np.abs(bends))))
    return _SIGMA_PER_MAD * max(sizes) / math.sqrt(70.0)


def despike(
    spectrum: Spectrum, *, threshold_sigmas: float = 8.0, width_points_max: int = 2
) -> tuple[Spectrum, int]:
    """Take cosmic rays out: points far above their surroundings that are narrower than any line can be.

    A run of points more than 4 σ above the median of 11 neighbours is a spike where it is at most
    `width_points_max` long and its highest point more than `threshold_sigmas` σ above. A spectrometer gives a
    line three points or more, so that a line, however high, has a longer foot. A spike on top of a strong
    line is not told from it.

    Args:
        spectrum: Any.
        threshold_sigmas: In standard deviations of the noise, 5 to 100.
        width_points_max: 1 to 4.

    Returns:
        The spectrum with straight lines where spikes were, and how many there were.
    """
    values = spectrum.values
    if values.size <= _MEDIAN_POINTS:
        return spectrum, 0
    above = values - median_filter(values, size=_MEDIAN_POINTS, mode="nearest")
    # A ripple that many neighbours share is no noise for `noise`, but no spike either.
    sigma = max(noise(values), _SIGMA_PER_MAD * float(np.median(np.abs(above))))
    if sigma == 0:
        return spectrum, 0
    runs, count = label(above > _SPIKE_FOOT_SIGMAS * sigma)
    if count == 0:
        return spectrum, 0
    lengths = np.bincount(runs, minlength=count + 1)
    highest = np.zeros(count + 1)
    np.maximum.at(highest, runs, above)
    is_spike = (lengths <= width_points_max) & (highest > threshold_sigmas * sigma)
    is_spike[0] = False
    spikes = int(is_spike.sum())
    if spikes == 0:
        return spectrum, 0
    hit = is_spike[runs]
    mended = values.copy()
    mended[hit] = np.interp(spectrum.axis[hit], spectrum.axis[~hit], values[~hit])
    return replace(spectrum, values=mended, notes=(*spectrum.notes, f"{spikes} spikes taken out")), spikes


def smooth(
    spectrum: Spectrum,
    *,
    method: Literal["savitzky-golay", "whittaker"],
    window_points: int = 9,
    degree: int = 2,
    smoothness: float = 10.0,
) -> Spectrum:
    """Smooth a spectrum.

    Args:
        spectrum: For Savitzky-Golay evenly spaced within 2 %.
        method: One of two.
        window_points: Of Savitzky-Golay; odd.
        degree: Of its polynomial.
        smoothness: λ of Whittaker's smoother.

    Raises:
        PictureRejectedError: It is too short, or unevenly spaced for Savitzky-Golay.
    """
    if method == "whittaker":
        return replace(spectrum, values=whittaker.smooth(spectrum.values, smoothness=smoothness))
    smoothed = spectral.derivative(
        spectrum.values, spectrum.axis, order=0, window_points=window_points, degree=degree
    )
    return replace(spectrum, values=smoothed)


def normalise(spectrum: Spectrum, *, method: Literal["area", "max", "snv"]) -> Spectrum:
    """Scale a spectrum so that its area is 1, its highest value is 1, or its mean 0 and deviation 1.

    Raises:
        PictureRejectedError: Area or highest value are not positive, or all values are the same.
    """
    values = spectrum.values
    if method == "snv":
        done = spectral.snv(values)
        if not np.isfinite(done).all():
            raise PictureRejectedError("a spectrum in which all values are the same, wanted some that differ")
        return replace(spectrum, values=done)
    size = float(np.trapezoid(values, spectrum.axis)) if method == "area" else float(values.max())
    if not size > 0:
        raise PictureRejectedError(f"a spectrum whose {method} is {size:g}, wanted more than 0")
    return replace(spectrum, values=values / size)
