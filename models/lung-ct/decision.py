"""From the chances of the classes to the labels that are told: the part of the graph behind the network."""

import labels
import torch
from network import LungNet
from scanner import HIGH_HU, LOW_HU
from space import VOXEL_MM
from torch import Tensor, nn
from torch.nn import functional

# What is missed of a lung is darker than -600 HU; the darker limit is for the mean of 27 voxels.
AIRY_HU = (-960.0, -600.0)
AIRY_SHARE = 0.6  # of eight voxels: where one layer of two is wall, there is a wall
GROWN_MM = 48.0
NEIGHBOURS = (((3, 1, 1), (1, 0, 0)), ((1, 3, 1), (0, 1, 0)), ((1, 1, 3), (0, 0, 1)))


class Labelled(nn.Module):
    """The network with its decision.

    A nodule from some chance on, else the likeliest of the rest, where right and left count together. Then
    lungs are grown into what is as airy as they are and joined to them: the network misses whole pieces of
    real lungs that are darker and smoother than drawn ones, and no wall lies in between. Gas of bowels and
    the air outside are darker still, and stay outside.
    """

    def __init__(self, network: LungNet, chance_min: float) -> None:
        super().__init__()
        self.network, self.chance_min = network, chance_min

    def forward(self, volume: Tensor) -> Tensor:
        """Label each voxel: (batch, 1, x, y, z) to (batch, x, y, z), uint8, as `labels.TOLD_NAMES`."""
        none, right, left, trachea, nodule = self.network(volume).softmax(1).split(1, 1)
        lungs = right + left
        is_nodule = nodule >= self.chance_min
        is_trachea = (trachea > none) & (trachea > lungs)
        is_free = ~is_nodule & ~is_trachea
        is_lung = grow((lungs > none) & is_free, volume, free=is_free)
        told = torch.where(is_lung, labels.TOLD_LUNGS, torch.where(is_trachea, labels.TOLD_TRACHEA, 0))
        return torch.where(is_nodule, labels.TOLD_NODULE, told)[:, 0].to(torch.uint8)


def grow(lungs: Tensor, volume: Tensor, *, free: Tensor) -> Tensor:
    """Add what is as airy as lung and joined to lung, face to face, within `GROWN_MM`.

    Most of the way is gone on a grid of 3 mm, which costs little, and in which a wall of one voxel is a wall.

    Args:
        lungs: (batch, 1, x, y, z), bool.
        volume: (batch, 1, x, y, z), 0 to 1.
        free: (batch, 1, x, y, z), bool: nothing else was found there.
    """
    darkest, lightest = ((hu - LOW_HU) / (HIGH_HU - LOW_HU) for hu in AIRY_HU)
    even = functional.avg_pool3d(volume, 3, stride=1, padding=1, count_include_pad=False)
    airy = ((even > darkest) & (volume < lightest) & free | lungs).to(volume.dtype)
    seen = lungs.to(volume.dtype)
    coarse = functional.max_pool3d(seen, 2)
    room = torch.maximum((functional.avg_pool3d(airy, 2) > AIRY_SHARE).to(volume.dtype), coarse)
    far = walk(coarse, room, round(GROWN_MM / (2 * VOXEL_MM)))
    near = functional.interpolate(far, scale_factor=2.0, mode="nearest") * airy
    return walk(torch.maximum(near, seen), airy, 2) > 0.5


def walk(start: Tensor, room: Tensor, steps: int) -> Tensor:
    """Grow a mask of 0 and 1 within another, so many voxels, from face to face."""
    for _ in range(steps):
        ways = [functional.max_pool3d(start, side, stride=1, padding=edge) for side, edge in NEIGHBOURS]
        start = torch.maximum(torch.maximum(ways[0], ways[1]), ways[2]) * room
    return start
