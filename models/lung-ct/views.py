"""What scans hold of a body: the shapes of the scans in training, and where they lie."""

from typing import Final

from build import Build
from chance import Chance, Shape
from network import MULTIPLE_VOXELS
from space import VOXEL_MM, Point

CUBE: Final[Shape] = (128, 128, 128)
WIDE: Final[Shape] = (208, 160, 64)  # 312 mm wide: both lungs, spine and liver at once
SHAPES: Final = (CUBE, WIDE)
SEES_BOTH_MM: Final = 280.0  # a field of view as wide as that holds both lungs

PARTS: Final = ("chest", "bases", "shoulders", "neck", "belly", "anywhere")
NARROW_SHARES: Final = (0.74, 0.11, 0.05, 0.03, 0.04, 0.03)
WIDE_SHARES: Final = (0.34, 0.45, 0.08, 0.03, 0.07, 0.03)


def shape_of(text: str) -> Shape:
    """Read `208,160,64`: voxels along x, y and z, each a multiple of what the network wants."""
    sides = [int(part) for part in text.split(",")]
    if len(sides) != 3 or any(side < 1 or side % MULTIPLE_VOXELS for side in sides):
        raise ValueError(f"{text!r}, wanted three multiples of {MULTIPLE_VOXELS} with commas between them")
    return sides[0], sides[1], sides[2]


def draw_centre(build: Build, shape: Shape, chance: Chance) -> Point:
    """Lay a field of view into a body.

    Scans of the belly end in the bases of the lungs, those of the neck in their tops: for these the end is
    drawn, not the middle.

    Args:
        build: The body.
        shape: Of the field of view, voxels of 1.5 mm.
        chance: The draws.

    Returns:
        Its middle in the body, mm.
    """
    wide, deep, high = (0.5 * side * VOXEL_MM / build.scale for side in shape)
    is_wide = shape[0] * VOXEL_MM >= SEES_BOTH_MM
    part = chance.pick(PARTS, WIDE_SHARES if is_wide else NARROW_SHARES)
    if part == "anywhere":
        return chance.uniform(-220, 220), chance.uniform(-170, 170), chance.uniform(-200, 200)
    x = chance.pick([-1.0, 1.0]) * chance.uniform(0, max(22.0, build.half_width + 70 - wide))
    y = build.middle - 8 + chance.uniform(-1, 1) * max(12.0, build.half_depth + 65 - deep)
    lower_dome = min(build.right_dome, build.left_dome)
    z = {
        "chest": lambda: chance.uniform(-140, 95),
        "bases": lambda: lower_dome + chance.uniform(-100, 20) - high,
        "shoulders": lambda: chance.uniform(15, 115) + high,
        "neck": lambda: 100 + 260 * chance.uniform() ** 1.6,
        "belly": lambda: chance.uniform(-330, -180) - 0.5 * high,
    }[part]()
    return x, y, z
