"""Changes to a head's label map before it is imaged: other skulls, other surroundings, no skull, no brain."""

from dataclasses import dataclass

import labels
import torch
from chance import Chance, Shape
from torch import Tensor

FULL, STRIPPED, NEGATIVE = "full", "stripped", "negative"
# How often the outermost voxel of CSF counts as background.
RIM_LOST = {"t2": 0.0, "epi": 0.0, "b0": 0.0, "dwi": 0.0, "ct": 0.75}
RIM_LOST_ELSE = 0.1


@dataclass(frozen=True, slots=True)
class Head:
    """One prepared head on the device; see `heads.py`."""

    name: str
    labels: Tensor  # (x, y, z) long, fine labels at 1 mm
    outside_mm: Tensor  # (x, y, z) float, distance outside the brain envelope
    rim: Tensor  # (x, y, z) bool, the outermost voxel of the brain envelope
    intensity: Tensor  # (x, y, z) half, the real image, 0 to 1
    centre: Tensor  # (3,) voxel in the middle of the brain
    below: Tensor  # (n, 3) voxels under the frontal and temporal lobes, where echo-planar scans suffer
    ventricle_pull: Tensor  # (1, 3, ...) coarse field pointing at the ventricles, length up to 1
    volume_ml: float  # of the brain envelope
    is_stripped: bool  # the map shows the brain alone; its surroundings are always drawn
    share: float  # how often it is drawn
    classes_known: bool  # False: trust the mask, not the tissues inside

    @property
    def shape(self) -> Shape:
        """Sides of the map in voxels."""
        x, y, z = self.labels.shape
        return x, y, z


def draw_anatomy(head: Head, contrast: str, chance: Chance) -> tuple[Tensor, str]:
    """Fine labels of one new head or non-head, and its kind."""
    if chance.happens(0.10):
        return draw_negative(head, chance), NEGATIVE
    if contrast != "ct" and chance.happens(0.14):
        return strip_head(head, chance), STRIPPED
    fine = head.labels
    if head.is_stripped:
        fine = surround(head, chance)
    if head.is_stripped or chance.happens(0.85 if contrast == "ct" else 0.4):
        fine = wrap_in_skull(head, fine, chance)
    if chance.happens(0.2 if contrast == "ct" else 0.5):
        fine = relabel_surroundings(head, fine, chance)
    if chance.happens(RIM_LOST.get(contrast, RIM_LOST_ELSE)):
        fine = torch.where(head.rim & (fine == labels.OUTER_CSF), labels.OUTSIDE_CSF, fine)
    if chance.happens(0.5):  # the mask ends inside the CSF, not at the skull
        shell = (fine >= labels.OUTSIDE_FIRST) & (head.outside_mm > 0)
        fine = torch.where(shell & (head.outside_mm <= chance.uniform(0.5, 3.5)), labels.OUTSIDE_CSF, fine)
    if chance.happens(0.08):
        fine = remove_face(head, fine, chance)
    if chance.happens(0.4 if contrast == "ct" else 0.03):
        fine = add_headrest(head, fine, chance)
    return fine, FULL


def strip_head(head: Head, chance: Chance) -> Tensor:
    """The brain alone, as another tool may have left it: tight, with a rim, or without its outer CSF."""
    rim_mm = chance.uniform(0, 3) if chance.happens(0.5) else 0.0
    fine = torch.where((head.labels >= labels.OUTSIDE_FIRST) & (head.outside_mm > rim_mm), 0, head.labels)
    if chance.happens(0.4):
        fine = torch.where(fine >= labels.OUTER_CSF, 0, fine)
    if rim_mm and chance.happens(0.5):
        rim = (fine == 0) & (head.outside_mm <= rim_mm) & (head.outside_mm > 0)
        fine = torch.where(rim, labels.OUTSIDE_CSF, fine)
    return fine


def surround(head: Head, chance: Chance) -> Tensor:
    """Mottled tissue around a stripped brain: a rind above, something like face and neck below."""
    up = _offsets(head)[2]
    low = torch.sigmoid((chance.uniform(-55, -25) - up) / 8) * chance.uniform(0, 80)
    edge_mm = chance.uniform(8, 24) + low + 6 * chance.smooth(head.shape, spacing_voxels=25)[0]
    mottle = chance.smooth(head.shape, spacing_voxels=chance.pick([6, 10, 16]))[0]
    mottle = mottle + 0.5 * chance.smooth(head.shape, spacing_voxels=4)[0]
    tissue = torch.where(mottle > 0.2, labels.SOFT, labels.OUTSIDE_FIRST + 3)
    tissue = torch.where(mottle > 0.8, labels.ODD_A, tissue)
    tissue = torch.where(mottle < -0.8, labels.OUTSIDE_FIRST + 1, tissue)
    return torch.where((head.labels == 0) & (head.outside_mm < edge_mm), tissue, head.labels)


