"""Ribs, spine, breastbone, shoulder blades, collar bones, arms and skull, and metal in some."""

import math

import torch
from body import AIR_HU, Canvas
from build import Build, within_ribs
from space import ellipsoid, tube
from torch import Tensor

RIB_EVERY_MM = 27.0


def paint_bones(canvas: Canvas, build: Build) -> None:
    """All bones, each with a dense rind and a spongy inside."""
    chance = canvas.chance
    hard = chance.jitter(620, 0.3)
    spongy = chance.uniform(80, 280)
    wall = -within_ribs(build, canvas.crop.places)
    _paint_ribs(canvas, build, wall, hard, spongy)
    _paint_spine(canvas, build, hard, spongy)
    x, y, z = canvas.crop.places
    front = build.middle + build.half_depth
    plate = torch.minimum(7 - (wall - 9).abs(), 17 - x.abs())
    plate = torch.minimum(plate, torch.minimum(z + 105, 62 - z))
    bone(canvas, torch.minimum(plate, y - build.middle), hard * 0.7, spongy)
    shoulder = build.half_width + build.wall - 22
    for side in (-1.0, 1.0):
        collar = (
            (side * 14, front - 22, 58),
            (side * 70, front - 34, 88),
            (side * shoulder, -8, build.shoulders - 22),
        )
        bone(canvas, tube(canvas.crop.places, collar, 6.0), hard, spongy)
        _paint_shoulder(canvas, build, side, wall, hard, spongy)
    _paint_skull(canvas, hard)
    if chance.happens(0.05):
        _paint_metal(canvas, build)


def bone(canvas: Canvas, distance: Tensor, hard: float, spongy: float) -> None:
    """Paint one bone."""
    canvas.paint(distance, hard)
    canvas.paint(distance - 2.0, spongy + 45 * canvas.fine)


def _paint_ribs(canvas: Canvas, build: Build, wall: Tensor, hard: float, spongy: float) -> None:
    """Rings on the wall that fall to the front; in front they are of cartilage."""
    chance, (x, y, z) = canvas.chance, canvas.crop.places
    behind = torch.atan2(x.abs() + 1e-3, -(y - build.middle))  # 0 behind, pi in front
    fall = chance.uniform(55, 85) * (1 - torch.cos(behind * 0.92)) / 2
    every = RIB_EVERY_MM * chance.jitter(1, 0.1)
    lifted = z + fall - 10 - chance.uniform(0, every) + 3 * torch.sign(x) * chance.uniform(0, 1)
    off = lifted - torch.round(lifted / every) * every
    middle = 6.0 + 1.5 * canvas.coarse
    tall = chance.uniform(5.6, 7.4)
    ring = 3.9 * (1 - ((off / tall) ** 2 + ((wall - middle) / 3.9) ** 2 + 1e-4).sqrt())
    ring = torch.minimum(ring, torch.minimum(z + fall + 205, 128 - z - 0.2 * fall))
    ring = torch.minimum(ring, 8 * (2.92 - behind))
    is_front = behind > chance.uniform(2.2, 2.6)
    ossified = 350.0 * (canvas.middling > chance.uniform(0.3, 2.2))
    cartilage = chance.uniform(70, 130) + 15 * canvas.fine + ossified
    canvas.paint(ring, torch.where(is_front, cartilage, hard))
    canvas.paint(ring - 1.5, torch.where(is_front, cartilage, spongy + 50 * canvas.fine))


def _paint_spine(canvas: Canvas, build: Build, hard: float, spongy: float) -> None:
    chance, (x, y, z) = canvas.chance, canvas.crop.places
    lean = build.hump * (((z - build.widest) / build.height).clamp(0, 1.2) - 0.3) ** 2
    back = y - (build.spine - lean)
    every = 25.0 * chance.jitter(1, 0.1)
    off = z - torch.round(z / every) * every
    column = 15.5 * (1 - ((x / 17.5) ** 2 + (back / 14.5) ** 2 + 1e-4).sqrt())
    column = torch.minimum(column, 248 - z)
    vertebra = torch.minimum(column, every / 2 - 2.6 - off.abs())
    if chance.happens(0.35):  # spurs at the edges of the discs
        column = column + 5 * (canvas.coarse - 0.4).clamp(0, 1)
        rim = torch.minimum(column + 4, 5 - (every / 2 - off.abs()))
        bone(canvas, torch.minimum(rim, 3 - column), hard, hard * 0.8)
    canvas.paint(column, 85 + 8 * canvas.fine)
    bone(canvas, vertebra, hard * 0.75, spongy)
    arch = 4.0 - (((x / 1.2) ** 2 + (back + 25) ** 2).sqrt() - 12.5).abs()
    spine = torch.minimum(4.0 - x.abs(), torch.minimum(back + 68 + 0.4 * off, -34 - back))
    across = torch.minimum(
        5.5 - (back + 24 + 0.25 * x.abs()).abs(), torch.minimum(36 - x.abs(), x.abs() - 10)
    )
    rear = torch.maximum(torch.maximum(arch, spine), across)
    rear = torch.minimum(rear, 248 - z)
    bone(canvas, torch.minimum(rear, every * 0.36 - off.abs()), hard * 0.8, spongy)
    canal = 9.5 - (x**2 + (back + 25) ** 2).sqrt()
    canvas.paint(canal, 28 + 6 * canvas.fine)


