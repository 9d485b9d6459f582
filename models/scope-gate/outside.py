"""Scenes outside the body that the network learns from: rooms, cloth, skin, trays, trocars, cards, clutter.

Each takes its chance and a shape (height, width), and gives linear light (height, width, 3). Much of it is
red, pink, wet or lit from the lens on purpose: colour must not be what tells inside from outside.
"""

import cv2
import numpy as np
from cards import card
from furniture import bar, bowl, box, cable, lamp, monitor, steel
from materials import cloth, pattern, skin
from paints import CLOTH, REDS, SKIN, WALL
from people import hand, person
from texture import Chance, Colours, blurred, grid, mix, noise, relief, step
from things import METAL, PLASTIC, capsule, polygon, rod
from tissue import BLOOD

Shape = tuple[int, int]


def room(chance: Chance, shape: Shape) -> Colours:
    """The operating room: walls, floor, lamps, monitors, people, cables."""
    light = np.broadcast_to(chance.colour(WALL), (*shape, 3)).copy()
    across, down = grid(shape)
    if chance.happens(0.6):
        horizon = chance.uniform(-0.2, 0.9) + chance.uniform(-0.2, 0.2) * across
        light = mix(light, chance.colour((*WALL, *CLOTH)) * 0.7, step(down - horizon, soft=0.01))
    for _ in range(chance.integer(2, 12)):
        light = box(chance, light)
    slope = chance.numbers.normal(0, 0.35, 2)
    light = light * np.clip(1 + slope[0] * across + slope[1] * down, 0.15, 2)[..., None]
    for _ in range(chance.pick((0, 0, 1, 1, 2))):
        light = monitor(chance, light)
    for _ in range(chance.pick((0, 1, 1, 2, 3))):
        light = person(chance, light)
    for _ in range(chance.pick((0, 0, 1, 1, 2, 3))):
        light = lamp(chance, light)
    for _ in range(chance.pick((0, 0, 1, 4))):
        light = cable(chance, light)
    if chance.happens(0.2):
        light = hand(chance, light)
    return blurred(light, chance.pick((0.2, 0.5, 1.0, 2.0, 4.0))).astype(np.float32)


def tray(chance: Chance, shape: Shape) -> Colours:
    """Instruments laid out on cloth or steel."""
    light = cloth(chance, shape) if chance.happens(0.7) else steel(chance, shape)
    height, width = shape
    for _ in range(chance.integer(2, 14)):
        start = chance.numbers.random(2) * (width * 1.2, height * 1.2) - (0.1 * width, 0.1 * height)
        angle = chance.uniform(0, np.pi)
        end = start + height * chance.uniform(0.2, 1.2) * np.array((np.cos(angle), np.sin(angle)))
        thick = height * chance.log_uniform(0.01, 0.06)
        light = light * (1 - 0.4 * blurred(bar(shape, start + 4, end + 4, thick), 3.0))[..., None]
        colour = chance.colour((*METAL, *METAL, *PLASTIC))
        light = rod(chance, light, start, end, thick, thick * chance.uniform(0.2, 1), colour=colour)
        if chance.happens(0.4):
            centre = tuple(np.round(end).astype(int).tolist())
            ring = np.zeros(shape, np.uint8)
            cv2.circle(ring, centre, int(thick * 2.5), 255, max(1, int(thick * 0.8)), cv2.LINE_AA)
            light = mix(light, colour * (0.3 + light.mean()), ring.astype(np.float32) / 255)
    if chance.happens(0.4):
        light = bowl(chance, light)
    return hand(chance, light) if chance.happens(0.3) else light


def trocar(chance: Chance, shape: Shape) -> Colours:
    """Down a trocar or a cleaning tube: rings, and a small far end, or nothing behind a valve."""
    across, down = grid(shape)
    centre = chance.numbers.normal(0, 0.3, 2)
    x, y = across - centre[0], down - centre[1]
    radius = np.hypot(x, y) + 1e-3
    angle = np.arctan2(y, x)
    wall = chance.colour((*METAL, *PLASTIC, (0.8, 0.8, 0.75), (0.85, 0.3, 0.25), (0.9, 0.6, 0.55)))
    depth = np.clip(chance.uniform(0.4, 1.0) / radius, 0.2, 15)
    groove = chance.uniform(0, 0.5) * np.sin(depth * chance.uniform(3, 40) + chance.pick((0, 1, 2)) * angle)
    shining = np.zeros(shape, np.float32)
    for _ in range(chance.integer(1, 5)):
        shining += np.exp(
            -((np.angle(np.exp(1j * (angle - chance.uniform(0, 6.3)))) / chance.uniform(0.05, 0.5)) ** 2)
        )
    power = np.clip(1 / depth ** chance.uniform(0.3, 2), 0, 3)
    light = wall * ((0.25 + groove * 0.2 + chance.uniform(0, 1.2) * shining) * power)[..., None]
    mouth = chance.uniform(0.0, 0.3)
    if chance.happens(0.6):
        end = chance.pick((room, cloth, skin, None))
        beyond = end(chance, shape) if end else np.broadcast_to(chance.any_colour() * 0.2, (*shape, 3))
        light = mix(
            light, beyond.astype(np.float32) * chance.uniform(0.2, 1.5), step(mouth - radius, soft=0.01)
        )
        rim = np.exp(-(((radius - mouth) / chance.uniform(0.01, 0.05)) ** 2))
        light = light + rim[..., None] * wall * chance.uniform(0, 1)
    elif chance.happens(0.6):  # the leaves of a valve
        leaves = chance.pick((2, 3, 4))
        slit = np.abs(np.sin(angle * leaves / 2 + chance.uniform(0, 3))) * radius
        flap = chance.colour((*PLASTIC, *REDS)) * (0.4 + 0.6 * np.clip(slit / 0.3, 0, 1))[..., None]
        light = mix(light, flap, step(chance.uniform(0.4, 0.9) - radius, soft=0.02))
    return blurred(light.astype(np.float32), chance.uniform(0.2, 2))


