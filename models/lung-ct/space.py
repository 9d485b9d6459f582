"""The piece of space that is drawn: where its voxels lie in a body, and soft shapes in it.

Body coordinates are millimetres: x to the right, y to the front, z up, the carina near the origin.
Distances of shapes are positive inside. Shapes take places of any form, so that the same body can be
asked about a grid of voxels and about a list of points.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from chance import Chance, Shape
from torch import Tensor
from torch.nn import functional

VOXEL_MM = 1.5

Point = tuple[float, float, float]
FAR_MM = 45.0  # shapes farther from all places than this are not computed
FAR_AWAY = -99.0
REACHES = (2, 3, 5, 8, 12)  # voxels: half sides of the cubes in which balls are filled; none is wider


class Places(tuple[Tensor, Tensor, Tensor]):
    """x, y and z of some places; with the corners of a box that holds all of them, where that is known."""

    box: tuple[Point, Point] | None = None

    def are_far_from(self, low: Point, high: Point) -> bool:
        """Whether no place is near a box."""
        if self.box is None:
            return False
        sides = zip(low, high, *self.box, strict=True)
        return any(b < first - FAR_MM or a > last + FAR_MM for a, b, first, last in sides)

    def mirrored(self) -> "Places":
        """The same places with right and left exchanged."""
        other = Places((-self[0], self[1], self[2]))
        if self.box is not None:
            (ax, ay, az), (bx, by, bz) = self.box
            other.box = ((-bx, ay, az), (-ax, by, bz))
        return other


@dataclass(frozen=True, slots=True)
class Crop:
    """A box of voxels in a body.

    Attributes:
        shape: Voxels along each axis.
        sides: (3,), the same on the device.
        voxel_mm: Edge of a voxel in the body's own millimetres: a small body has larger ones.
        places: x, y, z of each voxel in the body, each of `shape`.
        turn: (3, 3), from the grid's axes to the body's.
        centre: (3,), the body's point in the middle of the grid.
        bend: (3, *shape), what was added to the places after turning, mm of the body.
        is_mirrored: Whether the body lies in the grid the other way round: its right is the grid's left.
    """

    shape: Shape
    sides: Tensor
    voxel_mm: float
    places: Places
    turn: Tensor
    centre: Tensor
    bend: Tensor
    is_mirrored: bool = False

    def voxels_of(self, points: Tensor) -> Tensor:
        """Where points (n, 3) of the body lie in the grid: (n, 3), in voxels; exact to a part of a voxel."""
        middle = (self.sides - 1) / 2
        seen = (points - self.centre) @ self.turn
        for _ in range(2):
            grid = (seen / (self.voxel_mm * middle)).flip(-1).view(1, -1, 1, 1, 3)
            shift = functional.grid_sample(
                self.bend[None], grid, mode="bilinear", padding_mode="border", align_corners=True
            )
            seen = (points - self.centre - shift[0, :, :, 0, 0].T) @ self.turn
        return seen / self.voxel_mm + middle

    def occupied(self, distance: Tensor) -> Tensor:
        """How much of each voxel lies inside, 0 to 1, from distances to the surface."""
        return (distance / self.voxel_mm + 0.5).clamp(0, 1)


def draw_crop(
    centre: Point, *, shape: Shape, body_scale: float, chance: Chance, is_mirrored: bool = False
) -> Crop:
    """Lay a box around a point of a body, turned a little and bent."""
    angles = [chance.normal(0.06) for _ in range(3)]
    turn = _rotation(angles)
    if is_mirrored:
        turn[:, 0] = -turn[:, 0]
    turn = turn.to(chance.device)
    voxel_mm = VOXEL_MM / body_scale
    axes = [(torch.arange(side, device=chance.device) - (side - 1) / 2) * voxel_mm for side in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    bend = torch.zeros_like(grid)
    for spacing, reach_mm in ((64, 7.0), (32, 3.5), (16, 1.3), (8, 0.5)):
        bend = bend + reach_mm * chance.uniform() * chance.smooth(shape, spacing_voxels=spacing, channels=3)
    middle = torch.tensor(centre, device=chance.device)
    turned = torch.einsum("ij,jxyz->ixyz", turn, grid) + middle.view(3, 1, 1, 1) + bend
    places = Places((turned[0], turned[1], turned[2]))
    low, high = turned.flatten(1).aminmax(dim=1)
    (ax, ay, az), (bx, by, bz) = low.tolist(), high.tolist()
    places.box = ((ax, ay, az), (bx, by, bz))
    return Crop(
        shape, torch.tensor(shape, device=chance.device), voxel_mm, places, turn, middle, bend, is_mirrored
    )


def _rotation(angles: Sequence[float]) -> Tensor:
    """About x, y and z, in radians."""
    turned = torch.eye(3)
    for axis, angle in enumerate(angles):
        cos, sin = math.cos(angle), math.sin(angle)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        one = torch.eye(3)
        one[first, first] = one[second, second] = cos
        one[first, second], one[second, first] = -sin, sin
        turned = turned @ one
    return turned


def ellipsoid(at: Places, centre: Point, radii: Point, power: float = 2.0) -> Tensor:
    """Distance to an ellipsoid or, with a power above 2, a rounded box; of first order.

    Far from all places it is one number for all of them.
    """
    low, high = _box_of([centre], max(radii))
    if at.are_far_from(low, high):
        return torch.full((), FAR_AWAY, device=at[0].device)
    scaled = [(a - c) * (1 / r) for a, c, r in zip(at, centre, radii, strict=True)]
    if power != 2.0:
        return rounded([s.abs() for s in scaled], radii, power)
    radius2 = torch.full_like(at[0], 1e-6)
    slope2 = torch.full_like(at[0], 1e-9)
    for s, r in zip(scaled, radii, strict=True):
        radius2 = torch.addcmul(radius2, s, s)
        slope2 = torch.addcmul(slope2, s, s, value=r**-2)
    radius = radius2.sqrt()
    return (1 - radius) * radius * slope2.rsqrt()


def _box_of(points: Sequence[Point], reach: float) -> tuple[Point, Point]:
    (ax, bx), (ay, by), (az, bz) = ((min(p) - reach, max(p) + reach) for p in zip(*points, strict=True))
    return (ax, ay, az), (bx, by, bz)


def rounded(scaled: Sequence[Tensor], radii: Sequence[float], power: float) -> Tensor:
    """Distance to a rounded shape, from coordinates of its own that are 1 on its surface on each axis."""
    parts = [s.clamp(min=1e-4) for s in scaled]
    radius = sum(s**power for s in parts) ** (1 / power)
    slope = sum((s ** (power - 1) / r) ** 2 for s, r in zip(parts, radii, strict=True)) ** 0.5
    return (1 - radius) * radius ** (power - 1) / slope.clamp(min=1e-6)


def tube(at: Places, path: Sequence[Point], radii: float | Sequence[float]) -> Tensor:
    """Distance to a tube along a line of points, its radius linear between them."""
    thick = [radii] * len(path) if isinstance(radii, float | int) else list(radii)
    best = torch.full((), FAR_AWAY, device=at[0].device)
    for (a, ra), (b, rb) in pairwise(zip(path, thick, strict=True)):
        if at.are_far_from(*_box_of([a, b], max(ra, rb))):
            continue
        way = [q - p for p, q in zip(a, b, strict=True)]
        length2 = sum(w * w for w in way) or 1.0
        x, y, z = (one - p for one, p in zip(at, a, strict=True))
        off = torch.add(torch.add(x * way[0], y, alpha=way[1]), z, alpha=way[2])
        along = (off * (1 / length2)).clamp(0, 1)
        gap2 = torch.addcmul(torch.addcmul(x * x, y, y), z, z) - along * (2 * off - along * length2)
        best = torch.maximum(best, torch.add(ra - gap2.clamp(min=1e-6).sqrt(), along, alpha=rb - ra))
    return best


def blend(first: Tensor, second: Tensor, width_mm: float) -> Tensor:
    """Union of two shapes, with a fillet."""
    share = (0.5 + 0.5 * (first - second) / width_mm).clamp(0, 1)
    return second + share * (first - second) + width_mm * share * (1 - share)


def splat(crop: Crop, points: Tensor, radii: Tensor) -> Tensor:
    """How much of each voxel lies within balls around points: what thin tubes fill.

    Args:
        crop: The voxels.
        points: (n, 3) in the body, closer to each other along a tube than a voxel.
        radii: (n,) in the body's mm; thinner than half a voxel fills less than a voxel.
    """
    nx, ny, nz = crop.shape
    filled = torch.zeros(nx * ny * nz + 1, device=points.device)
    seen = crop.voxels_of(points)
    radii = radii / crop.voxel_mm
    near = ((seen > -radii[:, None] - 1) & (seen < crop.sides + radii[:, None])).all(1)
    kinds = torch.bucketize(radii, torch.tensor([reach - 1.0 for reach in REACHES], device=points.device))
    kinds = torch.where(near, kinds, len(REACHES))
    counts = torch.bincount(kinds, minlength=len(REACHES) + 1).tolist()  # the only wait for the device
    for reach, chosen in zip(REACHES, kinds.argsort().split(counts), strict=False):
        if not len(chosen):
            continue
        centres, thick = seen[chosen], radii[chosen]
        steps = torch.arange(-reach, reach + 1, device=points.device)
        cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).view(-1, 3)
        cube = cube[cube.float().norm(dim=1) <= reach + 0.5]
        for first in range(0, len(centres), 40_000):
            _splat_some(filled, centres[first : first + 40_000], thick[first : first + 40_000], cube, crop)
    return filled[:-1].view(crop.shape)


def _splat_some(filled: Tensor, centres: Tensor, radii: Tensor, cube: Tensor, crop: Crop) -> None:
    base = centres.round().long()
    where = base[:, None] + cube[None]
    gap = (where - centres[:, None]).norm(dim=2)
    thin = (radii / 0.7).clamp(max=1) ** 1.5
    share = (radii[:, None] + 0.5 - gap).clamp(0, 1) * thin[:, None]
    nx, ny, nz = crop.shape
    inside = ((where >= 0) & (where < crop.sides)).all(2)
    flat = (where[..., 0] * ny + where[..., 1]) * nz + where[..., 2]
    flat = torch.where(inside, flat, nx * ny * nz)
    filled.scatter_reduce_(0, flat.flatten(), share.flatten(), "amax")
