"""A picture of what was measured of a spectrum: the curve, what lies under it, and its peaks."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cli.overlay import FAINT, INK, PALETTE, PAPER, Colour, Picture
from edge.findings.spectrum_policy import SpectrumPolicy
from edge.findings.spectrum_reading import SpectrumReading
from edge.preprocess.peak_shapes import curve

WIDTH_PX = 1200
PLOT_PX = 360
MARGIN_PX = 28
AXIS_PX = 70
HEADER_PX = 84
ROW_PX = 26
GRID: Colour = (40, 46, 53)
CURVE, UNDER, FITTED, WINDOW = PALETTE[0], PALETTE[2], PALETTE[1], (31, 44, 40)
_LABEL_EVERY_PX = 58
_TICKS = 8


def draw(
    reading: SpectrumReading, policy: SpectrumPolicy, *, title: str, lines: Sequence[str] = ()
) -> Picture:
    """Draw a spectrum twice: as it came with its baseline, and without it, with its peaks.

    Args:
        reading: What was measured.
        policy: What was asked; windows of expected peaks are shaded.
        title: Stands above: the pipeline and what it says; never a patient.
        lines: What else to say, below.

    Returns:
        (height, width, 3) RGB.
    """
    spectrum = reading.spectrum
    said = [part for line in lines for part in textwrap.wrap(line, WIDTH_PX // 8)]
    height = HEADER_PX + 2 * (PLOT_PX + AXIS_PX) + (len(said) + 1) * ROW_PX + MARGIN_PX // 2
    page = np.full((height, WIDTH_PX, 3), PAPER, np.uint8)
    page = _write(page, title, (MARGIN_PX, 42), INK, size_px=24, weight=600)
    page = _write(page, _subtitle(reading), (MARGIN_PX, 68), FAINT, size_px=15)
    upper = _Plot(spectrum.axis, (spectrum.values, reading.baseline), top=HEADER_PX)
    page = upper.frame(page, "as it came, and what lies under the peaks")
    upper.line(page, spectrum.values, CURVE)
    upper.line(page, reading.baseline, UNDER)
    flat = spectrum.values - reading.baseline
    lower = _Plot(spectrum.axis, (flat,), top=HEADER_PX + PLOT_PX + AXIS_PX)
    for peak in policy.expected:
        lower.shade(page, peak.position - peak.window, peak.position + peak.window)
    page = lower.frame(page, f"above the baseline, in {spectrum.axis_unit}")
    lower.line(page, flat, CURVE)
    parameters = np.array([(peak.height, peak.position, peak.width, peak.mixing) for peak in reading.peaks])
    if parameters.size:
        lower.line(page, curve(spectrum.axis, parameters, policy.peaks.shape), FITTED)
    page = _labels(page, lower, reading)
    base = HEADER_PX + 2 * (PLOT_PX + AXIS_PX) + 8
    for line in said:
        page = _write(page, line, (MARGIN_PX, base), INK, size_px=15)
        base += ROW_PX
    return _write(page, "research use, not a medical device", (MARGIN_PX, base), FAINT, size_px=13)


class _Plot:
    """A rectangle of the page with an axis of its own."""

    def __init__(self, axis: NDArray[np.float64], curves: Sequence[NDArray[np.float64]], *, top: int) -> None:
        """Store the limits, with a little room above and below."""
        low = min(float(values.min()) for values in curves)
        high = max(float(values.max()) for values in curves)
        room = 0.08 * (high - low) or 1.0
        self.axis = axis
        self.low, self.high = low - room, high + 2 * room
        self.top, self.left, self.width = top, AXIS_PX, WIDTH_PX - AXIS_PX - MARGIN_PX

    def x(self, at: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return columns of the page."""
        share = (np.asarray(at) - self.axis[0]) / (self.axis[-1] - self.axis[0])
        return np.asarray(self.left + share * (self.width - 1), np.float64)

    def y(self, value: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return rows of the page."""
        share = (np.asarray(value) - self.low) / (self.high - self.low)
        return np.asarray(self.top + (1 - share) * (PLOT_PX - 1), np.float64)

    def frame(self, page: Picture, name: str) -> Picture:
        """Draw the grid with its numbers."""
        bottom, right = self.top + PLOT_PX, self.left + self.width
        for at in _ticks(float(self.axis[0]), float(self.axis[-1])):
            column = int(self.x(at))
            cv2.line(page, (column, self.top), (column, bottom), GRID, 1)
            page = _write(page, f"{at:g}", (column - 14, bottom + 20), FAINT, size_px=13)
        for value in _ticks(self.low, self.high):
            row = int(self.y(value))
            cv2.line(page, (self.left, row), (right, row), GRID, 1)
            page = _write(page, f"{value:g}", (8, row + 4), FAINT, size_px=12)
        return _write(page, name, (self.left + 8, self.top + 20), FAINT, size_px=14)

    def line(self, page: Picture, values: NDArray[np.float64], colour: Colour) -> None:
        """Draw a curve."""
        points = np.stack([self.x(self.axis), self.y(values)], axis=1)
        fine = np.round(points * 16).astype(np.int32)
        cv2.polylines(page, [fine[:, None]], False, colour, 1, cv2.LINE_AA, shift=4)

    def shade(self, page: Picture, low: float, high: float) -> None:
        """Shade a window of the axis, as far as it lies within."""
        if high < self.axis[0] or low > self.axis[-1]:
            return
        left, right = (int(self.x(float(np.clip(at, self.axis[0], self.axis[-1])))) for at in (low, high))
        cv2.rectangle(page, (left, self.top), (right, self.top + PLOT_PX), WINDOW, -1)


def _labels(page: Picture, plot: _Plot, reading: SpectrumReading) -> Picture:
    """Write the position of every peak above it, the highest first, where there is room."""
    taken: list[float] = []
    for peak in sorted(reading.peaks, key=lambda peak: -peak.height):
        column = float(plot.x(peak.position))
        if any(abs(column - other) < _LABEL_EVERY_PX for other in taken):
            continue
        taken.append(column)
        row = max(plot.top + 36, int(plot.y(peak.height)) - 10)
        page = _write(page, f"{peak.position:.1f}", (int(column) - 22, row), FITTED, size_px=14)
    return page


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two."""
    rough = (high - low) / _TICKS
    size = 10.0 ** np.floor(np.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [float(n * step) for n in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _subtitle(reading: SpectrumReading) -> str:
    spectrum = reading.spectrum
    return (
        f"{spectrum.kind}, {spectrum.axis.size} points, {spectrum.axis[0]:g} to {spectrum.axis[-1]:g} "
        f"{spectrum.axis_unit}, signal to noise {reading.snr:.0f}, {len(reading.peaks)} peaks, "
        f"{reading.spikes} spikes taken out"
    )


def _write(
    page: Picture, text: str, place: tuple[int, int], colour: Colour, *, size_px: int, weight: int = 400
) -> Picture:
    cv2.putText(page, text, place, colour, cv2.FontFace("sans"), size_px, weight)
    return page
