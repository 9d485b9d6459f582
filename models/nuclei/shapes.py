"""Where nuclei lie, and what outline each has: scattered, in clumps, confluent, in strands, in rings."""

import cv2
import numpy as np
from chance import Chance
from numpy.typing import NDArray

Outline = NDArray[np.float32]  # (points, 2): x, y
Things = NDArray[np.int32]  # (height, width): 0 background, else the number of the nucleus

POINTS = 40
ANGLES = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
HIDDEN_MAX = 0.55  # a nucleus of which more lies under others is not drawn


def outline(
    chance: Chance, *, radius_px: float, elongation: float, roughness: float, angle: float
) -> Outline:
    """One nucleus around the origin: an ellipse whose radius wavers by a few Fourier terms."""
    radius = np.ones(POINTS)
    for order in range(2, 7):
        swing = roughness * chance.normal(1.0) / order
        radius += swing * np.cos(order * ANGLES + chance.uniform(0, 2 * np.pi))
    if chance.happens(0.06):  # a bean
        radius -= chance.uniform(0.2, 0.45) * np.exp(-((ANGLES - np.pi) ** 2) / 0.5)
    stretch = np.sqrt(elongation)
    points = (
        radius_px
        * np.clip(radius, 0.35, 1.8)
        * np.array([stretch * np.cos(ANGLES), np.sin(ANGLES) / stretch])
    )
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (turn @ points).T.astype(np.float32)


def lay_out(chance: Chance, shape: tuple[int, int]) -> tuple[Things, float]:
    """Place nuclei in a picture.

    Returns:
        Their numbers, and their typical radius in pixels.
    """
    radius_px = chance.log_uniform(4.0, 26.0)
    arrange = chance.pick([_scattered, _scattered, _clumped, _clumped, _confluent, _strand, _ring])
    elongation = chance.pick([1.05, 1.2, 1.4, 1.9])
    roughness = chance.log_uniform(0.02, 0.16)
    spread = chance.uniform(0.05, 0.35)
    placed = arrange(chance, shape, radius_px)
    things = np.zeros(shape, np.int32)
    number = 0
    for x, y, angle in placed:
        size = radius_px * float(np.exp(chance.normal(spread)))
        longer = max(1.0, elongation + chance.normal(0.15))
        own = outline(chance, radius_px=size, elongation=longer, roughness=roughness, angle=angle)
        number += _put(things, own + np.array([x, y], np.float32), number + 1)
    return things, radius_px


def _put(things: Things, points: Outline, number: int) -> bool:
    """Draw one where nothing is yet; say whether enough of it is to be seen."""
    height, width = things.shape
    left, top = np.floor(points.min(0)).astype(int) - 1
    right, bottom = np.ceil(points.max(0)).astype(int) + 2
    stamp = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(stamp, [np.round((points - [left, top]) * 16).astype(np.int32)], 1, shift=4)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if x0 >= x1 or y0 >= y1:
        return False
    mine = stamp[y0 - top : y1 - top, x0 - left : x1 - left] > 0
    here = things[y0:y1, x0:x1]
    free = mine & (here == 0)
    if np.count_nonzero(free) < max(8, (1 - HIDDEN_MAX) * np.count_nonzero(mine)):
        return False
    here[free] = number
    return True


def _angle(chance: Chance) -> float:
    return chance.uniform(0, np.pi)


def _scattered(chance: Chance, shape: tuple[int, int], radius_px: float) -> list[tuple[float, float, float]]:
    height, width = shape
    cover = chance.log_uniform(0.01, 0.35)
    count = int(np.clip(cover * height * width / (np.pi * radius_px**2), 1, 400))
    leaning = _angle(chance) if chance.happens(0.3) else None
    return [
        (
            chance.uniform(0, width),
            chance.uniform(0, height),
            _angle(chance) if leaning is None else leaning + chance.normal(0.3),
        )
        for _ in range(count)
    ]


def _clumped(chance: Chance, shape: tuple[int, int], radius_px: float) -> list[tuple[float, float, float]]:
    height, width = shape
    placed = []
    for _ in range(1 + chance.numbers.poisson(3)):
        x, y = chance.uniform(0, width), chance.uniform(0, height)
        wide = radius_px * chance.uniform(1.2, 5.0)
        placed += [
            (x + chance.normal(wide), y + chance.normal(wide), _angle(chance))
            for _ in range(2 + chance.numbers.poisson(9))
        ]
    return placed


def _confluent(chance: Chance, shape: tuple[int, int], radius_px: float) -> list[tuple[float, float, float]]:
    height, width = shape
    pitch = radius_px * chance.uniform(1.9, 3.2)
    jitter = pitch * chance.uniform(0.1, 0.3)
    missing = chance.uniform(0, 0.4)
    leaning = _angle(chance) if chance.happens(0.5) else None
    placed = []
    for row in range(int(height / pitch) + 2):
        for column in range(int(width / pitch) + 2):
            if chance.happens(missing):
                continue
            x = (column + 0.5 * (row % 2)) * pitch + chance.normal(jitter)
            y = row * pitch * 0.87 + chance.normal(jitter)
            placed.append((x, y, _angle(chance) if leaning is None else leaning + chance.normal(0.3)))
    chance.numbers.shuffle(placed)
    return [(float(x), float(y), float(angle)) for x, y, angle in placed]


def _strand(chance: Chance, shape: tuple[int, int], radius_px: float) -> list[tuple[float, float, float]]:
    height, width = shape
    placed = []
    for _ in range(1 + chance.numbers.poisson(2)):
        x, y, way = chance.uniform(0, width), chance.uniform(0, height), chance.uniform(0, 2 * np.pi)
        across = radius_px * chance.uniform(0.3, 2.5)
        for _ in range(60):
            way += chance.normal(0.12)
            step = radius_px * chance.uniform(1.0, 2.6)
            x, y = x + step * np.cos(way), y + step * np.sin(way)
            off = chance.normal(across)
            placed.append((x - off * np.sin(way), y + off * np.cos(way), way + chance.normal(0.25)))
            if not (-50 < x < width + 50 and -50 < y < height + 50):
                break
    return placed


def _ring(chance: Chance, shape: tuple[int, int], radius_px: float) -> list[tuple[float, float, float]]:
    height, width = shape
    centre = chance.uniform(0.2, 0.8) * width, chance.uniform(0.2, 0.8) * height
    axes = chance.uniform(0.3, 0.8) * width, chance.uniform(0.3, 0.8) * height
    layers = 1 + int(chance.numbers.integers(3))
    placed = []
    for layer in range(layers):
        around = np.pi * (axes[0] + axes[1])
        pitch = radius_px * chance.uniform(1.3, 2.4)
        for at in np.arange(0, 2 * np.pi, 2 * np.pi * pitch / max(around, 1.0)):
            inward = 1 - layer * 2.4 * radius_px / max(axes)
            x = centre[0] + axes[0] * inward * np.cos(at) + chance.normal(0.2 * radius_px)
            y = centre[1] + axes[1] * inward * np.sin(at) + chance.normal(0.2 * radius_px)
            placed.append((x, y, at + chance.normal(0.2)))
    return placed[:500]
