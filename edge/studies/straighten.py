"""Make a regular grid of slices that lean (a tilted gantry) or stand at uneven distances. Pure, linear."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.studies.geometry import Numbers, Stack

Voxels = NDArray[np.int16] | NDArray[np.float32]


def straightened(
    voxels: Voxels, stack: Stack, *, slice_spacing_mm: float, outside: float
) -> tuple[Voxels, Numbers]:
    """Shear and interpolate a stack onto an upright grid of even slices that holds all of it.

    Args:
        voxels: (k, j, i), in the order of the stack.
        stack: Where its slices lie.
        slice_spacing_mm: Of the result.
        outside: Value where no slice reaches.

    Returns:
        Voxels of the same type, (k, j, i), and the position of the first one, in mm, LPS.
    """
    shifts_px = stack.shifts_mm / np.array(stack.spacing_mm)
    corner_px = np.floor(shifts_px.min(axis=0))
    shifts_px = shifts_px - corner_px
    room = np.ceil(shifts_px.max(axis=0)).astype(int) + 1
    shape = (voxels.shape[1] + int(room[0]), voxels.shape[2] + int(room[1]))
    depth = math.floor(stack.distances_mm[-1] / slice_spacing_mm + 1e-6) + 1
    result = np.full((depth, *shape), outside, voxels.dtype)
    placed: dict[int, NDArray[np.float32]] = {}
    for k, distance in enumerate(np.arange(depth) * slice_spacing_mm):
        above = int(np.clip(np.searchsorted(stack.distances_mm, distance, side="right"), 1, len(voxels) - 1))
        pair = (above - 1, above)
        placed = {
            n: placed[n] if n in placed else _placed(voxels[n], shifts_px[n], shape, outside) for n in pair
        }
        span = stack.distances_mm[above] - stack.distances_mm[above - 1]
        share = np.float32(min(1.0, (distance - stack.distances_mm[above - 1]) / span))
        blend = placed[above - 1] + share * (placed[above] - placed[above - 1])
        result[k] = blend.round() if result.dtype == np.int16 else blend
    step_j, step_i = stack.column * stack.spacing_mm[0], stack.row * stack.spacing_mm[1]
    return result, stack.origin_mm + corner_px[0] * step_j + corner_px[1] * step_i


def _placed(plane: Voxels, shift_px: Numbers, shape: tuple[int, int], outside: float) -> NDArray[np.float32]:
    """Return a plane moved by (rows, columns) ≥ 0 on a larger sheet, linearly interpolated."""
    down, right = (math.floor(shift) for shift in shift_px)
    part_down, part_right = np.float32(shift_px[0] - down), np.float32(shift_px[1] - right)
    sheet = np.pad(plane.astype(np.float32), 1, constant_values=outside)
    sheet = sheet[1:] + part_down * (sheet[:-1] - sheet[1:])
    sheet = sheet[:, 1:] + part_right * (sheet[:, :-1] - sheet[:, 1:])
    result = np.full(shape, outside, np.float32)
    rows, columns = sheet.shape
    result[down : down + rows, right : right + columns] = sheet
    return result
