"""Scenes inside the body that the network learns from: a cavity, a surface, a tube, a joint.

Each takes its chance and a shape (height, width), and gives linear light (height, width, 3).
"""

import cv2
import numpy as np
from texture import Chance, Colours, Field, blurred, grid, lit, mix, noise, srgb, step, warped
from things import instrument
from tissue import DARK, FAT, LIVER, MUCOSA, PALE, TISSUES, bleed, bubbles, fibres, tissue

Shape = tuple[int, int]


def cavity(chance: Chance, shape: Shape) -> Colours:
    """The belly or the chest: organs one before the other, lit from the lens."""
    wide = chance.uniform(0.5, 1.1)
    depth = _backdrop(chance, shape)
    albedo = tissue(chance, shape, scale=chance.uniform(0.7, 1.6))
    shadow = np.ones(shape, np.float32)
    for n in range(chance.integer(0, 6)):
        outline = _organ_outline(chance, shape)
        inside = step(outline, soft=0.012)
        bulge = np.sqrt(np.clip(outline, 0, None)) * chance.uniform(0.1, 0.6)
        bumps = chance.uniform(0, 0.06) * noise(chance, shape, cells=chance.log_uniform(3, 12), octaves=3)
        place = chance.uniform(0.75, 1.6) * (1 - 0.08 * n) - bulge + bumps
        cover = tissue(chance, shape, scale=chance.uniform(0.7, 1.6))
        albedo = mix(albedo, cover, inside)
        shade = np.clip(1 - 0.6 * blurred(inside, shape[0] * chance.uniform(0.01, 0.05)) * (1 - inside), 0, 1)
        shadow = shadow * shade
        depth = depth * (1 - inside) + place.astype(np.float32) * inside
    wet = np.zeros(shape, np.float32)
    if chance.happens(0.35):
        albedo, wet = bleed(chance, albedo)
    grain = chance.uniform(0.0, 0.5) * noise(
        chance, shape, cells=chance.log_uniform(15, 60), octaves=3, gain=0.7
    )
    gloss = chance.uniform(0.0, 0.9)
    light = lit(
        albedo,
        np.clip(depth, 0.3, 6),
        gloss=gloss,
        shine=chance.log_uniform(25, 400),
        ambient=chance.uniform(0.0, 0.08),
        offset=(chance.uniform(-0.1, 0.1), chance.uniform(-0.1, 0.1)),
        wide=wide,
        grain=grain * (1 - 0.8 * wet),
    )
    light = light * shadow[..., None]
    if chance.happens(0.12):
        light = _swab(chance, light)
    for _ in range(chance.pick((0, 0, 1, 1, 2, 3))):
        light = instrument(chance, light)
    return bubbles(chance, light) if chance.happens(0.06) else light


def surface(chance: Chance, shape: Shape) -> Colours:
    """Close to tissue: it fills the view, with folds, vessels and wet glints."""
    scale = chance.uniform(1.0, 2.5)
    albedo = tissue(chance, shape, scale=scale)
    wet = np.zeros(shape, np.float32)
    if chance.happens(0.4):
        albedo, wet = bleed(chance, albedo)
    across, down = grid(shape)
    tilt = chance.numbers.normal(0, 0.25, 2)
    depth = 0.9 + tilt[0] * across + tilt[1] * down
    depth = depth + chance.uniform(0.02, 0.4) * noise(
        chance, shape, cells=chance.log_uniform(0.7, 3), octaves=2
    )
    depth = depth + chance.uniform(0.0, 0.08) * _folds(chance, shape)
    depth = depth + chance.uniform(0.0, 0.02) * noise(
        chance, shape, cells=chance.log_uniform(8, 30), octaves=2
    )
    grain = chance.uniform(0.0, 0.6) * noise(
        chance, shape, cells=chance.log_uniform(15, 70), octaves=3, gain=0.7
    )
    light = lit(
        albedo,
        np.clip(depth, 0.25, 4).astype(np.float32),
        gloss=chance.uniform(0.0, 1.2),
        shine=chance.log_uniform(20, 400),
        ambient=chance.uniform(0, 0.1),
        offset=(chance.uniform(-0.15, 0.15), chance.uniform(-0.15, 0.15)),
        wide=chance.uniform(0.4, 1.0),
        grain=grain * (1 - 0.7 * wet),
    )
    if chance.happens(0.3):
        light = instrument(chance, light)
    return bubbles(chance, light) if chance.happens(0.15) else light


