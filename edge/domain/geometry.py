"""The way back: from what a model saw of a picture to the picture itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where a picture lies in the input of a model.

    Coordinates run along the edges of pixels: the first pixel of a row reaches from 0 to 1. A picture may be
    cropped: then it reaches beyond the input, and what is above or left of it has a negative place.

    Attributes:
        source_shape_px: (height, width) of the picture as it was captured.
        input_shape_px: (height, width) of the model's input.
        top_px: Rows of the input above the picture; negative where it begins above the input.
        left_px: Columns of the input before the picture; negative where it begins left of it.
        height_px: Rows that the whole picture has at the input's scale, at least 1.
        width_px: Columns that it has there, at least 1.
    """

    source_shape_px: tuple[int, int]
    input_shape_px: tuple[int, int]
    top_px: int
    left_px: int
    height_px: int
    width_px: int

    def __post_init__(self) -> None:
        assert min(*self.source_shape_px, self.height_px, self.width_px) >= 1, f"nothing to see: {self}"
        assert -self.height_px < self.top_px < self.input_shape_px[0], f"not in the input: {self}"
        assert -self.width_px < self.left_px < self.input_shape_px[1], f"not in the input: {self}"

    @property
    def shown(self) -> tuple[slice, slice]:
        """Rows and columns of the input that show the picture."""
        rows = slice(max(self.top_px, 0), min(self.top_px + self.height_px, self.input_shape_px[0]))
        columns = slice(max(self.left_px, 0), min(self.left_px + self.width_px, self.input_shape_px[1]))
        return rows, columns

    @property
    def taken(self) -> tuple[slice, slice]:
        """Rows and columns of the picture, at the input's scale, that the input shows."""
        rows, columns = self.shown
        return (
            slice(rows.start - self.top_px, rows.stop - self.top_px),
            slice(columns.start - self.left_px, columns.stop - self.left_px),
        )

    def to_source(self, boxes: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Carry boxes back.

        Args:
            boxes: (n, 4): x and y of one corner, x and y of the other, in pixels of the input.

        Returns:
            The same in pixels of the source; what lay in the borders lies outside of it.
        """
        return (np.asarray(boxes, np.float64) - self._corner) * self._source_per_input

    def to_input(self, boxes: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Carry boxes, (n, 4) in pixels of the source, to where the model sees them; undoes `to_source`."""
        return np.asarray(boxes, np.float64) / self._source_per_input + self._corner

    def points_to_source(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Carry points back, (…, 2) x and y in pixels of the input."""
        return (np.asarray(points, np.float64) - self._corner[:2]) * self._source_per_input[:2]

    def points_to_input(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Carry points, (…, 2) in pixels of the source, to where the model sees them."""
        return np.asarray(points, np.float64) / self._source_per_input[:2] + self._corner[:2]

    @property
    def _corner(self) -> NDArray[np.float64]:
        return np.array([self.left_px, self.top_px] * 2, np.float64)

    @property
    def _source_per_input(self) -> NDArray[np.float64]:
        """The two differ by less than a pixel over the whole picture: a side is a whole number of pixels."""
        height, width = self.source_shape_px
        return np.array([width / self.width_px, height / self.height_px] * 2, np.float64)
