"""The network: a small residual net that looks at one picture and says how likely it is inside the body."""

import torch
from torch import Tensor, nn
from torch.nn import functional

HEIGHT_PX, WIDTH_PX = 96, 160  # what the bundle takes: averaging takes away what a fast scaler aliases
SEEN_SHAPE_PX = (48, 80)  # what the layers see; training goes on in this size
WIDTHS = (16, 32, 64, 96)
BLOCKS = (1, 1, 1, 1)


class Unit(nn.Sequential):
    """Convolution, batch norm, and ReLU unless a sum follows."""

    def __init__(self, given: int, made: int, *, stride: int = 1, bends: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(given, made, 3, stride, 1, bias=False),
            nn.BatchNorm2d(made),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if bends else []))


class Block(nn.Module):
    """Two units and a way around them; the first level makes do with one."""

    def __init__(self, width: int, *, units: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(*(Unit(width, width, bends=n + 1 < units) for n in range(units)))

    def forward(self, given: Tensor) -> Tensor:
        """Add what the units found."""
        return torch.relu(given + self.inner(given))


class ScopeNet(nn.Module):
    """(batch, 3, 48, 80) bytes as float, 0 to 255, to one logit each: above 0 means inside.

    `sharpness` divides the logit; it is fitted after training, so that a score of 0.9 is right nine times in
    ten on rendered scenes.
    """

    sharpness: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        given = 3
        for level, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
            layers.append(Unit(given, width, stride=2))
            layers.extend(Block(width, units=1 if level < 2 else 2) for _ in range(blocks))
            given = width
        self.features = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(2 * given, 1)
        self.register_buffer("sharpness", torch.ones(()))

    def forward(self, picture: Tensor) -> Tensor:
        """Judge pictures: (batch,) logits."""
        seen = self.features(picture * (1 / 128) - 1)
        pooled = torch.cat((seen.mean((2, 3)), seen.amax((2, 3))), 1)
        return self.head(self.drop(pooled))[:, 0] / self.sharpness


class Scored(nn.Module):
    """The network as the bundle ships it: bytes in, the scores of `outside` and `inside` out."""

    def __init__(self, network: ScopeNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> Tensor:
        """(batch, 3, 96, 160) uint8 to (batch, 2) float32, which add up to 1."""
        seen = functional.avg_pool2d(picture.float(), 2)
        inside = torch.sigmoid(self.network(seen))
        return torch.stack((1 - inside, inside), 1)
