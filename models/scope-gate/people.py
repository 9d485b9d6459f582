"""People as the lens sees them: bodies, faces, hands, the small things on skin."""

import cv2
import numpy as np
from numpy.typing import NDArray
from paints import CLOTH, GLOVE, SKIN
from texture import Chance, Colours, Field, blurred, grid, mix, noise, relief, srgb, step
from things import capsule, polygon
from tissue import BLOOD, bleed


def person(chance: Chance, light: Colours) -> Colours:
    """Somebody in a gown, with cap and mask."""
    height, width = light.shape[:2]
    size = chance.uniform(0.25, 1.1) * height
    middle = np.array((chance.uniform(0, 1) * width, chance.uniform(0.1, 0.7) * height))
    body = middle + size * np.array(
        ((-0.16, 0.2), (0.16, 0.2), (0.55, 0.5), (0.6, 2.5), (-0.6, 2.5), (-0.55, 0.5))
    )
    folds = noise(chance, (height, width), cells=6, octaves=3)
    gown = chance.colour(CLOTH[:5]) * np.clip(0.8 + 0.25 * folds, 0.2, 2)[..., None]
    light = mix(light, gown.astype(np.float32), blurred(polygon((height, width), body), 1.0))
    return head(chance, light, middle, size * 0.26)


def face(chance: Chance, light: Colours) -> Colours:
    """Somebody near."""
    height, width = light.shape[:2]
    middle = np.array((chance.uniform(0.2, 0.8) * width, chance.uniform(0.3, 0.7) * height))
    return head(chance, light, middle, height * chance.uniform(0.25, 0.8))


def head(chance: Chance, light: Colours, middle: NDArray[np.float64], size: float) -> Colours:
    """An oval with eyes, brows, nose and mouth, or a mask and a cap over them."""
    height, width = light.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    lean = chance.uniform(-0.4, 0.4)
    u = ((x - middle[0]) * np.cos(lean) + (y - middle[1]) * np.sin(lean)) / size
    v = ((y - middle[1]) * np.cos(lean) - (x - middle[0]) * np.sin(lean)) / size
    dome = 1 - (u / 0.75) ** 2 - v**2
    shape_light = 0.35 + 0.75 * np.sqrt(np.clip(dome, 0, 1)) + chance.uniform(-0.4, 0.4) * u
    skin_colour = chance.colour(SKIN[:6], spread=0.03)
    bright = 0.35 + float(light.mean())
    head = skin_colour * (shape_light * bright)[..., None]

    def spot(at: tuple[float, float], wide: float, tall: float) -> Field:
        return step(1 - ((u - at[0]) / wide) ** 2 - ((v - at[1]) / tall) ** 2, soft=0.2)

    for side in (-0.3, 0.3):
        head = mix(head, skin_colour * 0.5 * bright, spot((side, -0.15), 0.19, 0.12) * 0.6)
        head = mix(head, srgb((0.9, 0.88, 0.86)) * bright, spot((side, -0.12), 0.12, 0.055))
        head = mix(head, srgb((0.15, 0.1, 0.08)) * bright, spot((side, -0.12), 0.055, 0.055))
        head = mix(head, srgb((0.2, 0.14, 0.1)) * bright, spot((side, -0.3), 0.18, 0.035))
    head = mix(head, skin_colour * 0.55 * bright, spot((0, 0.2), 0.12, 0.06) * 0.6)
    head = mix(head, srgb((0.65, 0.3, 0.28)) * bright, spot((0, 0.5), 0.22, 0.06))
    if chance.happens(0.6):
        head = mix(
            head,
            chance.colour((*CLOTH[:5],)) * (shape_light * bright)[..., None],
            step(v - 0.08 - 0.1 * u**2, soft=0.02),
        )
    top = chance.colour(((0.1, 0.07, 0.05), (0.4, 0.25, 0.12), (0.7, 0.7, 0.7), *CLOTH[:4]))
    head = mix(head, top * (shape_light * bright)[..., None], step(-v - 0.42 + 0.25 * u**2, soft=0.03))
    return mix(light, head.astype(np.float32), step(dome, soft=0.03))


