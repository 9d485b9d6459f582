"""What air under the brain does to echo-planar scans: signal is lost, bent and piled up."""

import anatomy
import labels
import torch
from anatomy import Head
from chance import Chance
from contrast import ECHO_PLANAR
from torch import Tensor

# Where less than this share of the signal is left the truth is background: the mask ends where fading begins.
VISIBLE_SHARE = 0.9
# How often signal is lost and bent, by whether the contrast is an echo-planar one.
LOST = {True: 0.9, False: 0.2}
BENT = {True: 0.6, False: 0.1}


def lose_signal(
    head: Head, fine: Tensor, image: Tensor, contrast: str, chance: Chance
) -> tuple[Tensor, Tensor]:
    """Let the signal fade around one to three places under the brain; what has faded leaves the truth.

    Args:
        head: Whose brain it is.
        fine: (x, y, z) labels at 1 mm.
        image: (x, y, z) intensities at 1 mm.
        contrast: CT never loses signal, echo-planar scans mostly do.
        chance: The draws.

    Returns:
        Image and labels.
    """
    if contrast == "ct" or not chance.happens(LOST[contrast in ECHO_PLANAR]):
        return image, fine
    kept = torch.ones(head.shape, device=chance.device)
    for _ in range(chance.integer(1, 3)):
        kept = kept * _kept_around(head, chance)
    faded = (kept < VISIBLE_SHARE) & (fine > 0) & (fine < labels.OUTSIDE_FIRST)
    return image * kept, torch.where(faded, labels.AIR, fine)


def bend(head: Head, position: Tensor, contrast: str, chance: Chance) -> tuple[Tensor, Tensor | None]:
    """Shift the signal to the front or back near one or two places under the brain.

    Args:
        head: Whose map the positions point into.
        position: (side, side, side, 3) where each voxel of the scan lies in the head's map, in mm.
        contrast: Echo-planar scans are mostly bent, CT never.
        chance: The draws.

    Returns:
        The positions after it, and by how much signal piles up at each voxel (None: nowhere).
    """
    if contrast == "ct" or not chance.happens(BENT[contrast in ECHO_PLANAR]):
        return position, None
    shift_mm = torch.zeros(position.shape[:3], device=chance.device)
    for _ in range(chance.integer(1, 2)):
        away = position - _place(head, chance)
        reach_mm = torch.tensor([chance.uniform(10, 28) for _ in range(3)], device=chance.device)
        size_mm = chance.uniform(2, 9) * chance.pick([-1, 1])
        shift_mm = shift_mm + size_mm * torch.exp(-0.5 * ((away / reach_mm) ** 2).sum(-1))
    ahead = position[..., 1]
    bent = ahead + shift_mm
    step, bent_step = torch.gradient(ahead, dim=1)[0], torch.gradient(bent, dim=1)[0]
    piled = (bent_step / torch.where(step.abs() < 0.3, 0.3, step)).clamp(0.2, 3)
    return torch.stack([position[..., 0], bent, position[..., 2]], -1), piled


def _kept_around(head: Head, chance: Chance) -> Tensor:
    """Share of the signal that is left, 0 in the middle of a lumpy, flat ellipsoid to 1 far from it."""
    reach_mm = (chance.uniform(12, 38), chance.uniform(12, 38), chance.uniform(4, 12))
    place = _place(head, chance)
    right, front, up = anatomy.offsets(head.shape, place)
    radius = (right / reach_mm[0]) ** 2 + (front / reach_mm[1]) ** 2 + (up / reach_mm[2]) ** 2
    lumps = chance.uniform(0, 0.2) * chance.smooth(head.shape, spacing_voxels=12)[0]
    return torch.sigmoid((torch.sqrt(radius) + lumps - 1) / chance.uniform(0.06, 0.3))


def _place(head: Head, chance: Chance) -> Tensor:
    """A random voxel a few millimetres under the frontal or the temporal lobes."""
    return head.below[chance.integer(0, len(head.below) - 1)]
