"""The inside of the lungs: its density and grain, fissures, and what ails it."""

from dataclasses import dataclass

import torch
from body import Canvas
from build import Build, within_ribs
from chance import Chance
from space import Crop, Places
from torch import Tensor

AIR_HU = -1000.0


@dataclass(frozen=True, slots=True)
class Grain:
    """Smooth noise of several sizes, drawn once for a scan."""

    fine: Tensor
    middling: Tensor
    coarse: Tensor


def fissures(build: Build, at: Places, chance: Chance) -> Tensor:
    """Distance to the nearest fissure, either side of it; mm."""
    x, y, z = at
    oblique = []
    for _ in range(2):
        slope, height = chance.uniform(0.9, 1.7), chance.uniform(-5, 25)
        steep = (1 + slope**2) ** 0.5
        bow = 0.0009 * (y + 10) ** 2
        oblique.append((z - height + slope * (y + 35) + bow) / steep)
    right, left = oblique
    level = z + 12 - 0.12 * (x - 70) + chance.uniform(-14, 14)
    across = torch.where(right < 0, 99.0, level.abs())
    return torch.where(x > build.shift, torch.minimum(right.abs(), across), left.abs())


def density(canvas: Canvas, up: Tensor, chance: Chance) -> Tensor:
    """HU of healthy parenchyma: darker above, grained by what is too small to be seen."""
    typical = chance.uniform(-905, -800) if chance.happens(0.8) else chance.uniform(-800, -690)
    gradient = chance.uniform(0.05, 0.55)
    grain = chance.uniform(0.5, 1.5) * (16 * canvas.fine + 9 * canvas.middling) + 10 * canvas.coarse
    return typical - gradient * up.clamp(-120, 120) + grain + chance.uniform(0, 12) * chance.white(up.shape)


def ail(canvas: Canvas, lung: Tensor, hu: Tensor, up: Tensor, chance: Chance) -> Tensor:
    """Add diseases to the parenchyma's HU; most lungs have none or one."""
    at = canvas.crop.places
    below = torch.sigmoid((-40 - at[2]) / 25)
    rind = torch.exp(-lung.clamp(min=0) / 10)
    if chance.happens(0.20):
        hu = _emphysema(canvas, lung, hu, chance)
    if chance.happens(0.15):  # ground glass
        cloud = canvas.coarse + 0.5 * canvas.middling - chance.uniform(0.3, 1.6)
        hu = hu + (2 * cloud).clamp(0, 1) * chance.uniform(80, 330)
    if chance.happens(0.12):
        hu = _fibrosis(canvas, hu, rind * (0.3 + below), chance)
    if chance.happens(0.25):  # what lies below is pressed together
        hu = hu + chance.uniform(60, 380) * torch.exp(-lung.clamp(min=0) / 5) * (up < -10) * torch.sigmoid(
            -up / 20
        )
    if chance.happens(0.10):
        hu = _consolidation(canvas, hu, chance)
    if chance.happens(0.15):  # bands of collapsed lung, scars
        field = chance.smooth(tuple(hu.shape), spacing_voxels=chance.uniform(18, 40))[0]
        band = (1.2 - 28 * field.abs()).clamp(0, 1) * (canvas.coarse > chance.uniform(0.2, 1.2))
        hu = hu + band * (chance.uniform(-300, 30) - hu).clamp(min=0)
    return hu


def _emphysema(canvas: Canvas, lung: Tensor, hu: Tensor, chance: Chance) -> Tensor:
    worst_above = (canvas.crop.places[2] > 10).float() * float(chance.happens(0.5)) * 0.5
    size = chance.uniform(2.5, 7)
    holes = chance.smooth(tuple(hu.shape), spacing_voxels=size)[0] + worst_above - chance.uniform(0.2, 1.3)
    hu = hu + (3 * holes).clamp(0, 1) * (-985 - hu) * chance.uniform(0.4, 1)
    if chance.happens(0.4):  # large blisters with thin walls, under the pleura
        field = chance.smooth(tuple(hu.shape), spacing_voxels=16)[0] + 0.5 * torch.exp(
            -lung.clamp(min=0) / 12
        )
        inside = field - chance.uniform(0.7, 1.5)
        hu = hu + (8 * inside).clamp(0, 1) * (AIR_HU + 12 - hu)
        wall = (1 - inside.abs() * 11).clamp(0, 1) * chance.uniform(0.1, 0.5)
        hu = hu + wall * (20 - hu)
    return hu


