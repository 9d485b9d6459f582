"""A picture of what a model saw: three orthogonal cuts, each structure in its colour, a legend with volumes.

Drawn as radiologists look at it: the patient's right is on the viewer's left, anterior is up or left.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import StorageFullError
from edge.domain.image import Segmentation, Volume
from edge.preprocess.orient import orient

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

PANEL_PX = 460
PANEL_WIDE_PX = 640
PANEL_MIN_PX = 140
COLUMN_PX = 300
MARGIN_PX = 28
HEADER_PX = 84
ROW_PX = 30
BAR_MM = 50.0
FILL_SHARE = 0.28

INK: Colour = (236, 240, 243)
FAINT: Colour = (138, 148, 158)
PAPER: Colour = (17, 20, 24)
# Told apart by people who do not see red and green apart too (after Okabe and Ito).
PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (232, 200, 70),
    (230, 120, 60),
    (0, 190, 140),
    (214, 124, 190),
    (120, 140, 255),
    (250, 170, 60),
    (170, 220, 120),
    (240, 110, 110),
    (150, 220, 230),
)


@dataclass(frozen=True, slots=True)
class Cut:
    """One plane through the volume.

    Attributes:
        name: `axial`, `coronal`, `sagittal`.
        values: (height, width) grey, 0 to 1.
        labels: (height, width).
        pixel_mm: Height and width of a pixel.
        ends: Patient directions at the left, right, upper and lower edge.
    """

    name: str
    values: NDArray[np.float32]
    labels: NDArray[np.uint8]
    pixel_mm: tuple[float, float]
    ends: str

    @property
    def tall_mm(self) -> float:
        """Height of the cut."""
        return float(self.values.shape[0] * self.pixel_mm[0])

    @property
    def wide_mm(self) -> float:
        """Width of the cut."""
        return float(self.values.shape[1] * self.pixel_mm[1])


def draw(
    segmentation: Segmentation, *, title: str, lines: Sequence[str] = (), has_volumes: bool = True
) -> Picture:
    """Draw a segmentation over the volume it was made for.

    Args:
        segmentation: The answer of a model.
        title: Stands above: the pipeline and its version; never a patient.
        lines: What else to say, below the legend.
        has_volumes: Whether the legend may tell how large each structure is.

    Returns:
        (height, width, 3) RGB.
    """
    cuts = _cuts(segmentation)
    px_per_mm = min(min(PANEL_PX / cut.tall_mm, PANEL_WIDE_PX / cut.wide_mm) for cut in cuts)
    panels = [_panel(cut, px_per_mm) for cut in cuts]
    width = MARGIN_PX + sum(panel.shape[1] + MARGIN_PX for panel in panels)
    columns = max(1, (width - MARGIN_PX) // COLUMN_PX)
    rows = -(-len(segmentation.names) // columns)
    said = [part for line in lines for part in textwrap.wrap(line, width // 9)]
    height = HEADER_PX + PANEL_PX + MARGIN_PX + (rows + len(said) + 1) * ROW_PX + MARGIN_PX // 2
    page = np.full((height, width, 3), PAPER, np.uint8)
    page = _write(page, title, (MARGIN_PX, 42), INK, size_px=24, weight=600)
    page = _write(page, _subtitle(segmentation.volume), (MARGIN_PX, 68), FAINT, size_px=15)
    left = MARGIN_PX
    for panel in panels:
        page[HEADER_PX : HEADER_PX + PANEL_PX, left : left + panel.shape[1]] = panel
        left += panel.shape[1] + MARGIN_PX
    top = HEADER_PX + PANEL_PX + MARGIN_PX
    for place, name in enumerate(segmentation.names):
        corner = (MARGIN_PX + place % columns * COLUMN_PX, top + place // columns * ROW_PX)
        ml = segmentation.volume_ml(place + 1)
        volume = f"{ml:.{0 if ml >= 10 else 2}f} mL" if has_volumes else ""
        page = _legend(page, corner, place + 1, name, volume)
    base = top + rows * ROW_PX + 18
    for line in said:
        page = _write(page, line, (MARGIN_PX, base), INK, size_px=15)
        base += ROW_PX
    return _write(page, "research use, not a medical device", (MARGIN_PX, base), FAINT, size_px=13)


def save(picture: Picture, path: Path) -> None:
    """Write a picture as PNG.

    Raises:
        StorageFullError: It cannot be written.
    """
    done, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done, "a picture of bytes can always be a PNG"
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as trouble:
        raise StorageFullError(f"{path}: cannot be written: {trouble.strerror}") from trouble


def _cuts(segmentation: Segmentation) -> Sequence[Cut]:
    """Cut where most of the foreground is; through the middle where there is none."""
    volume = orient(segmentation.volume, axes="IPL")
    carrier = replace(segmentation.volume, voxels=segmentation.labels.astype(np.int16))
    labels = orient(carrier, axes="IPL").voxels.astype(np.uint8)
    grey = _grey(volume)
    k, j, i = (_fullest(labels, axis) for axis in range(3))
    down_mm, back_mm, left_mm = volume.spacing_mm
    return (
        Cut("axial", grey[k], labels[k], (back_mm, left_mm), "RLAP"),
        Cut("coronal", grey[:, j], labels[:, j], (down_mm, left_mm), "RLSI"),
        Cut("sagittal", grey[:, :, i], labels[:, :, i], (down_mm, back_mm), "APSI"),
    )


def _fullest(labels: NDArray[np.uint8], axis: int) -> int:
    """Return the place along an axis that has half of the foreground on either side."""
    others = tuple(other for other in range(3) if other != axis)
    counts = np.count_nonzero(labels, axis=others)
    if not counts.any():
        return int(labels.shape[axis] // 2)
    return int(np.flatnonzero(counts.cumsum() >= counts.sum() / 2)[0])


def _grey(volume: Volume) -> NDArray[np.float32]:
    """Window a volume: soft tissue for CT, else from the first to the last percent of what is not air."""
    values = volume.voxels.astype(np.float32)
    if volume.unit == "hounsfield":
        low, high = -40.0, 120.0
    else:
        seen = values[values > values.min()]
        low, high = np.percentile(seen if seen.size else values, (1.0, 99.5))
    return ((values - low) / max(high - low, 1e-6)).clip(0, 1).astype(np.float32)


def _panel(cut: Cut, px_per_mm: float) -> Picture:
    """Draw one cut true to its millimetres, in the middle of a panel as high as all others."""
    size = (max(1, round(cut.wide_mm * px_per_mm)), max(1, round(cut.tall_mm * px_per_mm)))
    grey = cv2.resize(cut.values, size, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    drawn = (np.repeat(grey[..., None], 3, axis=2) * 255).astype(np.float32)
    for label in np.unique(cut.labels[cut.labels > 0]):
        share = cv2.resize((cut.labels == label).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        inside = share > 0.5
        colour = _colour(int(label))
        drawn[inside] = drawn[inside] * (1 - FILL_SHARE) + np.array(colour, np.float32) * FILL_SHARE
        outline, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outline, -1, colour, 1, cv2.LINE_AA)
    panel = np.zeros((PANEL_PX, max(PANEL_MIN_PX, size[0]), 3), np.uint8)
    top, left = (PANEL_PX - size[1]) // 2, (panel.shape[1] - size[0]) // 2
    panel[top : top + size[1], left : left + size[0]] = drawn.clip(0, 255)
    return _lettered(panel, cut, bar_px=round(BAR_MM * px_per_mm))


def _lettered(panel: Picture, cut: Cut, *, bar_px: int) -> Picture:
    """Say which plane it is and where the patient's sides are."""
    height, width = panel.shape[:2]
    places = ((10, height // 2), (width - 22, height // 2), (width // 2, 24), (width // 2, height - 12))
    for letter, place in zip(cut.ends, places, strict=True):
        panel = _write(panel, letter, place, INK, size_px=17, weight=600)
    panel = _write(panel, cut.name, (10, 24), FAINT, size_px=15)
    if bar_px < width // 3:
        start = (width - 14 - bar_px, height - 14)
        cv2.line(panel, start, (width - 14, height - 14), INK, 2, cv2.LINE_AA)
        panel = _write(panel, f"{BAR_MM:.0f} mm", (start[0], height - 22), FAINT, size_px=13)
    return panel


def _legend(page: Picture, corner: tuple[int, int], label: int, name: str, volume: str) -> Picture:
    left, top = corner
    cv2.rectangle(page, (left, top), (left + 16, top + 16), _colour(label), -1, cv2.LINE_AA)
    page = _write(page, name, (left + 26, top + 14), INK, size_px=16)
    return _write(page, volume, (left + 190, top + 14), FAINT, size_px=16)


def _subtitle(volume: Volume) -> str:
    k, j, i = volume.voxels.shape
    dk, dj, di = volume.spacing_mm
    return f"{volume.modality}, {i} × {j} × {k} voxels of {di:.2f} × {dj:.2f} × {dk:.2f} mm"


def _colour(label: int) -> Colour:
    return PALETTE[(label - 1) % len(PALETTE)]


def _write(
    page: Picture, text: str, place: tuple[int, int], colour: Colour, *, size_px: int, weight: int = 400
) -> Picture:
    """Write text with its base line's left end at `place`."""
    font = cv2.FontFace("sans")
    cv2.putText(page, text, place, colour, font, size_px, weight)
    return page
