"""The way back: from what a model saw of a picture to the picture itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where a picture lies in the input of a model.

    Coordinates run along the edges of pixels: the first pixel of a row reaches from 0 to 1.

    Attributes:
        source_shape_px: (height, width) of the picture as it was captured.
        input_shape_px: (height, width) of the model's input.
        top_px: Rows of the input above the picture.
        left_px: Columns of the input before the picture.
        height_px: Rows that the picture takes up in the input, at least 1.
        width_px: Columns that it takes up, at least 1.
    """

    source_shape_px: tuple[int, int]
    input_shape_px: tuple[int, int]
    top_px: int
    left_px: int
    height_px: int
    width_px: int

    def __post_init__(self) -> None:
        assert min(*self.source_shape_px, self.height_px, self.width_px) >= 1, f"nothing to see: {self}"
        assert self.top_px >= 0, f"above the input: {self}"
        assert self.left_px >= 0, f"left of the input: {self}"
        assert self.top_px + self.height_px <= self.input_shape_px[0], f"below the input: {self}"
        assert self.left_px + self.width_px <= self.input_shape_px[1], f"right of the input: {self}"

    def to_source(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry boxes back.

        Args:
            boxes: (n, 4): x and y of one corner, x and y of the other, in pixels of the input.

        Returns:
            The same in pixels of the source; what lay in the borders lies outside of it.
        """
        return (np.asarray(boxes, np.float64) - self._corner) * self._source_per_input

    def to_input(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry boxes, (n, 4) in pixels of the source, to where the model sees them; undoes `to_source`."""
        return np.asarray(boxes, np.float64) / self._source_per_input + self._corner

    @property
    def _corner(self) -> NDArray[np.float64]:
        return np.array([self.left_px, self.top_px] * 2, np.float64)

    @property
    def _source_per_input(self) -> NDArray[np.float64]:
        """The two differ by less than a pixel over the whole picture: a side is a whole number of pixels."""
        height, width = self.source_shape_px
        return np.array([width / self.width_px, height / self.height_px] * 2, np.float64)
