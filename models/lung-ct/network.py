"""The network: a small 3-D U-Net whose every layer has an int8 kernel."""

from itertools import pairwise

import torch
from labels import CLASS_COUNT
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 32, 64, 96, 112)
MULTIPLE_VOXELS = 2 ** (len(WIDTHS) - 1)  # each side of a volume must be a multiple of this


class LungNet(nn.Module):
    """Volumes in, class scores out; fully convolutional.

    Widths are multiples of 16, and the way up is a 1x1x1 convolution followed by nearest upsampling,
    because a transposed convolution has no int8 kernel.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, classes: int = CLASS_COUNT) -> None:
        super().__init__()
        inputs = (1, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(block(i, width), block(width, width))
            for i, width in zip(inputs, widths, strict=True)
        )
        rising = widths[::-1]
        self.narrow = nn.ModuleList(nn.Conv3d(deep, width, 1) for deep, width in pairwise(rising))
        self.up = nn.ModuleList(
            nn.Sequential(block(2 * width, width), block(width, width)) for width in rising[1:]
        )
        self.head = nn.Conv3d(widths[0], classes, 1)

    def forward(self, volume: Tensor) -> Tensor:
        """Score each voxel.

        Args:
            volume: (batch, 1, x, y, z), 0 to 1; sides are multiples of 16.

        Returns:
            (batch, classes, x, y, z) scores before the softmax.
        """
        skipped: list[Tensor] = []
        for level, convolve in enumerate(self.down):
            volume = convolve(functional.max_pool3d(volume, 2) if level else volume)
            skipped.append(volume)
        skipped.pop()
        for narrow, merge in zip(self.narrow, self.up, strict=True):
            coarse = functional.interpolate(narrow(volume), scale_factor=2.0, mode="nearest")
            volume = merge(torch.cat([coarse, skipped.pop()], 1))
        scores: Tensor = self.head(volume)
        return scores


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)
    )


def fold_batch_norms(network: LungNet) -> LungNet:
    """Merge each batch norm into the convolution before it, in place, for inference."""
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm3d):
            convolution = module[0]
            assert isinstance(convolution, nn.Conv3d)
            module[0] = torch.nn.utils.fusion.fuse_conv_bn_eval(convolution, module[1])
            module[1] = nn.Identity()
    return network
