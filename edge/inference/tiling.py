"""A network over a volume of any size: one pass where it fits, otherwise tiles that overlap."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.bundles.volume_input import Input, Sides
from edge.inference.volume_scores import Labels, Painter, Scores

Picture = NDArray[np.float32]
SUMS_BYTES_MAX = 2 << 30  # 105 classes of a whole body in tiles of 96 would take 3.6 GB

Ask = Callable[[Picture], Labels | Scores]


def segment(picture: Picture, given: Input, ask: Ask, paint: Painter) -> Labels:
    """Label every voxel.

    Labels of tiles are stitched where tiles overlap, in the middle; scores are blended with weights that
    fall off towards the rim of a tile, one slab at a time, so that memory does not grow with the volume.
    Where a slab of sums would be larger than `SUMS_BYTES_MAX`, labels are made tile by tile and stitched.

    Args:
        picture: (channels, d, h, w), prepared; d are the slices where the network sees one at a time.
        given: The manifest's input: padding, the limit for one pass, tiles.
        ask: Runs the network once: labels (d, h, w) or scores (classes, d, h, w).
        paint: Makes labels of scores.

    Returns:
        (d, h, w).
    """
    shape = picture.shape[1:]
    picture = _pad(picture, given)
    tile = _tile(picture.shape[1:], given)
    if tile == picture.shape[1:]:
        answer = ask(picture)
        labels = np.asarray(answer, np.uint8) if answer.ndim == 3 else paint(np.asarray(answer, np.float32))
    else:
        labels = _tiled(picture, tile, given.overlap, ask, paint)
    return np.ascontiguousarray(labels[: shape[0], : shape[1], : shape[2]], np.uint8)


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Return where tiles begin so that they cover `length`, evenly, sharing at least `overlap`."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(n * (length - tile) / (count - 1)) for n in range(count)]


def _pad(picture: Picture, given: Input) -> Picture:
    """Pad with 0 at the far ends to the multiples the network takes, or to its fixed shape."""
    least = given.tile if given.shape_voxels else (1, 1, 1)
    ends = zip(picture.shape[1:], given.multiple, least, strict=True)
    beyond = [max(-side % multiple, fixed - side) for side, multiple, fixed in ends]
    return np.pad(picture, [(0, 0), *((0, more) for more in beyond)])


def _tile(shape: tuple[int, ...], given: Input) -> Sides:
    """Return the sides of a tile: all of the picture, or of a slice, where that fits one pass."""
    if given.shape_voxels:
        return given.tile
    slab, rows, columns = shape
    thick = 1 if given.slices else slab
    assert given.pass_voxels_max is not None, "checked when it was read"
    if thick * rows * columns <= given.pass_voxels_max:
        return (thick, rows, columns)
    first, second, third = (min(side, length) for side, length in zip(given.tile, shape, strict=True))
    return (first, second, third)


class _Span(NamedTuple):
    """A tile along one axis: where it begins, and the part it alone answers for."""

    start: int
    low: int
    high: int


def _spans(length: int, tile: int, overlap: int) -> list[_Span]:
    begin = starts(length, tile, overlap)
    seams = [0, *((earlier + tile + later) // 2 for earlier, later in pairwise(begin)), length]
    return [_Span(start, low, high) for start, (low, high) in zip(begin, pairwise(seams), strict=True)]


def _tiled(picture: Picture, tile: Sides, overlap: Sides, ask: Ask, paint: Painter) -> Labels:
    shape = picture.shape[1:]
    slabs, rows, columns = (_spans(*each) for each in zip(shape, tile, overlap, strict=True))
    labels = np.zeros(shape, np.uint8)
    blend: _Blend | None = None
    for slab, row, column in product(slabs, rows, columns):
        spans = (slab, row, column)
        window = tuple(slice(span.start, span.start + side) for span, side in zip(spans, tile, strict=True))
        answer = ask(np.ascontiguousarray(picture[(slice(None), *window)]))
        if answer.ndim == 4 and _is_stitched(len(answer), tile, shape):
            answer = paint(np.asarray(answer, np.float32))
        if answer.ndim == 3:
            kept = tuple(slice(span.low, span.high) for span in spans)
            labels[kept] = answer[tuple(slice(s.low - s.start, s.high - s.start) for s in spans)]
        else:
            blend = blend or _Blend(labels, classes=len(answer), tile=tile, paint=paint)
            blend.add(np.asarray(answer, np.float32), at=window)
    if blend:
        blend.finish()
    return labels


def _is_stitched(classes: int, tile: Sides, shape: tuple[int, ...]) -> bool:
    """Whether scores become labels tile by tile: whole slices share nothing, many classes need much room."""
    return tile == (1, *shape[1:]) or 4 * classes * tile[0] * shape[1] * shape[2] > SUMS_BYTES_MAX


class _Blend:
    """Weighted sums of scores for one slab; what no later tile can reach becomes labels at once."""

    def __init__(self, labels: Labels, *, classes: int, tile: Sides, paint: Painter) -> None:
        self._labels = labels
        self._paint = paint
        self._sums = np.zeros((classes, tile[0], *labels.shape[1:]), np.float32)
        self._weights = None if paint.is_relative else np.zeros(self._sums.shape[1:], np.float32)
        self._first = 0
        self._weight = np.ones((), np.float32)
        for side in tile:
            self._weight = self._weight[..., None] * _bell(side)

    def add(self, scores: Scores, *, at: tuple[slice, ...]) -> None:
        if at[0].start > self._first:
            self._settle(at[0].start - self._first)
        self._sums[:, :, at[1], at[2]] += scores * self._weight
        if self._weights is not None:
            self._weights[:, at[1], at[2]] += self._weight

    def finish(self) -> None:
        self._settle(self._sums.shape[1])

    def _settle(self, layers: int) -> None:
        """Make labels; where scores are only compared, the largest sum is the largest mean."""
        done = self._sums[:, :layers]
        if self._weights is not None:
            done /= self._weights[:layers]
            _move_up(self._weights, layers)
        self._labels[self._first : self._first + layers] = self._paint(done)
        _move_up(self._sums, layers, axis=1)
        self._first += layers


def _move_up(sums: NDArray[np.float32], layers: int, *, axis: int = 0) -> None:
    """Drop the first layers, in place; zeros come in at the end."""
    across = np.moveaxis(sums, axis, 0)
    across[: len(across) - layers] = across[layers:].copy()
    across[len(across) - layers :] = 0


def _bell(side: int) -> NDArray[np.float32]:
    place = np.arange(side) - (side - 1) / 2
    return np.asarray(np.exp(-0.5 * (place / (side / 8)) ** 2).clip(1e-3), np.float32)