def hand(chance: Chance, light: Colours) -> Colours:
    """Fingers, bare or gloved, that reach into the view."""
    shape = light.shape[:2]
    height, width = shape
    wrist = np.array((chance.uniform(-0.1, 1.1) * width, chance.pick((-0.1, 1.1)) * height))
    aim = np.array((chance.uniform(0.2, 0.8) * width, chance.uniform(0.3, 0.7) * height)) - wrist
    thick = height * chance.uniform(0.05, 0.14)
    palm = wrist + aim * 0.5
    top = capsule(shape, wrist, palm, thick * 2.2) * 2.2
    turn = np.arctan2(aim[1], aim[0])
    for finger in range(chance.integer(2, 5)):
        angle = turn + (finger - 2) * chance.uniform(0.1, 0.3)
        root = palm + thick * 1.1 * (finger - 2) * np.array((-np.sin(turn), np.cos(turn)))
        knuckle = root + thick * 2.6 * np.array((np.cos(angle), np.sin(angle)))
        angle += chance.uniform(-0.4, 0.4)
        tip = knuckle + thick * chance.uniform(1.5, 3) * np.array((np.cos(angle), np.sin(angle)))
        top = np.maximum(
            top, np.maximum(capsule(shape, root, knuckle, thick), capsule(shape, knuckle, tip, thick * 0.85))
        )
    colour = chance.colour((*GLOVE, *GLOVE, *SKIN))
    wrinkle = chance.uniform(0, 0.25) * noise(chance, shape, cells=chance.log_uniform(6, 20), octaves=3)
    lamp = (chance.uniform(-1, 1), chance.uniform(-1, 1), chance.uniform(0.3, 1.2))
    facing = relief(
        (top + wrinkle) * thick, light=lamp, gloss=chance.uniform(0, 0.8), shine=chance.log_uniform(8, 60)
    )
    hand = colour * ((0.25 + facing) * (0.25 + float(light.mean())))[..., None]
    if chance.happens(0.25):
        hand, _ = bleed(chance, hand)
    return mix(light, hand.astype(np.float32), step(top - 0.15, soft=0.08))


def navel(chance: Chance, light: Colours) -> Colours:
    """A navel, or a cut."""
    across, down = grid(light.shape[:2])
    u, v = across - chance.uniform(-1, 1), down - chance.uniform(-0.6, 0.6)
    radius = np.hypot(u * chance.uniform(0.6, 2), v) / chance.uniform(0.08, 0.3)
    dent = np.exp(-(radius**2)) * chance.uniform(0.4, 0.95)
    wet = chance.colour((*BLOOD, *SKIN)) * 0.3 if chance.happens(0.5) else light * 0.2
    return mix(light, wet.astype(np.float32) * np.ones_like(light), dent)


def hairs(chance: Chance, light: Colours) -> Colours:
    """Hairs along about one direction."""
    height, width = light.shape[:2]
    canvas = np.zeros((height, width), np.uint8)
    angle = chance.uniform(0, 6.3)
    for _ in range(chance.integer(5, 120)):
        start = chance.numbers.random(2) * (width, height)
        turns = angle + chance.numbers.normal(0, 0.4) + np.cumsum(chance.numbers.normal(0, 0.15, 6))
        walk = start + height * chance.uniform(0.01, 0.05) * np.cumsum(
            np.stack((np.cos(turns), np.sin(turns)), 1), 0
        )
        cv2.polylines(canvas, [walk.astype(np.int32)], False, chance.integer(80, 230), 1, cv2.LINE_AA)
    return mix(
        light, chance.colour(((0.1, 0.07, 0.05), (0.4, 0.28, 0.15))) * 0.5, canvas.astype(np.float32) / 255
    )
