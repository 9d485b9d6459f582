"""Skin, fat and muscle, and the organs that lie between and below the lungs."""

from dataclasses import dataclass

import torch
from build import Build, above_diaphragm, airway, aorta_down, heart, within_ribs
from chance import Chance
from space import Crop, Places, Point, blend, ellipsoid, rounded, tube
from torch import Tensor

AIR_HU = -1000.0


class Canvas:
    """The image as it is painted: one tissue over another."""

    def __init__(self, crop: Crop, chance: Chance) -> None:
        self.crop, self.chance = crop, chance
        shape = crop.shape
        self.image = torch.full(shape, AIR_HU, device=chance.device)
        self.fine = chance.smooth(shape, spacing_voxels=2.6)[0]
        self.middling = chance.smooth(shape, spacing_voxels=7)[0]
        self.coarse = chance.smooth(shape, spacing_voxels=18)[0]

    def paint(self, distance: Tensor, value: Tensor | float) -> None:
        """Fill a shape, given by the distance to its surface; one number stands for a shape far away."""
        if distance.dim():
            self.cover(self.crop.occupied(distance), value)

    def cover(self, share: Tensor, value: Tensor | float) -> None:
        """Fill voxels by a share."""
        self.image = self.image + share * (value - self.image)


@dataclass(frozen=True, slots=True)
class Blood:
    """Brightness of what carries blood, HU: contrast agent comes to one side before the other."""

    right: float  # veins, right heart, lung arteries
    left: float  # lung veins, left heart, aorta
    muscle: float
    organs: float

    @property
    def lung(self) -> float:
        """Of the vessels in the lungs."""
        return (self.right + self.left) / 2


def draw_blood(chance: Chance) -> Blood:
    """Without agent in half of the bodies."""
    if chance.happens(0.5):
        plain = chance.uniform(30, 52)
        return Blood(plain, plain, chance.uniform(40, 60), chance.uniform(42, 66))
    early = chance.happens(0.35)
    left = chance.uniform(110, 330)
    right = chance.uniform(250, 600) if early else left * chance.uniform(0.8, 1.05)
    return Blood(right, left, chance.uniform(50, 75), chance.uniform(70, 130))


def paint_outline(canvas: Canvas, build: Build) -> Tensor:
    """Skin, fat and muscle of trunk, arms, neck and head; the depth under the skin is returned."""
    chance, (x, y, z) = canvas.chance, canvas.crop.places
    wide, deep = build.half_width + build.wall, build.half_depth + 0.8 * build.wall
    rise = ((z - 20) / (build.shoulders - 20)).clamp(min=0)
    scaled = [x.abs() / wide, (y - build.middle + 4).abs() / deep, rise]
    skin = rounded(scaled, (wide, deep, build.shoulders - 20), 3.1)
    if build.breast:
        for side in (-1, 1):
            centre = (side * 75.0, build.middle + deep - 16, -25.0)
            radii = (58.0, build.breast, 52.0)
            skin = blend(skin, ellipsoid(canvas.crop.places, centre, radii), 14.0)
    depth_of_fat = build.fat * (1 + 0.25 * canvas.coarse) + 1.5
    skin = blend(skin, tube(canvas.crop.places, ((0, -14, 90), (0, -4, 265)), (80, 58)), 40.0)
    if build.arms != "none":
        skin = blend(skin, _arms(canvas, build), 22.0)
    skin = blend(skin, ellipsoid(canvas.crop.places, (0, 14, 325), (76, 96, 112)), 16.0)
    tissue = 6 * canvas.fine + 8 * canvas.middling
    canvas.paint(skin, chance.uniform(5, 50))
    canvas.paint(skin - 2.0, chance.uniform(-115, -88) + 0.6 * tissue + 25 * (canvas.fine > 1.3))
    flesh = (canvas.fine + canvas.middling < -1.3).float() * chance.uniform(0, 110)
    canvas.paint(skin - 2.0 - depth_of_fat.clamp(min=1), chance.uniform(38, 62) + tissue - flesh)
    return skin


def _arms(canvas: Canvas, build: Build) -> Tensor:
    wide, at = build.half_width + build.wall, canvas.crop.places
    thick = 38 + 0.35 * build.fat
    down = build.arms == "down"
    shapes = []
    for side in (-1.0, 1.0):
        shoulder: Point = (side * (wide - 6), -12, build.shoulders - 26)
        hand: Point = (side * (wide + 46), -4, -260) if down else (side * 118, 16, 330)
        shapes.append(tube(at, (shoulder, hand), (thick + 14, thick)))
    return torch.maximum(*shapes)


