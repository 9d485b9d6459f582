"""Outputs of grid detectors as one row for each cell, and where the cells are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edge.domain.errors import InferenceError
from edge.inference.decoders.raw import Numbers, Outputs, numbers_of, one_of_batch, wrong_shape

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells of all grids, one grid after the other, row by row.

    Attributes:
        places: (cells, 2) float32, read-only: column and row of each in its grid.
        strides: (cells, 1) float32, read-only: side of each, in pixels.
    """

    places: Numbers
    strides: Numbers


@lru_cache(maxsize=64)
def cells_of(input_shape_px: Shape, strides_px: tuple[int, ...]) -> Cells:
    """Return the cells that cover an input; a grid has as many as reach over it."""
    places, strides = [], []
    for stride in strides_px:
        height, width = grid_shape(input_shape_px, stride)
        rows, columns = np.mgrid[:height, :width]
        places.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((height * width, 1), stride))
    answer = Cells(np.concatenate(places).astype(np.float32), np.concatenate(strides).astype(np.float32))
    answer.places.flags.writeable = answer.strides.flags.writeable = False
    return answer


def grid_shape(input_shape_px: Shape, stride_px: float) -> Shape:
    """Return rows and columns of the cells that cover an input."""
    height, width = (int(-(-side // stride_px)) for side in input_shape_px)
    return height, width


def check_cells(count: int, cells: Cells, *, name: str, shape: Shape) -> None:
    """Refuse a table that has another number of rows than there are cells.

    Raises:
        InferenceError: It has.
    """
    if count != len(cells.places):
        raise InferenceError(
            f"output {name!r} has {count} cells, wanted {len(cells.places)} for an input of "
            f"{shape[1]} x {shape[0]} px and these strides_px"
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """How the outputs of a grid detector are laid out.

    Attributes:
        layout: `rows`, `columns`, `maps` or `maps-last`.
        strides_px: Sides of the cells of its grids.
        shape: (height, width) of the input.
    """

    layout: str
    strides_px: tuple[int, ...]
    shape: Shape

    def blocks(
        self, outputs: Outputs, names: tuple[tuple[str, ...], ...], sizes: tuple[int, ...]
    ) -> list[Numbers]:
        """Return blocks of numbers for each cell, (cells, size) each.

        Args:
            outputs: Of the graph.
            names: Of the outputs of each block; of one block only: that of a table that holds all.
            sizes: Numbers of each block; one of no numbers is not read.

        Raises:
            InferenceError: One has another shape than the manifest promises.
        """
        if len(names) == 1:
            whole = self.table(outputs, names[0], numbers=sum(sizes))
            return np.split(whole, np.cumsum(sizes)[:-1], axis=1)
        first = self.table(outputs, names[0], numbers=sizes[0])
        answer = [first]
        for several, size in zip(names[1:], sizes[1:], strict=True):
            block = (
                self.table(outputs, several, numbers=size) if size else np.empty((len(first), 0), np.float32)
            )
            if len(block) != len(first):
                raise InferenceError(
                    f"output {several[0]!r} has {len(block)} cells, wanted {len(first)}, as {names[0][0]!r}"
                )
            answer.append(block)
        return answer

    def table(self, outputs: Outputs, names: tuple[str, ...], *, numbers: int) -> Numbers:
        """Return (cells, numbers) of one output for all grids, or of one for each."""
        grids: list[Shape | None] = [None] * len(names)
        if len(names) == len(self.strides_px):
            grids = [grid_shape(self.shape, stride) for stride in self.strides_px]
        pieces = [
            self._piece(numbers_of(outputs, name), name=name, numbers=numbers, grid=grid)
            for name, grid in zip(names, grids, strict=True)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _piece(self, array: Numbers, *, name: str, numbers: int, grid: Shape | None) -> Numbers:
        """Return (cells, numbers) of one output, as a view."""
        wanted = f"float {self._promise(numbers, grid)}"
        axes = 3 if self.layout.startswith("maps") else 2
        one = one_of_batch(array, axes=axes, name=name, wanted=wanted)
        is_last = self.layout in ("rows", "maps-last")
        *places, seen = one.shape if is_last else (*one.shape[1:], one.shape[0])
        promised = grid if axes == 3 or grid is None else (grid[0] * grid[1],)
        if seen != numbers or (promised is not None and tuple(places) != promised):
            raise wrong_shape(array, name=name, wanted=wanted)
        return one.reshape(-1, numbers) if is_last else one.reshape(numbers, -1).T

    def _promise(self, numbers: int, grid: Shape | None) -> str:
        """Say which shape is wanted."""
        height, width = ("rows", "columns") if grid is None else grid
        cells = "cells" if grid is None else grid[0] * grid[1]
        shapes = {
            "rows": (1, cells, numbers),
            "columns": (1, numbers, cells),
            "maps": (1, numbers, height, width),
            "maps-last": (1, height, width, numbers),
        }
        return f"({', '.join(map(str, shapes[self.layout]))})"
