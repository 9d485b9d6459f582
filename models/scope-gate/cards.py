"""No scene at all: what a camera shows while nobody looks at anything."""

import cv2
import numpy as np
from paints import REDS
from texture import Chance, Colours, grid, mix, noise, srgb, step
from things import text_lines

Shape = tuple[int, int]


def card(chance: Chance, shape: Shape) -> Colours:
    """No scene at all: black, white, one colour, bars, a test picture, a menu, a white card."""
    height, width = shape
    across, down = grid(shape)
    kind = chance.integer(0, 7)
    if kind <= 1:  # nearly one colour: a covered lens, a lens that touches something
        colour = chance.pick(
            (srgb((0.02, 0.02, 0.02)), srgb((1, 1, 1)), chance.any_colour(), chance.colour(REDS))
        )
        glow = 1 + chance.uniform(0, 0.6) * (chance.numbers.normal(0, 1) * across + down) * 0.3
        return (colour * np.clip(glow, 0.1, 3)[..., None]).astype(np.float32)
    if kind == 2:
        bars = chance.numbers.random((1, chance.integer(2, 12), 3)).astype(np.float32)
        return cv2.resize(bars, (width, height), interpolation=cv2.INTER_NEAREST)
    if kind == 3:
        board = chance.log_uniform(2, 20)
        check = step(np.sin(across * board) * np.sin(down * board), soft=0.05)
        return mix(np.broadcast_to(chance.any_colour(), (*shape, 3)), chance.any_colour(), check).astype(
            np.float32
        )
    if kind in (4, 5):
        canvas = np.full((*shape, 3), chance.integer(0, 90), np.uint8)
        canvas[:] = (chance.any_colour() * chance.uniform(30, 255)).astype(np.uint8)
        for _ in range(chance.integer(0, 14)):
            corner = (chance.integer(-20, width), chance.integer(-20, height))
            far = (corner[0] + chance.integer(5, width // 2), corner[1] + chance.integer(5, height // 3))
            colour = tuple(int(v) for v in chance.numbers.integers(0, 256, 3))
            cv2.rectangle(canvas, corner, far, colour, chance.pick((-1, -1, 1, 2)), cv2.LINE_AA)
        for _ in range(chance.integer(0, 6)):
            place = (chance.integer(0, width // 2), chance.integer(10, height))
            text_lines(chance, canvas, place, tuple(int(v) for v in chance.numbers.integers(60, 256, 3)))
        return srgb(canvas / 255.0)
    if kind == 6:  # snow on the line
        grain = chance.numbers.random(
            (height // chance.pick((1, 2, 4)) + 1, width // 2 + 1, chance.pick((1, 3)))
        )
        snow = cv2.resize(grain.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
        return np.broadcast_to(snow.reshape(height, width, -1), (*shape, 3)).astype(np.float32)
    paper = noise(chance, shape, cells=40, octaves=2)
    light = srgb((0.92, 0.92, 0.9)) * np.clip(1 + 0.05 * paper, 0, 2)[..., None]
    falloff = 1 / (0.6 + chance.uniform(0, 1.5) * ((across - 0.2) ** 2 + down**2))
    return (light * falloff[..., None]).astype(np.float32)
