"""Connected pieces of a label map: the small ones left out, the others measured in the patient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edge.domain.image import Piece, Pieces, Volume

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Rims = frozenset[tuple[int, int]]

TOUCHING = np.ones((3, 3, 3), np.uint8)  # pieces of a thing may meet at a corner; two things would be one
MIDDLES = np.array([(0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)])  # of the four sides of a pixel


def measure(mask: Mask, *, grid: Volume, source: Volume, rims: Rims, pieces_max: int) -> Pieces:
    """Measure the connected pieces of a mask; voxels that meet at a corner are connected.

    Args:
        mask: (d, h, w) on `grid`.
        grid: Where the network worked.
        source: The volume that was asked about: diameters lie in its slices.
        rims: Ends of the grid that are those of the field of view, as `field_rims` returns them.
        pieces_max: So many are measured one by one, the largest first.
    """
    numbered, count = ndimage.label(mask, structure=TOUCHING)
    if not count:
        return Pieces()
    voxels = np.bincount(numbered.ravel(), minlength=count + 1)
    order = [int(number) + 1 for number in np.argsort(-voxels[1:], kind="stable")]
    boxes = ndimage.find_objects(numbered)
    across = _slice_axis(grid, source)
    voxel_ml = math.prod(grid.spacing_mm) / 1000
    return Pieces(
        largest=tuple(
            _piece(numbered, number, boxes[number - 1], grid=grid, across=across, rims=rims)
            for number in order[:pieces_max]
        ),
        others=len(order[pieces_max:]),
        others_ml=float(voxels[order[pieces_max:]].sum()) * voxel_ml,
    )


def without_small(labels: Labels, *, grid: Volume, least_ml: float, by_label: bool) -> Labels:
    """Leave out connected pieces below a volume.

    Args:
        labels: (d, h, w) on `grid`.
        grid: Where the network worked.
        least_ml: Smaller pieces become background.
        by_label: Each label's pieces by themselves, or those of everything marked.
    """
    least_voxels = least_ml * 1000 / math.prod(grid.spacing_mm)
    kept = np.zeros(labels.shape, bool)
    for mask in masks_of(labels, by_label=by_label):
        numbered, _ = ndimage.label(mask, structure=TOUCHING)
        is_large = np.bincount(numbered.ravel()) >= least_voxels * (1 - 1e-9)
        is_large[0] = False
        kept |= is_large[numbered]
    return np.where(kept, labels, 0).astype(np.uint8)


def field_rims(grid: Volume, source: Volume) -> Rims:
    """Return where a grid ends because the field of view does, and not because it was cropped.

    Args:
        grid: The prepared volume, turned, resized or cropped.
        source: The volume it was made of.

    Returns:
        (axis, 0) for its beginning, (axis, 1) for its end: those beyond which the source has less than a
        voxel of the grid.
    """
    grid_from_source = np.linalg.inv(grid.patient_from_voxel) @ source.patient_from_voxel
    edges = [(-0.5, side - 0.5) for side in reversed(source.voxels.shape)]
    corners = np.array([*product(*edges)]) @ grid_from_source[:3, :3].T + grid_from_source[:3, 3]
    low, high = corners.min(axis=0)[::-1], corners.max(axis=0)[::-1]
    beyond = [(-0.5 - low[n], high[n] - side + 0.5) for n, side in enumerate(grid.voxels.shape)]
    return frozenset((axis, end) for axis in range(3) for end in (0, 1) if beyond[axis][end] < 1.0)


def masks_of(labels: Labels, *, by_label: bool) -> Iterator[Mask]:
    """Yield everything that is marked as one mask, or one label's mask after the other."""
    if by_label:
        yield from (labels == number for number in np.unique(labels) if number)
    else:
        yield labels > 0


def _slice_axis(grid: Volume, source: Volume) -> int:
    """Return which axis of the grid runs through the slices of the source, nearest."""
    through = source.patient_from_voxel[:3, 2] / np.linalg.norm(source.patient_from_voxel[:3, 2])
    axes = grid.patient_from_voxel[:3, 2::-1]
    return int(np.abs(through @ (axes / np.linalg.norm(axes, axis=0))).argmax())


def _piece(
    numbered: NDArray[np.integer],
    number: int,
    box: tuple[slice, ...],
    *,
    grid: Volume,
    across: int,
    rims: Rims,
) -> Piece:
    mask = numbered[box] == number
    places = np.argwhere(mask) + [span.start for span in box]
    k, j, i = places.mean(axis=0)
    x, y, z, _ = grid.patient_from_voxel @ (i, j, k, 1.0)
    ends = [(span.start == 0, span.stop == side) for span, side in zip(box, numbered.shape, strict=True)]
    in_plane = [spacing for axis, spacing in enumerate(grid.spacing_mm) if axis != across]
    return Piece(
        volume_ml=len(places) * math.prod(grid.spacing_mm) / 1000,
        diameter_mm=max(_diameter_mm(plane, in_plane) for plane in np.moveaxis(mask, across, 0)),
        centroid_mm=(float(x), float(y), float(z)),
        is_cut=any(ends[axis][end] for axis, end in rims),
    )


def _diameter_mm(plane: Mask, spacing_mm: list[float]) -> float:
    """Return the longest line across a plane's mask, between the middles of the sides of its pixels.

    From corner to corner a round thing would come out too long, from centre to centre too short by a pixel.
    """
    pixels = np.argwhere(plane)
    if not len(pixels):
        return 0.0
    rims = ((pixels[:, None, :] + MIDDLES).reshape(-1, 2) * spacing_mm).astype(np.float32)
    hull = cv2.convexHull(rims).reshape(-1, 2).astype(np.float64)
    return float(np.linalg.norm(hull[:, None] - hull[None], axis=-1).max())
