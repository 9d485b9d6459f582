"""Volumes for tests: smooth pictures placed anywhere in the patient."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.domain.image import Matrix, Volume


def volume(
    voxels: NDArray[np.int16] | NDArray[np.float32],
    *,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    turn: Matrix | None = None,
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    unit: str = "arbitrary",
    modality: str = "MR",
) -> Volume:
    """Place voxels: `turn` (3, 3) has the directions of i, j, k in LPS as its columns."""
    placed = np.eye(4)
    placed[:3, :3] = (np.eye(3) if turn is None else turn) @ np.diag(spacing_mm[::-1])
    placed[:3, 3] = origin_mm
    return Volume(
        voxels=voxels, unit=unit, spacing_mm=spacing_mm, patient_from_voxel=placed, modality=modality
    )


def ramp(grid: Volume, *, slope: tuple[float, float, float] = (0.7, -1.3, 2.1)) -> Volume:
    """The same grid with a value that depends linearly on the place in the patient, plus 1000."""
    k, j, i = np.indices(grid.voxels.shape)
    places = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ grid.patient_from_voxel.T
    return volume_like(grid, (places[..., :3] @ slope + 1000).astype(np.float32))


def volume_like(grid: Volume, voxels: NDArray[np.float32]) -> Volume:
    return Volume(
        voxels=voxels,
        unit=grid.unit,
        spacing_mm=grid.spacing_mm,
        patient_from_voxel=grid.patient_from_voxel.copy(),
        modality=grid.modality,
    )


def turns() -> st.SearchStrategy[Matrix]:
    """Right- and left-handed sets of axes: any order and flips, turned by up to about 20°."""
    signs = st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)
    angles = st.tuples(*[st.floats(-0.35, 0.35)] * 3)
    return st.builds(_turn, st.permutations(range(3)), signs, angles)


def _turn(order: list[int], signs: tuple[float, ...], angles: tuple[float, ...]) -> Matrix:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        rotation = np.eye(3)
        one, other = (axis + 1) % 3, (axis + 2) % 3
        rotation[[one, other], [one, other]] = np.cos(angle)
        rotation[one, other], rotation[other, one] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ rotation
    turned: Matrix = matrix @ np.eye(3)[:, order] * np.array(signs)
    return turned


def grids(*, side_min: int = 3, side_max: int = 12) -> st.SearchStrategy[Volume]:
    """Grids of any shape, spacing, order of axes, angle and place; their voxels are 0."""
    sides = st.tuples(*[st.integers(side_min, side_max)] * 3)
    spacings = st.tuples(*[st.floats(0.4, 6.0)] * 3)
    origins = st.tuples(*[st.floats(-200, 200)] * 3)
    return st.builds(
        lambda shape, spacing, turn, origin: volume(
            np.zeros(shape, np.float32), spacing_mm=spacing, turn=turn, origin_mm=origin
        ),
        sides,
        spacings,
        turns(),
        origins,
    )
