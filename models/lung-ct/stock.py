"""Batches for training: each scene is painted once and scanned several times, some steps apart."""

from collections.abc import Sequence

import torch
from chance import Chance, Shape
from scanner import draw_protocol
from synthesis import Scene, paint_scene, take
from torch import Tensor
from views import SHAPES

# How many scenes a step paints, and at which ages, in steps, a scene is scanned: six scans a step either way.
# Steps take turns with the shapes, so that the ages are even numbers.
AGES = {2: (0, 10, 26), 1: (0, 6, 12, 18, 24, 30)}
SPARE_VOXELS = 16  # a scene is larger than a scan by this
SEED_STEP = 1_000_003

Batch = tuple[Tensor, Tensor, Tensor]


class Stock:
    """Scenes that are still needed; what a step is given depends on the seed and its number alone.

    Args:
        device: Where scenes are painted.
        seed: Of the run.
        shapes: Of the scans; the steps take turns with them.
        painted: Scenes that a step paints, 2 or 1: painting takes longer than learning.
    """

    def __init__(
        self, device: torch.device, *, seed: int, shapes: Sequence[Shape] = SHAPES, painted: int = 2
    ) -> None:
        self._device, self._seed, self._shapes = device, seed, tuple(shapes)
        self._new, self._ages = painted, AGES[painted]
        self._scenes: dict[int, list[Scene]] = {}

    def batch(self, step: int) -> Batch:
        """Images (n, 1, x, y, z), classes (n, x, y, z) and weights (n, x, y, z) of a step."""
        scans, turn = [], step % len(self._shapes)
        for slot, age in enumerate(self._ages):
            for number, scene in enumerate(self._painted(max(turn, step - age))):
                chance = Chance(self._number(step, 10 + slot * self._new + number), self._device)
                scans.append(take(scene, chance, shape=self._shapes[turn], protocol=draw_protocol(chance)))
        for old in [at for at in self._scenes if at < step - max(self._ages)]:
            del self._scenes[old]
        images, truths, weights = zip(*((scan.image, scan.truth, scan.weight) for scan in scans), strict=True)
        return torch.stack(images)[:, None], torch.stack(truths), torch.stack(weights)

    def _painted(self, step: int) -> list[Scene]:
        if step not in self._scenes:
            chances = [Chance(self._number(step, number), self._device) for number in range(self._new)]
            x, y, z = self._shapes[step % len(self._shapes)]
            shape = (x + SPARE_VOXELS, y + SPARE_VOXELS, z + SPARE_VOXELS)
            self._scenes[step] = [paint_scene(chance, shape=shape) for chance in chances]
        return self._scenes[step]

    def _number(self, step: int, part: int) -> int:
        return self._seed * SEED_STEP + step * 100 + part
