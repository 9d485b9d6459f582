"""The generator: from a few label maps to endless synthetic scans with known tissue, on the GPU."""

import math
from collections.abc import Sequence
from pathlib import Path

import anatomy
import labels
import numpy as np
import torch
from acquisition import acquire, normalise
from anatomy import FULL, NEGATIVE, STRIPPED, Head
from chance import Chance, blur
from contrast import ECHO_PLANAR, draw_contrast, draw_curve, draw_intensities
from echo_planar import bend, lose_signal
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SIDE_VOXELS = 128
VOXEL_MM = 1.5
UNKNOWN_CLASS = labels.CLASS_COUNT  # in the brain, but the tissue is in doubt
PULL_STEP_VOXELS = 4


def load_head(path: Path, device: torch.device, *, share: float, classes_known: bool = True) -> Head:
    """Read what `heads.py` wrote."""
    with np.load(path) as stored:
        fine = torch.from_numpy(stored["labels"]).to(device).long()
        outside_mm = torch.from_numpy(stored["outside_mm"]).to(device).float()
        near_outside = functional.max_pool3d((outside_mm > 0).float()[None], 3, stride=1, padding=1)[0] > 0
        return Head(
            name=path.stem,
            labels=fine,
            outside_mm=outside_mm,
            rim=near_outside & (outside_mm == 0),
            intensity=(torch.from_numpy(stored["intensity"]).to(device).float() / 255).half(),
            centre=torch.from_numpy(stored["centre"]).to(device),
            below=torch.from_numpy(_places_below(stored["outside_mm"], stored["centre"])).to(device),
            ventricle_pull=_ventricle_pull(fine),
            volume_ml=float(((fine > 0) & (fine < labels.OUTSIDE_FIRST)).sum()) / 1000,
            is_stripped=bool(stored["is_stripped"]),
            share=share,
            classes_known=classes_known,
        )


@torch.no_grad()
def draw_scan(
    heads: Sequence[Head], chance: Chance, *, side_voxels: int = SIDE_VOXELS
) -> tuple[Tensor, Tensor]:
    """One synthetic scan.

    Args:
        heads: What to draw from, by share.
        chance: The draws.
        side_voxels: Edge of the result; voxels are 1.5 mm.

    Returns:
        The image (1, 1, side, side, side), normalised, and the classes (side, side, side), long, where
        `UNKNOWN_CLASS` marks brain of doubtful tissue.
    """
    head = chance.pick(heads, [head.share for head in heads])
    contrast = draw_contrast(chance)
    fine, kind = anatomy.draw_anatomy(head, contrast, chance)
    image = _draw_image(head, fine, kind, contrast, chance)
    if kind != NEGATIVE:
        image = _add_lesions(head, fine, image, chance)
        image, fine = lose_signal(head, fine, image, contrast, chance)
    position, piled = bend(head, _draw_positions(head, side_voxels, kind, chance), contrast, chance)
    if chance.happens(0.5):
        image = blur(image[None, None], [chance.uniform(0.3, 0.8)] * 3)[0, 0]
    grid = (position / (torch.tensor(head.shape, device=chance.device) - 1) * 2 - 1).flip(-1)[None]
    beyond = chance.pick(["zeros", "border"])  # border: the neck goes on where the map ends
    warped = functional.grid_sample(
        image[None, None], grid, mode="bilinear", padding_mode=beyond, align_corners=True
    )
    nearest = functional.grid_sample(fine[None, None].float(), grid, mode="nearest", align_corners=True)
    truth = torch.tensor(labels.CLASS_OF_LABEL, device=chance.device)[nearest[0, 0].long()]
    if not head.classes_known:
        truth = torch.where(truth > 0, UNKNOWN_CLASS, truth)
    if piled is not None:
        warped = warped * piled
    return acquire(warped, truth, voxel_mm=VOXEL_MM, is_echo_planar=contrast in ECHO_PLANAR, chance=chance)


