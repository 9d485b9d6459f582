"""RX: how unlike the rest of a cube each pixel is, as a squared Mahalanobis distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import chdtr, gammaincinv

from edge.domain.errors import PictureRejectedError
from edge.preprocess.cube_pixels import Statistics, blocks, is_whole, rows_of, statistics

PIXELS_PER_BAND_MIN = 3.0
_OWN_SHARE_MIN = 1e-10  # of a band's variance that the bands before it do not explain


def rx(values: NDArray[np.float32], *, trim_share: float = 0.0, shrink: bool = False) -> NDArray[np.float32]:
    """Score every pixel against the mean and covariance of the whole cube.

    Reed and Yu, IEEE Trans. Acoust. Speech Signal Process. 38 (1990) 1760. Where pixels are normally
    distributed, the score follows a chi-square distribution with as many degrees of freedom as bands.

    Args:
        values: (height, width, bands); pixels that are not whole get NaN and are not counted.
        trim_share: 0 to 0.5: this share of the most unlike pixels is left out of a second count of mean and
            covariance, so that what is looked for does not hide itself. The covariance is scaled as Croux and
            Haesbroeck, J. Multivar. Anal. 71 (1999) 161, do for a normal distribution.
        shrink: Whether to shrink the covariance towards its diagonal by what its scatter asks for (Schäfer
            and Strimmer, Stat. Appl. Genet. Mol. Biol. 4 (2005) 32): for few pixels and many bands.

    Returns:
        (height, width) float32, 0 and more.

    Raises:
        PictureRejectedError: Fewer than three whole pixels a band, or bands that say the same.
    """
    whole = is_whole(values)
    counted = statistics(values, whole, per_band=PIXELS_PER_BAND_MIN)
    scores = _scores(values, _prepared(values, whole, counted, shrink=shrink))
    if trim_share == 0:
        return scores
    limit = np.quantile(scores[whole], 1 - trim_share)
    kept = whole & (scores <= limit)
    counted = statistics(values, kept, per_band=PIXELS_PER_BAND_MIN)
    scaled = Statistics(
        mean=counted.mean,
        covariance=counted.covariance * _consistency(values.shape[-1], 1 - trim_share),
        pixels=counted.pixels,
    )
    return _scores(values, _prepared(values, kept, scaled, shrink=shrink))


def rx_limit(*, bands: int, quantile: float) -> float:
    """Return the score that this share of normally distributed pixels stays below."""
    return _chi_square(quantile, bands)


def _consistency(bands: int, kept_share: float) -> float:
    """What the covariance of the inner share of a normal distribution must be multiplied with."""
    return float(kept_share / chdtr(bands + 2, _chi_square(kept_share, bands)))


def _chi_square(share: float, degrees: int) -> float:
    """Return what this share of a chi-square distribution lies below; `scipy.stats` takes long to import."""
    return float(2 * gammaincinv(degrees / 2, share))


def _prepared(
    values: NDArray[np.float32], chosen: NDArray[np.bool_], counted: Statistics, *, shrink: bool
) -> Statistics:
    if not shrink:
        return counted
    amount = _shrinkage(values, chosen, counted)
    diagonal = np.diag(np.diag(counted.covariance))
    covariance = (1 - amount) * counted.covariance + amount * diagonal
    return Statistics(mean=counted.mean, covariance=covariance, pixels=counted.pixels)


def _shrinkage(values: NDArray[np.float32], chosen: NDArray[np.bool_], counted: Statistics) -> float:
    """Return how far to go towards the diagonal, 0 to 1: the scatter of the correlations over their size."""
    deviation = np.sqrt(np.diag(counted.covariance))
    if not (deviation > 0).all():
        raise PictureRejectedError("a band in which all pixels are the same, wanted measured bands")
    fourth = np.zeros_like(counted.covariance)
    for rows in rows_of(values, chosen):
        squared = ((rows - counted.mean) / deviation) ** 2
        fourth += squared.T @ squared
    n = counted.pixels
    correlation = counted.covariance / np.outer(deviation, deviation)
    scatter = n / (n - 1) ** 3 * (fourth - (n - 1) ** 2 / n * correlation**2)
    off = ~np.eye(len(deviation), dtype=bool)
    size = float((correlation[off] ** 2).sum())
    return float(np.clip(scatter[off].sum() / size, 0, 1)) if size > 0 else 1.0


def _scores(values: NDArray[np.float32], counted: Statistics) -> NDArray[np.float32]:
    """Whiten with the Cholesky factor and sum the squares: (x − m)ᵀ C⁻¹ (x − m)."""
    deviation = np.sqrt(np.diag(counted.covariance))
    if not (deviation > 0).all():
        raise PictureRejectedError("a band in which all pixels are the same, wanted measured bands")
    same = PictureRejectedError("bands that say the same as others, wanted independent bands")
    try:
        factor = np.linalg.cholesky(counted.covariance / np.outer(deviation, deviation))
    except np.linalg.LinAlgError as trouble:
        raise same from trouble
    if float(np.diag(factor).min()) ** 2 < _OWN_SHARE_MIN:
        raise same
    whitener = solve_triangular(factor, np.diag(1 / deviation), lower=True).T
    scores = np.empty(values.shape[:2], np.float32)
    for lines in blocks(*values.shape[:2]):
        some = values[lines]  # as rows: one product for the block instead of one for each line
        white = (some.reshape(-1, some.shape[2]) - counted.mean) @ whitener
        scores[lines] = np.einsum("ij,ij->i", white, white).reshape(some.shape[:2])
    return scores
