"""Principal components and minimum noise fraction: a cube in few planes, the best first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from edge.domain.errors import PictureRejectedError
from edge.preprocess.cube_pixels import Statistics, blocks, is_whole, statistics


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Components:
    """A linear map from spectra to components, and back.

    Attributes:
        mean: (bands,) is taken off first.
        forward: (bands, components).
        back: (components, bands): what brings components back to spectra, less the mean.
        strengths: (components,) decreasing: variance (PCA), or signal-to-noise ratio plus one (MNF).
    """

    mean: NDArray[np.float64]
    forward: NDArray[np.float64]
    back: NDArray[np.float64]
    strengths: NDArray[np.float64]

    def of(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (height, width, components) float32; NaN where a pixel is not whole."""
        forward = self.forward.astype(np.float32)
        # The mean is taken off before the product: behind it float32 would lose the small components.
        mean = self.mean.astype(np.float32)
        out = np.empty((*values.shape[:2], forward.shape[1]), np.float32)
        for lines in blocks(*values.shape[:2]):
            some = values[lines]  # as rows: one product for the block instead of one for each line
            planes = (some.reshape(-1, some.shape[2]) - mean) @ forward
            out[lines] = planes.reshape(*some.shape[:2], -1)
        return out


def pca(values: NDArray[np.float32], *, components: int) -> Components:
    """Find the directions of largest variance (Pearson 1901; Hotelling 1933).

    Args:
        values: (height, width, bands); pixels that are not whole are not counted.
        components: How many, 1 to bands.

    Raises:
        PictureRejectedError: Too few whole pixels.
    """
    counted = statistics(values, is_whole(values))
    strengths, vectors = np.linalg.eigh(counted.covariance)
    order = np.argsort(strengths)[::-1][:components]
    forward = _signed(vectors[:, order])
    return Components(mean=counted.mean, forward=forward, back=forward.T, strengths=strengths[order])


def mnf(values: NDArray[np.float32], *, components: int) -> Components:
    """Find the directions of largest signal-to-noise ratio.

    Green, Berman, Switzer and Craig, IEEE Trans. Geosci. Remote Sens. 26 (1988) 65; noise is half the
    covariance of the difference to the neighbour at the lower right (Lee, Woodyatt, Berman, 28 (1990) 295).

    Args:
        values: (height, width, bands); pixels that are not whole are not counted.
        components: How many, 1 to bands.

    Raises:
        PictureRejectedError: Too few whole pixels, or a band without noise.
    """
    whole = is_whole(values)
    signal = statistics(values, whole)
    noise = noise_of(values, whole)
    try:
        strengths, vectors = eigh(signal.covariance, noise.covariance)
    except np.linalg.LinAlgError as trouble:
        raise PictureRejectedError(
            "noise of some bands is zero or the same, wanted measured bands"
        ) from trouble
    order = np.argsort(strengths)[::-1][:components]
    forward = _signed(vectors[:, order])  # noise has variance 1 in every component
    return Components(
        mean=signal.mean,
        forward=forward,
        back=forward.T @ noise.covariance,
        strengths=strengths[order],
    )


def noise_of(values: NDArray[np.float32], whole: NDArray[np.bool_]) -> Statistics:
    """Return the noise: half the covariance of the difference to the neighbour at the lower right."""
    bands = values.shape[-1]
    both = whole[:-1, :-1] & whole[1:, 1:]
    pixels = int(np.count_nonzero(both))
    if pixels <= bands:
        raise PictureRejectedError(f"{pixels} pairs of neighbours for {bands} bands, wanted more of them")
    total = np.zeros(bands)
    squares = np.zeros((bands, bands))
    for lines in blocks(*both.shape):
        below = slice(lines.start + 1, lines.stop + 1)
        apart = values[lines, :-1] - values[below, 1:]
        some = both[lines]
        steps = (apart.reshape(-1, bands) if some.all() else apart[some]).astype(np.float64)
        total += steps.sum(axis=0)
        squares += steps.T @ steps
    mean = total / pixels
    covariance = (squares - pixels * np.outer(mean, mean)) / (pixels - 1) / 2
    return Statistics(mean=mean, covariance=covariance, pixels=pixels)


def _signed(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Point every vector so that its largest entry is positive: the same picture, the same bytes."""
    largest = np.argmax(np.abs(vectors), axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return np.ascontiguousarray(vectors * signs)
