"""All randomness of the generator: numbers, white noise and smooth fields from one seed."""

import math
import random
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

Shape = tuple[int, int, int]
Option = TypeVar("Option")


class Chance:
    """Draws for one synthetic image; the same seed gives the same image on the same kind of device."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self._numbers = random.Random(seed)
        self.fields = torch.Generator(device)
        self.fields.manual_seed(seed)

    def happens(self, probability: float) -> bool:
        """Say yes that often."""
        return self._numbers.random() < probability

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number between two limits."""
        return self._numbers.uniform(low, high)

    def normal(self, spread: float) -> float:
        """A number around 0."""
        return self._numbers.gauss(0.0, spread)

    def integer(self, low: int, high: int) -> int:
        """Both ends included."""
        return self._numbers.randint(low, high)

    def pick(self, options: Sequence[Option], weights: Sequence[float] | None = None) -> Option:
        """One of the options, by weight."""
        return self._numbers.choices(options, weights)[0]

    def flat(self, count: int) -> Tensor:
        """`count` numbers between 0 and 1."""
        return torch.rand(count, generator=self.fields, device=self.device)

    def white(self, shape: Sequence[int]) -> Tensor:
        """Independent normal noise of spread 1."""
        return torch.randn(tuple(shape), generator=self.fields, device=self.device)

    def smooth(self, shape: Shape, *, spacing_voxels: float, channels: int = 1) -> Tensor:
        """(channels, *shape) noise of spread about 1, interpolated between knots `spacing_voxels` apart."""
        knots = [max(2, math.ceil(side / spacing_voxels) + 1) for side in shape]
        coarse = self.white((1, channels, *knots))
        return functional.interpolate(coarse, size=shape, mode="trilinear", align_corners=True)[0]

    def ball(self, count: int) -> Tensor:
        """(count, 3) directions of length 1."""
        drawn = self.white((count, 3))
        return drawn / drawn.norm(dim=1, keepdim=True).clamp(min=1e-6)

    def jitter(self, value: float, share: float) -> float:
        """A value, up to that share of it more or less."""
        return value * self.uniform(1 - share, 1 + share)


def blur(volume: Tensor, spread_voxels: Sequence[float]) -> Tensor:
    """Gaussian blur of (1, 1, x, y, z), one spread per axis; below 0.15 voxels an axis is left alone.

    A sum of shifted copies: convolutions would look for their best algorithm anew for every shape.
    """
    for axis, spread in enumerate(spread_voxels):
        if spread <= 0.15:
            continue
        reach = max(1, round(2.6 * spread))
        weights = [math.exp(-0.5 * (step / spread) ** 2) for step in range(-reach, reach + 1)]
        total, side = sum(weights), volume.shape[2 + axis]
        margin = [0] * 6
        margin[4 - 2 * axis] = margin[5 - 2 * axis] = reach
        wide = functional.pad(volume, margin, mode="replicate")
        volume = wide.narrow(2 + axis, 0, side) * (weights[0] / total)
        for step, weight in enumerate(weights[1:], 1):
            volume = volume.add_(wide.narrow(2 + axis, step, side), alpha=weight / total)
    return volume
