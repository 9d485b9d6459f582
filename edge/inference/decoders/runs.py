"""Pictures of labels as runs, neighbours in a row that hold the same: as a rule a hundredth of the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Each = NDArray[np.int64]  # (runs,): a number for each
Pairs = tuple[Each, Each]
HIGHEST: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Where neighbours in a row hold the same, row after row, so that together they are the picture.

    Attributes:
        shape: (height, width) of the picture.
        starts: (runs,) place of the first pixel of each in the flat picture, rising.
        lengths: (runs,) pixels of each.
        values: (runs,) what they hold.
    """

    shape: tuple[int, int]
    starts: Each
    lengths: Each
    values: Each

    @classmethod
    def of(cls, picture: NDArray[Any]) -> Self:
        """Return the runs of a picture, (height, width) integers of 0 or more."""
        begins = np.ones(picture.shape, np.bool_)
        np.not_equal(picture[:, 1:], picture[:, :-1], out=begins[:, 1:])
        starts = np.flatnonzero(begins)
        lengths = np.diff(starts, append=picture.size)
        height, width = picture.shape
        return cls((height, width), starts, lengths, picture.reshape(-1)[starts].astype(np.int64))

    def painted(self, values: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
        """Return a picture in which each run holds another value."""
        return np.repeat(values.astype(dtype), self.lengths).reshape(self.shape)

    def pieces(self, *, neighbours: int) -> Each:
        """Number what touches and holds the same, from 1 on in the order of rows; 0 stays.

        Args:
            neighbours: 4: pixels touch by sides, 8: by corners, too.

        Returns:
            (runs,) without gaps.
        """
        one, other = self._below(diagonal=neighbours == 8)
        same = (self.values[one] == self.values[other]) & (self.values[one] > 0)
        return without_gaps(np.where(self.values > 0, self._joined(one[same], other[same]) + 1, 0))

    def filled(self, things: Each) -> Each:
        """Return things with the background that they enclose; where it touches two, or the rim, it stays.

        Args:
            things: (runs,) number of the thing of each run, 0 for background.
        """
        (one, other), (before, after) = self._below(diagonal=False), self._beside()
        one, other = np.concatenate([one, before]), np.concatenate([other, after])
        is_free = things == 0
        within = is_free[one] & is_free[other]
        hole = self._joined(one[within], other[within])
        lowest, highest = np.full(len(things), HIGHEST), np.zeros(len(things), np.int64)
        for free, taken in ((one, other), (other, one)):
            touches = is_free[free] & ~is_free[taken]
            np.minimum.at(lowest, hole[free[touches]], things[taken[touches]])
            np.maximum.at(highest, hole[free[touches]], things[taken[touches]])
        highest[hole[self._is_at_rim() & is_free]] = 0
        return np.where(is_free, np.where(lowest == highest, highest, 0)[hole], things)

    def _joined(self, one: Each, other: Each) -> Each:
        """Number runs so that those of a pair, and so on, have the same number, by their first run."""
        ends, count = (one, other), len(self.starts)
        graph = coo_array((np.ones(len(one), np.int8), ends), shape=(count, count))
        return np.asarray(connected_components(graph, directed=False)[1], np.int64)

    def _beside(self) -> Pairs:
        """Return runs that follow each other in a row."""
        after = np.flatnonzero(self.starts % self.shape[1])
        return after - 1, after

    def _below(self, *, diagonal: bool) -> Pairs:
        """Return runs and those of the next row that they touch, by sides or by corners, too.

        Where two overlap, the overlap begins with one of the two; where they meet at a corner, one begins
        where the other has just ended.
        """
        height, width = self.shape
        every = np.arange(len(self.starts))
        lower, upper = every[self.starts >= width], every[self.starts < (height - 1) * width]
        above = self._holding(self.starts[lower] - width)
        below = self._holding(self.starts[upper] + width)
        pairs = [(above, lower), (upper, below)]
        if diagonal:
            for here, there, is_below in ((lower, above, False), (upper, below, True)):
                reach = width if is_below else -width
                corner = (self.starts[there] == self.starts[here] + reach) & (self.starts[here] % width > 0)
                ends = (here[corner], there[corner] - 1)
                pairs.append(ends if is_below else ends[::-1])
        return np.concatenate([one for one, _ in pairs]), np.concatenate([other for _, other in pairs])

    def _holding(self, places: Each) -> Each:
        """Return which run holds each place of the flat picture."""
        return np.searchsorted(self.starts, places, side="right") - 1

    def _is_at_rim(self) -> NDArray[np.bool_]:
        height, width = self.shape
        row, column = np.divmod(self.starts, width)
        is_at_end = column + self.lengths == width
        return np.asarray((row == 0) | (row == height - 1) | (column == 0) | is_at_end)


def without_gaps(things: Each) -> Each:
    """Number things anew, from 1 on without gaps; 0 stays."""
    there = np.bincount(things) > 0
    there[0] = False
    return np.where(there, np.cumsum(there), 0)[things]
