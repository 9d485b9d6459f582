"""How one body is built: its measures, and the shapes of chest wall, lungs and what lies between them."""

from dataclasses import dataclass
from typing import Final

import torch
from chance import Chance
from space import Places, Point, blend, ellipsoid, rounded, tube
from torch import Tensor

APEX_OFF_MM: Final = 38.0  # each apex lies so far from the middle
SPINE_REACH_MM: Final = 19.5


@dataclass(frozen=True, slots=True)
class Build:
    """Measures of one body in its own millimetres; see `draw_build`."""

    scale: float  # of the whole body; everything else is that of a middling adult
    half_width: float  # of the space within the ribs
    half_depth: float
    widest: float  # height from which on the chest narrows upwards
    height: float  # from there to the apex
    power: float  # 2: an ellipse; above, squarer
    middle: float  # y of the axis of the chest
    right_dome: float  # height of the diaphragm's top
    left_dome: float
    dome_fall: float  # how far the diaphragm falls towards the wall
    wall: float  # from the pleura to the skin, sideways
    fat: float
    breast: float
    shoulders: float  # height
    arms: str  # "up", "down" or "none"
    heart: float  # size, 1 is usual
    shift: float  # of what lies between the lungs, to the right
    slab: float  # half its width where nothing widens it
    hump: float  # how much of the spine leans forward
    aorta: tuple[float, float]  # how far its lower part lies to the right of its usual place, and in front

    @property
    def spine(self) -> float:
        """Y of the middle of the vertebral bodies."""
        return self.middle - self.half_depth + 21.0


def draw_build(chance: Chance) -> Build:
    """One body: slim to obese, small to large, well or badly breathed in."""
    breath = chance.uniform(-22, 25)
    dome = -92.0 - breath
    obesity = chance.uniform() ** 1.7
    odd = chance.happens(0.12)
    return Build(
        scale=chance.uniform(0.62, 0.85) if chance.happens(0.06) else chance.uniform(0.84, 1.12),
        half_width=chance.jitter(130, 0.10),
        half_depth=chance.jitter(88, 0.16),
        widest=-45 + chance.normal(12),
        height=chance.jitter(152, 0.10),
        power=chance.uniform(2.0, 2.7),
        middle=chance.normal(6),
        right_dome=dome + chance.normal(6) + (chance.uniform(15, 60) if odd and chance.happens(0.5) else 0),
        left_dome=dome - 11 + chance.normal(7) + (chance.uniform(15, 60) if odd else 0),
        dome_fall=chance.uniform(38, 75),
        wall=24 + 9 * chance.uniform() + 34 * obesity,
        fat=3 + 40 * obesity,
        breast=chance.uniform(0, 38) if chance.happens(0.5) else 0.0,
        shoulders=chance.uniform(118, 150),
        arms=chance.pick(["up", "down", "none"], [0.7, 0.22, 0.08]),
        heart=chance.jitter(1.12, 0.14) + (chance.uniform(0, 0.3) if chance.happens(0.1) else 0),
        shift=chance.normal(4) + (chance.uniform(-30, 30) if chance.happens(0.06) else 0),
        slab=chance.uniform(3, 9),
        hump=chance.uniform(0, 22),
        aorta=(chance.uniform(-8, 20), chance.uniform(-2, 10)),
    )


def within_ribs(build: Build, at: Places) -> Tensor:
    """Depth in the space that the ribs enclose; it goes on downwards as the belly's."""
    x, y, z = at
    rise = ((z - build.widest) / build.height).clamp(0, 1.05)
    twin = APEX_OFF_MM * rise**1.5
    across = (x.abs() - twin).clamp(min=0) / (build.half_width - twin)
    lean = build.hump * (rise - 0.3) ** 2
    along = (y - build.middle + lean).abs() / build.half_depth
    upwards = (z - build.widest).clamp(min=0) / build.height
    radii = (build.half_width - APEX_OFF_MM, build.half_depth, build.height)
    return rounded([across, along, upwards], radii, build.power)


def above_diaphragm(build: Build, at: Places) -> Tensor:
    """Height over the diaphragm, along its normal."""
    x, y, z = at
    domes = []
    for centre, top in ((62.0, build.right_dome), (-64.0, build.left_dome)):
        front = (y - build.middle - 14) / build.half_depth
        across = (x - centre) / 62
        across = torch.where(
            across * centre > 0, across, 0.5 * across
        )  # little to the middle, where the heart lies
        fall = across**2 + (front * torch.where(front < 0, 1.07, 0.62)) ** 2
        domes.append(top - build.dome_fall * fall)
    low = torch.full_like(z, min(build.right_dome, build.left_dome) - 118.0)
    surface = torch.maximum(blend(domes[0], domes[1], 14.0), low)
    return (z - surface) * 0.72


