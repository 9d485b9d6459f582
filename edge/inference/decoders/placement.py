"""Where the pixels of a picture lie among the cells of an output, and planes of cells scaled to them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain.geometry import Geometry
from edge.inference.decoders.raw import Numbers
from edge.inference.decoders.tables import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the pixels of a grid lie among the cells of an output, along the edges of both.

    Attributes:
        shape: (height, width) of the grid.
        step: Cells for each row and each column of the grid.
        start: Rows and columns of cells before the grid's first; negative where it begins before them.
    """

    shape: Shape
    step: tuple[float, float]
    start: tuple[float, float]

    def linear(self, plane: Numbers) -> Numbers:
        """Return (height, width) of a plane, linear between the middles of cells; its rim goes on."""
        if self.is_a_cut(plane.shape):
            return np.asarray(self.cut(plane))
        (down, right), (top, left) = self.step, self.start
        matrix = np.array([[right, 0, right / 2 + left - 0.5], [0, down, down / 2 + top - 0.5]])
        answer: Any = cv2.warpAffine(
            np.ascontiguousarray(plane),
            matrix,
            (self.shape[1], self.shape[0]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(answer, np.float32)

    def nearest(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return (height, width) of a plane, of each pixel that of the cell it lies in."""
        rows, columns = (
            np.floor((np.arange(side) + 0.5) * step + start).astype(np.intp).clip(0, last - 1)
            for (side, step, start), last in zip(self.axes, plane.shape, strict=True)
        )
        return np.asarray(plane.take(columns, axis=1).take(rows, axis=0))

    def within(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], Placement]:
        """Return the cells, of so many, that its pixels lie among, and where it lies among those."""
        ends = []
        for (side, step, start), last in zip(self.axes, shape, strict=True):
            begin = min(max(math.floor(0.5 * step + start - 0.5), 0), last - 1)
            end = math.floor((side - 0.5) * step + start - 0.5) + 2
            ends.append(slice(begin, min(max(end, begin + 1), last)))
        top, left = self.start[0] - ends[0].start, self.start[1] - ends[1].start
        return (ends[0], ends[1]), replace(self, start=(top, left))

    @property
    def axes(self) -> tuple[tuple[int, float, float], tuple[int, float, float]]:
        """Side, step and start, down and to the right."""
        down, right = zip(self.shape, self.step, self.start, strict=True)
        return down, right

    def cut(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return the cells of a plane that are its pixels, where `is_a_cut`."""
        first, before = int(self.start[0]), int(self.start[1])
        return plane[first : first + self.shape[0], before : before + self.shape[1]]

    def coarser(self, stride: int) -> Placement:
        """Return the same grid among cells that are so many times larger."""
        (down, right), (top, left) = self.step, self.start
        return replace(self, step=(down / stride, right / stride), start=(top / stride, left / stride))

    @property
    def pixels_per_step(self) -> tuple[float, float]:
        """Rows and columns of the grid for each row and column of cells."""
        return 1 / self.step[0], 1 / self.step[1]

    def outside(self, shape: Shape) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which rows and which columns of the grid have their middle where there are no cells."""
        rows, columns = (
            ((where := (np.arange(side) + 0.5) * step + start) < 0) | (where >= last)
            for (side, step, start), last in zip(self.axes, shape, strict=True)
        )
        return rows, columns

    def is_a_cut(self, shape: tuple[int, ...]) -> bool:
        """Return whether its pixels are cells of a plane of this shape."""
        fits = all(
            start >= 0 and start + side <= last
            for (side, _, start), last in zip(self.axes, shape, strict=True)
        )
        return fits and self.step == (1.0, 1.0) and all(float(start).is_integer() for start in self.start)


def source_in_input(geometry: Geometry) -> Placement:
    """Return where the pixels of the source lie among those of the input."""
    height, width = geometry.source_shape_px
    return Placement(
        shape=geometry.source_shape_px,
        step=(geometry.height_px / height, geometry.width_px / width),
        start=(float(geometry.top_px), float(geometry.left_px)),
    )
