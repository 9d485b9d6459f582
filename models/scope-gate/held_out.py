"""Scenes that are drawn in other ways than those of training, and kept for judging the network only.

Inside: a cavity found by marching rays, an airway with rings and a fork. Outside: a room in perspective,
glossy still life found by marching rays, wood, brick and leather close by.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from paints import CLOTH, REDS, SKIN, WALL
from texture import Chance, Colours, blurred, grid, lit, mix, noise, relief, srgb, step
from things import METAL, PLASTIC
from tissue import MUCOSA, PALE, TISSUES, vessels

Shape = tuple[int, int]
Places = NDArray[np.float32]  # (points, 3)


def marched_cavity(chance: Chance, shape: Shape) -> Colours:
    """Lumps of many sizes in a hollow, lit from the lens."""
    lumps = chance.integer(3, 9)
    centres = chance.numbers.normal(0, 0.9, (lumps, 3)).astype(np.float32) + np.array((0, 0, 2.2), np.float32)
    sizes = chance.numbers.uniform(0.2, 0.9, lumps).astype(np.float32)
    palette = np.stack([chance.colour(TISSUES) for _ in range(lumps + 1)])
    hollow = chance.uniform(1.6, 3.0)

    stretch = chance.numbers.uniform(0.5, 1.5, (lumps, 3)).astype(np.float32)
    soft = chance.uniform(0.04, 0.2)

    def far(places: Places) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        each = [
            (np.linalg.norm((places - c) * w, axis=1) - s) / w.max()
            for c, s, w in zip(centres, sizes, stretch, strict=True)
        ]
        each.append(hollow - np.linalg.norm(places - (0, 0, 1.5), axis=1))
        shares = np.exp(np.clip(-np.stack(each, 1) / soft, -60, 60))
        total = shares.sum(1, keepdims=True)
        return -soft * np.log(total[:, 0]) + _ripple(places, 0.03), shares / total

    return _march(chance, shape, far, palette, gloss=chance.uniform(0.1, 0.9), lamp=None)


def airway(chance: Chance, shape: Shape) -> Colours:
    """A windpipe: pale rings, and a fork with two dark openings."""
    across, down = grid(shape)
    across = across + 0.1 * noise(chance, shape, cells=1.5, octaves=2)
    down = down + 0.1 * noise(chance, shape, cells=1.5, octaves=2)
    turn, split = chance.uniform(0, 6.3), chance.uniform(0.15, 0.5)
    centre = chance.numbers.normal(0, 0.2, 2)
    u = (across - centre[0]) * np.cos(turn) + (down - centre[1]) * np.sin(turn)
    v = (down - centre[1]) * np.cos(turn) - (across - centre[0]) * np.sin(turn)
    outer = np.hypot(u, v) + 1e-3
    near = 0.8 / outer
    holes = [
        np.hypot(u - side * split, v * chance.uniform(0.8, 1.3)) / chance.uniform(0.15, 0.4)
        for side in (-1, 1)
    ]
    hole = np.minimum(*holes) if chance.happens(0.75) else holes[0]
    fork = chance.uniform(1.6, 2.6)
    depth = np.where(
        hole < 1, fork + 1.2 * (1 / np.clip(hole, 0.15, 1) - 1), np.minimum(near, fork - 0.3 * np.exp(-hole))
    )
    rings = np.cos(depth * chance.uniform(8, 20)) * np.clip(
        np.cos(np.arctan2(v, u) - chance.uniform(0, 6)) + 0.7, 0, 1
    )
    albedo = mix(
        np.broadcast_to(chance.colour(MUCOSA), (*shape, 3)), chance.colour(PALE), np.clip(rings, 0, 1) * 0.6
    )
    streaks = noise(chance, shape, cells=20, octaves=3)
    albedo = albedo * np.clip(1 + 0.15 * streaks, 0.3, 2)[..., None]
    depth = depth + 0.03 * rings + 0.02 * noise(chance, shape, cells=6, octaves=3)
    grain = chance.uniform(0, 0.4) * noise(chance, shape, cells=25, octaves=3)
    return lit(
        albedo.astype(np.float32),
        np.clip(depth, 0.3, 8).astype(np.float32),
        gloss=chance.uniform(0, 0.8),
        shine=chance.log_uniform(20, 200),
        grain=grain.astype(np.float32),
        wide=0.8,
    )


def perspective_room(chance: Chance, shape: Shape) -> Colours:
    """A box of a room with tiles, tables and cupboards in perspective, lamps on the ceiling."""
    rays = _rays(shape, wide=chance.uniform(0.5, 1.1))
    yaw, pitch = chance.uniform(0, 6.3), chance.uniform(-0.4, 0.4)
    rays = rays @ _turn(yaw, pitch).T
    light = np.zeros((len(rays), 3), np.float32)
    nearest = np.full(len(rays), 1e3, np.float32)
    room = [(np.zeros(3), np.array((chance.uniform(2, 4), 1.5, chance.uniform(2, 4))), True)]
    boxes = [
        (
            chance.numbers.uniform(-2.5, 2.5, 3) * (1, 0.3, 1) + (0, 0.8, 0),
            chance.numbers.uniform(0.1, 0.8, 3),
            False,
        )
        for _ in range(chance.integer(1, 8))
    ]
    lamp = np.array((chance.uniform(-1, 1), -1.3, chance.uniform(-1, 1)))
    for middle, half, is_room in room + boxes:
        safe = np.where(np.abs(rays) < 1e-5, 1e-5, rays)
        one, two = (middle - half) / safe, (middle + half) / safe
        enter, leave = np.minimum(one, two).max(1), np.maximum(one, two).min(1)
        hit = leave if is_room else enter
        seen = (leave > 0) if is_room else ((enter > 0.3) & (enter < leave))
        seen &= hit < nearest
        places = rays * hit[:, None]
        local = (places - middle) / half
        axis = np.abs(local).argmax(1)
        colours = np.stack([chance.colour((*WALL, *CLOTH, *METAL, *PLASTIC)) for _ in range(6)])
        face = axis * 2 + (local[np.arange(len(local)), axis] > 0)
        tile = 1 + chance.uniform(0, 0.2) * np.sign(np.sin(places * chance.uniform(2, 12)).prod(1))
        to_lamp = lamp - places
        shade = 0.2 + 2.0 * np.abs(to_lamp[np.arange(len(places)), axis]) / (
            np.linalg.norm(to_lamp, axis=1) ** 2 + 0.3
        )
        paint = colours[face] * (tile * shade)[:, None]
        light[seen], nearest[seen] = paint[seen], hit[seen]
    glare = np.clip((rays @ (lamp / np.linalg.norm(lamp))), 0, 1) ** chance.log_uniform(60, 3000)
    light = light + 3 * glare[:, None]
    return blurred(light.reshape(*shape, 3).astype(np.float32), chance.pick((0.3, 0.6, 1.5)))


def still_life(chance: Chance, shape: Shape) -> Colours:
    """Balls, boxes and discs on a table, half of the time all of them red; room light or the scope's own."""
    count = chance.integer(1, 8)
    centres = chance.numbers.normal(0, 0.8, (count, 3)).astype(np.float32) + np.array(
        (0, 0.2, 2.5), np.float32
    )
    sizes = chance.numbers.uniform(0.15, 0.7, count).astype(np.float32)
    square = chance.numbers.random(count) < 0.4
    hues = REDS if chance.happens(0.5) else (*CLOTH, *PLASTIC, *SKIN, *REDS)
    palette = np.stack([chance.colour(hues) for _ in range(count)] + [chance.colour((*CLOTH, *WALL, *REDS))])
    table, wall = chance.uniform(0.5, 1.2), chance.uniform(3, 5)

    def far(places: Places) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        each = []
        for c, s, is_box in zip(centres, sizes, square, strict=True):
            away = np.abs(places - c)
            each.append(away.max(1) - s * 0.7 if is_box else np.linalg.norm(places - c, axis=1) - s)
        each.append(np.minimum(table - places[:, 1], wall - places[:, 2]))
        all_ = np.stack(each)
        return all_.min(0), np.eye(count + 1, dtype=np.float32)[all_.argmin(0)]

    lamp = (
        None
        if chance.happens(0.35)
        else np.array((chance.uniform(-2, 2), -2.5, chance.uniform(-1, 1.5)), np.float32)
    )
    return _march(chance, shape, far, palette, gloss=chance.uniform(0, 0.9), lamp=lamp)


