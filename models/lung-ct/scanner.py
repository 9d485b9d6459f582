"""What a scanner makes of a body: slices, kernels, noise, streaks, motion, a circle, a slab."""

import math
from dataclasses import dataclass

import torch
from chance import Chance, blur
from space import VOXEL_MM, Places
from torch import Tensor
from torch.nn import functional

LOW_HU, HIGH_HU = -1024.0, 600.0  # as in manifest.yaml


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a scan is taken.

    Attributes:
        thickness_mm: Of a slice, along the axis it is cut.
        spacing_mm: From slice to slice.
        axis: Across the slices; 2 but for reformatted series.
        noise_hu: Standard deviation in a slice.
        sharpness: -1 soft to 1 sharp.
    """

    thickness_mm: float
    spacing_mm: float
    axis: int
    noise_hu: float
    sharpness: float


def draw_protocol(chance: Chance) -> Protocol:
    """Thin slices mostly; thin, sharp and low-dose ones are noisy."""
    thickness = chance.pick(
        [chance.uniform(0.6, 1.5), chance.uniform(1.5, 3), chance.uniform(3, 5.2)], [0.5, 0.25, 0.25]
    )
    spacing = thickness * chance.pick(
        [1.0, chance.uniform(0.5, 1.0), chance.uniform(1.0, 1.25)], [0.5, 0.38, 0.12]
    )
    sharpness = chance.uniform(-1, 1)
    noise = math.exp(chance.uniform(math.log(5), math.log(38))) * (1.6 / max(0.8, thickness)) ** 0.4
    noise *= math.exp(0.5 * sharpness)
    if chance.happens(0.12):  # very low dose
        noise *= chance.uniform(1.5, 3.0)
    axis = 2 if chance.happens(0.94) else chance.integer(0, 1)
    return Protocol(thickness, spacing, axis, min(noise, 130.0), sharpness)


def acquire(image: Tensor, at: Places, protocol: Protocol, chance: Chance) -> Tensor:
    """Take a scan of a painted body.

    Args:
        image: (x, y, z), HU of 1.5 mm voxels.
        at: Where the voxels lie in the body.
        protocol: How.
        chance: The draws.

    Returns:
        HU on the same voxels, as the product's preprocessing brings them there, unclipped.
    """
    image = _move(image, at, chance)
    volume = image[None, None]
    in_plane = 0.55 - 0.2 * protocol.sharpness if chance.happens(0.8) else chance.uniform(0.5, 1.0)
    through = math.sqrt(max(0.0, (protocol.thickness_mm / VOXEL_MM) ** 2 - 0.5)) * 0.36
    spread = [in_plane * 0.8] * 3
    spread[protocol.axis] = through
    volume = blur(volume, spread)
    volume = _slice(volume, at, protocol, chance)
    if protocol.sharpness > 0.4:  # edges overshoot
        soft = blur(volume, [0.0 if axis == protocol.axis else 0.9 for axis in range(3)])
        volume = volume + (protocol.sharpness - 0.4) * chance.uniform(0.3, 1.0) * (volume - soft)
    volume = volume + chance.normal(6)
    if chance.happens(0.08):
        volume = volume + chance.uniform(-15, 15) * volume.clamp(-1000, 0) / 1000
    return volume[0, 0]


def _slice(volume: Tensor, at: Places, protocol: Protocol, chance: Chance) -> Tensor:
    """Noise in each slice, and what lies between slices made up from them."""
    whole = list(volume.shape[2:])
    step = protocol.spacing_mm / VOXEL_MM
    if step > 1.05:
        sizes = list(whole)
        sizes[protocol.axis] = max(4, round(whole[protocol.axis] / step))
        volume = functional.interpolate(volume, size=sizes, mode="trilinear", align_corners=True)
    noise = _noise(tuple(volume.shape[2:]), protocol, chance)
    streaks = _shoulder_streaks(volume, at, protocol, chance)
    if step < 0.9:  # several noisy slices in one voxel
        noise = noise * math.sqrt(max(step, 0.4))
    dose = 1 + 0.25 * functional.avg_pool3d((volume > -300).float(), 5, 1, 2)
    volume = volume + noise * dose + streaks + _metal_streaks(volume, chance)
    if volume.shape[2 + protocol.axis] != whole[protocol.axis]:
        volume = functional.interpolate(volume, size=whole, mode="trilinear", align_corners=True)
    return volume


def _noise(shape: tuple[int, ...], protocol: Protocol, chance: Chance) -> Tensor:
    """Coarse with soft kernels, fine with sharp ones, of the protocol's standard deviation."""
    noise = chance.white((1, 1, *shape))
    width = [max(0.0, 0.55 - 0.5 * protocol.sharpness)] * 3
    width[protocol.axis] = 0.35 if protocol.spacing_mm < 1.2 else 0.0
    noise = blur(noise, width)
    return noise * (protocol.noise_hu / noise.std().clamp(min=1e-3))


