"""Things of the operating room: boxes, screens, lamps, cables, bowls, steel."""

import cards
import cv2
import inside
import numpy as np
from numpy.typing import NDArray
from paints import CLOTH, WALL
from texture import Chance, Colours, Field, blurred, grid, mix, noise, srgb, step
from things import METAL, PLASTIC, polygon
from tissue import BLOOD

Shape = tuple[int, int]


def box(chance: Chance, light: Colours) -> Colours:
    """A flat thing somewhere: furniture, a cupboard, a sheet."""
    height, width = light.shape[:2]
    size = np.array((chance.uniform(0.05, 0.6) * width, chance.uniform(0.05, 0.8) * height))
    corner = chance.numbers.random(2) * (width, height) - size / 2
    corners = corner + size * np.array(((0, 0), (1, 0), (1, 1), (0, 1)))
    corners = corners + chance.numbers.normal(0, height * 0.03, (4, 2))
    mask = polygon((height, width), corners)
    colour = chance.colour((*WALL, *CLOTH, *METAL, *PLASTIC, (0.55, 0.35, 0.2)))
    down = grid((height, width))[1]
    return mix(light, colour * np.clip(1 + chance.uniform(-0.5, 0.5) * down, 0.2, 2)[..., None], mask)


def monitor(chance: Chance, light: Colours) -> Colours:
    """A screen; now and then it shows the inside of a body."""
    height, width = light.shape[:2]
    tall = chance.uniform(0.15, 0.45) * height
    corner = chance.numbers.random(2) * (width * 0.8, height * 0.7)
    corners = corner + np.array(((0, 0), (1.6, 0), (1.6, 1), (0, 1))) * tall
    corners = corners + chance.numbers.normal(0, tall * 0.06, (4, 2))
    frame = corners.mean(0) + (corners - corners.mean(0)) * 1.12
    light = mix(light, srgb((0.08, 0.08, 0.09)), polygon((height, width), frame))
    small = (72, 116)
    shown = chance.pick((inside.cavity, inside.tube, cards.card))(chance, small)
    shown = np.clip(shown / max(float(np.percentile(shown, 95)), 1e-3), 0, 1) * chance.uniform(0.3, 1.2)
    source = np.array(((0, 0), (small[1], 0), (small[1], small[0]), (0, small[0])), np.float32)
    way = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    placed = cv2.warpPerspective(shown.astype(np.float32), way, (width, height))
    return mix(light, placed, polygon((height, width), corners))


def lamp(chance: Chance, light: Colours) -> Colours:
    """An operating lamp: a disc full of small ones, with its glare."""
    height, width = light.shape[:2]
    radius = height * chance.uniform(0.08, 0.45)
    middle = chance.numbers.random(2) * (width, height)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    u, v = (x - middle[0]) / radius, (y - middle[1]) / (radius * chance.uniform(0.4, 1))
    disc = step(1 - u**2 - v**2, soft=0.05)
    light = mix(light, chance.colour((*METAL, (0.95, 0.95, 0.95))), disc)
    bulbs = np.clip(np.cos(u * chance.uniform(6, 20)) * np.cos(v * chance.uniform(6, 20)), 0, 1) ** 4 * disc
    glow = blurred(bulbs.astype(np.float32), radius * 0.08) + 0.25 * blurred(disc, radius * 0.5)
    return light + srgb((1, 0.98, 0.92)) * (chance.uniform(0.5, 6) * glow)[..., None]


def cable(chance: Chance, light: Colours) -> Colours:
    """A line that hangs about."""
    height, width = light.shape[:2]
    ways = chance.numbers.normal(0, 0.5, (4, 2))
    t = np.linspace(0, 1, 40)[:, None]
    line = (np.array((0.5, 0.5)) + ways[0] * (1 - t) ** 2 + ways[1] * t * (1 - t) * 3 + ways[2] * t**2) * (
        width,
        height,
    )
    canvas = np.zeros((height, width), np.uint8)
    cv2.polylines(canvas, [line.astype(np.int32)], False, 255, chance.integer(1, 8), cv2.LINE_AA)
    return mix(light, chance.colour((*PLASTIC, *METAL)), canvas.astype(np.float32) / 255)


def bowl(chance: Chance, light: Colours) -> Colours:
    """A round dish of steel, full or empty."""
    height, width = light.shape[:2]
    across, down = grid((height, width))
    u, v = across - chance.uniform(-1, 1), down - chance.uniform(-0.6, 0.6)
    radius = np.hypot(u, v * chance.uniform(1, 1.8)) / chance.uniform(0.2, 0.6)
    steel = chance.colour(METAL) * (0.4 + 0.6 * np.abs(np.sin(radius * 5 + np.arctan2(v, u))))[..., None]
    filled = mix(
        steel,
        chance.colour((*BLOOD, *METAL, (0.8, 0.7, 0.3), (0.6, 0.3, 0.1))),
        step(0.75 - radius, soft=0.02),
    )
    return mix(light, (filled * (0.3 + light.mean())).astype(np.float32), step(1 - radius, soft=0.02))


def steel(chance: Chance, shape: Shape) -> Colours:
    """A brushed sheet."""
    brushed = cv2.blur(noise(chance, shape, cells=80, octaves=1), (41, 1))
    across, down = grid(shape)
    sheen = np.exp(-(((across * 0.5 + down - chance.uniform(-1, 1)) / chance.uniform(0.2, 1.5)) ** 2))
    return (chance.colour(METAL) * (0.5 + 0.4 * brushed + sheen)[..., None]).astype(np.float32)


def bar(shape: Shape, start: NDArray[np.float64], end: NDArray[np.float64], thick: float) -> Field:
    """A straight bar, 0 to 1."""
    canvas = np.zeros(shape, np.uint8)
    places = [tuple(np.round(place).astype(int).tolist()) for place in (start, end)]
    cv2.line(canvas, places[0], places[1], 255, max(1, int(2 * thick)), cv2.LINE_AA)
    return canvas.astype(np.float32) / 255
