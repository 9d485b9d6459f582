"""Where a stack of planes lies: order, spacing, tilt, and whether a regular grid can be made of it. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.domain.image import Matrix
from edge.studies.slices import Plane

Numbers = NDArray[np.float64]

EVEN_TOLERANCE = 0.05  # of the spacing
ROUNDING_MM = 0.1  # some makers write positions to 0.1 mm; never more than a fifth of the spacing
DRIFT_TOLERANCE_PX = 0.1  # of in-plane shift over the whole stack
SAME_DIRECTION = 1e-4  # difference of direction cosines; the same slice rounded twice differs by 1e-6
RUN_GAPS_MIN = 3  # as many equal distances in a row make a block of slices


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """Planes of one orientation, in order along their normal.

    Attributes:
        order: Index of each plane in what was given, lowest along the normal first.
        distances_mm: (n,) along the normal from the first plane on, ascending.
        shifts_mm: (n, 2) of each plane within itself, along (columns, rows), against the first one.
        row: Unit vector, the way columns count up.
        column: Unit vector, the way rows count up.
        normal: row × column.
        origin_mm: Position of the first plane.
        spacing_mm: Between rows, and between columns.
    """

    order: NDArray[np.intp]
    distances_mm: Numbers
    shifts_mm: Numbers
    row: Numbers
    column: Numbers
    normal: Numbers
    origin_mm: Numbers
    spacing_mm: tuple[float, float]

    @property
    def gaps_mm(self) -> Numbers:
        """Distance of each plane to the next, (n - 1,)."""
        return np.diff(self.distances_mm)


def stacked(planes: Sequence[Plane]) -> Stack:
    """Order planes that share orientation and spacing along their normal."""
    first = planes[0]
    row, column = np.array(first.row), np.array(first.column)
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    positions = np.array([plane.position_mm for plane in planes])
    order = np.argsort(positions @ normal, kind="stable")
    from_first = positions[order] - positions[order[0]]
    return Stack(
        order=order,
        distances_mm=from_first @ normal,
        shifts_mm=np.stack([from_first @ column, from_first @ row], axis=1),
        row=row,
        column=column,
        normal=normal,
        origin_mm=positions[order[0]],
        spacing_mm=first.spacing_mm,
    )


def is_parallel(plane: Plane, other: Plane) -> bool:
    """Whether two planes have the same rows and columns."""
    mine, theirs = np.array((plane.row, plane.column)), np.array((other.row, other.column))
    return bool(np.abs(mine - theirs).max() <= SAME_DIRECTION)


def even_spacing_mm(distances_mm: Numbers) -> float | None:
    """Return the spacing of evenly spaced planes, None where they are not."""
    spacing = float(distances_mm[-1]) / (len(distances_mm) - 1)
    ideal = np.arange(len(distances_mm)) * spacing
    off = np.abs(distances_mm - ideal).max()
    allowed = max(EVEN_TOLERANCE * spacing, min(ROUNDING_MM, 0.2 * spacing))
    return spacing if spacing > 0 and off <= allowed else None


def blocks_mm(gaps_mm: Numbers) -> list[tuple[int, int, float]] | None:
    """Divide uneven gaps into blocks of equal ones, as a protocol with two slice thicknesses makes them.

    Returns:
        (first gap, last gap, distance in mm) of each block; between two blocks there may be one gap that
        belongs to neither and is no wider than the wider of the two. None where gaps are not of that kind.
    """
    runs: list[list[int]] = []
    for index, gap in enumerate(gaps_mm):
        if runs and abs(gap - gaps_mm[runs[-1][0]]) <= EVEN_TOLERANCE * gaps_mm[runs[-1][0]]:
            runs[-1].append(index)
        else:
            runs.append([index])
    blocks = [(run[0], run[-1], float(gaps_mm[run].mean())) for run in runs if len(run) >= RUN_GAPS_MIN]
    if not blocks or blocks[0][0] != 0 or blocks[-1][1] != len(gaps_mm) - 1:
        return None
    for (_, before, lower), (after, _, upper) in itertools.pairwise(blocks):
        between = gaps_mm[before + 1 : after]
        if len(between) > 1 or (len(between) and between[0] > max(lower, upper) * (1 + EVEN_TOLERANCE)):
            return None
    return blocks


def tilt_degrees(stack: Stack) -> float | None:
    """Return the angle between the stack's axis and the normal of its planes, 0 where it stands upright.

    None where the planes wander instead of leaning: then they are no stack.
    """
    shifts, distances = stack.shifts_mm, stack.distances_mm
    if (np.abs(shifts).max(axis=0) <= DRIFT_TOLERANCE_PX * np.array(stack.spacing_mm)).all():
        return 0.0
    lean = distances @ shifts / (distances @ distances)
    off = np.abs(shifts - np.outer(distances, lean)).max(axis=0)
    if (off > 0.5 * np.array(stack.spacing_mm)).any():
        return None
    return math.degrees(math.atan(float(np.hypot(*lean))))


def patient_from_voxel(stack: Stack, origin_mm: Numbers, slice_spacing_mm: float) -> Matrix:
    """Return the affine of a grid with the stack's axes: (i, j, k, 1) to mm in LPS."""
    affine = np.eye(4)
    affine[:3, 0] = stack.row * stack.spacing_mm[1]
    affine[:3, 1] = stack.column * stack.spacing_mm[0]
    affine[:3, 2] = stack.normal * slice_spacing_mm
    affine[:3, 3] = origin_mm
    return affine
