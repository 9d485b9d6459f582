"""One rendered picture with its label, from one seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import held_out
import inside
import numpy as np
import outside
from numpy.typing import NDArray
from scope import film, is_blank, view
from texture import Chance, Colours, grid, mix, noise, step

INSIDE_SHARE = 0.45
# Tissue is red to yellow: of pictures from inside with less red than this, one in four is kept.
RED_SHARE, PALE_KEPT = 0.38, 0.25
SEAM_SHARE = 0.06  # of outside pictures: the body and the room in one view
# How often each kind is drawn, within its class.
INSIDE = (("cavity", 0.34), ("surface", 0.24), ("tube", 0.27), ("joint", 0.15))
OUTSIDE = (
    ("room", 0.17), ("cloth", 0.14), ("skin", 0.17), ("tray", 0.09), ("trocar", 0.08), ("card", 0.07),
    ("clutter", 0.08), ("objects", 0.10), ("pattern", 0.10),
)  # fmt: skip

EVERY = {**inside.FAMILIES, **held_out.INSIDE, **outside.FAMILIES, **held_out.OUTSIDE}


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture for the network.

    Attributes:
        picture: (192, 320, 3) RGB uint8.
        is_inside: What it shows; False too where it shows next to nothing.
        family: Which generator drew it.
    """

    picture: NDArray[np.uint8]
    is_inside: bool
    family: str


def draw(seed: int) -> Scene:
    """Draw one picture of training."""
    chance = Chance(seed)
    if chance.happens(INSIDE_SHARE):
        while True:
            scene = _filmed(chance, _drawn(chance, INSIDE), inside.FAMILIES, is_inside=True)
            if red_share(scene.picture) >= RED_SHARE or chance.happens(PALE_KEPT):
                return scene
    if chance.happens(SEAM_SHARE):
        return _seam(chance)
    return _filmed(chance, _drawn(chance, OUTSIDE), outside.FAMILIES, is_inside=False)


def draw_from(family: str, seed: int) -> Scene:
    """Draw one picture of a family, one of training or one held out."""
    return _filmed(Chance(seed), family, EVERY, is_inside=is_inside(family))


def wander(family: str, seed: int, *, frames: int) -> Iterator[NDArray[np.uint8]]:
    """Let the view wander over one scene; the same scope with the same faults takes every picture."""
    chance = Chance(seed)
    light = EVERY[family](chance, view(chance))
    height, width = light.shape[:2]
    reach = np.array((height, width)) * 0.1
    phase, speed = chance.numbers.uniform(0, 6.3, 2), chance.numbers.uniform(0.05, 0.4, 2)
    for frame in range(frames):
        top, left = np.round(reach * (1 + np.sin(phase + speed * frame))).astype(int)
        cut = light[top : top + round(height * 0.8), left : left + round(width * 0.8)]
        shown = cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR)
        yield film(Chance(seed + 1), shown)


def is_inside(family: str) -> bool:
    """Say what a family shows."""
    return family in inside.FAMILIES or family in held_out.INSIDE


def red_share(picture: NDArray[np.uint8]) -> float:
    """Red over all colours, where it is not dark; 1/3 is grey."""
    pixels = picture.reshape(-1, 3).astype(np.float32)
    seen = pixels[pixels.max(1) > 30].sum(0)
    return float(seen[0] / max(seen.sum(), 1.0))


def _filmed(chance: Chance, family: str, families: dict, *, is_inside: bool) -> Scene:
    picture = film(chance, families[family](chance, view(chance)))
    return Scene(picture, is_inside and not is_blank(picture), family)


def _seam(chance: Chance) -> Scene:
    """A wound or a port seen from outside: tissue in a part of the picture. It counts as outside."""
    shape = view(chance)
    body = inside.FAMILIES[_drawn(chance, INSIDE)](chance, shape)
    room = outside.FAMILIES[chance.pick(("room", "cloth", "skin", "tray"))](chance, shape)
    picture = film(chance, mix(_even(room), _even(body), _window(chance, shape)).astype(np.float32))
    return Scene(picture, is_inside=False, family="seam")


def _window(chance: Chance, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Where the body shows: at most about half of the picture."""
    across, down = grid(shape)
    x, y = across - chance.uniform(-1, 1), down - chance.uniform(-0.6, 0.6)
    ragged = 0.1 * noise(chance, shape, cells=3, octaves=3)
    return step(chance.uniform(0.3, 0.75) - np.hypot(x * chance.uniform(0.7, 1.4), y) + ragged, soft=0.03)


def _even(light: Colours) -> Colours:
    return light / np.float32(max(light.mean(), 1e-4))


def _drawn(chance: Chance, options: tuple[tuple[str, float], ...]) -> str:
    names, shares = zip(*options, strict=True)
    return str(chance.numbers.choice(names, p=np.array(shares) / sum(shares)))
