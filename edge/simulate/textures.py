"""What scenes are painted with: clouds, light, the round field of an endoscope, the grain of a sensor."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

WORK_HEIGHT_PX_MAX = 480  # endoscopes are soft: scenes are painted at this size and enlarged
_GRAINS = 4
_GRAIN_LEVELS = 7

Rgb = NDArray[np.uint8]
Map = NDArray[np.float32]
Pixels = TypeVar("Pixels", Rgb, Map)


def clouds(shape_px: tuple[int, int], *, cell_px: float, octaves: int, rng: np.random.Generator) -> Map:
    """Return (height, width) float32 noise from 0 to 1: coarse cells, and finer ones at half the strength."""
    height_px, width_px = shape_px
    total = np.zeros(shape_px, np.float32)
    for octave in range(octaves):
        size_px = max(cell_px / 2**octave, 1.0)
        grid = rng.random((int(height_px / size_px) + 3, int(width_px / size_px) + 3)).astype(np.float32)
        grown = cv2.resize(grid, None, fx=size_px, fy=size_px, interpolation=cv2.INTER_CUBIC)
        total += np.asarray(grown[:height_px, :width_px], dtype=np.float32) / 2**octave
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / (high - low), dtype=np.float32)


def ramp(values: Map, colours: ArrayLike) -> NDArray[np.float32]:
    """Colour a map from 0 to 1 with (n, 3) RGB colours at equal distances; returns float32."""
    table = np.asarray(colours, dtype=np.float32)
    at = np.linspace(0.0, 1.0, len(table))
    return np.dstack([np.interp(values, at, table[:, channel]) for channel in range(3)]).astype(np.float32)


def slopes(height: Map) -> tuple[Map, Map]:
    """Return how steep a height map is along x and y."""
    return (
        np.asarray(cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3), dtype=np.float32),
        np.asarray(cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3), dtype=np.float32),
    )


def blurred(picture: Pixels, sigma_px: float) -> Pixels:
    """Return a Gaussian blur."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px), dtype=picture.dtype)


def to_rgb(picture: NDArray[np.float32]) -> Rgb:
    """Return 8 bits a channel; what is brighter than white is white."""
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)


class Eyepiece:
    """The camera in front of a scene: a round field that darkens towards its edge, enlargement, grain."""

    def __init__(self, shape_px: tuple[int, int], *, rng: np.random.Generator) -> None:
        self.shape_px = shape_px
        height_px, width_px = shape_px
        scale = min(WORK_HEIGHT_PX_MAX / height_px, 1.0)
        self.work_px = round(height_px * scale), round(width_px * scale)
        far = self._distance()
        field = np.clip((1.36 - far) / 0.03, 0, 1) * np.clip(1.12 - 0.28 * far**2, 0, 1)
        self._field = to_rgb(np.dstack([field.astype(np.float32) * 255] * 3))
        grain = rng.normal(_GRAIN_LEVELS / 2, 1.6, (_GRAINS, height_px, width_px, 1))
        self._grain = np.repeat(np.clip(grain, 0, _GRAIN_LEVELS), 3, axis=3).astype(np.uint8)
        self._shown = 0

    def _distance(self) -> Map:
        """Return how far each pixel is from the middle; 1 at the upper edge."""
        height_px, width_px = self.work_px
        y, x = np.mgrid[:height_px, :width_px].astype(np.float32)
        far = np.hypot(y - height_px / 2, x - width_px / 2) / (height_px / 2)
        return np.asarray(far, dtype=np.float32)

    def look(self, painted: Rgb) -> Rgb:
        """Return a painted picture as the camera shows it."""
        height_px, width_px = self.shape_px
        seen = cv2.multiply(painted, self._field, scale=1 / 255)
        seen = cv2.resize(seen, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
        self._shown += 1
        return np.asarray(cv2.add(seen, self._grain[self._shown % _GRAINS]), dtype=np.uint8)
