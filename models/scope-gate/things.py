"""Things made by people that come before the lens, in the body and outside: instruments, gloves, cables."""

import cv2
import numpy as np
from numpy.typing import NDArray
from texture import Chance, Colours, Field, blurred, mix, srgb

METAL = ((0.75, 0.76, 0.78), (0.6, 0.62, 0.65), (0.85, 0.85, 0.83), (0.5, 0.5, 0.52))
PLASTIC = (
    (0.06, 0.06, 0.07),
    (0.1, 0.1, 0.1),
    (0.9, 0.9, 0.9),
    (0.2, 0.4, 0.75),
    (0.95, 0.8, 0.2),
    (0.2, 0.6, 0.4),
)


def polygon(shape: tuple[int, int], points: NDArray[np.float64]) -> Field:
    """A filled outline, 0 to 1."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / 255


def instrument(chance: Chance, light: Colours) -> Colours:
    """A shaft that comes in from the edge, with a tip: grasper, scissors, needle holder, hook, snare."""
    height, width = light.shape[:2]
    side = chance.pick(("left", "right", "below", "above"))
    start = np.array(
        {
            "left": (-20, chance.uniform(0.1, 1.1) * height),
            "right": (width + 20, chance.uniform(0.1, 1.1) * height),
            "below": (chance.uniform(0, 1) * width, height + 20),
            "above": (chance.uniform(0, 1) * width, -20),
        }[side]
    )
    tip = np.array((chance.uniform(0.2, 0.8) * width, chance.uniform(0.2, 0.8) * height))
    thick = height * chance.uniform(0.03, 0.14)
    slim = chance.uniform(0.45, 1.0)
    light = rod(chance, light, start, tip, thick, thick * slim, colour=chance.colour((*METAL, *PLASTIC)))
    along = (tip - start) / np.linalg.norm(tip - start)
    metal = chance.colour(METAL)
    for turn in chance.pick(((0.0,), (0.3, -0.3), (0.15, -0.5), (0.6,), (0.05, -0.05))):
        bent = np.array(
            (
                along[0] * np.cos(turn) - along[1] * np.sin(turn),
                along[0] * np.sin(turn) + along[1] * np.cos(turn),
            )
        )
        reach = thick * chance.uniform(1.0, 3.0)
        light = rod(chance, light, tip, tip + bent * reach, thick * slim * 0.5, thick * 0.15, colour=metal)
    return light


def rod(
    chance: Chance,
    light: Colours,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    thick_start: float,
    thick_end: float,
    *,
    colour: Colours,
) -> Colours:
    """A straight round bar with a stripe of reflected light."""
    height, width = light.shape[:2]
    way = end - start
    length = float(np.linalg.norm(way)) + 1e-6
    along, beside = way / length, np.array((-way[1], way[0])) / length
    corners = np.stack(
        (
            start + beside * thick_start,
            end + beside * thick_end,
            end - beside * thick_end,
            start - beside * thick_start,
        )
    )
    mask = polygon((height, width), corners)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    there = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length
    half = thick_start + (thick_end - thick_start) * np.clip(there, 0, 1)
    off = np.clip(((x - start[0]) * beside[0] + (y - start[1]) * beside[1]) / np.maximum(half, 0.5), -1, 1)
    round_ = np.sqrt(np.clip(1 - off**2, 0, 1))
    stripe = np.exp(-(((off - chance.uniform(-0.5, 0.5)) / chance.uniform(0.05, 0.35)) ** 2))
    fade = np.clip(chance.uniform(0.5, 1.6) - chance.uniform(0, 0.8) * (1 - there), 0.05, 2)
    bright = 0.25 + float(light.mean())
    shaded = (
        colour * (0.15 + 0.85 * round_)[..., None] * bright
        + (chance.uniform(0.1, 1.2) * stripe * bright)[..., None]
    )
    return mix(light, (shaded * fade[..., None]).astype(np.float32), blurred(mask, 0.6))


def capsule(
    shape: tuple[int, int], start: NDArray[np.float64], end: NDArray[np.float64], radius: float
) -> Field:
    """Height of a round-ended bar above the plane, 0 outside, 1 along its middle."""
    x, y = np.meshgrid(np.arange(shape[1], dtype=np.float32), np.arange(shape[0], dtype=np.float32))
    way = end - start
    share = np.clip(((x - start[0]) * way[0] + (y - start[1]) * way[1]) / (way @ way + 1e-6), 0, 1)
    far = np.hypot(x - start[0] - share * way[0], y - start[1] - share * way[1]) / radius
    return np.sqrt(np.clip(1 - far**2, 0, 1)).astype(np.float32)


def text_lines(
    chance: Chance, canvas: NDArray[np.uint8], corner: tuple[int, int], colour: tuple[int, ...]
) -> None:
    """Write some lines of made-up letters, in place."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.-% "
    size = chance.uniform(0.28, 0.5)
    for line in range(chance.integer(1, 6)):
        words = "".join(chance.pick(letters) for _ in range(chance.integer(3, 18)))
        place = (corner[0], corner[1] + round(line * size * 32))
        cv2.putText(canvas, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def white(light: Colours) -> Colours:
    """Linear light of something white here."""
    return srgb((0.95, 0.95, 0.95)) * np.float32(0.3 + light.mean())