def wrap_in_skull(head: Head, fine: Tensor, chance: Chance) -> Tensor:
    """A geometric CSF shell, skull with diploe, and sometimes a scalp of random thickness over it."""
    shape = head.shape
    depth_mm = head.outside_mm + chance.smooth(shape, spacing_voxels=40)[0] * chance.uniform(0, 1.5)
    fluid_mm, bone_mm, scalp_mm = chance.uniform(0, 4), chance.uniform(2.5, 9), chance.uniform(2, 12)
    outside = head.outside_mm > 0
    if chance.happens(0.4) and not head.is_stripped:  # a scalp of our own, above the base of the skull
        edge_mm = fluid_mm + bone_mm + scalp_mm + 2 * chance.smooth(shape, spacing_voxels=25)[0]
        above = _offsets(head)[2] > chance.uniform(-40, 0)
        fine = torch.where(outside & above, torch.where(depth_mm < edge_mm, labels.SOFT, 0), fine)
    within = outside & (fine >= labels.OUTSIDE_FIRST)
    fine = torch.where(within & (depth_mm < fluid_mm), labels.OUTSIDE_CSF, fine)
    skull = within & (depth_mm >= fluid_mm) & (depth_mm < fluid_mm + bone_mm)
    fine = torch.where(skull, labels.BONE, fine)
    if chance.happens(0.6):
        inner = (depth_mm >= fluid_mm + 0.3 * bone_mm) & (depth_mm < fluid_mm + 0.7 * bone_mm)
        fine = torch.where(skull & inner, labels.DIPLOE, fine)
    return fine


def relabel_surroundings(head: Head, fine: Tensor, chance: Chance) -> Tensor:
    """Random blobs outside the brain take another label, so that the network trusts no tissue there."""
    field = chance.smooth(head.shape, spacing_voxels=chance.pick([8, 14, 25]))[0]
    outside = fine >= labels.OUTSIDE_FIRST
    fine = torch.where(outside & (field > chance.uniform(0.3, 1)), _any_outside(chance), fine)
    return torch.where(outside & (field < -chance.uniform(0.3, 1)), _any_outside(chance), fine)


def remove_face(head: Head, fine: Tensor, chance: Chance) -> Tensor:
    """Defacing: everything in front of and below a plane disappears, except the brain."""
    _, front, up = _offsets(head)
    beyond = front - chance.uniform(0.6, 1.6) * up > chance.uniform(75, 110)
    return torch.where(beyond & (fine >= labels.OUTSIDE_FIRST), 0, fine)


def add_headrest(head: Head, fine: Tensor, chance: Chance) -> Tensor:
    """A thin curved plate behind the head, as in CT."""
    right, front, _ = _offsets(head)
    radius_mm = torch.sqrt((right / chance.uniform(0.85, 1.1)) ** 2 + front**2)
    inner_mm = chance.uniform(92, 115)
    plate = (
        (radius_mm > inner_mm)
        & (radius_mm < inner_mm + chance.uniform(2, 8))
        & (front < chance.uniform(-40, 20))
    )
    return torch.where(plate & (fine == 0), _any_outside(chance), fine)


def draw_negative(head: Head, chance: Chance) -> Tensor:
    """Something without a brain: empty skull, phantom, trunk, vessels, or nothing but noise."""
    kind = chance.pick(["skull", "phantom", "trunk", "vessels", "nothing"], [0.25, 0.35, 0.2, 0.12, 0.08])
    if kind == "nothing":
        return torch.zeros_like(head.labels)
    if kind == "vessels":
        return _vessels(head, chance)
    if kind == "skull":
        inside = (head.labels > 0) & (head.labels < labels.OUTSIDE_FIRST)
        fine = torch.where(inside, 0, head.labels)
    else:
        fine = _phantom(head, chance) if kind == "phantom" else _trunk(head, chance)
    return _insert_shapes(head, fine, chance)


