"""Heads that nobody has: ellipsoids of scalp, skull, fluid, grey and white matter, as T1 shows them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SHAPE: Final = (56, 64, 60)  # left to right, back to front, down to up
SPACING_MM: Final = 3.5
SCALP, SKULL, FLUID, GREY, WHITE, FACE = 900.0, 90.0, 160.0, 480.0, 700.0, 520.0


def draw(seed: int) -> NDArray[np.float32]:
    """Draw one head, (56, 64, 60) voxels of 3.5 mm in RAS, unit arbitrary."""
    random = np.random.default_rng(seed)
    x, y, z = (
        (np.arange(side) - side / 2 + 0.5)[tuple(slice(None) if axis == at else None for axis in range(3))]
        * SPACING_MM
        for at, side in enumerate(SHAPE)
    )
    half = np.array((66.0, 84.0, 66.0)) * random.uniform(0.9, 1.08, 3)
    middle = np.array((0.0, 2.0, 14.0)) + random.normal(0, 2, 3)
    wobble = ndimage.gaussian_filter(random.normal(0, 1, SHAPE), 2.0)
    wobble /= wobble.std()

    def inner(margin_mm: float, rough: float = 0.0) -> NDArray[np.float64]:
        """Return how deep a voxel lies in an ellipsoid that much larger than the brain, in mm about."""
        grown = half + margin_mm
        u, v, w = ((place - at) / side for place, at, side in zip((x, y, z), middle, grown, strict=True))
        w = np.where(w < -0.55, w * 1.35, w)  # the base of the brain is flat
        return (1 - np.sqrt(u * u + v * v + w * w)) * grown.min() + rough * wobble

    neck = np.hypot(x - middle[0], (y - middle[1] + 15) * 0.9) < 52
    face = (np.hypot(x - middle[0], (y - middle[1] - 45) * 1.1) < 48) & (z < middle[2] - 10)
    voxels = np.where((neck | face) & (z < middle[2]), FACE + 90 * wobble, 0.0)
    for margin_mm, rough, level in (
        (15, 0, SCALP),
        (9, 0, SKULL),
        (2.5, 0, FLUID),
        (0, 1, GREY),
        (-9, 4, WHITE),
    ):
        voxels = np.where(inner(margin_mm, rough) > 0, level, voxels)
    ventricles = np.hypot(np.abs(x - middle[0]) - 8, (z - middle[2] - 8) * 0.8) < 6
    voxels = np.where(ventricles & (np.abs(y - middle[1]) < 28), FLUID, voxels)
    cleft = (np.abs(x - middle[0]) < 1.5) & (inner(0, 0) > 0) & (z > middle[2] + 25)
    voxels = ndimage.gaussian_filter(np.where(cleft, FLUID, voxels), 0.55)
    return np.maximum(voxels + random.normal(0, 12, SHAPE), 0).astype(np.float32)