def clutter(chance: Chance, shape: Shape) -> Colours:
    """Anything: leaves of random things one over the other, as any photograph has edges; or 1/f texture."""
    height, width = shape
    hues = (*REDS, *SKIN, *BLOOD) if chance.happens(0.4) else (*CLOTH, *WALL, *REDS, *PLASTIC, *METAL)
    if chance.happens(0.2):
        layers = [
            noise(chance, shape, cells=chance.log_uniform(1, 6), octaves=6, gain=chance.uniform(0.5, 0.9))
            for _ in range(3)
        ]
        tint = chance.colour(hues)
        grey = layers[0][..., None] * 0.4
        return (tint * np.clip(1 + grey + 0.25 * np.dstack(layers), 0.02, 4)).astype(np.float32)
    light = np.broadcast_to(chance.colour(hues), (*shape, 3)).astype(np.float32)
    texture = noise(chance, shape, cells=12, octaves=4, gain=0.8)
    for _ in range(chance.integer(8, 60)):
        size = height * chance.log_uniform(0.05, 0.6)
        middle = chance.numbers.random(2) * (width, height)
        turns = np.sort(chance.numbers.random(chance.pick((3, 4, 4, 5, 24)))) * 2 * np.pi
        points = middle + size * np.stack((np.cos(turns), np.sin(turns)), 1) * chance.numbers.uniform(
            0.4, 1, 2
        )
        mask = polygon(shape, points)
        shade = (
            1
            + chance.uniform(-0.3, 0.3) * texture
            + chance.uniform(-0.5, 0.5) * (grid(shape)[chance.integer(0, 1)])
        )
        light = mix(light, (chance.colour(hues) * np.clip(shade, 0.1, 2)[..., None]).astype(np.float32), mask)
    return light * np.clip(1 + 0.1 * noise(chance, shape, cells=30, octaves=2), 0, 2)[..., None]


def objects(chance: Chance, shape: Shape) -> Colours:
    """Round shiny things on a table, in the light of the room: bottles, tubes, fruit, toys."""
    back = chance.pick((cloth, clutter, steel, room))(chance, shape)
    light = back.astype(np.float32)
    height, width = shape
    across, down = grid(shape)
    from_lens = chance.happens(0.4)
    lamp = (chance.uniform(-1, 1), chance.uniform(-1, 1), 20.0 if from_lens else chance.uniform(0.3, 1.2))
    hues = (*REDS, *SKIN) if chance.happens(0.5) else (*CLOTH, *PLASTIC, *METAL, *REDS)
    for _ in range(chance.integer(1, 12)):
        start = chance.numbers.random(2) * (width, height)
        radius = height * chance.log_uniform(0.05, 0.4)
        end = start + radius * chance.numbers.normal(0, 1.2, 2) * chance.pick((0.01, 1.0, 2.0))
        top = capsule(shape, start, end, radius)
        bumps = chance.uniform(0, 0.06) * noise(chance, shape, cells=chance.log_uniform(4, 30), octaves=3)
        gloss, shine = chance.uniform(0, 1.2), chance.log_uniform(8, 200)
        facing = relief((top + bumps) * radius * 0.6, light=lamp, gloss=gloss, shine=shine)
        mottled = np.clip(1 + chance.uniform(0, 0.3) * noise(chance, shape, cells=10, octaves=4), 0.2, 2)
        if from_lens:
            facing = facing / (1 + across**2 + down**2) / np.clip(1.5 - 0.7 * top, 0.3, 2)
        thing = chance.colour(hues) * ((0.15 + facing) * mottled)[..., None]
        mask = step(top - 0.1, soft=0.08)
        light = light * (1 - 0.5 * blurred(np.roll(mask, 5, 1), radius * 0.1 + 1))[..., None]
        light = mix(light, (thing * (0.2 + light.mean())).astype(np.float32), mask)
    return light


FAMILIES = {
    "room": room, "cloth": cloth, "skin": skin, "tray": tray, "trocar": trocar, "card": card,
    "clutter": clutter,
    "objects": objects,
    "pattern": pattern,
}  # fmt: skip
