"""A network over a volume of any size: one pass where it fits, otherwise tiles that overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.bundles.volume_segmentation import Input

Labels = NDArray[np.uint8]
Picture = NDArray[np.float32]
Ask = Callable[[Picture], NDArray[np.uint8] | NDArray[np.float32]]


def segment(picture: Picture, given: Input, ask: Ask) -> Labels:
    """Label every voxel.

    Labels of tiles are stitched where tiles overlap, in the middle; logits are blended with weights that
    fall off towards the rim of a tile, one slab at a time, so that memory does not grow with the volume.

    Args:
        picture: (d, h, w), prepared.
        given: The manifest's input: padding, the limit for one pass, tiles.
        ask: Runs the network once: labels (d, h, w) or logits (classes, d, h, w).

    Returns:
        (d, h, w).
    """
    shape = picture.shape
    picture = _pad(picture, given.multiple_of_voxels)
    if picture.size <= given.pass_voxels_max:
        answer = ask(picture)
        labels = answer if answer.ndim == 3 else _argmax(answer)
    else:
        tile = [min(side, length) for side, length in zip(given.tile_voxels, picture.shape, strict=True)]
        labels = _tiled(picture, tile, given.overlap_voxels, ask)
    return np.ascontiguousarray(labels[: shape[0], : shape[1], : shape[2]], np.uint8)


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Return where tiles begin so that they cover `length`, evenly, sharing at least `overlap`."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(n * (length - tile) / (count - 1)) for n in range(count)]


def _pad(picture: Picture, multiple: int) -> Picture:
    return np.pad(picture, [(0, -side % multiple) for side in picture.shape])


def _argmax(logits: NDArray[np.uint8] | NDArray[np.float32]) -> Labels:
    return np.asarray(logits.argmax(axis=0), np.uint8)


class _Span(NamedTuple):
    """A tile along one axis: where it begins, and the part it alone answers for."""

    start: int
    low: int
    high: int


def _spans(length: int, tile: int, overlap: int) -> list[_Span]:
    begin = starts(length, tile, overlap)
    seams = [0, *((earlier + tile + later) // 2 for earlier, later in pairwise(begin)), length]
    return [_Span(start, low, high) for start, (low, high) in zip(begin, pairwise(seams), strict=True)]


def _tiled(picture: Picture, tile: Sequence[int], overlap: int, ask: Ask) -> Labels:
    slabs, rows, columns = (_spans(n, t, overlap) for n, t in zip(picture.shape, tile, strict=True))
    labels = np.zeros(picture.shape, np.uint8)
    blend: _Blend | None = None
    for slab, row, column in product(slabs, rows, columns):
        spans = (slab, row, column)
        window = tuple(slice(span.start, span.start + side) for span, side in zip(spans, tile, strict=True))
        answer = ask(np.ascontiguousarray(picture[window]))
        if answer.ndim == 3:
            kept = tuple(slice(span.low, span.high) for span in spans)
            labels[kept] = answer[tuple(slice(s.low - s.start, s.high - s.start) for s in spans)]
        else:
            blend = blend or _Blend(labels, classes=len(answer), tile=tile)
            blend.add(answer, at=window)
    if blend:
        blend.finish()
    return labels


class _Blend:
    """Weighted sums of logits for one slab; what no later tile can reach becomes labels at once."""

    def __init__(self, labels: Labels, *, classes: int, tile: Sequence[int]) -> None:
        self._labels = labels
        self._sums = np.zeros((classes, tile[0], *labels.shape[1:]), np.float32)
        self._first = 0
        self._weight = np.ones((), np.float32)
        for side in tile:
            self._weight = self._weight[..., None] * _bell(side)

    def add(self, logits: NDArray[np.uint8] | NDArray[np.float32], *, at: tuple[slice, ...]) -> None:
        if at[0].start > self._first:
            self._settle(at[0].start - self._first)
        self._sums[:, :, at[1], at[2]] += logits * self._weight

    def finish(self) -> None:
        self._settle(self._sums.shape[1])

    def _settle(self, layers: int) -> None:
        """The weights of all classes are alike in a voxel, so the largest sum is the largest mean."""
        self._labels[self._first : self._first + layers] = self._sums[:, :layers].argmax(axis=0)
        self._sums[:, : self._sums.shape[1] - layers] = self._sums[:, layers:].copy()
        self._sums[:, self._sums.shape[1] - layers :] = 0
        self._first += layers


def _bell(side: int) -> NDArray[np.float32]:
    place = np.arange(side) - (side - 1) / 2
    return np.asarray(np.exp(-0.5 * (place / (side / 8)) ** 2).clip(1e-3), np.float32)
