"""Tissue as a material: colours, mottling, vessels, and the things that lie on it."""

import cv2
import numpy as np
from numpy.typing import NDArray
from texture import Chance, Colours, Field, blurred, mix, noise, srgb, step

MUCOSA = ((0.86, 0.48, 0.42), (0.90, 0.58, 0.50), (0.78, 0.33, 0.28), (0.88, 0.62, 0.50), (0.93, 0.70, 0.62))
RED = ((0.66, 0.18, 0.14), (0.55, 0.12, 0.10), (0.75, 0.28, 0.24))
FAT = ((0.93, 0.78, 0.38), (0.90, 0.68, 0.30), (0.95, 0.86, 0.58), (0.88, 0.72, 0.45))
LIVER = ((0.46, 0.17, 0.12), (0.38, 0.13, 0.11), (0.55, 0.26, 0.16), (0.42, 0.16, 0.22))
PALE = ((0.93, 0.80, 0.74), (0.90, 0.86, 0.80), (0.95, 0.91, 0.86), (0.86, 0.80, 0.72))
BILE = ((0.50, 0.52, 0.14), (0.42, 0.55, 0.42), (0.62, 0.55, 0.12), (0.35, 0.42, 0.30))
DARK = ((0.12, 0.08, 0.07), (0.22, 0.05, 0.05), (0.30, 0.20, 0.10))
TISSUES = (*MUCOSA, *MUCOSA, *MUCOSA, *RED, *RED, *FAT, *FAT, *LIVER, *LIVER, *PALE, *BILE)
VESSEL = ((0.50, 0.08, 0.10), (0.62, 0.15, 0.14), (0.35, 0.10, 0.22), (0.28, 0.16, 0.34))
BLOOD = ((0.42, 0.02, 0.02), (0.55, 0.05, 0.04), (0.30, 0.01, 0.02))


def tissue(
    chance: Chance, shape: tuple[int, int], *, scale: float = 1.0, colours: tuple = TISSUES
) -> Colours:
    """Draw the colour of a piece of tissue.

    Args:
        chance: Draws it.
        shape: (height, width).
        scale: How far it is magnified: above 1 the pattern is coarser.
        colours: sRGB colours to begin from.
    """
    base = chance.colour(colours)
    other = chance.colour(colours) if chance.happens(0.3) else base * chance.uniform(0.6, 1.25)
    mottled = noise(chance, shape, cells=chance.log_uniform(1.5, 8) / scale, octaves=4, gain=0.55)
    albedo = mix(np.broadcast_to(base, (*shape, 3)), other, step(mottled, soft=chance.uniform(0.4, 1.2)))
    fine = noise(chance, shape, cells=chance.log_uniform(8, 50) / scale, octaves=3, gain=0.7)
    albedo = albedo * np.clip(1 + chance.uniform(0.02, 0.22) * fine, 0.2, 2)[..., None]
    kind = chance.numbers.random()
    if kind < 0.55:
        albedo = mix(albedo, chance.colour(VESSEL), vessels(chance, shape, scale=scale))
    elif kind < 0.7:
        albedo = lobules(chance, albedo, scale=scale)
    elif kind < 0.8:
        albedo = fibres(chance, albedo)
    if chance.happens(0.2):
        spots = step(noise(chance, shape, cells=chance.log_uniform(4, 20) / scale, octaves=2) - 1.3, soft=0.1)
        albedo = mix(albedo, chance.colour((*BLOOD, *PALE, *FAT)), spots * chance.uniform(0.2, 0.9))
    return np.clip(albedo, 0, 1)


def vessels(chance: Chance, shape: tuple[int, int], *, scale: float = 1.0) -> Field:
    """Draw a branching tree of vessels, or the net that veins make; 0 to 1."""
    if chance.happens(0.35):
        ridge = np.abs(noise(chance, shape, cells=chance.log_uniform(2, 7) / scale, octaves=3))
        thin = chance.uniform(0.02, 0.07)
        fading = step(noise(chance, shape, cells=2, octaves=2), soft=0.8)
        return np.clip(1 - ridge / thin, 0, 1) * fading * chance.uniform(0.2, 0.7)
    canvas = np.zeros(shape, np.uint8)
    height, width = shape
    for _ in range(chance.integer(1, 6)):
        start = chance.numbers.random(2) * (width, height)
        _branch(chance, canvas, start, chance.uniform(0, 6.3), chance.uniform(1.0, 5.5) * scale, 0)
    soft = blurred(canvas.astype(np.float32) / 255, chance.uniform(0.5, 2.0))
    return soft * chance.uniform(0.25, 0.85)


