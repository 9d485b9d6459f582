"""Intensities a network can work with: windows, z-scores and percentiles, one slice at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import PictureRejectedError
from edge.domain.image import Volume

BRIGHTEST_PERCENT = 99.99  # not the maximum: one hot voxel must not turn a head into background
SAMPLES_MAX = 1_000_000  # percentiles of so many voxels; their scatter is far below one grey level


def window(volume: Volume, *, low: float, high: float) -> Volume:
    """Clip to `low` … `high`, in the volume's unit; int16 stays int16, with limits rounded inwards."""
    dtype = volume.voxels.dtype
    if dtype == np.int16:
        reach = np.iinfo(np.int16)
        low, high = max(math.ceil(low), reach.min), min(math.floor(high), reach.max)
    clipped = np.empty_like(volume.voxels)
    for plane, into in zip(volume.voxels, clipped, strict=True):
        np.clip(plane, dtype.type(low), dtype.type(high), out=into)
    return replace(volume, voxels=clipped)


def scale_range(
    volume: Volume, *, low: float, high: float, to_low: float, to_high: float, clip: bool
) -> Volume:
    """Map `low` … `high` to `to_low` … `to_high`, linearly; with `clip` nothing lies beyond."""
    factor = (to_high - to_low) / (high - low)
    return _scaled(
        volume, offset=low - to_low / factor, factor=factor, clip=(to_low, to_high) if clip else None
    )


def scale_percentiles(
    volume: Volume,
    *,
    low_percent: float,
    high_percent: float,
    over: str,
    to_low: float,
    to_high: float,
    clip: bool,
) -> Volume:
    """Map what lies between two percentiles to `to_low` … `to_high`, linearly.

    Args:
        volume: Any.
        low_percent: Becomes `to_low`; 0 is the minimum, exactly.
        high_percent: Becomes `to_high`; 100 is the maximum, exactly.
        over: `all`, or `nonzero`: voxels that are counted; all are scaled.
        to_low: Lowest of the result.
        to_high: Highest of the result.
        clip: Nothing lies beyond.

    Raises:
        PictureRejectedError: The two percentiles coincide, or voxels are not finite.
    """
    _check_finite(volume)
    low, high = (_percentile(volume.voxels, percent, over) for percent in (low_percent, high_percent))
    if not high > low:
        raise PictureRejectedError(
            f"volume of {volume.voxels.shape} voxels: {low_percent:g} % lie below {low:g}, "
            f"{high_percent:g} % below {high:g}, wanted voxels that differ"
        )
    return scale_range(volume, low=low, high=high, to_low=to_low, to_high=to_high, clip=clip)


def zscore(
    volume: Volume, *, over: str | None = None, mean: float | None = None, std: float | None = None
) -> Volume:
    """Subtract the mean and divide by the standard deviation.

    Args:
        volume: Any.
        over: `all`; `foreground`: voxels above zero are counted, all are scaled; `nonzero`: voxels that are
            not zero are counted and scaled, zeros stay zero.
        mean: Instead of `over`: this.
        std: Instead of `over`: this, above 0.

    Raises:
        PictureRejectedError: Nothing to count, all the same, or not finite.
    """
    _check_finite(volume)
    if mean is not None and std is not None:
        return _scaled(volume, offset=mean, factor=1 / std, clip=None)
    mean, std = _mean_and_deviation(volume, over=over or "all")
    scaled = _scaled(volume, offset=mean, factor=1 / std, clip=None)
    if over == "nonzero":
        kept = np.where(volume.voxels != 0, scaled.voxels, np.float32(0))
        return replace(scaled, voxels=kept)
    return scaled


def _mean_and_deviation(volume: Volume, *, over: str) -> tuple[float, float]:
    count, total, squares = 0, 0.0, 0.0
    for plane in volume.voxels:
        seen = plane.ravel() if over == "all" else plane[plane > 0 if over == "foreground" else plane != 0]
        exact = seen.astype(np.float64)
        count += exact.size
        total += float(exact.sum())
        squares += float(exact @ exact)
    mean = total / max(count, 1)
    deviation = math.sqrt(max(squares / max(count, 1) - mean * mean, 0.0))
    if not deviation > 1e-6 * abs(mean):
        raise PictureRejectedError(
            f"volume of {volume.voxels.shape} voxels: mean {mean:g}, standard deviation {deviation:g}, "
            "wanted voxels that differ"
        )
    return mean, deviation


def percentile(
    volume: Volume, *, low_percent: float, high_percent: float, foreground_above: float, clip_high: float
) -> Volume:
    """Scale so that a low percentile of all voxels becomes 0 and a high one of the foreground becomes 1.

    Args:
        volume: Any.
        low_percent: Of all voxels, becomes 0.
        high_percent: Of the foreground, becomes 1.
        foreground_above: Share of the brightest voxels' value, 0 to 1; what is above is foreground.
        clip_high: The result lies in 0 … `clip_high`.

    Raises:
        PictureRejectedError: The two percentiles coincide, or voxels are not finite.
    """
    _check_finite(volume)
    sample = _sample(volume.voxels)
    foreground = sample[sample > foreground_above * np.percentile(sample, BRIGHTEST_PERCENT)]
    if foreground.size < 100:
        foreground = sample
    low = float(np.percentile(sample, low_percent))
    high = float(np.percentile(foreground, high_percent))
    if not high > low:
        raise PictureRejectedError(
            f"volume of {volume.voxels.shape} voxels: {low_percent:g} % lie below {low:g}, "
            f"{high_percent:g} % below {high:g}, wanted voxels that differ"
        )
    return _scaled(volume, offset=low, factor=1 / (high - low), clip=(0.0, clip_high))


def _percentile(voxels: NDArray[np.int16] | NDArray[np.float32], percent: float, over: str) -> float:
    """Return a percentile; the two ends exactly, as one hot voxel out of a million must not be missed."""
    if over == "nonzero":
        voxels = voxels[voxels != 0]
        sample = voxels[:: max(1, voxels.size // SAMPLES_MAX)].astype(np.float32)
    else:
        sample = _sample(voxels)
    if not voxels.size:
        return 0.0
    if percent in (0, 100):
        return float(voxels.min() if percent == 0 else voxels.max())
    return float(np.percentile(sample, percent))


def _check_finite(volume: Volume) -> None:
    for k, plane in enumerate(volume.voxels):
        if not np.isfinite(plane).all():
            raise PictureRejectedError(
                f"volume of {volume.voxels.shape} voxels: slice {k} holds NaN or infinity"
            )


def _sample(voxels: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Every n-th voxel, n having no factor in common with a row, so that all columns are seen."""
    step = max(1, voxels.size // SAMPLES_MAX)
    while math.gcd(step, voxels.shape[1] * voxels.shape[2]) > 1:
        step += 1
    return voxels.reshape(-1)[::step].astype(np.float32)


def _scaled(volume: Volume, *, offset: float, factor: float, clip: tuple[float, float] | None) -> Volume:
    scaled = np.empty(volume.voxels.shape, np.float32)
    for plane, into in zip(volume.voxels, scaled, strict=True):
        np.subtract(plane, np.float32(offset), out=into, dtype=np.float32)
        into *= np.float32(factor)
        if clip:
            np.clip(into, *clip, out=into)
    return replace(volume, voxels=scaled, unit="normalised")