def _shoulder_streaks(volume: Tensor, at: Places, protocol: Protocol, chance: Chance) -> Tensor:
    """Long streaks from side to side, where shoulders or arms take the light."""
    if not chance.happens(0.35):
        return torch.zeros((), device=volume.device)
    nx, ny, nz = volume.shape[2:]
    coarse = chance.white((1, 1, max(2, nx // 20), ny, nz))
    lines = blur(functional.interpolate(coarse, size=(nx, ny, nz), mode="trilinear"), [0.0, 0.4, 0.0])
    lines = lines / lines.std().clamp(min=1e-3)
    height = functional.interpolate(
        at[2][None, None], size=volume.shape[2:], mode="trilinear", align_corners=True
    )
    profile = torch.sigmoid((height - chance.uniform(55, 110)) / 14) * torch.sigmoid((200 - height) / 15)
    return lines * profile * chance.uniform(0.3, 1.6) * min(60.0, protocol.noise_hu * 2)


def _metal_streaks(volume: Tensor, chance: Chance) -> Tensor:
    """Rays through what is as dense as metal, in its slice."""
    metal = (volume > 1900).float()
    if not bool(metal.any()):
        return torch.zeros((), device=volume.device)
    amount = metal.sum((2, 3), keepdim=True)
    nx, ny = volume.shape[2:4]
    x = torch.arange(nx, device=volume.device).view(1, 1, -1, 1, 1)
    y = torch.arange(ny, device=volume.device).view(1, 1, 1, -1, 1)
    mx = (metal * x).sum((2, 3), keepdim=True) / amount.clamp(min=1)
    my = (metal * y).sum((2, 3), keepdim=True) / amount.clamp(min=1)
    gap = ((x - mx) ** 2 + (y - my) ** 2).sqrt()
    angle = torch.atan2(y - my, x - mx + 1e-3)
    rays = torch.sin(angle * chance.integer(3, 8) * 2 + chance.uniform(0, 6)) ** 3
    strength = chance.uniform(60, 350) * (amount > 0) * torch.exp(-gap / 30) * (gap > 1.5)
    return rays * strength


def _move(image: Tensor, at: Places, chance: Chance) -> Tensor:
    """Edges of heart and diaphragm are seen twice."""
    if not chance.happens(0.3):
        return image
    x, y, z = at
    heart = torch.exp(-(((x + 30) / 60) ** 2 + ((y - 25) / 55) ** 2 + ((z + 60) / 60) ** 2))
    dome = torch.sigmoid((-70 - z) / 12) if chance.happens(0.5) else torch.zeros_like(z)
    shift = [chance.integer(-2, 2) for _ in range(3)]
    moved = torch.roll(image, shift, (0, 1, 2))
    return image + (0.5 * torch.maximum(heart, dome)).clamp(max=0.5) * (moved - image)


def cut(image: Tensor, truth: Tensor, at: Places, chance: Chance) -> tuple[Tensor, Tensor]:
    """The circle that was reconstructed, and the slab that was scanned; beyond is nothing."""
    x, y, _ = at
    seen = torch.ones_like(truth, dtype=torch.bool)
    if chance.happens(0.5):
        radius = chance.uniform(150, 260) if chance.happens(0.8) else chance.uniform(70, 150)
        middle_x = chance.normal(12) if radius > 150 else chance.uniform(-80, 80)
        seen = ((x - middle_x) ** 2 + (y - chance.normal(15)) ** 2) < radius**2
    if chance.happens(0.3):
        axis = 2 if chance.happens(0.85) else chance.integer(0, 1)
        side = image.shape[axis]
        depth = round(chance.uniform(0.05, 0.7) * side)
        slab = torch.zeros(side, dtype=torch.bool, device=image.device)
        slab[depth:] = True
        slab = slab if chance.happens(0.5) else slab.flip(0)
        sides = [1, 1, 1]
        sides[axis] = -1
        seen = seen & slab.view(sides)
    return torch.where(seen, image, LOW_HU), torch.where(seen, truth, 0)


def normalise(image: Tensor) -> Tensor:
    """HU to 0 to 1, as `window` and `scale_range` in the manifest."""
    return (image.clamp(LOW_HU, HIGH_HU) - LOW_HU) / (HIGH_HU - LOW_HU)
