"""What is done to spectra whatever they stand in, cube or single: SNV and Savitzky-Golay derivatives."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import PictureRejectedError

Real = TypeVar("Real", np.float32, np.float64)
EVEN_TOLERANCE = 0.02
_AT_ONCE = 1 << 16  # values; what lies in the cache is worked on while it is there
_MATRIX_BANDS_MAX = 600  # up to here one product with a matrix is faster than a filter


def snv(spectra: NDArray[Real]) -> NDArray[Real]:
    """Give every spectrum mean 0 and standard deviation 1: what light and distance do to it goes.

    Standard normal variate (Barnes, Dhanoa and Lister, Appl. Spectrosc. 43 (1989) 772), with n − 1.

    Args:
        spectra: (…, bands), two or more bands.

    Returns:
        (…, bands) in the same type; NaN where a spectrum is flat or not whole.
    """
    rows = spectra.reshape(-1, spectra.shape[-1])
    out = np.empty_like(rows)
    step = max(1, _AT_ONCE // rows.shape[1])
    for top in range(0, rows.shape[0], step):
        some = rows[top : top + step]
        into = out[top : top + step]
        np.subtract(some, some.mean(axis=1, dtype=np.float64, keepdims=True).astype(some.dtype), out=into)
        squares = np.einsum("ij,ij->i", into, into, dtype=np.float64)
        deviation = np.sqrt(squares / (rows.shape[1] - 1))
        size = np.abs(some).max(axis=1)
        with np.errstate(invalid="ignore"):
            deviation[~(deviation > 1e-6 * size)] = np.nan
        into /= deviation[:, None].astype(some.dtype)
    return out.reshape(spectra.shape)


def derivative(
    spectra: NDArray[Real], axis: NDArray[np.float64], *, order: int, window_points: int, degree: int
) -> NDArray[Real]:
    """Smooth or differentiate spectra: a polynomial through each window.

    Savitzky and Golay, Anal. Chem. 36 (1964) 1627.

    Args:
        spectra: (…, bands).
        axis: (bands,) evenly spaced within 2 %; resample what is not.
        order: 0 to smooth, 1 or 2 for a derivative, in units of the axis.
        window_points: Odd, more than `degree`, not more than the bands.
        degree: Of the polynomial, `order` or more.

    Returns:
        (…, bands) in the same type; at both ends the polynomial of the outermost whole window. A spectrum
        that is not whole may become NaN everywhere.

    Raises:
        PictureRejectedError: The axis is uneven or too short for the window.
    """
    assert window_points % 2 == 1, f"a window of {window_points} points, wanted an odd number"
    assert order <= degree < window_points, f"degree {degree} for {window_points} points, order {order}"
    bands = spectra.shape[-1]
    steps = np.diff(axis)
    if bands < window_points:
        raise PictureRejectedError(f"{bands} bands, wanted at least the {window_points} of the window")
    step = float(steps.mean())
    if not (np.abs(steps - step) <= EVEN_TOLERANCE * step).all():
        raise PictureRejectedError(
            f"bands lie {steps.min():g} to {steps.max():g} apart, wanted evenly spaced ones: resample first"
        )
    rows = spectra.reshape(-1, bands)
    if bands > _MATRIX_BANDS_MAX or rows.shape[0] < bands:
        from scipy.signal import savgol_filter  # takes long, and few need it

        smoothed = savgol_filter(rows, window_points, degree, deriv=order, delta=step, axis=-1)
        return smoothed.astype(spectra.dtype).reshape(spectra.shape)
    matrix = _savgol_matrix(bands, window_points, degree, order, step).astype(spectra.dtype)
    return (rows @ matrix.T).reshape(spectra.shape)


def _savgol_matrix(
    bands: int, window_points: int, degree: int, order: int, step: float
) -> NDArray[np.float64]:
    """Return (bands, bands): row i gives the derivative at band i."""
    from scipy.signal import savgol_coeffs  # takes long, and few need it

    matrix = np.zeros((bands, bands))
    half = window_points // 2
    for band in range(bands):
        start = min(max(band - half, 0), bands - window_points)
        matrix[band, start : start + window_points] = savgol_coeffs(
            window_points, degree, deriv=order, delta=step, pos=band - start, use="dot"
        )
    return matrix
