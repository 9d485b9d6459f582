"""Faces that nobody has: drawn well enough that a face detector takes them for some."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT_PX, WIDTH_PX = 320, 416
FINER: Final = 2  # drawn so many times larger, then shrunk: soft edges
FACES_MAX: Final = 3
SKIN: Final = np.array((224.0, 172.0, 140.0))
HAIR: Final = np.array((40.0, 28.0, 20.0))
LIPS, LIPS_MEET = (170, 75, 75), (90, 30, 35)
WHITE_OF_EYE, IRIS, PUPIL = (235, 230, 225), (60, 40, 25), (5, 5, 5)

Field = NDArray[np.float32]


def draw(seed: int) -> NDArray[np.uint8]:
    """Draw one to three persons before a blurred room, (320, 416, 3) RGB."""
    random = np.random.default_rng(seed)
    height, width = HEIGHT_PX * FINER, WIDTH_PX * FINER
    room = cv2.resize(random.random((4, 5, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    canvas = Canvas((room * 120 + 60).astype(np.float32))
    count = int(random.integers(1, FACES_MAX + 1))
    for place in range(count):
        middle = (
            ((place + 0.5) / count + random.normal(0, 0.02)) * width,
            random.uniform(0.4, 0.6) * height,
        )
        _person(
            canvas,
            random,
            middle,
            size=random.uniform(0.14, 0.26) * height,
            lean=float(random.normal(0, 0.1)),
        )
    small = cv2.resize(canvas.rgb, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    return np.clip(small + random.normal(0, 3, small.shape), 0, 255).astype(np.uint8)


class Canvas:
    """A picture, and where on it a head's own coordinates lie."""

    def __init__(self, rgb: NDArray[np.float32]) -> None:
        self.rgb = rgb

    def turn_to(self, middle: tuple[float, float], *, size: float, lean: float) -> None:
        """Let u and v count to the right and down from the middle of a head, in its half heights."""
        y, x = np.mgrid[: self.rgb.shape[0], : self.rgb.shape[1]].astype(np.float32)
        x, y = x - middle[0], y - middle[1]
        self.u: Field = (x * np.cos(lean) + y * np.sin(lean)) / size
        self.v: Field = (y * np.cos(lean) - x * np.sin(lean)) / size

    def oval(self, u: float, v: float, half_width: float, half_height: float) -> Field:
        """Return what is above 0 within an ellipse, 1 in its middle."""
        return 1 - np.hypot((self.u - u) / half_width, (self.v - v) / half_height)

    def paint(self, inside: Field, colour: object, *, soft: float = 0.08) -> None:
        """Lay a colour where `inside` is above 0."""
        share = np.clip(inside / soft + 0.5, 0, 1)[..., None]
        self.rgb = (self.rgb * (1 - share) + np.asarray(colour, np.float32) * share).astype(np.float32)


def _person(
    canvas: Canvas, random: np.random.Generator, middle: tuple[float, float], *, size: float, lean: float
) -> None:
    canvas.turn_to(middle, size=size, lean=lean)
    u, v = canvas.u, canvas.v
    skin, hair = SKIN * random.uniform(0.5, 1.05), HAIR * random.uniform(0.5, 3)
    canvas.paint(canvas.oval(0, -0.25, 0.95, 1.05), hair)
    canvas.paint(1 - np.abs(u) / 0.36 - np.maximum(0, 0.3 - v) * 9, skin * 0.75)
    shoulders = np.where(v > 1.15, 1 - np.abs(u) / (1.2 + 0.5 * (v - 1.15)), -1)
    canvas.paint(shoulders, random.uniform(30, 220, 3))
    light = 0.78 + 0.3 * np.sqrt(np.clip(1 - (u / 0.8) ** 2 - (v / 1.1) ** 2, 0, 1))
    light += 0.12 * u * random.normal()
    canvas.paint(canvas.oval(0, 0, 0.74, 1.0), skin * light[..., None], soft=0.05)
    canvas.paint(np.minimum(canvas.oval(0, -0.2, 0.85, 1.0), -v - 0.5 + 0.25 * u * u), hair)
    for side in (-1, 1):
        _eye(canvas, side, skin, hair)
    _nose_and_mouth(canvas, skin)


def _eye(canvas: Canvas, side: int, skin: NDArray[np.float64], hair: NDArray[np.float64]) -> None:
    canvas.paint(canvas.oval(side * 0.76, 0.05, 0.12, 0.2), skin * 0.8)  # the ear beside it
    canvas.paint(canvas.oval(side * 0.31, -0.1, 0.26, 0.16) * 0.6, skin * 0.72, soft=0.6)
    canvas.paint(canvas.oval(side * 0.31, -0.08, 0.155, 0.075), WHITE_OF_EYE)
    canvas.paint(canvas.oval(side * 0.31, -0.08, 0.075, 0.08), IRIS)
    canvas.paint(canvas.oval(side * 0.31, -0.08, 0.035, 0.035), PUPIL)
    canvas.paint(canvas.oval(side * 0.31, -0.29, 0.21, 0.045), hair * 1.1, soft=0.3)
    canvas.paint(canvas.oval(side * 0.31, -0.15, 0.17, 0.03), skin * 0.45, soft=0.4)


def _nose_and_mouth(canvas: Canvas, skin: NDArray[np.float64]) -> None:
    canvas.paint(canvas.oval(0, 0.1, 0.09, 0.32) * 0.5, skin * 1.12, soft=0.8)
    canvas.paint(canvas.oval(0, 0.31, 0.17, 0.09) * 0.6, skin * 0.72, soft=0.5)
    for side in (-1, 1):
        canvas.paint(canvas.oval(side * 0.08, 0.33, 0.05, 0.03), skin * 0.35, soft=0.4)
    canvas.paint(canvas.oval(0, 0.58, 0.27, 0.07), LIPS, soft=0.3)
    canvas.paint(canvas.oval(0, 0.575, 0.24, 0.015), LIPS_MEET, soft=0.5)
    canvas.paint(canvas.oval(0, 0.72, 0.2, 0.05) * 0.5, skin * 0.8, soft=0.6)
