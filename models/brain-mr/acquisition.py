"""What a scanner does to a head: slices, resolution, bias, noise, artefacts, field of view, scaling."""

import math
from collections.abc import Sequence

import torch
from chance import Chance, Shape, blur
from torch import Tensor
from torch.nn import functional

SAMPLE_VALUES = 60_000  # quantiles of training images are taken from so many voxels
HIGH_QUANTILE = 0.998
LOW_QUANTILE = 0.005
AIR_SHARE = 0.02  # of the maximum; below it a voxel counts as air
CEILING = 1.2


def acquire(
    image: Tensor, truth: Tensor, *, voxel_mm: float, is_echo_planar: bool, chance: Chance
) -> tuple[Tensor, Tensor]:
    """Degrade an image and normalise it.

    Args:
        image: (1, 1, x, y, z), tissue intensities from about 0 to 1.
        truth: (x, y, z), classes; set to background where the field of view is cut.
        voxel_mm: Edge of a voxel.
        is_echo_planar: Voxels are mostly coarse, and signal was lost before, where the truth knows it.
        chance: The draws.

    Returns:
        The image, 0 to 1.2 as at inference, and the truth.
    """
    if is_echo_planar and chance.happens(0.5):
        in_plane_mm, slice_mm = chance.uniform(1.6, 3.5), chance.uniform(1.6, 5)
        image = coarsen(image, [in_plane_mm / voxel_mm, in_plane_mm / voxel_mm, slice_mm / voxel_mm], chance)
    else:
        image = lose_resolution(image, voxel_mm, chance)
    image = spoil(image, chance, dropouts=0.0 if is_echo_planar else 0.1)
    image = add_noise(image, chance)
    if chance.happens(0.35):
        image, truth = cut_field_of_view(image, truth, chance)
    image = image.clamp(min=0)
    values = chance.subset(image, SAMPLE_VALUES)
    image = normalise(image, values, high_quantile=chance.uniform(0.99, 0.9995))
    if chance.happens(0.6):
        image = image ** math.exp(chance.normal(0.35))
    return image, truth


def normalise(image: Tensor, values: Tensor, *, high_quantile: float = HIGH_QUANTILE) -> Tensor:
    """Scale between two quantiles of `values`, which are all voxels of the image or a sample of them."""
    body = values[values > AIR_SHARE * values.max()]
    high = torch.quantile(body if body.numel() >= 100 else values, high_quantile)
    low = torch.quantile(values, LOW_QUANTILE)
    return ((image - low) / (high - low + 1e-6)).clamp(0, CEILING)


def lose_resolution(image: Tensor, voxel_mm: float, chance: Chance) -> Tensor:
    """Thick slices, coarse voxels or a light blur."""
    shape: Shape = (image.shape[2], image.shape[3], image.shape[4])
    if chance.happens(0.35):
        axis = chance.integer(0, 2) if chance.happens(0.4) else 2
        thickness = chance.uniform(2, 8) / voxel_mm
        spread = [0.0, 0.0, 0.0]
        spread[axis] = thickness * chance.uniform(0.25, 0.5)
        image = blur(image, spread)
        coarse = list(shape)
        coarse[axis] = max(8, int(shape[axis] / thickness))
        image = functional.interpolate(image, size=coarse, mode="trilinear", align_corners=False)
        if chance.happens(0.15):  # slices of uneven brightness, alternating or not
            jitter = 1 + chance.uniform(0.03, 0.2) * (chance.flat(coarse[axis]) - 0.5)
            sides = [1] * 5
            sides[2 + axis] = -1
            image = image * jitter.view(sides)
        smooth = chance.happens(0.8)
        return functional.interpolate(image, size=shape, mode="trilinear" if smooth else "nearest")
    if chance.happens(0.35):
        return coarsen(image, [chance.uniform(1.8, 4) / voxel_mm] * 3, chance)
    return blur(image, [chance.uniform(0, 0.9) for _ in range(3)]) if chance.happens(0.5) else image


def coarsen(image: Tensor, factors: Sequence[float], chance: Chance) -> Tensor:
    """Blur to voxels larger by a factor per axis, add some noise, and come back to the grid."""
    shape: Shape = (image.shape[2], image.shape[3], image.shape[4])
    coarse = [min(side, max(24, int(side / factor))) for side, factor in zip(shape, factors, strict=True)]
    image = blur(image, [0.4 * factor for factor in factors])
    image = functional.interpolate(image, size=coarse, mode="trilinear")
    image = image + chance.uniform(0, 0.04) * chance.white(image.shape)
    return functional.interpolate(image, size=shape, mode="trilinear")


def spoil(image: Tensor, chance: Chance, *, dropouts: float) -> Tensor:
    """Bias field, signal dropouts (as often as said), ghosts."""
    shape: Shape = (image.shape[2], image.shape[3], image.shape[4])
    if chance.happens(0.7):
        field = chance.smooth(shape, spacing_voxels=chance.pick([40, 64, 100]))
        image = image * torch.exp(chance.uniform(0, 0.5) * field)[None]
    if chance.happens(dropouts):
        hole = torch.sigmoid(8 * (chance.smooth(shape, spacing_voxels=30) - chance.uniform(1.3, 2)))
        image = image * (1 - hole)[None]
    if chance.happens(0.1):
        shift, axis = chance.integer(12, 64), 2 + chance.integer(0, 2)
        image = image + chance.uniform(0.03, 0.15) * torch.roll(image, shift, axis)
    return image


def add_noise(image: Tensor, chance: Chance) -> Tensor:
    """Normal or Rician noise up to 8 % of the brightest voxel."""
    if not chance.happens(0.8):
        return image
    spread = chance.uniform(0, 0.08) * image.amax().clamp(min=0.3)
    noisy = image + chance.white(image.shape) * spread
    if chance.happens(0.5):
        return torch.sqrt(noisy**2 + (chance.white(image.shape) * spread) ** 2)
    return noisy


def cut_field_of_view(image: Tensor, truth: Tensor, chance: Chance) -> tuple[Tensor, Tensor]:
    """Only a slab was scanned, straight or oblique; beyond it image and truth are empty."""
    axis = chance.integer(0, 2) if chance.happens(0.4) else 2
    side = truth.shape[axis]
    low = int(chance.uniform(0, 0.45) * side) if chance.happens(0.6) else 0
    high = side - (int(chance.uniform(0, 0.45) * side) if chance.happens(0.6) else 0)
    position = _tilted_axis(truth, axis, chance.uniform(-0.7, 0.7) if chance.happens(0.35) else 0.0, chance)
    seen = (position >= low) & (position < max(high, low + side // 6))
    return image * seen, torch.where(seen, truth, 0)


def _tilted_axis(truth: Tensor, axis: int, slope: float, chance: Chance) -> Tensor:
    """Position along an axis in voxels, leaning with another axis by `slope`; ready to broadcast."""
    across = (axis + chance.integer(1, 2)) % 3
    steps = [torch.arange(side, device=truth.device, dtype=torch.float32) for side in truth.shape]
    along_sides, across_sides = [1, 1, 1], [1, 1, 1]
    along_sides[axis], across_sides[across] = -1, -1
    leaning = slope * (steps[across] - truth.shape[across] / 2)
    return steps[axis].view(along_sides) + leaning.view(across_sides)
