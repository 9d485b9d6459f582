"""A picture of a thermogram: temperatures in colours with a scale, regions and hot spots, what is said.

Where nothing was measured it is hatched: no colour of the scale could be mistaken for "not known".
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain.finding import Measurement, Observation, Verdict
from edge.domain.frame import Calibration, Thermogram
from edge.findings.thermal import ABOVE_LIMIT, ASYMMETRY, HOT_SPOTS, STANDARD_UNCERTAINTY
from edge.findings.thermal_policy import Region

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

SIDE_PX = 720  # of the longer side of the thermogram as it is drawn
HEADER_PX = 84
MARGIN_PX = 28
SCALE_PX, SCALE_ROOM_PX = 22, 110
ROW_PX = 26

INK: Colour = (236, 240, 243)
FAINT: Colour = (138, 148, 158)
PAPER: Colour = (17, 20, 24)
OUTLINE: Colour = (86, 180, 233)
SPOT: Colour = (0, 230, 160)
HATCH: tuple[Colour, Colour] = ((70, 78, 86), (38, 43, 48))

_COLOURED_PERCENT = (0.5, 99.9)  # a lamp or a cold corner must not take all colours
_SPAN_MIN_K = 2.0
_TICKS = 6
_UNITS = {"Cel": "°C"}
_QUESTIONS = (ABOVE_LIMIT, ASYMMETRY, HOT_SPOTS)
_MARKS = {Verdict.PRESENT: "yes", Verdict.ABSENT: "no", Verdict.NOT_ASSESSED: "not assessed"}


def draw(
    thermogram: Thermogram,
    *,
    title: str,
    regions: Sequence[Region] = (),
    observations: Sequence[Observation] = (),
    lines: Sequence[str] = (),
) -> Picture:
    """Draw a thermogram with what was said about it.

    Args:
        thermogram: What was seen.
        title: Stands above: the pipeline; never a patient.
        regions: Outlined, with their names.
        observations: Those with a box are drawn, the others are written below.
        lines: What else to say.

    Returns:
        (height, width, 3) RGB.
    """
    low, high = _span(thermogram.celsius)
    panel = _panel(thermogram.celsius, low, high)
    factor = panel.shape[1] / thermogram.celsius.shape[1]
    for region in regions:
        panel = _outlined(panel, region)
    for observation in observations:
        if observation.box_px is not None:
            panel = _boxed(panel, observation, factor)
    panel = _hottest(panel, thermogram.celsius, factor)
    width = max(MARGIN_PX * 2 + panel.shape[1] + SCALE_ROOM_PX, 560)
    said = [
        part
        for line in (*map(_told, (one for one in observations if one.box_px is None)), *lines)
        for part in textwrap.wrap(line, width // 8) or [""]
    ]
    height = HEADER_PX + panel.shape[0] + MARGIN_PX + (len(said) + 1) * ROW_PX + MARGIN_PX // 2
    page = np.full((height, width, 3), PAPER, np.uint8)
    page = _write(page, title, (MARGIN_PX, 40), INK, size_px=24, weight=600)
    page = _write(page, _subtitle(thermogram), (MARGIN_PX, 66), FAINT, size_px=15)
    page[HEADER_PX : HEADER_PX + panel.shape[0], MARGIN_PX : MARGIN_PX + panel.shape[1]] = panel
    page = _scale(page, MARGIN_PX + panel.shape[1] + 16, panel.shape[0], low, high)
    base = HEADER_PX + panel.shape[0] + MARGIN_PX
    for line in said:
        page = _write(page, line, (MARGIN_PX, base), INK, size_px=14)
        base += ROW_PX
    return _write(page, "research use, not a medical device", (MARGIN_PX, base), FAINT, size_px=13)


def _span(celsius: NDArray[np.float32]) -> tuple[float, float]:
    """Return which temperatures get the ends of the colours."""
    known = celsius[np.isfinite(celsius)]
    if not known.size:
        return 20.0, 40.0
    low, high = (float(end) for end in np.percentile(known, _COLOURED_PERCENT))
    middle, half = (low + high) / 2, max(high - low, _SPAN_MIN_K) / 2
    return middle - half, middle + half


def _panel(celsius: NDArray[np.float32], low: float, high: float) -> Picture:
    height, width = celsius.shape
    factor = SIDE_PX / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    is_unknown = np.isnan(celsius)
    shares = np.where(is_unknown, 0.0, np.clip((celsius - low) / (high - low), 0, 1))
    levels = np.round(shares * 255).astype(np.uint8)
    coloured = _coloured(np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_NEAREST), np.uint8))
    unknown = cv2.resize(is_unknown.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    rows, columns = np.indices(unknown.shape)
    hatch = np.array(HATCH, np.uint8)[(rows + columns) // 6 % 2]
    coloured[unknown] = hatch[unknown]
    return coloured


def _coloured(levels: NDArray[np.uint8]) -> Picture:
    """Give each level its colour: dark to light, also for people who see no red or green."""
    return np.asarray(
        cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), np.uint8
    )


def _outlined(panel: Picture, region: Region) -> Picture:
    height, width = panel.shape[:2]
    corners = np.array([(x * (width - 1), y * (height - 1)) for x, y in region.outline])
    cv2.polylines(panel, [np.round(corners).astype(np.int32)], True, OUTLINE, 1, cv2.LINE_AA)
    left, top = corners.min(axis=0)
    return _labelled(panel, region.name, (round(left) + 6, round(top) + 20), OUTLINE)


def _boxed(panel: Picture, observation: Observation, factor: float) -> Picture:
    assert observation.box_px is not None, "asked for with a box only"
    left, top, wide, high = (side * factor for side in observation.box_px)
    start, end = (round(left) - 2, round(top) - 2), (round(left + wide) + 2, round(top + high) + 2)
    cv2.rectangle(panel, start, end, SPOT, 2, cv2.LINE_AA)
    peaks = [one.value for one in observation.measurements if one.unit == "Cel"]
    text = f"{peaks[0]:.1f} °C" if peaks else observation.code.meaning
    place = (
        min(max(start[0], 2), panel.shape[1] - 90),
        end[1] + 18 if end[1] + 24 < panel.shape[0] else start[1] - 8,
    )
    return _labelled(panel, text, place, SPOT)


def _hottest(panel: Picture, celsius: NDArray[np.float32], factor: float) -> Picture:
    """Mark the hottest pixel with a cross."""
    if not np.isfinite(celsius).any():
        return panel
    row, column = divmod(int(np.nanargmax(celsius)), celsius.shape[1])
    place = (round((column + 0.5) * factor), round((row + 0.5) * factor))
    cv2.drawMarker(panel, place, PAPER, cv2.MARKER_CROSS, 19, 4, cv2.LINE_AA)
    cv2.drawMarker(panel, place, INK, cv2.MARKER_CROSS, 17, 2, cv2.LINE_AA)
    return panel


def _scale(page: Picture, left: int, height: int, low: float, high: float) -> Picture:
    levels = np.linspace(255, 0, height).round().astype(np.uint8)[:, None].repeat(SCALE_PX, axis=1)
    page[HEADER_PX : HEADER_PX + height, left : left + SCALE_PX] = _coloured(levels)
    for step in range(_TICKS):
        share = step / (_TICKS - 1)
        row = HEADER_PX + round((1 - share) * (height - 1))
        cv2.line(page, (left + SCALE_PX, row), (left + SCALE_PX + 6, row), INK, 1)
        beyond = {0: "≤ ", _TICKS - 1: "≥ "}.get(step, "")
        text = f"{beyond}{low + share * (high - low):.1f} °C"
        page = _write(
            page,
            text,
            (left + SCALE_PX + 10, min(max(row + 5, HEADER_PX + 11), HEADER_PX + height)),
            INK,
            size_px=14,
        )
    return page


def _told(observation: Observation) -> str:
    """Return a statement in one line."""
    where = f", {observation.segment}" if observation.segment else ""
    is_question = observation.verdict is not Verdict.PRESENT or observation.code in _QUESTIONS
    mark = _MARKS[observation.verdict] if is_question else ""
    numbers = ", ".join(_number(one) for one in observation.measurements)
    parts = "; ".join(part for part in (mark, numbers, observation.reason) if part)
    return f"{observation.code.meaning}{where}: {parts}"


def _number(it: Measurement) -> str:
    if it.code == STANDARD_UNCERTAINTY:
        return f"u = {it.value:.1f} {it.unit}"
    if it.unit == "1":
        return f"{it.code.meaning.lower()} {it.value:g}"
    of = f" of {it.of.value}" if it.of else ""
    return f"{it.code.meaning.lower()}{of} {it.value:.1f} {_UNITS.get(it.unit, it.unit)}"


def _subtitle(thermogram: Thermogram) -> str:
    height, width = thermogram.shape_px
    return f"{width} × {height} pixels; {_rests_on(thermogram.calibration)}"


def _rests_on(it: Calibration) -> str:
    return (
        f"calibration: {it.state}, emissivity {it.emissivity:.2f}, mirrored {it.reflected_celsius:.0f} °C, "
        f"{it.distance_m:g} m, ±{2 * it.uncertainty_celsius:.1f} K (k = 2)"
    )


def _labelled(panel: Picture, text: str, place: tuple[int, int], colour: Colour) -> Picture:
    """Write on the picture so that it can be read on any colour."""
    for shift in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        panel = _write(panel, text, (place[0] + shift[0], place[1] + shift[1]), PAPER, size_px=15, weight=600)
    return _write(panel, text, place, colour, size_px=15, weight=600)


def _write(
    page: Picture, text: str, place: tuple[int, int], colour: Colour, *, size_px: int, weight: int = 400
) -> Picture:
    """Write text with its base line's left end at `place`."""
    cv2.putText(page, text, place, colour, cv2.FontFace("sans"), size_px, weight)
    return page
