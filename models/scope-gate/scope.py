"""What the endoscope, its processor and the line do to any scene, inside and outside alike.

Nothing here may know what the scene shows: mask, vignetting, smoke, text and faults must tell nothing.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from texture import Chance, Colours, blurred, grid, mix, noise, srgb, step, warped
from things import text_lines

HEIGHT_PX, WIDTH_PX = 192, 320  # as drawn; the network's own size is in `network.py`
ASPECTS = (16 / 9, 16 / 9, 16 / 9, 16 / 10, 4 / 3, 4 / 3, 5 / 4, 1.0)

Picture = NDArray[np.uint8]


def view(chance: Chance) -> tuple[int, int]:
    """The shape in which a scene is drawn; it is stretched to the network's own at the end."""
    return HEIGHT_PX, round(HEIGHT_PX * chance.pick(ASPECTS))


def film(chance: Chance, light: Colours) -> Picture:
    """Take a picture: optics, sensor, colours, field mask, overlays, compression.

    Args:
        chance: Draws every fault.
        light: (height, width, 3) linear light.

    Returns:
        (192, 320, 3) RGB uint8.
    """
    light = _optics(chance, _exposed(chance, light))
    picture = _colours(chance, light)
    picture = _sensor(chance, picture)
    if chance.happens(0.55):
        picture = _field(chance, picture)
    if chance.happens(0.2):
        picture = _placed(chance, picture)
    final = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    if chance.happens(0.4):
        final = _written(chance, final)
    final = cv2.resize(final, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    if chance.happens(0.6):
        final = _compressed(chance, final)
    return np.ascontiguousarray(final)


def _exposed(chance: Chance, light: Colours) -> Colours:
    """As the processor's exposure control would, more or less well."""
    level = float(np.percentile(light.mean(2), chance.uniform(50, 97)))
    wanted = chance.uniform(0.18, 0.6)
    if chance.happens(0.12):
        wanted *= chance.log_uniform(0.1, 5)
    return (light * np.float32(wanted / max(level, 1e-4))).astype(np.float32)


def _optics(chance: Chance, light: Colours) -> Colours:
    shape = light.shape[:2]
    across, down = grid(shape)
    if chance.happens(0.5):
        radius = (across - chance.uniform(-0.2, 0.2)) ** 2 + (down - chance.uniform(-0.2, 0.2)) ** 2
        light = light / (1 + chance.uniform(0.05, 1.2) * radius)[..., None]
    if chance.happens(0.3):  # barrel
        bend = chance.uniform(0.02, 0.2) * ((across**2 + down**2) - 0.7)
        light = warped(light, across * bend * shape[0] / 2, down * bend * shape[0] / 2)
    if chance.happens(0.15):  # smoke, fog on the lens
        veil = np.clip(chance.uniform(0.2, 0.9) + 0.3 * noise(chance, shape, cells=1.5, octaves=4), 0, 0.95)
        light = mix(light, srgb((0.8, 0.8, 0.82)) * np.float32(light.mean() + 0.1), veil)
    if chance.happens(0.12):  # drops on the lens: blood, water, fat
        drops = step(
            noise(chance, shape, cells=chance.log_uniform(1, 6), octaves=2) - chance.uniform(0.5, 1.2),
            soft=0.2,
        )
        dirt = chance.pick((srgb((0.5, 0.05, 0.04)), srgb((0.8, 0.7, 0.5)), None))
        behind = blurred(light, 6)
        behind = (
            behind
            if dirt is None
            else mix(behind, dirt * np.float32(light.mean() * 2), chance.uniform(0.3, 0.9))
        )
        light = mix(light, behind, drops)
    kind = chance.numbers.random()
    if kind < 0.35:
        light = blurred(light, chance.log_uniform(0.3, 4))
    elif kind < 0.5:
        light = _shaken(chance, light)
    if chance.happens(0.2):
        glow = blurred(np.clip(light - 0.8, 0, 3), shape[0] * 0.04)
        light = light + chance.uniform(0.2, 1.0) * glow
    return light


def _shaken(chance: Chance, light: Colours) -> Colours:
    reach = chance.integer(3, 21) | 1
    kernel = np.zeros((reach, reach), np.float32)
    angle, half = chance.uniform(0, np.pi), reach // 2
    way = np.round(half * np.array((np.cos(angle), np.sin(angle)))).astype(int)
    cv2.line(kernel, tuple((half - way).tolist()), tuple((half + way).tolist()), 1.0)
    return cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _colours(chance: Chance, light: Colours) -> Colours:
    """White balance and its faults, other kinds of light, tone curve; linear light to sRGB."""
    gains = np.exp(chance.numbers.normal(0, 0.08 if chance.happens(0.7) else 0.35, 3)).astype(np.float32)
    light = light * gains
    kind = chance.numbers.random()
    if kind < 0.05:  # narrow bands: blue and green light only
        red, green, blue = light[..., 0], light[..., 1], light[..., 2]
        light = np.dstack((green * 0.9 + 0.1 * red, blue, blue * chance.uniform(0.8, 1.1)))
    elif kind < 0.07:
        light = np.repeat(light.mean(2, keepdims=True), 3, axis=2)
    elif kind < 0.09:  # fluorescence: grey with a green glow
        grey = light.mean(2) * chance.uniform(0.1, 0.8)
        glow = step(noise(chance, light.shape[:2], cells=2, octaves=3) - 0.3, soft=0.5)
        light = np.dstack((grey, grey + chance.uniform(0.2, 1) * glow, grey))
    elif kind < 0.15:  # a turned wheel of colours
        order = chance.numbers.permutation(3)
        light = mix(light, light[..., order], chance.uniform(0.2, 1.0))
    elif kind < 0.25:  # a coloured lamp
        lamp = srgb(np.array(chance.pick(((1, 0.55, 0.45), (1, 0.75, 0.6), (0.7, 0.85, 1), (0.7, 1, 0.8)))))
        light = light * (lamp / lamp.mean())
    tone = np.clip(light, 0, None)
    tone = tone / (1 + tone * chance.uniform(0, 0.6)) if chance.happens(0.5) else tone
    picture = np.clip(tone, 0, 1.0) ** np.float32(1 / chance.uniform(1.7, 2.6))
    grey = picture.mean(2, keepdims=True)
    picture = grey + (picture - grey) * chance.uniform(0.5, 1.35)
    return np.clip((picture - 0.5) * chance.uniform(0.8, 1.25) + 0.5 + chance.uniform(-0.06, 0.06), 0, 1)


def _sensor(chance: Chance, picture: Colours) -> Colours:
    if chance.happens(0.4):  # the processor sharpens
        picture = picture + chance.uniform(0.2, 1.5) * (picture - blurred(picture, chance.uniform(0.6, 2)))
    if chance.happens(0.6):
        strength = chance.log_uniform(0.004, 0.08)
        grain = chance.numbers.standard_normal(picture.shape, dtype=np.float32)
        grain = grain if chance.happens(0.5) else blurred(grain, 0.8) * 2
        picture = picture + strength * grain
    if chance.happens(0.06):  # two fields that do not fit
        picture = picture.copy()
        picture[1::2] = np.roll(picture[1::2], chance.integer(-6, 6), 1)
    return picture


def _field(chance: Chance, picture: Colours) -> Colours:
    """The round or eight-sided field with black around it."""
    across, down = grid(picture.shape[:2])
    edge = picture.shape[1] / picture.shape[0]
    x, y = across - chance.uniform(-0.1, 0.1), down - chance.uniform(-0.1, 0.1)
    if chance.happens(0.65):
        size = chance.uniform(0.75, max(1.0, 0.95 * edge))
        inside = size - np.hypot(x, y)
        if chance.happens(0.3):  # the mark that tells where up is
            turn = chance.uniform(0, 6.3)
            u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
            inside = np.minimum(inside, np.maximum(np.abs(v) - 0.03, size * 0.95 - u))
    else:
        wide, cut = min(edge, chance.uniform(0.9, 1.4)), chance.uniform(0.1, 0.6)
        inside = np.minimum(
            np.minimum(wide - np.abs(x), 0.98 - np.abs(y)), wide + 0.98 - cut - np.abs(x) - np.abs(y)
        )
    border = chance.uniform(0, 0.06)
    return mix(
        np.full_like(picture, border),
        picture,
        step(inside.astype(np.float32), soft=chance.uniform(0.005, 0.04)),
    )


def _placed(chance: Chance, picture: Colours) -> Colours:
    """The picture as a part of a larger screen, with black or grey around it."""
    height, width = picture.shape[:2]
    scale = chance.uniform(0.6, 0.95)
    small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    screen = np.full_like(picture, chance.pick((0.0, 0.0, 0.03, 0.1)))
    top = round((height - small.shape[0]) * chance.pick((0.0, 0.5, 0.5, chance.uniform(0, 1))))
    left = round((width - small.shape[1]) * chance.pick((0.5, 1.0, chance.uniform(0, 1))))
    screen[top : top + small.shape[0], left : left + small.shape[1]] = small
    return screen


def _written(chance: Chance, picture: Picture) -> Picture:
    """What processors write over a picture: name, date, settings, arrows, scales, boxes."""
    height, width = picture.shape[:2]
    colour = chance.pick(((255, 255, 255), (255, 255, 255), (220, 220, 60), (90, 230, 90), (160, 200, 255)))
    for _ in range(chance.integer(1, 3)):
        corner = (
            chance.pick((4, 8, width - chance.integer(30, 90))),
            chance.pick((12, 16, height - chance.integer(8, 50))),
        )
        if chance.happens(0.3):
            far = (corner[0] + chance.integer(30, 110), corner[1] + chance.integer(6, 40))
            shade = chance.pick(((0, 0, 0), (30, 30, 30), (200, 200, 200), (40, 60, 140)))
            cv2.rectangle(picture, (corner[0] - 4, corner[1] - 12), far, shade, -1)
        text_lines(chance, picture, corner, colour)
    if chance.happens(0.2):
        place = (chance.integer(0, width), chance.integer(0, height))
        cv2.arrowedLine(
            picture, place, (place[0] + chance.integer(-30, 30), place[1] + 20), colour, 1, cv2.LINE_AA
        )
    return picture


def _compressed(chance: Chance, picture: Picture) -> Picture:
    quality = [cv2.IMWRITE_JPEG_QUALITY, round(chance.log_uniform(12, 95))]
    _, coded = cv2.imencode(".jpg", picture, quality)
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def fitted(picture: Picture, shape_px: tuple[int, int] = (96, 160)) -> Picture:
    """Bring a picture to the network's size, each axis by itself."""
    return cv2.resize(picture, shape_px[::-1], interpolation=cv2.INTER_AREA)


def is_blank(picture: Picture) -> bool:
    """Say whether a picture shows next to nothing; such a one counts as outside, whatever it was."""
    middle = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[40:152, 80:240]
    return bool(middle.std() < 5 or middle.mean() < 10)
