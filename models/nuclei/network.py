"""The network: a U-Net that says of each pixel whether it belongs to a nucleus, and how deep in it."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (24, 48, 72, 96, 128)
MULTIPLE_PX = 2 ** (len(WIDTHS) - 1)
POOL_PX = 4  # a hot pixel must not set the scale


class Unit(nn.Sequential):
    """Convolution, batch norm and ReLU, twice."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__(
            nn.Conv2d(given, made, 3, padding=1, bias=False),
            nn.BatchNorm2d(made),
            nn.ReLU(inplace=True),
            nn.Conv2d(made, made, 3, padding=1, bias=False),
            nn.BatchNorm2d(made),
            nn.ReLU(inplace=True),
        )


class NucleiNet(nn.Module):
    """(batch, 3, height, width) bytes as float, 0 to 255, to (batch, 2, height, width) logits.

    The first says nucleus, the second how deep in it; sides are multiples of 16. A picture is scaled by its
    own darkest and brightest places first, and seen a second time under a square root: pictures that use a
    tenth of the range, and faint nuclei beside bright ones, are the rule.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            Unit(given, made) for given, made in zip((6, *widths), widths, strict=False)
        )
        self.bridges = nn.ModuleList(nn.Conv2d(deep, flat, 1) for flat, deep in pairwise(widths))
        self.up = nn.ModuleList(Unit(2 * flat, flat) for flat in widths[:-1])
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Judge pictures."""
        seen = scaled(picture)
        kept = []
        for number, unit in enumerate(self.down):
            seen = unit(functional.max_pool2d(seen, 2) if number else seen)
            kept.append(seen)
        for number in reversed(range(len(self.up))):
            above = functional.interpolate(self.bridges[number](seen), scale_factor=2.0, mode="nearest")
            seen = self.up[number](torch.cat((kept[number], above), 1))
        return self.head(seen)


def scaled(picture: Tensor) -> Tensor:
    """Scale each picture to about 0 to 1; (batch, 6, height, width): R, G, B, and their square roots."""
    smooth = functional.avg_pool2d(picture, POOL_PX)
    low, high = smooth.amin((1, 2, 3), keepdim=True), smooth.amax((1, 2, 3), keepdim=True)
    linear = ((picture - low) / (high - low + 4)).clamp(0, 1.5)
    return torch.cat((linear, torch.sqrt(linear + 1e-3)), 1)


class Answering(nn.Module):
    """The network as the bundle ships it: bytes in, two maps from 0 to 1 out: nucleus, and depth.

    Pictures of any size: what lacks to a multiple of 16 is mirrored, as beyond the edge in training. Black
    in its place would move the darkest place of a picture, and nuclei were seen all along such a border.
    """

    def __init__(self, network: NucleiNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> Tensor:
        """(1, 3, height, width) uint8 to (1, 2, height, width) float32."""
        height, width = picture.shape[2], picture.shape[3]
        whole = picture[:, :, mirrored(height)][:, :, :, mirrored(width)]
        return torch.sigmoid(self.network(whole.float()))[:, :, :height, :width]


def mirrored(side: int) -> Tensor:
    """Say which row, or column, stands where: 0 to side - 1, and backwards up to a multiple of 16."""
    last = side - 1
    along = torch.arange((side + MULTIPLE_PX - 1) // MULTIPLE_PX * MULTIPLE_PX)
    return (last - (along - last).abs()).clamp_min(0)
