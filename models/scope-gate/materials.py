"""Made surfaces and skin that fill the view: cloth, patterns of any kind, skin."""

import cv2
import numpy as np
from numpy.typing import NDArray
from paints import CLOTH, REDS, SKIN, WALL
from people import face, hairs, hand, navel
from texture import Chance, Colours, Field, grid, lit, mix, noise, relief, srgb, step
from things import METAL, PLASTIC, instrument, polygon
from tissue import bleed

Shape = tuple[int, int]


def cloth(chance: Chance, shape: Shape) -> Colours:
    """Drapes, gowns, towels and gauze, near or far, red ones too."""
    across, down = grid(shape)
    colour = chance.colour((*CLOTH, *REDS)) if chance.happens(0.85) else chance.any_colour()
    angle, angle2 = chance.uniform(0, np.pi), chance.uniform(0, np.pi)
    bent = 0.5 * noise(chance, shape, cells=chance.log_uniform(0.8, 3), octaves=3)
    along = across * np.cos(angle) + down * np.sin(angle) + bent
    folds = np.abs(np.sin(along * chance.uniform(1, 6))) ** chance.uniform(0.5, 2)
    crumple = np.abs(noise(chance, shape, cells=chance.log_uniform(1.5, 8), octaves=3, gain=0.4))
    height = shape[0] * (chance.log_uniform(0.003, 0.05) * folds + chance.log_uniform(0.003, 0.05) * crumple)
    turn = across * np.cos(angle2) + down * np.sin(angle2)
    other = down * np.cos(angle2) - across * np.sin(angle2)
    fine = chance.log_uniform(12, 140)
    weave = np.sin((turn + 0.05 * bent) * fine) * chance.uniform(0, 1) + np.sin((other + 0.05 * bent) * fine)
    pile = noise(chance, shape, cells=60, octaves=2)
    pattern = 1 + chance.uniform(0, 0.18) * weave + chance.uniform(0, 0.2) * pile
    albedo = colour * pattern[..., None]
    if chance.happens(0.25):
        seam = np.abs(turn - chance.uniform(-0.8, 0.8)) - chance.uniform(0.01, 0.15)
        albedo = mix(albedo, chance.colour(CLOTH), step(-seam, soft=0.01))
    if chance.happens(0.2):
        albedo, _ = bleed(chance, albedo)
    light = shaded(chance, albedo, height.astype(np.float32), gloss_max=0.3)
    if chance.happens(0.2):
        light = hand(chance, light)
    return instrument(chance, light) if chance.happens(0.25) else light


def skin(chance: Chance, shape: Shape) -> Colours:
    """Skin close by: pores, creases, hair, iodine, a navel, a cut; a face or hand that fills the view."""
    base = chance.colour(SKIN, spread=0.04)
    patches = noise(chance, shape, cells=chance.log_uniform(1, 4), octaves=3)
    albedo = base * np.clip(1 + 0.12 * patches, 0.5, 1.4)[..., None]
    reddish = step(noise(chance, shape, cells=2, octaves=2) - 0.3, soft=0.8) * chance.uniform(0, 0.5)
    albedo = mix(albedo, base * np.array((1.0, 0.6, 0.55), np.float32), reddish)
    if chance.happens(0.3):
        iodine = step(noise(chance, shape, cells=1.5, octaves=4), soft=0.1)
        albedo = mix(albedo, srgb((0.62, 0.32, 0.10)), iodine * chance.uniform(0.4, 0.9))
    pores = noise(chance, shape, cells=chance.log_uniform(25, 80), octaves=2)
    crease = 1 - np.clip(
        np.abs(noise(chance, shape, cells=chance.log_uniform(2, 12), octaves=3)) / 0.08, 0, 1
    )
    height = chance.log_uniform(0.05, 0.8) * pores - chance.log_uniform(0.05, 1.2) * crease
    across, down = grid(shape)
    bulge = chance.numbers.normal(0, 0.7, 2)
    bow = -chance.uniform(0, 0.5) * ((across - bulge[0]) ** 2 + (down - bulge[1]) ** 2)
    height = height * 0.5 + shape[0] * 0.5 * bow
    light = shaded(chance, albedo, height.astype(np.float32), gloss_max=0.5)
    if chance.happens(0.3):
        light = navel(chance, light)
    if chance.happens(0.4):
        light = hairs(chance, light)
    kind = chance.numbers.random()
    if kind < 0.25:
        light = face(chance, light)
    elif kind < 0.5:
        light = hand(chance, light)
    elif kind < 0.6:
        light = mix(light, cloth(chance, shape) * 0.7, polygon(shape, half_plane(chance, shape)))
    return light.astype(np.float32)