def material(chance: Chance, shape: Shape) -> Colours:
    """Wood, brick, leather: reddish things that fill the view."""
    across, down = grid(shape)
    angle = chance.uniform(0, np.pi)
    u, v = across * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - across * np.sin(angle)
    kind = chance.pick(("wood", "brick", "leather"))
    if kind == "wood":
        knots = 0.3 * noise(chance, shape, cells=1.5, octaves=3)
        rings = np.sin((v + 0.15 * u**2 + knots) * chance.uniform(15, 50))
        colour = chance.colour(((0.62, 0.38, 0.2), (0.75, 0.5, 0.3), (0.5, 0.22, 0.14), (0.8, 0.6, 0.42)))
        albedo, height = colour * (1 + 0.25 * rings)[..., None], rings * 0.3
    elif kind == "brick":
        scale = chance.uniform(2, 6)
        row = np.floor(v * scale)
        joint = np.minimum(
            np.abs(np.sin((u * scale * 0.5 + row * 0.5) * np.pi)), np.abs(np.sin(v * scale * np.pi))
        )
        stone = chance.colour(((0.65, 0.3, 0.22), (0.75, 0.4, 0.3), (0.55, 0.25, 0.2)))
        rough = 1 + 0.2 * noise(chance, shape, cells=20, octaves=4)
        seam = step(0.12 - joint, soft=0.03)
        albedo = mix((stone * rough[..., None]).astype(np.float32), srgb((0.75, 0.72, 0.68)), seam)
        height = -3 * seam
    else:
        cells = np.abs(noise(chance, shape, cells=chance.uniform(8, 25), octaves=3))
        albedo = chance.colour((*REDS, (0.3, 0.15, 0.1))) * np.clip(0.6 + cells, 0, 1.3)[..., None]
        height = np.clip(cells, 0, 0.4) * chance.uniform(2, 8)
    if chance.happens(0.5):
        lamp = (chance.uniform(-1, 1), chance.uniform(-1, 1), 0.8)
        facing = relief(height.astype(np.float32), light=lamp, gloss=chance.uniform(0, 0.6))
        return (albedo * (0.1 + facing)[..., None]).astype(np.float32)
    tilt = chance.numbers.normal(0, 0.3, 2)
    depth = 0.8 + tilt[0] * across + tilt[1] * down - height * 0.01
    return lit(
        albedo.astype(np.float32),
        np.clip(depth, 0.3, 4).astype(np.float32),
        gloss=chance.uniform(0, 0.4),
        shine=40,
    )