def _paint_shoulder(
    canvas: Canvas, build: Build, side: float, wall: Tensor, hard: float, spongy: float
) -> None:
    chance, (x, y, z) = canvas.chance, canvas.crop.places
    up = 25.0 if build.arms == "up" else 0.0
    gap = (build.wall - build.fat) * 0.62
    blade = 2.6 - (wall - 10 - gap * 0.55).abs()
    height = z - (35 + up)
    width = (side * x - 92).abs() - (46 + 0.25 * height)
    blade = torch.minimum(blade, torch.minimum(-width, torch.minimum(62 - height, height + 72)))
    blade = torch.minimum(blade, build.middle - 8 - y)
    bone(canvas, blade, hard, hard * 0.8)
    wide = build.half_width + build.wall
    shoulder = (side * (wide - 10), -14.0, build.shoulders - 30)
    canvas_at = canvas.crop.places
    bone(canvas, ellipsoid(canvas_at, shoulder, (24, 24, 24)), hard, spongy)
    if build.arms != "none":
        hand = (side * (wide + 46), -4.0, -260.0) if build.arms == "down" else (side * 118, 16.0, 330.0)
        bone(canvas, tube(canvas_at, (shoulder, hand), 11.5), hard * 1.6, chance.uniform(-20, 150))


def _paint_skull(canvas: Canvas, hard: float) -> None:
    """A head with air in nose, sinuses, mouth and ears: dark, and no lung."""
    at = canvas.crop.places
    if at.are_far_from((-120, -120, 250), (120, 120, 450)):
        return
    head = ellipsoid(at, (0, 14, 325), (76, 96, 112))
    skull = torch.minimum(3.4 - (head - 9).abs(), at[2] - 262)
    canvas.paint(skull, hard * 1.8)
    canvas.paint(torch.minimum(head - 13, at[2] - 290), 34 + 5 * canvas.fine)
    throat = tube(at, ((0, 6, 168), (0, 10, 225), (0, 8, 268), (0, 70, 262)), (9, 10, 11, 6))
    canvas.paint(throat + 3, 45.0)
    canvas.paint(throat + 2 * canvas.coarse, AIR_HU + 15)
    for place, size in (((-28, 66, 268), 17), ((28, 66, 268), 17), ((0, 78, 312), 13), ((0, 40, 285), 14)):
        hole = ellipsoid(at, (float(place[0]), float(place[1]), float(place[2])), (size, size, size * 1.1))
        canvas.paint(hole + 2, hard * 1.2)
        canvas.paint(hole, AIR_HU + 15)
    for side in (-1, 1):
        ear = ellipsoid(at, (side * 56.0, -8, 280), (13, 17, 19))
        canvas.paint(ear, torch.where(canvas.fine > 0.1, hard * 1.3, AIR_HU))


def _paint_metal(canvas: Canvas, build: Build) -> None:
    """A pacemaker with its lead, screws in the spine, or wires in the breastbone."""
    chance, at = canvas.chance, canvas.crop.places
    kind = chance.pick(["pacemaker", "screws", "wires"])
    front = build.middle + build.half_depth + build.wall
    if kind == "pacemaker":
        canvas.paint(ellipsoid(at, (-78, front - 30, 62), (22, 6, 20), 3), 3000.0)
        lead = ((-70, front - 30, 60), (-40, 30, 80), (24, 18, 50), (26, 18, -20), (-30, 40, -80))
        canvas.paint(tube(at, lead, 1.2), 2500.0)
    elif kind == "screws":
        for number in range(chance.integer(2, 5)):
            z = -60.0 + 25 * number
            for side in (-1, 1):
                path = ((side * 20.0, build.spine - 34, z), (side * 8.0, build.spine + 4, z))
                canvas.paint(tube(at, path, 2.6), 3000.0)
    else:
        for number in range(5):
            angle = chance.uniform(0, math.pi)
            z, y = -70.0 + 26 * number, build.middle + build.half_depth + 8
            path = ((-9 * math.cos(angle), y, z), (9 * math.cos(angle), y, z + 6 * math.sin(angle)))
            canvas.paint(tube(at, path, 1.0), 2500.0)
