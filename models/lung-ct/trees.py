"""Arteries, veins and bronchi: trees that halve the space they feed, until they are too thin to be seen."""

import math
from dataclasses import dataclass

import torch
from build import Build, lungs
from chance import Chance
from space import Crop, Places, splat
from torch import Tensor

HALVINGS = 11
BRONCHIAL_HALVINGS = 6
CANDIDATES = 60_000
STEP_MM = 0.7
POINTS_MAX = 90  # along one branch


@dataclass(frozen=True, slots=True)
class Vessels:
    """What the trees fill of each voxel, 0 to 1."""

    blood: Tensor
    wall: Tensor  # of bronchi, with their lumen
    lumen: Tensor


def draw_vessels(crop: Crop, build: Build, chance: Chance) -> Vessels:
    """Draw two trees of blood vessels and one of bronchi into each lung."""
    right, left = _leaves(build, chance)
    s = build.shift
    starts = torch.tensor(
        [[s + 40.0, -8, -8], [s - 45.0, -11, 3], [s + 38.0, -8, -32], [s - 42.0, -12, -28]],
        device=chance.device,
    )
    leaves = torch.stack([right[::2], left[::2], right[1::2], left[1::2]])  # arteries first, then veins
    levels = _grow(starts, leaves, chance)
    wide, power = chance.uniform(5.2, 8.2), chance.uniform(2.55, 3.2)
    shrink = 2 ** (-1 / power)
    begin, bow, end = (torch.cat(parts) for parts in zip(*levels, strict=True))
    thick = torch.cat([one.new_full((len(one),), wide * shrink**n) for n, (one, _, _) in enumerate(levels)])
    thick = thick * torch.exp(0.16 * chance.white((len(begin),)))
    blood = splat(crop, *_along(begin, bow, end, thick, thick * shrink))
    wall, lumen = _draw_bronchi(crop, build, levels, chance)
    return Vessels(blood, wall, lumen)


def _draw_bronchi(
    crop: Crop, build: Build, levels: list[tuple[Tensor, Tensor, Tensor]], chance: Chance
) -> tuple[Tensor, Tensor]:
    """Beside the arteries, ever thinner, each a little way to one side of its artery."""
    width, power = chance.uniform(4.6, 6.4), chance.uniform(2.3, 3.0)
    widened = chance.uniform(1.2, 2.0) if chance.happens(0.08) else 1.0
    s = build.shift
    ends = torch.tensor([[s + 40.0, -14, -30], [s - 47.0, -18, -22]], device=chance.device)
    aside = 5.5 * chance.ball(2)
    branches, thick = [], []
    for level, (begin, bow, end) in enumerate(levels[:BRONCHIAL_HALVINGS]):
        count = len(begin) // 2  # the arteries come first
        away = aside.repeat_interleave(count // 2, 0) * 2 ** (-level / 3)
        start = ends if level == 0 else begin[:count] + away * 2 ** (1 / 3)
        radius = torch.full((count,), width * 2 ** (-level / power), device=chance.device)
        thick.append(radius * (widened if level > 1 else 1.0))
        branches.append((start, bow[:count] + away, end[:count] + away))
    radius = torch.cat(thick)
    begin, middle, end = (torch.cat(parts) for parts in zip(*branches, strict=True))
    way, radii = _along(begin, middle, end, radius, radius * 0.85)
    rind = (radii * chance.uniform(0.16, 0.34)).clamp(min=0.45)
    return splat(crop, way, radii + rind), splat(crop, way, radii)


def _leaves(build: Build, chance: Chance) -> tuple[Tensor, Tensor]:
    """(2 * 2**HALVINGS, 3) places in the right lung and in the left, a few mm from the pleura at least."""
    reach = torch.tensor([build.half_width, 2 * build.half_depth, 330.0], device=chance.device)
    share = torch.rand((2, CANDIDATES, 3), generator=chance.fields, device=chance.device)
    low = torch.tensor([0.0, build.middle - build.half_depth, -210.0], device=chance.device)
    drawn = low + share * reach
    drawn[1, :, 0] *= -1
    inside = lungs(build, Places(drawn.unbind(-1))) > 2.5
    return _some(drawn[0][inside[0]], drawn[0]), _some(drawn[1][inside[1]], drawn[1])


def _some(inside: Tensor, anywhere: Tensor) -> Tensor:
    """As many places as leaves are wanted; where a lung is hardly there, its few are repeated."""
    wanted = 2 * 2**HALVINGS
    repeats = math.ceil(wanted / max(1, len(inside)))
    return inside.repeat(repeats, 1)[:wanted] if len(inside) else anywhere[:wanted]


def _grow(starts: Tensor, leaves: Tensor, chance: Chance) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Begin, bow and end of each branch, level by level; all trees, (trees, leaves, 3), at once."""
    groups, here = leaves, starts
    levels = []
    many = len(starts) * 2 ** (HALVINGS + 1)
    astray = chance.ball(2 * many)
    drawn = torch.rand((many, 4), generator=chance.fields, device=chance.device)
    for level in range(HALVINGS + 1):
        now = slice(len(here), 2 * len(here))  # of the draws: before it lie those of the levels above
        part, aside, bowed = drawn[now], astray[:many][now], astray[many:][now]
        middle = groups.mean(1)
        way = middle - here
        length = way.norm(dim=1, keepdim=True)
        share = 0.34 + 0.3 * part[:, :1]
        end = here + (1.0 if level == HALVINGS else share) * way
        end = end + 0.10 * length * aside * float(level < HALVINGS)
        bow = (here + end) / 2 + 0.12 * length * bowed
        levels.append((here, bow, end))
        if level == HALVINGS:
            break
        spread = (groups.amax(1) - groups.amin(1)) * (0.6 + 0.8 * part[:, 1:])
        axis = spread.argmax(1)
        key = groups.gather(2, axis.view(-1, 1, 1).expand(-1, groups.shape[1], 1))[..., 0]
        order = key.argsort(1)
        groups = groups.gather(1, order[..., None].expand(-1, -1, 3))
        groups = groups.reshape(len(here) * 2, -1, 3)
        here = end.repeat_interleave(2, 0)
    return levels


def _along(begin: Tensor, bow: Tensor, end: Tensor, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Points along bowed branches, each as many as its length wants, and the radius at each."""
    counts = ((end - begin).norm(dim=1) / STEP_MM).ceil().clamp(3, POINTS_MAX).long()
    branch = torch.arange(len(begin), device=begin.device).repeat_interleave(counts)
    before = counts.cumsum(0) - counts
    t = (torch.arange(len(branch), device=begin.device) - before[branch]) / (counts[branch] - 1)
    radii = first[branch] * (1 - t) + last[branch] * t
    t = t[:, None]
    way = (1 - t) ** 2 * begin[branch] + 2 * t * (1 - t) * bow[branch] + t**2 * end[branch]
    return way, radii