def _march(
    chance: Chance, shape: Shape, far, palette: Colours, *, gloss: float, lamp: Places | None
) -> Colours:
    """March rays to the nearest surface, colour and light it; `lamp` None is the lens itself."""
    small = (shape[0] // 2, shape[1] // 2)
    rays = _rays(small, wide=chance.uniform(0.5, 1.0))
    went = np.full(len(rays), 0.15, np.float32)
    for _ in range(32):
        ahead, shares = far(rays * went[:, None])
        went = np.minimum(went + np.clip(ahead, -0.1, 1) * 0.7, 8)
    places = rays * went[:, None]
    slope = (
        np.stack([far(places + 0.01 * np.eye(3, dtype=np.float32)[n])[0] for n in range(3)], 1)
        - far(places)[0][:, None]
    )
    normal = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-6)
    origin = np.zeros(3, np.float32) if lamp is None else lamp
    to_lamp = origin - places
    length = np.linalg.norm(to_lamp, axis=1, keepdims=True)
    to_lamp /= np.maximum(length, 1e-3)
    power = 1 / np.maximum(length, 0.2) ** 2 if lamp is None else np.ones_like(length)
    half = to_lamp - rays
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
    mirror = np.clip((normal * half).sum(1, keepdims=True), 0, 1) ** chance.log_uniform(20, 200)
    light = (shares @ palette) * (
        0.05 + np.clip((normal * to_lamp).sum(1, keepdims=True), 0, 1) * power
    ) + gloss * mirror * power
    picture = cv2.resize(
        light.reshape(*small, 3).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    mottled = noise(chance, shape, cells=chance.log_uniform(4, 20), octaves=4, gain=0.65)
    red = np.array((0.6, 0.15, 0.15), np.float32)
    if lamp is None and chance.happens(0.6):
        picture = mix(picture, picture * red, vessels(chance, shape))
    return (
        np.clip(picture, 0, None) * np.clip(1 + chance.uniform(0, 0.25) * mottled, 0.2, 2)[..., None]
    ).astype(np.float32)


def _ripple(places: Places, strength: float) -> NDArray[np.float32]:
    x, y, z = places.T
    return strength * (
        np.sin(5 * x + 1) * np.sin(4 * y) * np.sin(6 * z)
        + 0.4 * np.sin(13 * x) * np.sin(11 * y + 2) * np.sin(9 * z)
    )


def _rays(shape: Shape, *, wide: float) -> Places:
    across, down = grid(shape)
    rays = np.stack((across * wide, down * wide, np.ones(shape, np.float32)), -1).reshape(-1, 3)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _turn(yaw: float, pitch: float) -> NDArray[np.float32]:
    level = np.array(((np.cos(yaw), 0, np.sin(yaw)), (0, 1, 0), (-np.sin(yaw), 0, np.cos(yaw))))
    nod = np.array(((1, 0, 0), (0, np.cos(pitch), -np.sin(pitch)), (0, np.sin(pitch), np.cos(pitch))))
    return (level @ nod).astype(np.float32)


INSIDE = {"marched cavity": marched_cavity, "airway": airway}
OUTSIDE = {"perspective room": perspective_room, "still life": still_life, "material": material}
FAMILIES = {**INSIDE, **OUTSIDE}
