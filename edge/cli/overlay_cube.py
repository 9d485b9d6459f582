"""A picture of what was measured of a cube: its colours, what is unlike the rest, which material is where."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cli.overlay import FAINT, INK, PALETTE, PAPER, Colour, Picture
from edge.domain.spectral import Cube
from edge.findings.cube_policy import CubePolicy
from edge.findings.cube_reading import Anomalies, CubeReading

PANEL_PX = 420
MARGIN_PX = 28
HEADER_PX = 84
ROW_PX = 26
COLUMN_PX = 220
SEEN_NM = (610.0, 540.0, 470.0)  # what stands for red, green and blue
SHARES = (0.8, 0.5, 0.15)  # of the axis, where a cube does not reach to visible light
BOX: Colour = (240, 110, 110)
_PERCENTS = (1.0, 99.0)


def draw(reading: CubeReading, policy: CubePolicy, *, title: str, lines: Sequence[str] = ()) -> Picture:
    """Draw a cube in colours, its RX scores with the places found, and its materials.

    Args:
        reading: What was measured.
        policy: What was asked.
        title: Stands above: the pipeline and what it says; never a patient.
        lines: What else to say, below.

    Returns:
        (height, width, 3) RGB.
    """
    cube = reading.cube
    colours, bands = _coloured(cube)
    panels = [(f"as colours: {bands}", _framed(_scaled(colours), reading, policy))]
    if isinstance(reading.anomalies, Anomalies):
        panels.append(
            (
                f"RX, red above {reading.anomalies.limit:.0f}",
                _framed(_scores(reading.anomalies), reading, policy),
            )
        )
    names = [material.name for material in policy.materials.materials] if policy.materials else []
    if isinstance(reading.classes, np.ndarray):
        panels.append(("materials", _scaled(_painted(reading.classes, colours))))
    width = MARGIN_PX + sum(panel.shape[1] + MARGIN_PX for _, panel in panels)
    width = max(width, 640)
    said = [part for line in lines for part in textwrap.wrap(line, width // 8)]
    tall = max(panel.shape[0] for _, panel in panels)
    columns = max(1, (width - MARGIN_PX) // COLUMN_PX)
    rows = -(-len(names) // columns)
    height = HEADER_PX + tall + MARGIN_PX + (rows + len(said) + 2) * ROW_PX
    page = np.full((height, width, 3), PAPER, np.uint8)
    page = _write(page, title, (MARGIN_PX, 34), INK, size_px=22, weight=600)
    page = _write(page, _subtitle(cube), (MARGIN_PX, 58), FAINT, size_px=14)
    left = MARGIN_PX
    for name, panel in panels:
        page = _write(page, name, (left, HEADER_PX - 6), FAINT, size_px=13)
        page[HEADER_PX : HEADER_PX + panel.shape[0], left : left + panel.shape[1]] = panel
        left += panel.shape[1] + MARGIN_PX
    top = HEADER_PX + tall + MARGIN_PX
    for place, name in enumerate(names):
        corner = (MARGIN_PX + place % columns * COLUMN_PX, top + place // columns * ROW_PX)
        page = _legend(page, corner, PALETTE[place % len(PALETTE)], name)
    base = top + rows * ROW_PX + 14
    for line in said:
        page = _write(page, line, (MARGIN_PX, base), INK, size_px=14)
        base += ROW_PX
    return _write(page, "research use, not a medical device", (MARGIN_PX, base), FAINT, size_px=13)


def _coloured(cube: Cube) -> tuple[Picture, str]:
    """Make a colour picture out of three bands, and say which."""
    axis = cube.wavelengths_nm
    is_visible = axis[0] <= SEEN_NM[2] + 40 and axis[-1] >= SEEN_NM[0] - 20
    wanted = SEEN_NM if is_visible else tuple(axis[0] + share * (axis[-1] - axis[0]) for share in SHARES)
    chosen = [int(np.abs(axis - nm).argmin()) for nm in wanted]
    planes = [_stretched(cube.values[..., band]) for band in chosen]
    said = ", ".join(f"{axis[band]:.0f}" for band in chosen)
    return np.stack(planes, axis=-1), f"{said} nm"


def _stretched(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    known = plane[np.isfinite(plane)]
    if known.size == 0:
        return np.zeros(plane.shape, np.uint8)
    low, high = np.percentile(known, _PERCENTS)
    scaled = (np.nan_to_num(plane, nan=float(low)) - low) / max(float(high - low), 1e-12)
    return np.asarray(255 * scaled.clip(0, 1), np.float32).astype(np.uint8)


def _scores(anomalies: Anomalies) -> Picture:
    """Draw scores on a logarithmic scale of grey, what is marked in red."""
    known = np.where(np.isfinite(anomalies.scores), np.maximum(anomalies.scores, 1e-3), 1e-3)
    grey = _stretched(np.log(known).astype(np.float32))
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[anomalies.marked] = (0.35 * picture[anomalies.marked] + 0.65 * np.array(BOX)).astype(np.uint8)
    picture[~np.isfinite(anomalies.scores)] = PAPER
    return _scaled(picture)


def _framed(panel: Picture, reading: CubeReading, policy: CubePolicy) -> Picture:
    """Draw a box around each place that is told of."""
    if not isinstance(reading.anomalies, Anomalies) or policy.anomaly is None:
        return panel
    scale = panel.shape[1] / reading.whole.shape[1]
    for place in reading.anomalies.places[: policy.anomaly.places_max]:
        left, top, width, height = (round(scale * value) for value in place.box_px)
        cv2.rectangle(panel, (left - 2, top - 2), (left + width + 1, top + height + 1), BOX, 1, cv2.LINE_AA)
    return panel


def _painted(classes: NDArray[np.int16], colours: Picture) -> Picture:
    picture = (0.4 * colours).astype(np.uint8)
    for number in np.unique(classes[classes >= 0]):
        picture[classes == number] = PALETTE[int(number) % len(PALETTE)]
    return picture


def _scaled(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    scale = PANEL_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _legend(page: Picture, corner: tuple[int, int], colour: Colour, name: str) -> Picture:
    left, top = corner
    cv2.rectangle(page, (left, top), (left + 14, top + 14), colour, -1)
    return _write(page, name, (left + 22, top + 13), INK, size_px=14)


def _subtitle(cube: Cube) -> str:
    height, width, bands = cube.values.shape
    axis = cube.wavelengths_nm
    how = f" by {cube.calibration}" if cube.calibration else ""
    return f"{width} × {height} pixels, {bands} bands, {axis[0]:.0f} to {axis[-1]:.0f} nm, {cube.unit}{how}"


def _write(
    page: Picture, text: str, place: tuple[int, int], colour: Colour, *, size_px: int, weight: int = 400
) -> Picture:
    cv2.putText(page, text, place, colour, cv2.FontFace("sans"), size_px, weight)
    return page
