"""A picture of a quantity that was estimated in every pixel: colours with a scale, grey where not known."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundles.spectra_regression import Quantity
from edge.cli.overlay import FAINT, INK, PAPER, Colour, Picture

SIDE_PX = 640
MARGIN_PX = 28
HEADER_PX = 84
ROW_PX = 26
SCALE_PX, SCALE_ROOM_PX = 22, 110
UNKNOWN: Colour = (96, 100, 104)
_TICKS_MAX = 8


def draw(
    values: NDArray[np.float32], quantity: Quantity, *, title: str, lines: Sequence[str] = ()
) -> Picture:
    """Draw a map of a quantity; the colours span all that an estimate may be, so pictures can be compared.

    Args:
        values: (height, width), NaN where it is not known.
        quantity: What it is.
        title: Stands above: the pipeline and what it says; never a patient.
        lines: What else to say, below.

    Returns:
        (height, width, 3) RGB.
    """
    panel = _panel(values, quantity)
    width = max(MARGIN_PX * 2 + panel.shape[1] + SCALE_ROOM_PX, 560)
    said = [part for line in lines for part in textwrap.wrap(line, width // 8)]
    height = HEADER_PX + panel.shape[0] + MARGIN_PX + (len(said) + 2) * ROW_PX + MARGIN_PX // 2
    page = np.full((height, width, 3), PAPER, np.uint8)
    page = _write(page, title, (MARGIN_PX, 40), INK, size_px=24, weight=600)
    page = _write(page, _subtitle(values, quantity), (MARGIN_PX, 66), FAINT, size_px=14)
    page[HEADER_PX : HEADER_PX + panel.shape[0], MARGIN_PX : MARGIN_PX + panel.shape[1]] = panel
    page = _scale(page, MARGIN_PX + panel.shape[1] + 16, panel.shape[0], quantity)
    base = HEADER_PX + panel.shape[0] + MARGIN_PX
    cv2.rectangle(page, (MARGIN_PX, base - 12), (MARGIN_PX + 14, base + 2), UNKNOWN, -1)
    page = _write(page, "not known", (MARGIN_PX + 22, base), FAINT, size_px=14)
    for line in said:
        base += ROW_PX
        page = _write(page, line, (MARGIN_PX, base), INK, size_px=14)
    return _write(page, "research use, not a medical device", (MARGIN_PX, base + ROW_PX), FAINT, size_px=13)


def _panel(values: NDArray[np.float32], quantity: Quantity) -> Picture:
    height, width = values.shape
    factor = SIDE_PX / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    span = quantity.value_max - quantity.value_min
    shares = np.nan_to_num((values - quantity.value_min) / span).clip(0, 1)
    panel = _coloured(np.round(shares * 255).astype(np.uint8))
    panel[np.isnan(values)] = UNKNOWN
    return np.asarray(cv2.resize(panel, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _coloured(levels: NDArray[np.uint8]) -> Picture:
    coloured = cv2.applyColorMap(np.ascontiguousarray(levels), cv2.COLORMAP_VIRIDIS)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB), np.uint8)


def _scale(page: Picture, left: int, height: int, quantity: Quantity) -> Picture:
    levels = np.linspace(255, 0, height).round().astype(np.uint8)[:, None].repeat(SCALE_PX, axis=1)
    page[HEADER_PX : HEADER_PX + height, left : left + SCALE_PX] = _coloured(levels)
    low, high = quantity.value_min, quantity.value_max
    unit = "" if quantity.unit == "1" else f" {quantity.unit}"
    for value in _ticks(low, high):
        row = HEADER_PX + round((high - value) / (high - low) * (height - 1))
        cv2.line(page, (left + SCALE_PX, row), (left + SCALE_PX + 6, row), INK, 1)
        place = (left + SCALE_PX + 10, min(max(row + 5, HEADER_PX + 11), HEADER_PX + height))
        page = _write(page, f"{value:g}{unit}", place, INK, size_px=14)
    return page


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two, not more than a scale has room for."""
    size = 10.0 ** math.floor(math.log10((high - low) / _TICKS_MAX))
    step = next(size * factor for factor in (1, 2, 5, 10) if (high - low) / (size * factor) <= _TICKS_MAX)
    return [round(n * step, 9) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _subtitle(values: NDArray[np.float32], quantity: Quantity) -> str:
    height, width = values.shape
    known = values[np.isfinite(values)]
    unit = "" if quantity.unit == "1" else f" {quantity.unit}"
    middle = f", median {np.median(known):.1f}{unit}" if known.size else ""
    share = known.size / max(values.size, 1)
    return f"{quantity.name}: {width} × {height} pixels, known in {share:.0%}{middle}"


def _write(
    page: Picture, text: str, place: tuple[int, int], colour: Colour, *, size_px: int, weight: int = 400
) -> Picture:
    cv2.putText(page, text, place, colour, cv2.FontFace("sans"), size_px, weight)
    return page