def paint_belly(canvas: Canvas, build: Build, blood: Blood) -> None:
    """What lies below the diaphragm: liver, spleen, stomach, kidneys, bowel with gas and stool."""
    chance, at = canvas.chance, canvas.crop.places
    z = at[2]
    if at.are_far_from((-999, -999, -999), (999, 999, max(build.right_dome, build.left_dome))):
        return
    # Sides are told by spine and chest wall, which no illness changes: organs may lie the other way round.
    own = at.mirrored() if chance.happens(0.1) else at
    room = torch.minimum(within_ribs(build, at) - 4, -above_diaphragm(build, at) - 2)
    tissue = 7 * canvas.fine + 5 * canvas.middling
    lean = chance.happens(0.4)  # organs touch each other, with hardly any fat between them
    canvas.paint(room, (chance.uniform(15, 60) if lean else chance.uniform(-112, -90)) + tissue)
    cloud = canvas.coarse + 0.7 * canvas.middling
    lumps = torch.minimum(room - 6, 8 * (cloud - 0.1))
    canvas.paint(lumps, chance.uniform(15, 55) + tissue)
    gas = torch.minimum(room - 8, 8 * (cloud - chance.uniform(0.7, 2.2)))
    gas = torch.minimum(gas, -0.3 * (z + 120 + chance.uniform(0, 60)))
    gas = torch.minimum(gas, at[1] - build.spine - 20)  # behind lie kidneys and muscles, not bowel
    stool = 260 * (canvas.fine + 0.5).clamp(0, 2) * float(chance.happens(0.5))
    canvas.paint(gas, AIR_HU + stool + chance.uniform(0, 60))
    right, left = build.right_dome, build.left_dome
    _paint_stomach(canvas, build, room, own)
    liver = ellipsoid(own, (52, 4, right - 72), (105 * chance.jitter(1, 0.15), 88, 82), 2.3)
    if chance.happens(0.5):  # the left lobe, up to the spleen in some
        lobe = (chance.uniform(30, 105), chance.uniform(28, 55), chance.uniform(25, 55))
        liver = blend(liver, ellipsoid(own, (-18, build.middle + 28, left - lobe[2] - 6), lobe), 10.0)
    canvas.paint(torch.minimum(liver, room + 1), blood.organs + tissue)
    large = chance.uniform(0.75, 1.6)
    spleen = (chance.uniform(-98, -76), build.spine + chance.uniform(14, 40), left - chance.uniform(45, 75))
    spleen_depth = ellipsoid(own, spleen, (34 * large, 46 * large, 52 * large))
    canvas.paint(torch.minimum(spleen_depth, room + 1), blood.organs * chance.uniform(0.95, 1.15) + tissue)
    for side in (-1, 1):
        kidney = ellipsoid(at, (side * 62, build.spine + 8, -232), (28, 27, 55))
        canvas.paint(kidney, blood.organs + tissue)
    if chance.happens(0.5):  # the bend of the colon under the left dome
        place = (chance.uniform(-110, -60), chance.uniform(-20, 50), left - chance.uniform(18, 70))
        size = (chance.uniform(15, 36), chance.uniform(15, 36), chance.uniform(15, 40))
        colon = ellipsoid(own, place, size)
        colon = torch.minimum(colon + 4 * canvas.middling, room - 1)
        canvas.paint(colon, 40.0)
        canvas.paint(colon - 2.5, AIR_HU + stool)


def _paint_stomach(canvas: Canvas, build: Build, room: Tensor, at: Places) -> None:
    chance = canvas.chance
    place = (
        chance.uniform(-80, -45),
        build.middle + chance.uniform(5, 30),
        build.left_dome - chance.uniform(28, 60),
    )
    full = chance.uniform(1.0, 1.5) if chance.happens(0.3) else 1.0
    size = (full * chance.uniform(25, 50), full * chance.uniform(25, 50), full * chance.uniform(30, 55))
    stomach = torch.minimum(ellipsoid(at, place, size) + 2 * canvas.middling, room - 0.5)
    canvas.paint(stomach, 45.0)
    canvas.paint(stomach - 3.5, chance.uniform(0, 60) + 25 * canvas.fine)
    level = place[1] + chance.uniform(-0.9, 1.1) * size[1]
    canvas.paint(torch.minimum(stomach - 3.5, at[1] - level), AIR_HU + 25)