def _branch(
    chance: Chance,
    canvas: NDArray[np.uint8],
    place: NDArray[np.float64],
    angle: float,
    thick: float,
    depth: int,
) -> None:
    steps = chance.integer(6, 16)
    turns = angle + np.cumsum(chance.numbers.normal(0, 0.25, steps))
    reach = canvas.shape[0] * chance.uniform(0.03, 0.06)
    walk = place + reach * np.cumsum(np.stack((np.cos(turns), np.sin(turns)), 1), 0)
    cv2.polylines(canvas, [walk.astype(np.int32)], False, 255, max(1, round(thick)), cv2.LINE_AA)
    if depth < 3:
        for _ in range(chance.integer(1, 3)):
            at = chance.integer(1, steps - 1)
            turn = turns[at] + chance.pick((-1, 1)) * chance.uniform(0.4, 1.1)
            _branch(chance, canvas, walk[at], turn, thick * 0.6, depth + 1)


def lobules(chance: Chance, albedo: Colours, *, scale: float) -> Colours:
    """Fat and glands: cells with darker seams."""
    shape = albedo.shape[:2]
    points = chance.numbers.random((max(8, int(chance.log_uniform(30, 300) / scale)), 2))
    seeds = np.full(shape, 255, np.uint8)
    rows, columns = (points * shape).astype(int).T
    seeds[rows, columns] = 0
    far = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
    seam = np.clip(far / (far.max() * 0.6 + 1e-3), 0, 1)
    return albedo * (1 - chance.uniform(0.1, 0.5) * seam**2)[..., None]


def fibres(chance: Chance, albedo: Colours) -> Colours:
    """Muscle and tendon: streaks along one direction."""
    shape = albedo.shape[:2]
    streak = noise(chance, shape, cells=chance.log_uniform(20, 60), octaves=2)
    kernel = np.zeros((31, 31), np.float32)
    angle = chance.uniform(0, np.pi)
    along = (15 * np.array((np.cos(angle), np.sin(angle)))).astype(int)
    cv2.line(kernel, tuple((15 - along).tolist()), tuple((15 + along).tolist()), 1.0)
    streak = cv2.filter2D(streak, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return albedo * np.clip(1 + chance.uniform(0.1, 0.7) * streak, 0.3, 1.7)[..., None]


def bleed(chance: Chance, albedo: Colours) -> tuple[Colours, Field]:
    """Lay blood, bile, mucus or stool over a surface; returns the colours and where it is wet (0 to 1)."""
    shape = albedo.shape[:2]
    field = noise(chance, shape, cells=chance.log_uniform(1, 6), octaves=4, gain=0.6) - chance.uniform(
        0.3, 1.5
    )
    where = step(field, soft=chance.uniform(0.02, 0.3)) * chance.uniform(0.4, 1.0)
    kind = chance.numbers.random()
    colour = chance.colour(BLOOD if kind < 0.6 else BILE if kind < 0.75 else FAT if kind < 0.85 else PALE)
    return mix(albedo, colour, where), where


def bubbles(chance: Chance, picture: Colours) -> Colours:
    """Froth and single bubbles: rings with a bright point."""
    height, width = picture.shape[:2]
    ring, glint = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    middle = chance.numbers.random(2) * (width, height)
    spread = chance.uniform(0.05, 0.6) * height
    for _ in range(chance.integer(3, 60)):
        x, y = (middle + chance.numbers.normal(0, spread, 2)).astype(int).tolist()
        radius = int(np.clip(chance.log_uniform(1.5, 16), 2, 30))
        cv2.circle(ring, (x, y), radius, chance.integer(60, 200), 1, cv2.LINE_AA)
        cv2.circle(glint, (x - radius // 3, y - radius // 3), max(1, radius // 4), 255, -1, cv2.LINE_AA)
    bright = picture.mean()
    picture = mix(picture, srgb((0.9, 0.9, 0.88)) * (0.3 + bright), ring.astype(np.float32) / 255 * 0.6)
    return picture + blurred(glint.astype(np.float32) / 255, 0.7)[..., None] * chance.uniform(0.2, 0.9)