def tube(chance: Chance, shape: Shape) -> Colours:
    """Gullet, stomach, gut: folds one behind the other around a dark lumen."""
    across, down = grid(shape)
    centre = chance.numbers.normal(0, 0.45, 2)
    x, y = across - centre[0], down - centre[1]
    bend = 0.25 * noise(chance, shape, cells=1.2, octaves=2)
    radius = np.hypot(x, y) * (1 + 0.25 * bend) + 1e-3
    angle = np.arctan2(y, x)
    bore = chance.uniform(0.45, 1.0)
    depth = bore / radius
    albedo = _around(
        chance, tissue(chance, shape, colours=(*MUCOSA, *MUCOSA, *PALE, *FAT, *TISSUES)), depth, angle
    )
    shade = np.ones(shape, np.float32)
    folds = np.cumsum(chance.numbers.uniform(0.5, 1.6, chance.integer(0, 7))) + chance.uniform(0.4, 1.0)
    corners = chance.pick((1, 2, 3, 3, 4, 5))
    phase, sharp = chance.uniform(0, 6.3), chance.uniform(0.02, 0.22)
    for far in folds[::-1]:
        wobble = sharp * np.cos(corners * angle + phase + chance.uniform(-0.5, 0.5))
        wobble = wobble + 0.06 * noise(chance, shape, cells=3, octaves=2)
        rim = bore * chance.uniform(0.55, 0.85) / far * (1 + wobble)
        on_fold = step((radius - rim) * far, soft=0.03)
        near = (far - 0.5 * np.clip((radius - rim) * far, 0, 0.8)).astype(np.float32)
        depth = np.where(on_fold > 0.5, np.minimum(depth, near), depth)
        edge = np.exp(-(((radius - rim) * far / 0.06) ** 2)) * on_fold
        behind = np.exp(-np.clip(rim - radius, 0, None) * far / chance.uniform(0.05, 0.25)) * (1 - on_fold)
        shade = shade * (1 - on_fold) * (1 - 0.65 * behind) + on_fold * (0.8 + 0.5 * edge)
        cover = tissue(chance, shape, colours=(*MUCOSA, *PALE)) if chance.happens(0.1) else albedo
        albedo = mix(albedo, cover, on_fold)
    if chance.happens(0.3):
        albedo, _ = bleed(chance, albedo)
    depth = np.clip(depth + 0.03 * noise(chance, shape, cells=8, octaves=3) * depth, 0.2, 12)
    grain = chance.uniform(0, 0.5) * noise(
        chance, shape, cells=chance.log_uniform(12, 50), octaves=3, gain=0.7
    )
    light = lit(
        albedo,
        depth.astype(np.float32),
        gloss=chance.uniform(0, 1.0),
        shine=chance.log_uniform(20, 300),
        ambient=chance.uniform(0.0, 0.08),
        wide=chance.uniform(0.6, 1.2),
        grain=grain,
    )
    light = light * np.clip(shade, 0, 1.2)[..., None]
    if chance.happens(0.15):
        light = instrument(chance, light)
    return bubbles(chance, light) if chance.happens(0.15) else light


def joint(chance: Chance, shape: Shape) -> Colours:
    """A joint or the bladder under water: pale smooth faces, gaps, floating threads."""
    across, down = grid(shape)
    albedo = tissue(chance, shape, scale=2.0, colours=(*PALE, *PALE, *MUCOSA[3:], *FAT[2:]))
    angle = chance.uniform(0, np.pi)
    along = across * np.cos(angle) + down * np.sin(angle)
    bent = along + 0.3 * noise(chance, shape, cells=1, octaves=2) + chance.uniform(-0.4, 0.4)
    gap = chance.uniform(0.02, 0.5)
    depth = 0.8 + chance.uniform(0.3, 1.6) * np.exp(-((bent / gap) ** 2)) + 0.4 * np.abs(bent)
    albedo = mix(albedo, tissue(chance, shape, colours=(*PALE, *LIVER, *MUCOSA)), step(bent, soft=0.02))
    if chance.happens(0.2):
        albedo = fibres(chance, albedo)
    light = lit(
        albedo,
        depth.astype(np.float32),
        gloss=chance.uniform(0, 0.5),
        shine=chance.log_uniform(10, 150),
        ambient=chance.uniform(0, 0.15),
        wide=chance.uniform(0.5, 1.0),
    )
    for _ in range(chance.integer(0, 8)):
        light = _thread(chance, light)
    if chance.happens(0.35):
        light = instrument(chance, light)
    water = chance.colour(((0.6, 0.75, 0.8), (0.8, 0.75, 0.6), (0.8, 0.5, 0.45), (0.85, 0.85, 0.85)))
    light = mix(light, water * light.mean(), chance.uniform(0, 0.35))
    return bubbles(chance, light) if chance.happens(0.25) else light