def pattern(chance: Chance, shape: Shape) -> Colours:
    """Made surfaces of any kind: stripes, studs, sponge, mesh, scales; one, or a few beside each other."""
    light = _patterned(chance, shape)
    for _ in range(chance.pick((0, 0, 1, 2))):
        light = mix(light, _patterned(chance, shape), polygon(shape, half_plane(chance, shape)))
    if chance.happens(0.15):
        light = hand(chance, light)
    return light.astype(np.float32)


def _patterned(chance: Chance, shape: Shape) -> Colours:
    across, down = grid(shape)
    angle, fine = chance.uniform(0, np.pi), chance.log_uniform(3, 60)
    bend = chance.log_uniform(0.01, 0.4) * noise(chance, shape, cells=chance.log_uniform(0.8, 4), octaves=2)
    u = across * np.cos(angle) + down * np.sin(angle) + bend
    v = down * np.cos(angle) - across * np.sin(angle) + bend
    kind = chance.integer(0, 6)
    if kind == 0:
        field = np.sin(u * fine)
    elif kind == 1:
        field = np.sin(u * fine) * np.sin(v * fine * chance.uniform(0.3, 1))
    elif kind == 2:  # cells
        seeds = np.full(shape, 255, np.uint8)
        rows, columns = (chance.numbers.random((int(chance.log_uniform(10, 600)), 2)) * shape).astype(int).T
        seeds[rows, columns] = 0
        field = cv2.distanceTransform(seeds, cv2.DIST_L2, 5)
        field = 2 * field / (field.max() + 1e-3) - 1
    elif kind == 3:  # studs or holes
        field = 2 * step(np.cos(u * fine) + np.cos(v * fine) - chance.uniform(-0.5, 1.5), soft=0.2) - 1
    elif kind == 4:
        rough = noise(
            chance, shape, cells=chance.log_uniform(2, 20), octaves=4, gain=chance.uniform(0.4, 0.9)
        )
        field = np.round(rough * 2) / 2 if chance.happens(0.5) else 1 - 2 * np.abs(rough)
    elif kind == 5:
        field = np.sin(np.hypot(u, v) * fine + chance.integer(0, 4) * np.arctan2(v, u))
    else:
        field = np.sign(np.sin(u * fine)) * np.sign(np.sin(v * fine))
    hues = (*REDS, *SKIN) if chance.happens(0.5) else (*CLOTH, *WALL, *REDS, *PLASTIC, *METAL)
    paint = chance.uniform(0, 1) * np.clip(field * 0.5 + 0.5, 0, 1)
    albedo = mix(
        np.broadcast_to(chance.colour(hues), (*shape, 3)), chance.colour(hues), paint.astype(np.float32)
    )
    albedo = (
        albedo
        * np.clip(1 + chance.uniform(0, 0.2) * noise(chance, shape, cells=12, octaves=4), 0.2, 2)[..., None]
    )
    height = field * shape[0] * chance.log_uniform(0.001, 0.3) / fine
    return shaded(chance, albedo.astype(np.float32), height.astype(np.float32), gloss_max=0.9)


def shaded(chance: Chance, albedo: Colours, height: Field, *, gloss_max: float) -> Colours:
    """Light a nearly flat thing from the room, or from the lens as tissue is."""
    if chance.happens(0.5):
        lamp = (chance.uniform(-1, 1), chance.uniform(-1, 1), chance.uniform(0.4, 1.5))
        facing = relief(
            height, light=lamp, gloss=chance.uniform(0, gloss_max), shine=chance.log_uniform(5, 60)
        )
        return (albedo * (0.1 + facing)[..., None]).astype(np.float32)
    tilt = chance.numbers.normal(0, 0.3, 2)
    across, down = grid(height.shape)
    depth = chance.uniform(0.6, 1.2) + tilt[0] * across + tilt[1] * down - height / height.shape[0] * 1.5
    return lit(
        albedo.astype(np.float32),
        np.clip(depth, 0.25, 5).astype(np.float32),
        gloss=chance.uniform(0, gloss_max),
        shine=chance.log_uniform(5, 150),
        ambient=chance.uniform(0, 0.3),
        wide=chance.uniform(0.4, 1.0),
    )


def half_plane(chance: Chance, shape: Shape) -> NDArray[np.float64]:
    """The corners of all that is left of a slanting line."""
    height, width = shape
    return np.array(
        (
            (-9, -9),
            (chance.uniform(0, 0.6) * width, -9),
            (chance.uniform(0, 0.6) * width, height + 9),
            (-9, height + 9),
        )
    )
