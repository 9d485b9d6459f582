"""The generator: endless synthetic chests with known lungs, airways and nodules, on the GPU or the CPU."""

from collections.abc import Sequence
from dataclasses import dataclass

import labels
import torch
from body import Canvas, draw_blood, paint_airway_wall, paint_belly, paint_middle, paint_outline
from bones import paint_bones
from build import Build, border, draw_build, lungs, within_ribs
from chance import Chance, Shape
from nodules import Nodule, Surroundings, draw_nodules, draw_scars
from parenchyma import ail, density, fissures, paint_fluid, paint_plaques
from scanner import Protocol, acquire, cut, draw_protocol, normalise
from space import Crop, Places, Point, draw_crop, tube
from torch import Tensor
from trees import Vessels, draw_vessels
from views import CUBE, draw_centre

FIRST_NODULE = labels.CLASS_COUNT  # in the truth of a scene, nodules are numbered from here on
TRACHEA_ENDS_MM = 168.0  # above the carina
AIR_HU = -1000.0
# So many bodies have all their organs the other way round, and right is still the patient's right: what is
# asked of the network is where a lung lies, which spine and chest wall tell wherever they are seen.
MIRRORED_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Scene:
    """A piece of a body, not scanned yet.

    Attributes:
        image: (x, y, z), HU; 1.5 mm voxels, axes to the right, to the front, up.
        truth: (x, y, z) uint8: classes, or `FIRST_NODULE` and the number of the nodule.
        places: Where the voxels lie in the body.
        nodules: All that were painted.
    """

    image: Tensor
    truth: Tensor
    places: Places
    nodules: tuple[Nodule, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """One synthetic scan.

    Attributes:
        image: (x, y, z), 0 to 1 as the network is given it.
        truth: (x, y, z) long, classes, or `labels.UNKNOWN`.
        weight: (x, y, z), how much a voxel counts in training: those of small nodules more.
    """

    image: Tensor
    truth: Tensor
    weight: Tensor


@torch.no_grad()
def paint_scene(
    chance: Chance,
    *,
    shape: Shape = CUBE,
    centre: Point | None = None,
    nodules_max: int = 9,
    mirrored_share: float = MIRRORED_SHARE,
) -> Scene:
    """Paint one scene.

    Args:
        chance: The draws.
        shape: Of the result; voxels are 1.5 mm.
        centre: Place in the body that lies in the middle, mm; None: drawn.
        nodules_max: None has more.
        mirrored_share: How many bodies have their organs the other way round.
    """
    build, blood = draw_build(chance), draw_blood(chance)
    middle = centre or draw_centre(build, shape, chance)
    is_mirrored = chance.happens(mirrored_share)
    crop = draw_crop(middle, shape=shape, body_scale=build.scale, chance=chance, is_mirrored=is_mirrored)
    canvas = Canvas(crop, chance)
    up = _upwards(crop, build, chance)
    skin = paint_outline(canvas, build)
    paint_belly(canvas, build, blood)
    paint_middle(canvas, build, blood)
    lung = _lungs(canvas, build, chance)
    paint_bones(canvas, build)
    nodules: list[Nodule] = []
    if bool((lung > 0).any()):
        lung, nodules = _paint_lungs(canvas, build, lung, up, blood.lung, nodules_max, chance)
    lumen = paint_airway_wall(canvas, build, chance.uniform(6.0, 10.5))
    _surround(canvas, skin, up, chance)
    truth = _truth(crop, build, lung, lumen, nodules)
    return Scene(canvas.image, truth, crop.places, tuple(nodules))


@torch.no_grad()
def take(
    scene: Scene,
    chance: Chance,
    *,
    shape: Shape,
    protocol: Protocol | None = None,
    is_whole: bool = False,
) -> Scan:
    """Scan a scene, or a piece of it.

    Args:
        scene: What lies before the scanner.
        chance: The draws.
        shape: Of the piece, at most that of the scene.
        protocol: How it is scanned; None: drawn.
        is_whole: Nothing is cut off.
    """
    protocol = protocol or draw_protocol(chance)
    rooms = [have - wanted for have, wanted in zip(scene.image.shape, shape, strict=True)]
    firsts = [chance.integer(0, room) for room in rooms]
    x, y, z = (slice(first, first + side) for first, side in zip(firsts, shape, strict=True))
    places = Places(tuple(axis[x, y, z] for axis in scene.places))
    image = acquire(scene.image[x, y, z], places, protocol, chance)
    number = scene.truth[x, y, z].long()
    classes, weights = list(range(FIRST_NODULE)), [1.0] * FIRST_NODULE
    weights[labels.TRACHEA] = 2.0
    for nodule in scene.nodules:
        is_shown = nodule.is_shown(protocol.thickness_mm, protocol.noise_hu)
        classes.append(labels.NODULE if is_shown else labels.UNKNOWN)
        weights.append(3.0 * min(12.0, max(0.7, (16.0 / nodule.diameter_mm) ** 2)))
    if not is_whole:
        image, number = cut(image, number, places, chance)
    truth = torch.tensor(classes, device=chance.device)[number]
    weight = torch.tensor(weights, device=chance.device)[number]
    return Scan(normalise(image), truth, weight)


def _upwards(crop: Crop, build: Build, chance: Chance) -> Tensor:
    """Height over the middle of the chest against gravity: patients lie on their back, mostly."""
    x, y, _ = crop.places
    lie = chance.pick(["back", "belly", "side"], [0.91, 0.07, 0.02])
    return {"back": y - build.middle, "belly": build.middle - y, "side": x}[lie]


def _lungs(canvas: Canvas, build: Build, chance: Chance) -> Tensor:
    """Depth in the lungs, with a surface that is not quite smooth."""
    at = canvas.crop.places
    inner = torch.exp(-(((at[0] - build.shift).abs() / 45) ** 2))  # what lies between the lungs is lumpier
    rough = 0.4 * canvas.middling + (0.6 + 3.5 * inner) * canvas.coarse
    depth = lungs(build, at) + chance.uniform(0.2, 1) * rough
    if chance.happens(0.04):  # one lung is gone, or was never there
        gone = chance.pick([-1, 1]) * (canvas.crop.places[0] - build.shift) > 0
        depth = torch.where(gone, -20.0, depth)
    return depth


def _paint_lungs(
    canvas: Canvas, build: Build, lung: Tensor, up: Tensor, blood: float, nodules_max: int, chance: Chance
) -> tuple[Tensor, list[Nodule]]:
    """Parenchyma, vessels, bronchi, diseases and nodules; the lungs without fluid, and the nodules."""
    crop = canvas.crop
    hu = ail(canvas, lung, density(canvas, up, chance), up, chance)
    canvas.paint(lung, hu)
    vessels: Vessels = draw_vessels(crop, build, chance)
    inside = crop.occupied(lung)
    canvas.cover(vessels.wall * inside, -150.0 + 20 * canvas.fine)
    canvas.cover(vessels.blood * inside, blood + 12 * canvas.fine)
    plugged = chance.happens(0.08)
    canvas.cover(vessels.lumen * inside, 20.0 if plugged else -970.0)
    gap = fissures(build, crop.places, chance)
    sheet = (1.0 - gap / crop.voxel_mm).clamp(0, 1) * chance.uniform(0.0, 0.22) * inside
    canvas.cover(sheet, 30.0)
    if chance.happens(0.1):
        paint_plaques(crop, canvas, within_ribs(build, crop.places), chance)
    airy = lung
    if chance.happens(0.1):
        lung, airy = paint_fluid(canvas, build, lung, up, chance)
    around = Surroundings(airy, vessels.blood, gap)
    draw_scars(canvas, around, chance)
    count = 0 if chance.happens(0.15) else chance.integer(1, nodules_max) if nodules_max else 0
    nodules = draw_nodules(canvas, around, count, body_scale=build.scale, chance=chance)
    return lung, nodules


def _truth(crop: Crop, build: Build, lung: Tensor, lumen: Tensor, nodules: Sequence[Nodule]) -> Tensor:
    """Classes of the voxels, and numbers of the nodules."""
    sides = (labels.LEFT, labels.RIGHT) if crop.is_mirrored else (labels.RIGHT, labels.LEFT)
    truth = torch.where(crop.places[0] > border(build, crop.places), *sides) * (lung > 0)
    truth = torch.where((lumen > 0) & (crop.places[2] < TRACHEA_ENDS_MM), labels.TRACHEA, truth)
    for number, nodule in enumerate(nodules):
        part = truth[nodule.window]
        mine = (nodule.share > 0.5) & (part != 0)
        truth[nodule.window] = torch.where(mine, FIRST_NODULE + number, part)
    return truth.to(torch.uint8)


def _surround(canvas: Canvas, skin: Tensor, up: Tensor, chance: Chance) -> None:
    """The table, a mattress, clothes and cables around the body."""
    x = canvas.crop.places[0]
    lowest = -135.0 - chance.uniform(0, 40)
    top = lowest - up + 0.0012 * x**2 * float(chance.happens(0.6))
    pad = torch.minimum(top, up - lowest + 30)
    canvas.paint(torch.minimum(pad, -skin - 1), chance.uniform(-985, -880))
    shell = 2.2 - (top - 30).abs()
    canvas.paint(torch.minimum(shell, -skin - 1), chance.uniform(-500, 150))
    if chance.happens(0.5):
        fold = -skin - chance.uniform(2, 14) + 5 * canvas.middling
        canvas.cover(
            (1 - fold.abs() / chance.uniform(1.2, 2.6)).clamp(0, 1) * (skin < -0.5),
            chance.uniform(-850, -250),
        )
    if chance.happens(0.12):
        cable = tube(
            canvas.crop.places, ((-90, 130, 150), (chance.uniform(-60, 60), 125, 0), (70, 128, -150)), 2.2
        )
        canvas.paint(torch.minimum(cable, -skin), chance.uniform(100, 2500))