def draw_batch(heads: Sequence[Head], seeds: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """One scan per seed: images (batch, 1, ...) and classes (batch, ...)."""
    scans = [draw_scan(heads, Chance(seed, device)) for seed in seeds]
    return torch.cat([image for image, _ in scans]), torch.stack([truth for _, truth in scans])


def _draw_image(head: Head, fine: Tensor, kind: str, contrast: str, chance: Chance) -> Tensor:
    """Intensities at 1 mm: a random mixture per label, or the real image through a random curve."""
    if kind != NEGATIVE and contrast != "ct" and chance.happens(0.3):
        image = draw_curve(head.intensity.float(), chance)
        if kind == STRIPPED:
            image = torch.where(fine == 0, 0.0, image)
        changed = (fine != head.labels) & (fine >= labels.OUTSIDE_FIRST)
        if kind == FULL and (head.is_stripped or chance.happens(0.7)):
            mean, spread = draw_intensities(contrast, chance)
            image = torch.where(changed, mean[fine] + spread[fine] * chance.white(head.shape), image)
            image = torch.where((fine == 0) & (head.labels > 0), 0.0, image)
        return image + chance.uniform(0, 0.04) * chance.white(head.shape)
    mean, spread = draw_intensities(contrast, chance)
    image = mean[fine] + spread[fine] * chance.white(head.shape)
    if chance.happens(0.6):
        texture = chance.smooth(head.shape, spacing_voxels=chance.uniform(2.5, 8))[0]
        image = image + spread[fine] * chance.uniform(0, 1.5) * texture
    if kind != NEGATIVE and contrast != "ct" and chance.happens(0.25):
        image = image + chance.uniform(-0.4, 0.4) * (head.intensity.float() - 0.4) * (fine > 0)
    return image


def _add_lesions(head: Head, fine: Tensor, image: Tensor, chance: Chance) -> Tensor:
    """Patches, masses and vessels change the image; the truth stays the tissue that was there."""
    brain = (fine > 0) & (fine < labels.OUTSIDE_FIRST)
    if chance.happens(0.25):
        field = chance.smooth(head.shape, spacing_voxels=chance.uniform(8, 40))[0]
        patch = (field > chance.uniform(1.3, 2.2)) & brain & (fine != labels.OUTER_CSF)
        image = torch.where(patch, image * chance.uniform() + chance.uniform(), image)
    if chance.happens(0.12):
        image = _add_mass(head, brain, image, chance)
    if chance.happens(0.15):
        field = chance.smooth(head.shape, spacing_voxels=chance.uniform(4, 9))[0].abs()
        image = torch.where((field < chance.uniform(0.01, 0.04)) & (fine > 0), chance.uniform(0, 1.2), image)
    return image


def _add_mass(head: Head, brain: Tensor, image: Tensor, chance: Chance) -> Tensor:
    """A lumpy ball with core, rim and a blurred halo, anywhere in the brain."""
    place = [float(centre) + chance.uniform(-45, 45) for centre in head.centre]
    axes = [torch.arange(side, device=chance.device, dtype=torch.float32) for side in head.shape]
    x, y, z = (axis - middle for axis, middle in zip(axes, place, strict=True))
    radius = torch.sqrt(x.view(-1, 1, 1) ** 2 + y.view(1, -1, 1) ** 2 + z.view(1, 1, -1) ** 2)
    lumpy_mm = radius + chance.uniform(1, 5) * chance.smooth(head.shape, spacing_voxels=14)[0]
    size_mm = chance.uniform(8, 30)
    halo = torch.sigmoid((size_mm * chance.uniform(1.1, 1.8) - lumpy_mm) / 3) * chance.uniform(-0.3, 0.5)
    image = torch.where(brain, image + halo, image)
    solid = brain & (lumpy_mm < size_mm)
    image = torch.where(solid, chance.uniform() + 0.05 * chance.white(head.shape), image)
    core = brain & (lumpy_mm < size_mm * chance.uniform(0.3, 0.9))
    return torch.where(core, chance.uniform() + 0.05 * chance.white(head.shape), image)


def _draw_positions(head: Head, side_voxels: int, kind: str, chance: Chance) -> Tensor:
    """Where each voxel of the scan lies in the head's map: (side, side, side, 3) in its voxels of 1 mm."""
    axis_mm = (torch.arange(side_voxels, device=chance.device) - (side_voxels - 1) / 2) * VOXEL_MM
    position = torch.stack(torch.meshgrid(axis_mm, axis_mm, axis_mm, indexing="ij"), -1)
    offset = [chance.uniform(-18, 18), chance.uniform(-24, 24), chance.uniform(-28, 28)]
    if chance.happens(0.04) and kind == FULL:
        offset[2] = chance.uniform(-150, -70)  # mostly neck
    position = (position + torch.tensor(offset, device=chance.device)) @ _draw_affine(head, chance).T
    cube = (side_voxels,) * 3
    for spacing, reach_mm in ((64, 7.0), (32, 4.5), (16, 2.2), (8, 0.8)):
        field = chance.smooth(cube, spacing_voxels=spacing, channels=3)
        position = position + (reach_mm * chance.uniform() * field).permute(1, 2, 3, 0)
    position = position + head.centre
    if chance.happens(0.5):  # wider or narrower ventricles
        grid = (position / (torch.tensor(head.shape, device=chance.device) - 1) * 2 - 1).flip(-1)[None]
        pull = functional.grid_sample(head.ventricle_pull, grid, align_corners=True)[0]
        position = position + chance.uniform(-3, 6) * pull.permute(1, 2, 3, 0)
    return position


def _draw_affine(head: Head, chance: Chance) -> Tensor:
    """Rotation (spread 12 degrees, at times a strong nod), scale to a human brain's size, shear, mirror."""
    spread = math.radians(12.5)
    affine = _rotation(*(chance.normal(spread) for _ in range(3)))
    if chance.happens(0.08):
        affine = affine @ _rotation(chance.uniform(-0.9, 0.9), 0.0, 0.0)
    wanted_ml = chance.uniform(900, 1850) if chance.happens(0.9) else chance.uniform(600, 2400)
    size = (head.volume_ml / wanted_ml) ** (1 / 3)
    scale = torch.diag(torch.tensor([size * chance.uniform(0.91, 1.1) for _ in range(3)]))
    shear = torch.tensor(
        [[0.0 if row == column else chance.normal(0.04) for column in range(3)] for row in range(3)]
    )
    affine = affine @ scale @ (torch.eye(3) + shear)
    if chance.happens(0.5):
        affine = affine @ torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    return affine.to(chance.device)


def _rotation(nod: float, roll: float, turn: float) -> Tensor:
    """About the axes to the right, to the front and up, in radians."""
    c, s = math.cos(nod), math.sin(nod)
    about_x = torch.tensor([[1.0, 0, 0], [0, c, -s], [0, s, c]])
    c, s = math.cos(roll), math.sin(roll)
    about_y = torch.tensor([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])
    c, s = math.cos(turn), math.sin(turn)
    about_z = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    return about_x @ about_y @ about_z


def _places_below(outside_mm: NDArray[np.uint8], centre: NDArray[np.float32]) -> NDArray[np.float32]:
    """Voxels 2 to 10 mm under the frontal lobes (towards nose and orbits) and under the temporal lobes."""
    near = np.argwhere((outside_mm >= 2) & (outside_mm <= 10)).astype(np.float32)
    right, front, up = (near - centre).T
    frontal = (np.abs(right) < 35) & (front > 15) & (up < -8) & (up > -45)
    temporal = (np.abs(np.abs(right) - 43) < 18) & (front > -40) & (front < 25) & (up < -20) & (up > -60)
    return near[frontal | temporal]


def _ventricle_pull(fine: Tensor) -> Tensor:
    """Gradient of the blurred ventricles, every fourth voxel, scaled to a largest length of 1."""
    ventricles = torch.zeros_like(fine, dtype=torch.float32)
    for label in labels.VENTRICLE_LABELS[:3]:
        ventricles = ventricles + (fine == label)
    coarse = functional.avg_pool3d(ventricles[None, None], PULL_STEP_VOXELS, ceil_mode=True)
    coarse = blur(coarse, [7.0 / PULL_STEP_VOXELS] * 3)[0, 0]
    pull = torch.stack(torch.gradient(coarse))
    return (pull / pull.norm(dim=0).max().clamp(min=1e-6))[None]


@torch.no_grad()
def plain_scan(head: Head) -> tuple[Tensor, Tensor]:
    """The real image and its labels at 1.5 mm, unchanged but for the normalisation: for validation."""
    axis = (torch.arange(SIDE_VOXELS, device=head.labels.device) - (SIDE_VOXELS - 1) / 2) * VOXEL_MM
    position = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1) + head.centre
    grid = (position / (torch.tensor(head.shape, device=axis.device) - 1) * 2 - 1).flip(-1)[None]
    soft = blur(head.intensity.float()[None, None], [0.5] * 3)
    image = functional.grid_sample(soft, grid, mode="bilinear", align_corners=True)
    nearest = functional.grid_sample(
        head.labels[None, None].float(), grid, mode="nearest", align_corners=True
    )
    truth = torch.tensor(labels.CLASS_OF_LABEL, device=axis.device)[nearest[0, 0].long()]
    return normalise(image, image.flatten()), truth
