"""Nodules of 3 to 30 mm, and things that look like them and are none."""

import math
from dataclasses import dataclass
from typing import Final

import torch
from body import Canvas
from chance import Chance
from space import Crop
from torch import Tensor

DIAMETER_MIN_MM: Final = 3.0
DIAMETER_MAX_MM: Final = 30.0
PLACES = 6000
MARGIN_VOXELS = 2

Window = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a nodule is put into: depth in the lungs, vessels, fissures, all on the grid."""

    lung: Tensor
    blood: Tensor
    fissure: Tensor


@dataclass(frozen=True, slots=True)
class Nodule:
    """What was drawn.

    Attributes:
        kind: solid, part-solid, ground-glass, calcified, cavitary or fatty.
        site: inside, pleura, vessel or fissure.
        diameter_mm: Of the ball of its volume.
        place: Voxel in its middle.
        window: The voxels around it.
        share: How much of each voxel in the window it fills.
        contrast_hu: By how much it is denser than the lung around it, on average.
    """

    kind: str
    site: str
    diameter_mm: float
    place: tuple[int, int, int]
    window: Window
    share: Tensor
    contrast_hu: float

    def is_shown(self, thickness_mm: float, noise_hu: float) -> bool:
        """Whether slices so thick, with so much noise, leave something of it to be seen."""
        kept = min(1.0, 0.9 * self.diameter_mm / max(thickness_mm, 1.2))
        return abs(self.contrast_hu) * kept > 110 + 1.2 * noise_hu


def draw_nodules(
    canvas: Canvas, around: Surroundings, count: int, *, body_scale: float, chance: Chance
) -> list[Nodule]:
    """Paint some nodules; fewer than asked for where there is no room."""
    crop = canvas.crop
    index, depth = _places(crop, around, chance)
    drawn: list[Nodule] = []
    for _ in range(count):
        radius = 0.5 * _draw_diameter(chance) / body_scale
        site = chance.pick(["inside", "pleura", "vessel", "fissure"], [0.42, 0.30, 0.20, 0.08])
        free = _fitting(site, index, depth, radius, around)
        for other in drawn:
            gap = (index - torch.tensor(other.place, device=index.device)).float().norm(dim=1) * crop.voxel_mm
            free = free & (gap > radius + 0.8 * other.diameter_mm / body_scale + 4)
        chosen = index[free]
        if len(chosen):
            place = chosen[chance.integer(0, min(len(chosen), 400) - 1)].tolist()
            drawn.append(_paint(canvas, around, place, radius, site, body_scale, chance))
    return drawn


def draw_scars(canvas: Canvas, around: Surroundings, chance: Chance) -> None:
    """Long thin lines and bands, bowed: scars and thick septa, which are no nodules."""
    index, depth = _places(canvas.crop, around, chance)
    chosen = index[(depth > 0) & (depth < 25)]
    for _ in range(chance.integer(0, 4) if len(chosen) else 0):
        place = chosen[chance.integer(0, min(len(chosen), 400) - 1)].tolist()
        length, radius = chance.uniform(12, 32), chance.uniform(0.4, 1.3)
        flat = chance.uniform(2, 8) if chance.happens(0.5) else 1.0
        window, offsets = _window(canvas.crop, place, length / 2 + 4)
        axes = torch.linalg.qr(chance.white((3, 3)))[0]
        along, aside, third = torch.tensordot(axes, torch.stack(offsets), 1)
        bow = chance.uniform(0, 4) * torch.cos(along / length * 3)
        across = ((aside - bow) ** 2 + (third / flat) ** 2).sqrt()
        thick = radius * (1 - (2 * along / length) ** 2).clamp(min=0).sqrt()
        share = ((thick - across) / canvas.crop.voxel_mm + 0.5).clamp(0, 1) * (thick > 0)
        share = share * canvas.crop.occupied(around.lung[window])
        before = canvas.image[window]
        canvas.image[window] = before + share * (chance.uniform(-250, 60) - before).clamp(min=0)


def _draw_diameter(chance: Chance) -> float:
    """Small ones are the rule."""
    low, high = math.log(DIAMETER_MIN_MM), math.log(DIAMETER_MAX_MM)
    return math.exp(low + (high - low) * chance.uniform() ** 1.25)


def _places(crop: Crop, around: Surroundings, chance: Chance) -> tuple[Tensor, Tensor]:
    drawn = torch.rand((PLACES, 3), generator=chance.fields, device=chance.device)
    index = (drawn * (crop.sides - 2 * MARGIN_VOXELS)).long() + MARGIN_VOXELS
    depth = around.lung[index[:, 0], index[:, 1], index[:, 2]]
    inside = depth > 0.3
    return index[inside], depth[inside]


def _fitting(site: str, index: Tensor, depth: Tensor, radius: float, around: Surroundings) -> Tensor:
    i, j, k = index.unbind(1)
    if site == "pleura":
        return (depth < 0.9 * radius) & (depth > 0.15 * radius)
    if site == "vessel":
        return (around.blood[i, j, k] > 0.4) & (depth > 0.8 * radius)
    if site == "fissure":
        return (around.fissure[i, j, k] < 0.8 * radius) & (depth > 0.8 * radius)
    return (depth > radius + 1) & (around.blood[i, j, k] < 0.3)


def _window(crop: Crop, place: list[int], reach_mm: float) -> tuple[Window, tuple[Tensor, Tensor, Tensor]]:
    """The voxels around a place, and their distances from it along each axis, mm."""
    reach = math.ceil(reach_mm / crop.voxel_mm) + 1
    spans = [(max(0, p - reach), min(side, p + reach + 1)) for p, side in zip(place, crop.shape, strict=True)]
    axes = [
        (torch.arange(a, b, device=crop.centre.device) - p) * crop.voxel_mm
        for (a, b), p in zip(spans, place, strict=True)
    ]
    grid = torch.meshgrid(*axes, indexing="ij")
    x, y, z = (slice(a, b) for a, b in spans)
    return (x, y, z), (grid[0], grid[1], grid[2])


def _paint(
    canvas: Canvas,
    around: Surroundings,
    place: list[int],
    radius: float,
    site: str,
    body_scale: float,
    chance: Chance,
) -> Nodule:
    crop = canvas.crop
    window, offsets = _window(crop, place, 2.0 * radius)
    sub = crop.voxel_mm * chance.uniform(-0.5, 0.5)
    distance = _shape(offsets, radius, sub, chance)
    inside = crop.occupied(around.lung[window])
    share = crop.occupied(distance) * inside
    before = canvas.image[window].clone()
    kind = chance.pick(
        ["solid", "part-solid", "ground-glass", "calcified", "cavitary", "fatty"],
        [0.58, 0.12, 0.13, 0.10, 0.04, 0.03] if radius > 3.5 else [0.74, 0.0, 0.12, 0.14, 0, 0],
    )
    canvas.image[window] = _filled(canvas, window, distance, share, kind, radius, chance)
    mine = (canvas.image[window] * share).sum() / share.sum().clamp(min=1e-3)
    lung = before[inside > 0.9]
    around_hu = float(lung.median()) if lung.numel() else -850.0
    volume_mm3 = float(share.sum()) * (crop.voxel_mm * body_scale) ** 3
    return Nodule(
        kind=kind,
        site=site,
        diameter_mm=(6 * volume_mm3 / math.pi) ** (1 / 3),
        place=(place[0], place[1], place[2]),
        window=window,
        share=share,
        contrast_hu=float(mine) - around_hu,
    )


def _shape(offsets: tuple[Tensor, Tensor, Tensor], radius: float, sub: float, chance: Chance) -> Tensor:
    """Distance to the surface: round to oval, smooth, lobed or spiked."""
    stretch = [math.exp(chance.normal(0.13)) for _ in range(3)]
    scaled = [(o - sub) / s for o, s in zip(offsets, stretch, strict=True)]
    gap = sum(s**2 for s in scaled).sqrt().clamp(min=0.05)
    way = torch.stack(scaled, -1) / gap[..., None]
    edge = torch.full_like(gap, radius)
    form = chance.pick(["smooth", "lobed", "spiked"], [0.5, 0.3, 0.2] if radius > 3 else [0.8, 0.2, 0.0])
    if form == "lobed":
        lobes = torch.exp((way @ chance.ball(chance.integer(3, 7)).T - 1) / 0.12).amax(-1)
        edge = radius * (0.86 + 0.26 * lobes)
    if form == "spiked":
        spikes = chance.ball(chance.integer(8, 22))
        sharp = torch.exp((way @ spikes.T - 1) / 0.012)
        long = torch.rand((len(spikes),), generator=chance.fields, device=chance.device)
        edge = radius * (0.88 + 0.75 * (sharp * long).amax(-1))
    return edge - gap


def _filled(
    canvas: Canvas, window: Window, distance: Tensor, share: Tensor, kind: str, radius: float, chance: Chance
) -> Tensor:
    """The image in the window with the nodule in it."""
    before, fine = canvas.image[window], canvas.fine[window]
    grain = 14 * fine
    if kind in ("ground-glass", "part-solid"):
        value = (before + chance.uniform(170, 480)).clamp(max=-180) + 20 * fine
        after = before + share * (torch.maximum(value, before) - before)
        if kind == "part-solid":
            core = canvas.crop.occupied(distance - radius * chance.uniform(0.35, 0.7)) * share
            after = after + core * (chance.uniform(-60, 60) + grain - after)
        return after
    solid = chance.uniform(-20, 90)
    if kind == "fatty":
        return before + share * (torch.where(fine > 0, -75.0, 30.0) - before)
    after = before + share * (solid + grain - before)
    if kind == "calcified":
        chalk = chance.uniform(250, 1100)
        deep = canvas.crop.occupied(distance - radius * chance.pick([0.0, 0.2, 0.5]))
        pop = 1.0 if chance.happens(0.6) else (fine > 0.3).float()
        after = after + share * deep * pop * (chalk - after)
    if kind == "cavitary":
        hole = canvas.crop.occupied(distance - chance.uniform(0.35, 0.6) * radius) * share
        after = after + hole * (-950 - after)
    return after