def _backdrop(chance: Chance, shape: Shape) -> Field:
    across, down = grid(shape)
    tilt = chance.numbers.normal(0, 0.5, 2)
    depth = chance.uniform(1.0, 2.6) + tilt[0] * across + tilt[1] * down
    rough = chance.uniform(0.05, 0.4) * noise(chance, shape, cells=chance.log_uniform(1, 5), octaves=4)
    return np.clip(depth + rough, 0.6, 6).astype(np.float32)


def _organ_outline(chance: Chance, shape: Shape) -> Field:
    """Positive inside: a blob, or all on one side of a wavy line."""
    across, down = grid(shape)
    wave = chance.uniform(0.05, 0.35) * noise(chance, shape, cells=chance.log_uniform(1, 4), octaves=3)
    angle = chance.uniform(0, np.pi * 2)
    side = across * np.cos(angle) + down * np.sin(angle)
    if chance.happens(0.45):
        return (side - chance.uniform(0.0, 1.2) + wave).astype(np.float32)
    x, y = across - chance.uniform(-1.5, 1.5), down - chance.uniform(-1, 1)
    along, beside = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if chance.happens(0.4):  # a loop of bowel
        beside = beside + chance.uniform(-0.5, 0.5) * along**2
        along = along * 0.3
    size, slim = chance.uniform(0.2, 0.9), chance.uniform(0.5, 2.0)
    return (1 - (along / size) ** 2 - (beside * slim / size) ** 2 + wave).astype(np.float32) * 0.5


def _folds(chance: Chance, shape: Shape) -> Field:
    across, down = grid(shape)
    angle = chance.uniform(0, np.pi)
    along = across * np.cos(angle) + down * np.sin(angle) + 0.4 * noise(chance, shape, cells=1.5, octaves=3)
    return np.abs(np.sin(along * chance.uniform(2, 9))) ** chance.uniform(0.5, 3)


def _around(chance: Chance, albedo: Colours, depth: Field, angle: Field) -> Colours:
    """Paint a tube's wall with a flat piece of tissue."""
    height, width = albedo.shape[:2]
    repeat = chance.pick((1, 2, 3))
    turn = (angle / (2 * np.pi) + 0.5) * repeat
    column = np.abs((turn % 2) - 1) * (width - 1)
    travel = np.log(np.clip(depth, 0.05, 20)) * chance.uniform(0.2, 0.5) + chance.uniform(0, 1)
    row = np.abs((travel % 2) - 1) * (height - 1)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return warped(albedo, (column - x).astype(np.float32), (row - y).astype(np.float32))


def _swab(chance: Chance, light: Colours) -> Colours:
    """A piece of gauze, more or less bloody."""
    shape = light.shape[:2]
    outline = step(_organ_outline(chance, shape), soft=0.01)
    across, down = grid(shape)
    weave = 0.5 + 0.25 * (np.sin(across * 90) + np.sin(down * 90))
    crumple = noise(chance, shape, cells=5, octaves=4)
    cloth = np.clip(0.7 + 0.2 * crumple + 0.1 * weave, 0, 1)[..., None] * srgb((0.92, 0.9, 0.86))
    cloth, _ = bleed(chance, cloth) if chance.happens(0.7) else (cloth, None)
    return mix(light, cloth * (0.3 + 2 * light.mean()), outline)


def _thread(chance: Chance, light: Colours) -> Colours:
    height, width = light.shape[:2]
    canvas = np.zeros((height, width), np.uint8)
    walk = chance.numbers.random(2) * (width, height) + np.cumsum(
        chance.numbers.normal(0, height * 0.04, (12, 2)), 0
    )
    cv2.polylines(
        canvas, [walk.astype(np.int32)], False, chance.integer(60, 200), chance.integer(1, 3), cv2.LINE_AA
    )
    share = blurred(canvas.astype(np.float32) / 255, chance.uniform(0.6, 2.5))
    return mix(light, chance.colour((*PALE, *DARK)) * (0.4 + light.mean()), share)


FAMILIES = {"cavity": cavity, "surface": surface, "tube": tube, "joint": joint}