def _phantom(head: Head, chance: Chance) -> Tensor:
    """A filled cylinder or ellipsoid, sometimes mottled."""
    right, front, up = _offsets(head)
    radii = [chance.uniform(55, 100) for _ in range(3)]
    disc = (right / radii[0]) ** 2 + (front / radii[1]) ** 2
    body = (disc < 1) & (up.abs() < radii[2]) if chance.happens(0.5) else disc + (up / radii[2]) ** 2 < 1
    fine = torch.where(body, labels.OUTSIDE_FIRST + 1, 0).to(head.labels.dtype)
    if chance.happens(0.5):
        mottled = chance.smooth(head.shape, spacing_voxels=chance.uniform(8, 40))[0] > 0.3
        fine = torch.where(mottled & body, _any_outside(chance), fine)
    if chance.happens(0.3):  # a wall
        fine = torch.where((disc > 0.85) & body, labels.BONE, fine)
    return fine


def _trunk(head: Head, chance: Chance) -> Tensor:
    """A rough chest or belly: rind of fat, muscle, spine, lungs, soft organs."""
    right, front, up = _offsets(head)
    wide, deep = chance.uniform(110, 200), chance.uniform(80, 130)
    disc = (right / wide) ** 2 + (front / deep) ** 2
    fine = torch.where(disc < 1, labels.OUTSIDE_FIRST + 3, 0).to(head.labels.dtype)
    fine = torch.where(disc < chance.uniform(0.7, 0.95), labels.OUTSIDE_FIRST + 1, fine)
    organs = chance.smooth(head.shape, spacing_voxels=chance.uniform(20, 45))[0]
    fine = torch.where((organs > 0.5) & (disc < 0.7), labels.SOFT, fine)
    fine = torch.where((organs < -0.7) & (disc < 0.7), _any_outside(chance), fine)
    spine = (right / 22) ** 2 + ((front + 0.55 * deep) / 25) ** 2 < 1
    fine = torch.where(spine & (torch.remainder(up, 30) < 22), labels.BONE, fine)
    if chance.happens(0.6):
        for side in (-1, 1):
            lung = (
                ((right - side * 0.45 * wide) / (0.35 * wide)) ** 2
                + (front / (0.65 * deep)) ** 2
                + (up / 90) ** 2
            )
            fine = torch.where(lung < 1, labels.AIR, fine)
    return fine


def _vessels(head: Head, chance: Chance) -> Tensor:
    """Thin tubes in the dark: where two smooth fields vanish together."""
    spacing = chance.uniform(14, 30)
    first, second = chance.smooth(head.shape, spacing_voxels=spacing, channels=2)
    tubes = (first.abs() < 0.16) & (second.abs() < 0.16) & (head.outside_mm < 20)
    fine = torch.where(tubes, labels.ODD_A, 0).to(head.labels.dtype)
    if chance.happens(0.3):
        fine = torch.where((fine == 0) & (head.outside_mm > 0) & (head.labels > 0), labels.BONE, fine)
    return fine


def _insert_shapes(head: Head, fine: Tensor, chance: Chance) -> Tensor:
    """A few boxes and ellipsoids at random places."""
    offsets = _offsets(head)
    for _ in range(chance.integer(2, 9)):
        scaled = [(axis - chance.uniform(-55, 55)) / chance.uniform(4, 40) for axis in offsets]
        box = chance.happens(0.5)
        size = (
            torch.maximum(torch.maximum(scaled[0].abs(), scaled[1].abs()), scaled[2].abs()) if box else None
        )
        inside = size < 1 if size is not None else scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2 < 1
        fine = torch.where(inside, _any_outside(chance), fine)
    return fine


def _any_outside(chance: Chance) -> int:
    return chance.integer(labels.OUTSIDE_FIRST, labels.LABEL_COUNT - 1)


def _offsets(head: Head) -> tuple[Tensor, Tensor, Tensor]:
    """Distances from the middle of the brain."""
    return offsets(head.shape, head.centre)


def offsets(shape: Shape, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distances in mm from a place to the right, to the front and up, ready to broadcast."""
    axes = [torch.arange(side, device=place.device, dtype=torch.float32) for side in shape]
    right, front, up = (axis - middle for axis, middle in zip(axes, place, strict=True))
    return right.view(-1, 1, 1), front.view(1, -1, 1), up.view(1, 1, -1)
