"""Chance, smooth noise and light: what every rendered scene is made of.

Colours are RGB float32 in linear light, 0 to 1; `srgb` names a colour as a person would pick it.
"""

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]  # (height, width)
Colours = NDArray[np.float32]  # (height, width, 3) or (3,)
Option = TypeVar("Option")


class Chance:
    """Draws for one scene; the same seed gives the same scene."""

    def __init__(self, seed: int) -> None:
        self.numbers = np.random.default_rng(seed)

    def happens(self, probability: float) -> bool:
        """Say yes that often."""
        return bool(self.numbers.random() < probability)

    def uniform(self, low: float, high: float) -> float:
        """A number between two limits."""
        return float(self.numbers.uniform(low, high))

    def log_uniform(self, low: float, high: float) -> float:
        """A number between two limits, each octave as likely as the next."""
        return float(np.exp(self.numbers.uniform(np.log(low), np.log(high))))

    def integer(self, low: int, high: int) -> int:
        """Both ends included."""
        return int(self.numbers.integers(low, high + 1))

    def pick(self, options: Sequence[Option]) -> Option:
        """One of them."""
        return options[int(self.numbers.integers(len(options)))]

    def colour(self, options: Sequence[tuple[float, float, float]], *, spread: float = 0.06) -> Colours:
        """One of some sRGB colours, a little off, in linear light."""
        wanted = np.array(self.pick(options)) + self.numbers.normal(0, spread, 3)
        return srgb(wanted * self.uniform(0.85, 1.12))

    def any_colour(self) -> Colours:
        """Any colour at all."""
        return srgb(self.numbers.random(3))


def srgb(colour: Sequence[float] | NDArray[np.float64]) -> Colours:
    """Turn an sRGB colour into linear light."""
    return (np.clip(np.asarray(colour), 0.01, 1) ** 2.2).astype(np.float32)


def noise(
    chance: Chance, shape: tuple[int, int], *, cells: float, octaves: int = 4, gain: float = 0.5
) -> Field:
    """Smooth noise around 0, about -1 to 1.

    Args:
        chance: Draws it.
        shape: (height, width).
        cells: Blobs of the coarsest octave along the height.
        octaves: Each twice as fine as the one before.
        gain: Strength of each octave against the one before.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    strength, summed = 1.0, 0.0
    for octave in range(octaves):
        rows = cells * 2**octave
        if rows > height:
            break
        size = (int(rows * width / height) + 4, int(rows) + 4)
        coarse = chance.numbers.standard_normal(size[::-1], dtype=np.float32)
        scale = height / rows
        shift = chance.numbers.random(2)
        moved = np.array([[1 / scale, 0, 1 + shift[0]], [0, 1 / scale, 1 + shift[1]]], np.float32)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        layer = cv2.warpAffine(coarse, moved, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
        total += strength * layer
        summed += strength**2
        strength *= gain
    return total / np.float32(1.2 * np.sqrt(max(summed, 1e-6)))


def grid(shape: tuple[int, int]) -> tuple[Field, Field]:
    """Coordinates x, y of the pixels: the height runs from -1 to 1, the width in proportion."""
    height, width = shape
    x = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / (height / 2)
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / (height / 2)
    across, down = np.meshgrid(x, y)
    return across, down


def step(field: Field, *, soft: float = 0.02) -> Field:
    """1 where a field is above 0, 0 below, with a soft edge."""
    return np.clip(field / (2 * soft) + 0.5, 0, 1)


def mix(under: Colours, over: Colours, share: Field | float) -> Colours:
    """Lay colours over others."""
    part = share[..., None] if isinstance(share, np.ndarray) else np.float32(share)
    return under + (over - under) * part


def lit(
    albedo: Colours,
    depth: Field,
    *,
    gloss: float,
    shine: float,
    ambient: float = 0.02,
    offset: tuple[float, float] = (0.0, 0.0),
    wide: float = 0.8,
    grain: Field | None = None,
) -> Colours:
    """Light a surface with a lamp that sits at the lens.

    Args:
        albedo: Of the surface.
        depth: Distance along the axis, in units where 1 is a usual distance.
        gloss: Strength of the mirror reflection.
        shine: Its exponent; wet tissue 40 to 400.
        ambient: Light from everywhere.
        offset: Of the lamp from the lens.
        wide: Tangent of half the vertical angle of view.
        grain: Fine relief that only the mirror reflection sees.
    """
    across, down = grid(depth.shape)
    place = (across * wide * depth, down * wide * depth, depth)
    normal = _unit(*_cross([_slope(p, 0, 1) for p in place], [_slope(p, 1, 0) for p in place]))
    to_lamp = (offset[0] - place[0], offset[1] - place[1], -depth)
    far = np.maximum(_length(*to_lamp), 1e-3)
    to_lamp = tuple(part / far for part in to_lamp)
    power = 1 / np.maximum(far, 0.15) ** 2
    lambert = np.clip(sum(n * t for n, t in zip(normal, to_lamp, strict=True)), 0, 1)
    light = albedo * (ambient + lambert * power)[..., None]
    if gloss <= 0.02:
        return light.astype(np.float32)
    if grain is not None:
        normal = _unit(normal[0] + _slope(grain, 1, 0), normal[1] + _slope(grain, 0, 1), normal[2])
    to_eye = np.maximum(_length(*place), 1e-3)
    half = _unit(*(t - p / to_eye for t, p in zip(to_lamp, place, strict=True)))
    mirror = np.clip(sum(n * t for n, t in zip(normal, half, strict=True)), 0, 1) ** np.float32(shine)
    return (light + (gloss * mirror * power)[..., None]).astype(np.float32)


def relief(
    height: Field, *, light: tuple[float, float, float], shine: float = 20, gloss: float = 0.0
) -> Field:
    """Shade a height field with a far lamp; about 1 where it faces the lamp."""
    normal = _unit(-_slope(height, 1, 0), -_slope(height, 0, 1), np.ones_like(height))
    lamp = np.array(light, np.float32) / np.float32(np.linalg.norm(light))
    facing = np.clip(sum(n * part for n, part in zip(normal, lamp, strict=True)), 0, 1)
    if gloss <= 0.02:
        return facing.astype(np.float32)
    half = lamp + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    mirror = np.clip(sum(n * part for n, part in zip(normal, half, strict=True)), 0, 1) ** np.float32(shine)
    return (facing + gloss * mirror).astype(np.float32)


def warped(picture: NDArray[np.float32], dx: Field, dy: Field) -> NDArray[np.float32]:
    """Move each pixel by some pixels."""
    height, width = picture.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(picture, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def blurred(picture: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Gaussian blur."""
    return cv2.GaussianBlur(picture, (0, 0), sigma_px) if sigma_px > 0.15 else picture


def _slope(field: Field, dx: int, dy: int) -> Field:
    return cv2.Sobel(field, cv2.CV_32F, dx, dy, ksize=3)


def _length(x: Field, y: Field, z: Field) -> Field:
    return np.sqrt(x * x + y * y + z * z)


def _unit(x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
    length = np.maximum(_length(x, y, z), 1e-6)
    return x / length, y / length, z / length


def _cross(a: Sequence[Field], b: Sequence[Field]) -> tuple[Field, Field, Field]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