def _fibrosis(canvas: Canvas, hu: Tensor, where: Tensor, chance: Chance) -> Tensor:
    field = chance.smooth(tuple(hu.shape), spacing_voxels=chance.uniform(3, 6))[0]
    net = (1 - field.abs() / chance.uniform(0.12, 0.3)).clamp(0, 1)
    strong = (where * (1 + 0.7 * canvas.coarse)).clamp(0, 1)
    hu = hu + strong * chance.uniform(50, 250)
    hu = hu + strong * net * chance.uniform(200, 650)
    comb = (field > 0.6).float() * float(chance.happens(0.5))
    return hu + (strong > 0.45) * comb * (-900 - hu)


def _consolidation(canvas: Canvas, hu: Tensor, chance: Chance) -> Tensor:
    """One to three large places without air, soft and ragged at the rim: small ones would be nodules."""
    x, y, z = canvas.crop.places
    ragged = 0.30 * canvas.coarse + 0.15 * canvas.middling
    for _ in range(chance.integer(1, 3)):
        side = chance.pick([-1, 1])
        middle = (side * chance.uniform(30, 110), chance.uniform(-75, 60), chance.uniform(-130, 80))
        radii = [chance.uniform(22, 70) for _ in range(3)]
        parts = zip((x, y, z), middle, radii, strict=True)
        near = 1 - sum(((at - m) / r) ** 2 for at, m, r in parts).sqrt()
        solid = (1.6 * (near + ragged * (near > -0.6)) - 0.1).clamp(0, 1)
        hu = hu + solid * (chance.uniform(0, 60) + 20 * canvas.fine - hu)
    return hu


def paint_fluid(
    canvas: Canvas, build: Build, lung: Tensor, up: Tensor, chance: Chance
) -> tuple[Tensor, Tensor]:
    """Fluid around a lung, with the lung over it pressed together.

    Returns:
        Depth in what is left of the lungs, and depth in those parts of it that hold air.
    """
    at = canvas.crop.places
    side = chance.pick([-1.0, 1.0])
    only = (side * at[0] > 0) | chance.happens(0.35)
    wall = within_ribs(build, at)
    level = chance.uniform(-75, -10) + 18 * torch.exp(-wall.clamp(min=0) / 9) + 2 * canvas.coarse
    fluid = torch.minimum(level - up, lung)
    fluid = torch.where(only, fluid, -9.0)
    airless = level + chance.uniform(4, 22)
    pressed = torch.where(only, torch.minimum(airless - up, lung), -9.0)
    canvas.paint(pressed, chance.uniform(20, 90) + 15 * canvas.fine)
    canvas.paint(fluid, chance.uniform(-5, 35) + 5 * canvas.fine)
    left = torch.minimum(lung, torch.where(only, up - level, lung))
    return left, torch.minimum(lung, torch.where(only, up - airless, lung))


def paint_plaques(crop: Crop, canvas: Canvas, wall: Tensor, chance: Chance) -> Tensor:
    """Flat thickenings of the pleura, some of chalk: no nodules; their thickness in mm is returned."""
    spots = (canvas.coarse + 0.4 * canvas.middling - chance.uniform(0.8, 1.6)).clamp(0, 1)
    thick = spots * chance.uniform(2, 9)
    value = chance.uniform(150, 600) if chance.happens(0.3) else chance.uniform(25, 60)
    canvas.cover(crop.occupied(thick - wall) * (wall > -1.5), value)
    return thick
