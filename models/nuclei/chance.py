"""Chance and smooth noise: what every drawn picture is made of."""

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]  # (height, width)
Option = TypeVar("Option")


class Chance:
    """Draws for one picture; the same seed gives the same picture."""

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

    def normal(self, spread: float) -> float:
        """A number around 0."""
        return float(self.numbers.normal(0, spread))

    def pick(self, options: Sequence[Option]) -> Option:
        """One of them."""
        return options[int(self.numbers.integers(len(options)))]


def noise(chance: Chance, shape: tuple[int, int], *, blob_px: float, octaves: int = 3) -> Field:
    """Smooth noise around 0, about -1 to 1.

    Args:
        chance: Draws it.
        shape: (height, width).
        blob_px: Size of the coarsest blobs; each octave is twice as fine, and half as strong.
        octaves: How many.
    """
    height, width = shape
    total, strength, summed = np.zeros(shape, np.float32), 1.0, 0.0
    for _ in range(octaves):
        rows, columns = (max(2, round(side / max(blob_px, 1.0)) + 2) for side in shape)
        coarse = chance.numbers.standard_normal((rows, columns), dtype=np.float32)
        total += strength * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        summed += strength**2
        strength, blob_px = strength / 2, blob_px / 2
    return total / np.float32(2 * np.sqrt(summed))
