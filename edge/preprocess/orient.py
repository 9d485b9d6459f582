"""Turn a volume into an anatomical order of axes, and labels back to where they came from."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edge.domain.image import Matrix, Volume

Voxels = NDArray[np.int16] | NDArray[np.float32]

LPS = {"L": (0, 1.0), "R": (0, -1.0), "P": (1, 1.0), "A": (1, -1.0), "S": (2, 1.0), "I": (2, -1.0)}


def orient(volume: Volume, *, axes: str) -> Volume:
    """Reorder and flip the array's axes to the order that is nearest; no voxel changes its value or place.

    An oblique volume stays oblique: its affine carries what is left of the angle.

    Args:
        volume: Any.
        axes: Where the first, second and third axis of the array shall run to: `RAS`, `SPL` …

    Returns:
        The same voxels in that order, contiguous.
    """
    have = directions(volume)
    order = [next(n for n, way in enumerate(have) if LPS[way][0] == LPS[want][0]) for want in axes]
    flipped = tuple(n for n, want in enumerate(axes) if have[order[n]] != want)
    first, second, third = (volume.spacing_mm[axis] for axis in order)
    voxels = cast("Voxels", np.ascontiguousarray(volume.voxels.transpose(order)[_steps(flipped)]))
    return replace(
        volume,
        voxels=voxels,
        spacing_mm=(first, second, third),
        patient_from_voxel=volume.patient_from_voxel @ _old_from_new(order, flipped, voxels.shape),
    )


def directions(volume: Volume) -> str:
    """Return where the first, second and third array axis run to, nearest: `SPL` for axial slices."""
    unit = volume.patient_from_voxel[:3, 2::-1] / np.linalg.norm(volume.patient_from_voxel[:3, 2::-1], axis=0)
    best = max(permutations(range(3)), key=lambda rows: sum(abs(unit[row, n]) for n, row in enumerate(rows)))
    return "".join("LPS"[row] if unit[row, n] > 0 else "RAI"[row] for n, row in enumerate(best))


def onto(labels: NDArray[np.uint8], *, placed: Matrix, grid: Volume) -> NDArray[np.uint8]:
    """Carry labels from one grid to another that differs in order, flips, spacing and origin only.

    Args:
        labels: (k, j, i).
        placed: patient_from_voxel of the labels.
        grid: The volume whose grid is wanted.

    Returns:
        The label of the nearest voxel, 0 outside; (k, j, i) of `grid`.
    """
    theirs_from_ours = np.linalg.inv(placed) @ grid.patient_from_voxel
    turn = theirs_from_ours[2::-1, 2::-1]  # [axis of the labels, axis of the grid]
    partner = np.abs(turn).argmax(axis=0)
    rest = np.abs(turn).copy()
    rest[partner, range(3)] = 0
    assert sorted(partner) == [0, 1, 2], "the grids are turned against each other"
    assert rest.max() * max(grid.voxels.shape) < 0.01, "the grids are turned against each other"
    shift = theirs_from_ours[2::-1, 3]
    carried = labels.transpose(partner)
    growth = [new / old for new, old in zip(grid.voxels.shape, carried.shape, strict=True)]
    # Fewest voxels first; of axes alike the last, along which voxels are fetched one by one, not in rows.
    for axis in sorted((2, 1, 0), key=growth.__getitem__):
        other = partner[axis]
        places = np.arange(grid.voxels.shape[axis]) * turn[other, axis] + shift[other]
        carried = _pick(carried, axis, np.floor(places + 0.5).astype(np.intp))
    return np.ascontiguousarray(carried)


def _steps(flipped: tuple[int, ...]) -> tuple[slice, slice, slice]:
    k, j, i = (slice(None, None, -1 if axis in flipped else 1) for axis in range(3))
    return k, j, i


def _pick(labels: NDArray[np.uint8], axis: int, index: NDArray[np.intp]) -> NDArray[np.uint8]:
    inside = (index >= 0) & (index < labels.shape[axis])
    picked = labels.take(index.clip(0, labels.shape[axis] - 1), axis=axis)
    if not inside.all():
        np.moveaxis(picked, axis, 0)[~inside] = 0
    return picked


def _old_from_new(order: list[int], flipped: tuple[int, ...], shape: tuple[int, ...]) -> Matrix:
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for new, old in enumerate(order):
        is_flipped = new in flipped
        matrix[2 - old, 2 - new] = -1 if is_flipped else 1
        matrix[2 - old, 3] = shape[new] - 1 if is_flipped else 0
    return matrix
