"""How far a window of answers is from a reference, and how far chance alone would bring it.

Population stability index over the bins of one number, with p the shares of the window and q those of the
reference (Siddiqi, Credit Risk Scorecards, 2006; it is the symmetric Kullback-Leibler divergence):

    PSI = sum (p - q) ln(p / q)

Empty bins are kept from infinity by half an answer in every bin of both (Jeffreys' prior). Where nothing
has changed, PSI / (1/n + 1/m) of n answers against m samples is about chi-squared with bins - 1 degrees of
freedom (Yurdakul, Statistical Properties of Population Stability Index, 2018): its mean is
(bins - 1)(1/n + 1/m), which is far from 0 in small windows. A limit therefore never lies below the quantile
of that distribution.

Mahalanobis distance of the window's mean x from that of the reference, with the covariance S of single
samples: D = sqrt((x - mean)' S^-1 (x - mean)). Where nothing has changed, n m / (n + m) D^2 is Hotelling's
T^2 (1931), (m - 1) p / (m - p) F(p, m - p) for p numbers: again a limit never lies below that quantile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, fdtri

Array = NDArray[np.float64]


def shares_of(counts: NDArray[Any], bins: NDArray[np.int64]) -> Array:
    """Return shares with half an answer more in every bin.

    Args:
        counts: (numbers, bins) of answers; bins that a number does not have hold 0.
        bins: (numbers,) how many it has.

    Returns:
        (numbers, bins), above 0, except 0 where there is no bin.
    """
    is_there = np.arange(counts.shape[1]) < bins[:, None]
    smooth = np.where(is_there, counts + 0.5, 0.0)
    return np.asarray(smooth / smooth.sum(axis=1, keepdims=True), np.float64)


def stability_index(seen: Array, reference: Array) -> Array:
    """Return the PSI of each number, (numbers,), at least 0.

    Args:
        seen: (numbers, bins) shares, as `shares_of` gives them.
        reference: The same of the reference.
    """
    is_there = reference > 0
    ratio = np.log(np.where(is_there, seen, 1.0) / np.where(is_there, reference, 1.0))
    return np.asarray(((seen - reference) * ratio).sum(axis=1), np.float64)


def chance_index(bins: NDArray[np.int64], *, answers: int, samples: int, false_alarms: float) -> Array:
    """Return the PSI that chance exceeds in a share `false_alarms` of windows, for each number of bins."""
    quantile = chdtri(np.maximum(bins - 1, 1), false_alarms)
    return np.asarray(quantile * (1 / answers + 1 / samples), np.float64)


def distance(mean: Array, *, reference: Array, precision: Array) -> float:
    """Return the Mahalanobis distance, in standard deviations of single answers.

    Args:
        mean: (numbers,) of a window.
        reference: (numbers,) of the reference.
        precision: (numbers, numbers) inverse of the covariance.
    """
    off = mean - reference
    return float(np.sqrt(max(0.0, float(off @ precision @ off))))


def chance_distance(*, numbers: int, answers: int, samples: int, false_alarms: float) -> float:
    """Return the distance that chance exceeds in a share `false_alarms` of windows; samples > numbers."""
    free = samples - numbers
    quantile = float(fdtri(numbers, free, 1 - false_alarms))
    t_squared = numbers * (samples - 1) / free * quantile
    return float(np.sqrt(t_squared * (1 / answers + 1 / samples)))


def shrunk_covariance(rows: Array, *, resolution: Array) -> Array:
    """Return the covariance of samples, made safe to invert.

    Correlations are shrunk towards none by the share that minimises the expected error (Schäfer and
    Strimmer, Statistical Applications in Genetics and Molecular Biology 4(1), 2005); variances grow by the
    square of the difference that is worth noticing, so that a number that never varied is no infinite ruler.

    Args:
        rows: (samples, numbers), at least 2 samples.
        resolution: (numbers,) above 0.

    Returns:
        (numbers, numbers), positive definite.
    """
    samples = len(rows)
    off = rows - rows.mean(axis=0)
    deviation = off.std(axis=0, ddof=1)
    unit = off / np.where(deviation > 0, deviation, 1.0)
    products = unit[:, :, None] * unit[:, None, :]
    correlation = products.sum(axis=0) / (samples - 1)
    spread = products.var(axis=0, ddof=1) * samples / (samples - 1) ** 2  # variance of each correlation
    away = ~np.eye(len(deviation), dtype=bool)
    energy = float((correlation[away] ** 2).sum())
    share = min(1.0, float(spread[away].sum()) / energy) if energy > 0 else 1.0
    correlation[away] *= 1 - share
    covariance = correlation * np.outer(deviation, deviation)
    np.fill_diagonal(covariance, deviation**2 + resolution**2)
    return np.asarray(covariance, np.float64)
