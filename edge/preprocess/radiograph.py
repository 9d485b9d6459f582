"""From what a detector stored to the grey that a person is shown (DICOM PS3.3, C.11.1 and C.11.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Values = NDArray[np.float64]

TABLE_BITS_MAX: Final = 16  # with more, each sample is reckoned by itself
SHARES: Final = (0.005, 0.995)  # of the samples: what lies outside is black or white
_BAND: Final = 1 << 20  # samples shown at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lookup:
    """A table of an object: of its modality, or of its values of interest.

    Attributes:
        first: The value that the first entry is for; below it that entry holds, above the table its last one.
        entries: (n,) float64, read-only.
        top: What a full entry is: 2^bits - 1.
    """

    first: float
    entries: Values
    top: float

    def __post_init__(self) -> None:
        self.entries.flags.writeable = False

    def of(self, values: Values) -> Values:
        """Look values up."""
        places = np.clip(np.floor(values - self.first), 0, len(self.entries) - 1)
        return np.asarray(self.entries[np.nan_to_num(places).astype(np.int64)], np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which values are shown between black and white.

    Attributes:
        centre: In values of the modality.
        width: Likewise; above 0, and for `linear` at least 1.
        function: VOILUTFunction.
    """

    centre: float
    width: float
    function: Literal["linear", "linear_exact", "sigmoid"] = "linear"

    def of(self, values: Values) -> Values:
        """Return shares of white, 0 to 1 (C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2)."""
        if self.function == "sigmoid":
            steps = np.clip(-4 * (values - self.centre) / self.width, -500, 500)
            return np.asarray(1 / (1 + np.exp(steps)), np.float64)
        if self.function == "linear_exact":
            return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
        if self.width <= 1:
            return np.asarray(values > self.centre - 0.5, np.float64)
        return np.clip((values - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How samples become grey.

    Attributes:
        slope: Of the rescaling.
        intercept: Likewise.
        modality: A table instead of it, or None.
        interest: A window or a table; None: `wanted` says what then.
        padding: Samples from the first to the second are no picture, or None.
        is_inverted: Low values are bright.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality: Lookup | None = None
    interest: Window | Lookup | None = None
    padding: tuple[float, float] | None = None
    is_inverted: bool = False


def measured(samples: NDArray[Any], showing: Showing) -> Values:
    """Return the values that samples stand for: what windows speak of."""
    values = np.asarray(samples, np.float64)
    if showing.modality is not None:
        return showing.modality.of(values)
    return values * showing.slope + showing.intercept


def grey_of(samples: NDArray[Any], showing: Showing, *, ends: tuple[int, int] | None) -> Grey:
    """Show samples; what is padding becomes black.

    Args:
        samples: (height, width) of any type, only the bits that count.
        showing: How, with a window or a table of interest.
        ends: Lowest and highest sample there may be, for whole numbers of at most 16 bits; else None.

    Returns:
        (height, width) uint8.
    """
    table: Grey | None = None
    if ends is not None and ends[1] - ends[0] < 1 << TABLE_BITS_MAX:
        table = _shown(np.arange(ends[0], ends[1] + 1), showing)
    grey = np.empty(samples.shape, np.uint8)
    rows = max(1, _BAND // max(samples.shape[1], 1))  # in bands: whole numbers of 64 bits take much memory
    for top in range(0, samples.shape[0], rows):
        band = samples[top : top + rows]
        if table is None or ends is None:
            grey[top : top + rows] = _shown(band, showing)
        else:
            grey[top : top + rows] = table[np.asarray(band, np.int64) - ends[0]]
    return grey


def spread(samples: NDArray[Any], showing: Showing) -> Window:
    """Return a window from nearly the lowest to nearly the highest value of a picture, padding left out."""
    there = samples[np.isfinite(samples) & ~_is_padding(samples, showing)]
    if there.size == 0:
        return Window(centre=0.5, width=1.0, function="linear_exact")
    low, high = np.quantile(there, SHARES, method="nearest")
    return between(measured(np.array([low, high]), showing))


def whole(ends: tuple[int, int], showing: Showing) -> Window:
    """Return a window over every value that samples can have."""
    return between(measured(np.array(ends), showing))


def between(values: Values) -> Window:
    """Return a window with the lowest of some values black, and the highest white."""
    low, high = float(values.min()), float(values.max())
    return Window(centre=(low + high) / 2, width=max(high - low, 1e-9), function="linear_exact")


def _shown(samples: NDArray[Any], showing: Showing) -> Grey:
    values = measured(samples, showing)
    match showing.interest:
        case Window() as window:
            shares = window.of(values)
        case Lookup() as table:
            shares = np.clip(table.of(values) / table.top, 0, 1)
        case None:
            raise AssertionError("the caller says what is of interest")
    if showing.is_inverted:
        shares = 1 - shares
    grey = np.floor(np.nan_to_num(shares) * 255 + 0.5)
    grey[_is_padding(samples, showing)] = 0
    return np.asarray(grey, np.uint8)


def _is_padding(samples: NDArray[Any], showing: Showing) -> NDArray[np.bool_]:
    if showing.padding is None:
        return np.zeros(samples.shape, np.bool_)
    low, high = showing.padding
    return np.asarray((samples >= low) & (samples <= high), np.bool_)