def paint_middle(canvas: Canvas, build: Build, blood: Blood) -> None:
    """What lies between the lungs: fat, heart and its chambers, great vessels, oesophagus, nodes."""
    chance, at = canvas.chance, canvas.crop.places
    tissue = 6 * canvas.fine + 6 * canvas.middling
    room = torch.minimum(within_ribs(build, at) + 1, above_diaphragm(build, at) + 5)
    fatty = chance.uniform(-105, -60)
    strands = (canvas.middling + 0.6 * canvas.fine - 0.9).clamp(0, 1) * chance.uniform(60, 150)
    canvas.paint(room, fatty + strands + tissue)
    sac = heart(build, at)
    canvas.paint(sac + 1.5, 45 + tissue)
    canvas.paint(sac - chance.uniform(0, 2.5), chance.uniform(-90, 20) + tissue)
    canvas.paint(sac - 4, blood.muscle + tissue)
    s = build.shift
    chambers = (
        ((-42 + s, 22, -68), (30, 24, 38), blood.left),
        ((-8 + s, 44, -66), (32, 18, 34), blood.right),
        ((24 + s, 24, -58), (24, 27, 32), blood.right),
        ((-8 + s, -2, -44), (34, 20, 24), blood.left),
    )
    for centre, radii, value in chambers:
        canvas.paint(torch.minimum(ellipsoid(at, centre, radii), sac - 5), value + 0.6 * tissue)
    k = chance.jitter(1.0, 0.18)
    arch = (
        (s + 10, 16, -38),
        (s + 14, 26, 5),
        (s + 8, 18, 34),
        (s - 10, 0, 44),
        (s - 22, build.spine + 30, 36),
    )
    vessels: list[tuple[tuple[Point, ...], float, float]] = [
        (arch, 15.5 * k, blood.left),
        (aorta_down(build), 12.5 * k, blood.left),
        (((s - 16, 30, -30), (s - 18, 20, -4), (s - 26, 4, 8)), 13 * k, blood.right),
        (((s - 14, 8, 0), (s + 14, -2, -6), (s + 42, -6, -8)), 10.5 * k, blood.right),
        (((s - 22, 4, 6), (s - 46, -10, 6)), 10.5 * k, blood.right),
        (((s + 26, 16, -40), (s + 26, 14, 20), (s + 24, 16, 62), (s + 44, 10, 108)), 9.0 * k, blood.right),
        (((s + 24, 20, 55), (s - 30, 30, 80), (s - 48, 14, 108)), 6.5 * k, blood.right),
        (((s + 22, 2, -62), (s + 22, -6, -130), (s + 18, build.spine + 30, -260)), 12 * k, blood.right),
        (((s + 4, 12, 42), (s + 16, 8, 80), (s + 30, 4, 150)), 6.0 * k, blood.left),
        (((s - 6, 4, 44), (s - 16, 0, 90), (s - 30, 4, 160)), 4.5 * k, blood.left),
        (((s - 14, -4, 42), (s - 26, -14, 80), (s - 60, -18, 118)), 5.0 * k, blood.left),
        (((s + 40, -8, -34), (s + 6, -4, -46)), 7.0 * k, blood.left),
        (((s - 42, -12, -30), (s - 10, -6, -44)), 7.0 * k, blood.left),
    ]
    for path, radius, value in vessels:
        canvas.paint(tube(at, path, radius), value + 0.6 * tissue)
    wall = arch[: chance.integer(2, 5)]
    if chance.happens(0.4):  # chalk in the wall of the aorta and of the coronaries
        rind = 1.5 - (tube(at, wall, 15.5 * k) - 1).abs() if len(wall) > 1 else sac
        canvas.cover(canvas.crop.occupied(rind) * (canvas.middling > 1.1), chance.uniform(250, 900))
    _paint_gullet_and_nodes(canvas, build, tissue)


def _paint_gullet_and_nodes(canvas: Canvas, build: Build, tissue: Tensor) -> None:
    chance, at, s = canvas.chance, canvas.crop.places, build.shift
    y = build.spine
    path = (
        (s - 3, y + 34, 170),
        (s - 8, y + 26, 40),
        (s - 6, y + 24, -40),
        (s - 18, y + 40, -112),
        (s - 40, 20, -140),
    )
    canvas.paint(tube(at, path, 8.5), 38 + tissue)
    if chance.happens(0.4):  # air in the oesophagus, at some heights
        lumen = tube(at, path, chance.uniform(2, 6)) - 4 * canvas.coarse.abs()
        canvas.paint(lumen, AIR_HU + 20)
    if chance.happens(0.03):  # a hernia of the stomach behind the heart
        hernia = ellipsoid(at, (s - 12, y + 44, -100), (30, 25, 28))
        canvas.paint(hernia, 40 + tissue)
        canvas.paint(torch.minimum(hernia - 3, at[1] - y - 44), AIR_HU + 20)
    for _ in range(chance.integer(0, 5)):
        place = (s + chance.uniform(-34, 34), chance.uniform(-30, 30), chance.uniform(-50, 90))
        size = chance.uniform(3, 11)
        node = ellipsoid(at, place, (size, size * chance.uniform(0.6, 1), size))
        canvas.paint(node, chance.uniform(25, 70) + tissue)


def paint_airway_wall(canvas: Canvas, build: Build, width_mm: float) -> Tensor:
    """Trachea and main bronchi; the distance to their lumen is returned."""
    lumen: Tensor | None = None
    x, y, z = canvas.crop.places
    for name, (path, widths) in airway(build).items():
        one = tube(canvas.crop.places, path, [width_mm * w for w in widths])
        one = one.expand(x.shape)
        if name == "trachea":  # flat behind
            one = torch.minimum(one, y - (-12 + 0.105 * (z - 4).clamp(min=0)) + 0.72 * width_mm)
        lumen = one if lumen is None else torch.maximum(lumen, one)
    assert lumen is not None, "there is an airway"
    canvas.paint(lumen + canvas.chance.uniform(1.0, 2.2), 35 + 8 * canvas.fine)
    canvas.paint(lumen, -985 + 6 * canvas.fine)
    return lumen
