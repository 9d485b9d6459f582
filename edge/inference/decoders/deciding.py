"""Labels decided at the size of the picture: as the cells say where they agree, else pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.inference.decoders.placement import Placement
from edge.inference.decoders.raw import Numbers

Labels = NDArray[np.uint8]
Sample = Callable[[Numbers], Numbers]
Decide = Callable[[Iterable[Numbers]], Labels]

ROW: Final = 4096  # points that are asked about lie in rows of so many; OpenCV knows no lists


def decided(planes: Numbers, grid: Placement, decide: Decide) -> Labels:
    """Decide labels on a grid that lies among the cells of soft maps, linear between their middles.

    Between four cells that get the same label every pixel gets it, too: the channel that is the highest, or
    passes its threshold, in all four is, or does, in each of their weighted means. So only pixels between
    cells that differ are asked about: with 20 labels all over 1920 x 1080 pixels 15 ms in place of 110.

    Args:
        planes: (channels, rows, columns).
        grid: Where the pixels lie.
        decide: From planes, one after the other and of any shape, to labels of that shape; each place by
            itself, by which channel is the highest or which passes its threshold.

    Returns:
        Labels, of the grid's shape.
    """
    window, near = grid.within(planes.shape[1:])
    seen = planes[(slice(None), *window)]
    if seen.strides[-1] != seen.itemsize:
        seen = np.ascontiguousarray(seen)
    cells = decide(seen)
    if near.is_a_cut(cells.shape):
        return near.cut(cells)
    middle = [(np.arange(side) + 0.5) * step + start - 0.5 for side, step, start in near.axes]
    rows, columns = (
        np.floor(place).astype(np.intp).clip(-1, last - 1) + 1
        for place, last in zip(middle, cells.shape, strict=True)
    )
    around = np.pad(cells, 1, mode="edge")
    first = around[:-1, :-1]
    differs = (first != around[1:, 1:]) | (first != around[:-1, 1:]) | (first != around[1:, :-1])
    labels = _spread(first, rows, columns)
    asked = np.flatnonzero(_spread(differs, rows, columns))
    if len(asked):
        down, right = np.divmod(asked, grid.shape[1])
        sample = _sampling(middle[0][down], middle[1][right])
        labels.reshape(-1)[asked] = decide(map(sample, seen)).reshape(-1)[: len(asked)]
    return labels


def _spread(cells: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
    """Return what the cell of each row and column holds; whole rows are copied, which is quicker."""
    return cells.take(columns, axis=1).take(rows, axis=0)


def _sampling(down: NDArray[Any], right: NDArray[Any]) -> Sample:
    """Return what reads a plane at points, given in cells from the middle of the first one."""
    lines = -(-len(down) // ROW)
    maps = np.zeros((2, lines * ROW), np.float32)
    maps[:, : len(down)] = right, down
    across, along = maps.reshape(2, -1, ROW)  # as floats: whole numbers of OpenCV are 1/32 of a cell apart

    def sample(plane: Numbers) -> Numbers:
        answer: Any = cv2.remap(plane, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(answer, np.float32)

    return sample
