"""A head that belongs to nobody: ellipsoids with the grey levels of a T1-weighted picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.domain.image import Volume

Parts = tuple[tuple[tuple[float, ...], tuple[float, ...], int], ...]

# Middle and half axes in mm (left, back, up), and the grey level; later ones lie inside the earlier.
_OUTSIDE: Parts = (
    ((0, 28, -80), (56, 60, 70), 520),  # neck
    ((0, -42, -62), (58, 52, 62), 560),  # face
    ((0, -62, -66), (16, 26, 30), 90),  # nose and mouth
    ((0, 0, 0), (78, 98, 90), 900),  # skin and fat
    ((0, 0, 0), (74, 94, 86), 130),  # bone
    ((0, 0, 1), (69, 88, 80), 210),  # fluid
)
_INSIDE: Parts = (
    ((0, 50, -46), (48, 34, 24), 640),  # cerebellum
    ((0, 50, -46), (38, 24, 15), 800),
    ((0, 20, -52), (13, 14, 38), 820),  # brain stem
    ((-13, 6, 8), (7, 34, 12), 230),  # ventricles
    ((13, 6, 8), (7, 34, 12), 230),
    ((0, 4, -4), (2.5, 14, 12), 230),
    ((-24, 0, -2), (9, 17, 11), 690),  # basal ganglia
    ((24, 0, -2), (9, 17, 11), 690),
    ((-31, -78, -22), (12, 13, 12), 300),  # eyes
    ((31, -78, -22), (12, 13, 12), 300),
)
_BRAIN: Final = (0, -1, 4), (66, 85, 75)
_GREY, _WHITE, _FLUID = 620, 860, 220
_CORTEX, _FURROW_DEPTH = 0.075, 0.16  # shares of the radius of the brain
_HALF_MM = (100.0, 112.0, 108.0)

Floats = NDArray[np.float32]
Places = tuple[Floats, Floats, Floats]


def head(*, spacing_mm: float = 2.0, seed: int = 1) -> Volume:
    """Return a head in LPS, slices from below to above.

    Args:
        spacing_mm: Of the grid, the same along every axis; above 0.5.
        seed: Of shape and noise: no two heads are quite alike.
    """
    rng = np.random.default_rng(seed)
    axes = [np.arange(-half, half + spacing_mm, spacing_mm, dtype=np.float32) for half in _HALF_MM]
    x, y, z = (
        axis.reshape(shape) for axis, shape in zip(axes, ((1, 1, -1), (1, -1, 1), (-1, 1, 1)), strict=True)
    )
    size = rng.uniform(0.94, 1.04, 3)
    levels = np.zeros((len(axes[2]), len(axes[1]), len(axes[0])), np.float32)
    where = (x / size[0], y / size[1], z / size[2])
    for middle, half, level in _OUTSIDE:
        levels[_radius(where, middle, half) < 1] = level
    _grow_brain(levels, where, rng)
    for middle, half, level in _INSIDE:
        levels[_radius(where, middle, half) < 1] = level
    levels *= 1 + 0.06 * (x + y) / 100  # a coil is nearer to one side
    noisy = np.hypot(levels + rng.normal(0, 14, levels.shape), rng.normal(0, 14, levels.shape))
    placed = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    placed[:3, 3] = [axis[0] for axis in axes]
    return Volume(
        voxels=noisy.clip(0, 4095).astype(np.int16),
        unit="arbitrary",
        spacing_mm=(spacing_mm,) * 3,
        patient_from_voxel=placed,
        modality="MR",
    )


def _radius(where: Places, middle: Sequence[float], half: Sequence[float]) -> Floats:
    """Return how far out each voxel is, 1 on the surface of an ellipsoid."""
    away = [(at - place) / reach for at, place, reach in zip(where, middle, half, strict=True)]
    return np.asarray(np.sqrt(sum(np.square(part) for part in away)), dtype=np.float32)


def _grow_brain(levels: Floats, where: Places, rng: np.random.Generator) -> None:
    """Draw two hemispheres whose cortex follows the furrows between their windings."""
    x, y, z = where
    out = _radius(where, *_BRAIN)
    turn = rng.uniform(0, 2 * np.pi, 3)
    bent = x + 7 * np.sin(y / 13 + turn[0]) + 5 * np.sin(z / 11 + turn[1])
    waves = (
        np.sin(bent / 4.2) + np.sin((y + 6 * np.sin(z / 10 + turn[2])) / 4.6) + np.sin((z + bent / 3) / 4.4)
    )
    furrow = np.clip(waves - 0.1, 0, 1) * np.clip((out - 0.6) / 0.4, 0, 1)
    depth = 1 - out - _FURROW_DEPTH * furrow * 1.6
    middle = np.abs(x) / _BRAIN[1][0]  # the cleft between the hemispheres
    depth = np.where(z + 0.2 * np.abs(y) > 12, np.minimum(depth, middle - 0.02), depth)
    is_there = (out < 1) & (z > -46 + 0.25 * np.abs(y + 20))
    levels[is_there] = _FLUID
    levels[is_there & (depth > 0)] = _GREY
    levels[is_there & (depth > _CORTEX)] = _WHITE
