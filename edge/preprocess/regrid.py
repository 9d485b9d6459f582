"""Bring one series to the grid of another by where both lie in the patient."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from scipy import ndimage

from edge.domain.errors import PictureRejectedError
from edge.domain.image import Matrix, Volume
from edge.preprocess.resample import AREA_ABOVE, resample

AIR_HU = -1024.0
SHARED_MIN = 0.5  # of the wanted grid; less, and the two do not show the same part of the patient
SAME_MM = 0.01


def regrid(volume: Volume, *, grid: Volume, role: str) -> Volume:
    """Interpolate a volume linearly at the voxels of another; where it has none: 0, in CT air.

    Where it is more than twice as fine along an axis it is averaged first, so that nothing is skipped.

    Args:
        volume: The series to bring over.
        grid: The one whose grid is wanted.
        role: Names the first in errors.

    Returns:
        float32 on the grid of `grid`; the volume itself where it lies on that grid already.

    Raises:
        PictureRejectedError: It shows less than half of the field of view of `grid`.
    """
    if _lies_alike(volume, grid):
        return volume
    source = _no_finer(volume, grid)
    theirs_from_ours = np.linalg.inv(source.patient_from_voxel) @ grid.patient_from_voxel
    turn, shift = theirs_from_ours[2::-1, 2::-1], theirs_from_ours[2::-1, 3]
    share = _share_inside(turn, shift, grid.voxels.shape, source.voxels.shape)
    if share < SHARED_MIN:
        raise PictureRejectedError(
            f"series of role {role} shows {share:.0%} of the field of view of the first one, "
            f"wanted at least {SHARED_MIN:.0%}"
        )
    outside = AIR_HU if volume.unit == "hounsfield" else 0.0
    voxels = ndimage.affine_transform(
        np.asarray(source.voxels, np.float32),
        turn,
        shift,
        output_shape=grid.voxels.shape,
        output=np.float32,
        order=1,
        mode="grid-constant",
        cval=outside,
    )
    return replace(
        volume,
        voxels=voxels,
        spacing_mm=grid.spacing_mm,
        patient_from_voxel=grid.patient_from_voxel,
    )


def _lies_alike(volume: Volume, grid: Volume) -> bool:
    """Whether the corners of both are the same voxels in the same place."""
    if volume.voxels.shape != grid.voxels.shape:
        return False
    ends = [(0.0, side - 1.0) for side in reversed(grid.voxels.shape)]
    corners = np.array([*product(*ends)])
    apart = volume.patient_from_voxel - grid.patient_from_voxel
    return bool(np.abs(corners @ apart[:3, :3].T + apart[:3, 3]).max() < SAME_MM)


def _no_finer(volume: Volume, grid: Volume) -> Volume:
    """Average along the axes on which a volume is more than twice as fine as the grid."""
    between = np.linalg.inv(grid.patient_from_voxel[:3, :3]) @ volume.patient_from_voxel[:3, :3]
    nearest = np.abs(between[::-1, ::-1]).argmax(axis=0)
    wanted = tuple(
        grid.spacing_mm[axis] if grid.spacing_mm[axis] > AREA_ABOVE * spacing else None
        for axis, spacing in zip(nearest, volume.spacing_mm, strict=True)
    )
    return resample(volume, spacing_mm=wanted) if any(wanted) else volume


def _share_inside(turn: Matrix, shift: Matrix, ours: tuple[int, ...], theirs: tuple[int, ...]) -> float:
    """Return how much of a grid another one reaches, by a lattice of some thousand places."""
    axes = [np.linspace(0, side - 1, min(side, 16)) for side in ours]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ turn.T + shift
    inside = (places > -1) & (places < np.array(theirs))
    return float(inside.all(axis=1).mean())
