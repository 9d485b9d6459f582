"""A picture out of an array: what a camera's decoder gives, without a camera."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


class FakePicture:
    """A `Picture` of (height, width, 3) uint8 RGB; counts how often it was converted."""

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self._rgb = rgb
        self.conversions = 0

    @classmethod
    def grey(cls, brightness: int, *, height_px: int = 90, width_px: int = 160) -> FakePicture:
        """A picture of one brightness, 0 to 255."""
        return cls(np.full((height_px, width_px, 3), brightness, np.uint8))

    @property
    def shape_px(self) -> tuple[int, int]:
        height, width, _ = self._rgb.shape
        return height, width

    def planes(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        self.conversions += 1
        scaled = cv2.resize(self._rgb, (width_px, height_px), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.uint8)

    def rgb(self) -> NDArray[np.uint8]:
        return self._rgb.copy()

    def luma(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        mean = self.planes(height_px=height_px, width_px=width_px).mean(axis=0)
        return np.asarray(mean.round(), np.uint8)