def spine_lane(build: Build, at: Places) -> Tensor:
    """Vertebrae and the muscles behind them, which the lungs do not enter."""
    x, y, z = at
    middle = build.spine - build.hump * (((z - build.widest) / build.height).clamp(0, 1.2) - 0.3) ** 2
    behind = (middle - y).clamp(min=0)
    ahead = (y - middle).clamp(min=0)
    return SPINE_REACH_MM - (((x.abs() - 0.25 * behind).clamp(min=0)) ** 2 + (1.1 * ahead) ** 2 + 1e-3).sqrt()


def heart(build: Build, at: Places) -> Tensor:
    """The heart in its sac."""
    x, y, z = at
    size = build.heart
    u = (0.72 * (x - build.shift + 20) - 0.52 * (y - 26) + 0.46 * (z + 62)) / (62 * size)
    v = (0.58 * (x - build.shift + 20) + 0.81 * (y - 26)) / (45 * size)
    w = (-0.37 * (x - build.shift + 20) + 0.27 * (y - 26) + 0.89 * (z + 62)) / (45 * size)
    return rounded([u.abs(), v.abs(), w.abs()], (62 * size, 45 * size, 45 * size), 2.2)


def border(build: Build, at: Places) -> Tensor:
    """X where the right side meets the left: in front it moves with the heart, behind it is the spine's."""
    in_front = ((at[1] - build.spine - 15) / 20).clamp(0, 1)
    return in_front * (build.shift - 4)


def between_lungs(build: Build, at: Places) -> Tensor:
    """Everything that lies between the lungs: positive where no lung can be."""
    x, y, z = at
    moved = x - build.shift
    slab = build.slab + 7 * torch.exp(-(((y - 5) / 26) ** 2))
    thin = slab - (x - border(build, at)).abs()
    own = Places((moved, y, z))
    own.box = at.box if abs(build.shift) < 5 else None
    upper = ellipsoid(own, (-2, 6, 78), (31, 34, 92), 2.5)
    middle = ellipsoid(own, (-3, 4, -2), (37, 40, 44), 2.2)
    hilum_right = ellipsoid(own, (38, -8, -12), (15, 15, 24))
    hilum_left = ellipsoid(own, (-42, -10, -6), (15, 15, 22))
    body = blend(blend(upper, middle, 12.0), heart(build, at) + 3.5, 12.0)
    body = blend(body, blend(hilum_right, hilum_left, 3.0), 8.0)
    body = blend(body, blend(spine_lane(build, at), tube(at, aorta_down(build), 14.0), 6.0), 8.0)
    return blend(body, thin, 6.0)


def lungs(build: Build, at: Places) -> Tensor:
    """Depth in either lung."""
    inside = torch.minimum(within_ribs(build, at) - 1.5, above_diaphragm(build, at))
    return torch.minimum(inside, -between_lungs(build, at))


def aorta_down(build: Build) -> tuple[Point, ...]:
    """The way of the descending aorta, left of the spine."""
    s, y = build.shift * 0.5, build.spine
    right, ahead = build.aorta
    return (
        (s - 20, y + 28, 34),
        (s - 27, y + 14, 8),
        (s - 24 + 0.5 * right, y + 16 + 0.5 * ahead, -70),
        (s - 14 + right, y + 22 + ahead, -140),
        (s - 6 + 0.5 * right, y + 26 + 0.5 * ahead, -260),
    )


def airway(build: Build) -> dict[str, tuple[tuple[Point, ...], tuple[float, ...]]]:
    """Trachea and main bronchi: their ways and radii in mm."""
    s = build.shift
    return {
        "trachea": (
            ((s * 0.3, 6, 175), (s * 0.6, -2, 110), (s + 2, -9, 45), (s + 2, -12, 4)),
            (1.0, 1.0, 1.02, 1.1),
        ),
        "right": (((s + 2, -12, 4), (s + 18, -12, -14), (s + 40, -14, -30)), (0.9, 0.82, 0.7)),
        "left": (((s + 2, -12, 4), (s - 20, -14, -12), (s - 47, -18, -22)), (0.85, 0.7, 0.62)),
    }
