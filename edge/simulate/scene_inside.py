"""Inside the body, as a rigid endoscope sees it: wet tissue that breathes, vessels, fat, an instrument."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.simulate.textures import Map, Rgb, blurred, clouds, ramp, slopes, to_rgb

_TISSUE = ((70, 8, 10), (128, 28, 26), (176, 62, 52), (204, 98, 80), (218, 132, 104))
_FAT = (226, 186, 110)
_VESSEL = (104, 8, 18)
_MARGIN = 1.3  # the texture is larger than the view, which wanders over it
_BREATH_S, _WANDER_S = 4.0, 13.0


class Inside:
    """Paints the inside at the size of `work_px`."""

    def __init__(self, work_px: tuple[int, int], *, rng: np.random.Generator) -> None:
        self._work_px = work_px
        height_px, width_px = (round(side * _MARGIN) for side in work_px)
        shape_px = height_px, width_px
        relief = self._relief(shape_px, rng)
        along_x, along_y = slopes(blurred(relief, 2.0))
        self._tissue = to_rgb(self._painted(shape_px, relief, along_x, along_y, rng))
        self._wet = self._wetness(shape_px, along_x, along_y, rng)
        y, x = np.mgrid[: work_px[0], : work_px[1]].astype(np.float32)
        self._x, self._y = np.asarray(x, np.float32), np.asarray(y, np.float32)
        far = np.hypot(y - work_px[0] / 2, x - work_px[1] / 2) / work_px[0]
        self._light = np.dstack(
            [np.clip(1.05 - 0.85 * far**1.5, 0.1, 1).astype(np.float32) * 255] * 3
        ).astype(np.uint8)

    def picture(self, at_s: float) -> Rgb:
        """Return (height, width, 3) RGB of one moment."""
        across, down = self._bent(at_s)
        seen = np.asarray(cv2.remap(self._tissue, across, down, cv2.INTER_LINEAR), dtype=np.uint8)
        seen = np.asarray(cv2.multiply(seen, self._light, scale=1 / 255), dtype=np.uint8)
        wet = cv2.remap(self._wet, across + 6 * math.sin(at_s * 1.1), down, cv2.INTER_LINEAR)
        seen = np.asarray(cv2.add(seen, cv2.cvtColor(wet, cv2.COLOR_GRAY2RGB)), dtype=np.uint8)
        draw_instrument(seen, at_s)
        return seen

    def _bent(self, at_s: float) -> tuple[Map, Map]:
        """Return where each pixel comes from: the view wanders, the tissue breathes, a fold runs."""
        height_px, width_px = self._work_px
        room_x, room_y = (_MARGIN - 1) / 2 * width_px, (_MARGIN - 1) / 2 * height_px
        turn = 2 * math.pi * at_s
        left = room_x * (1 + 0.7 * math.sin(turn / _WANDER_S))
        top = room_y * (1 + 0.6 * math.cos(turn / _WANDER_S * 1.3))
        breath = 1 + 0.03 * math.sin(turn / _BREATH_S)
        fold = np.sin(self._y * (2 * math.pi / height_px * 1.6) + self._x * (2.2 / width_px) - at_s * 1.7)
        across = (self._x - width_px / 2) * breath + width_px / 2 + left
        down = (self._y - height_px / 2) * breath + height_px / 2 + top + fold * (height_px * 0.025)
        return np.asarray(across, np.float32), np.asarray(down, np.float32)

    def _relief(self, shape_px: tuple[int, int], rng: np.random.Generator) -> Map:
        """Return heights: organs as large rounded bodies, the furrows between them, fine roughness."""
        height_px, width_px = shape_px
        y, x = np.mgrid[:height_px, :width_px].astype(np.float32)
        relief = np.zeros(shape_px, np.float32)
        for _ in range(9):
            middle_x, middle_y = rng.uniform(0, width_px), rng.uniform(0, height_px)
            long_px, short_px = rng.uniform(0.25, 0.5) * width_px, rng.uniform(0.2, 0.35) * height_px
            turn = rng.uniform(0, math.pi)
            along = (x - middle_x) * math.cos(turn) + (y - middle_y) * math.sin(turn)
            over = (y - middle_y) * math.cos(turn) - (x - middle_x) * math.sin(turn)
            body = np.clip(1 - (along / long_px) ** 2 - (over / short_px) ** 2, 0, None)
            relief = np.maximum(relief, np.sqrt(body) * rng.uniform(0.6, 1.0))
        rough = clouds(shape_px, cell_px=height_px / 10, octaves=4, rng=rng)
        return np.asarray(blurred(relief.astype(np.float32), 5.0) + 0.25 * rough, dtype=np.float32)

    def _painted(
        self, shape_px: tuple[int, int], relief: Map, along_x: Map, along_y: Map, rng: np.random.Generator
    ) -> Map:
        height_px, _ = shape_px
        tone = 0.45 * relief / relief.max() + 0.55 * clouds(
            shape_px, cell_px=height_px / 4, octaves=5, rng=rng
        )
        painted = ramp(np.asarray(tone, np.float32), _TISSUE)
        fat = np.clip((clouds(shape_px, cell_px=height_px / 3, octaves=3, rng=rng) - 0.66) * 7, 0, 1)[
            ..., None
        ]
        painted += (np.asarray(_FAT, np.float32) * (0.75 + 0.25 * tone[..., None]) - painted) * fat * 0.85
        vessels = self._vessels(shape_px, rng)[..., None]
        painted += (np.asarray(_VESSEL, np.float32) - painted) * vessels * 0.75
        shade = np.clip(0.9 - 4.5 * along_x - 6.5 * along_y, 0.25, 1.3)[..., None]
        furrow = np.clip((relief - 0.05) / 0.5, 0.16, 1)[..., None]
        return np.asarray(painted * shade * furrow, dtype=np.float32)

    def _vessels(self, shape_px: tuple[int, int], rng: np.random.Generator) -> Map:
        """Return trees that begin somewhere, wander and branch, thinner each time."""
        height_px, width_px = shape_px
        drawn = np.zeros(shape_px, np.uint8)
        open_ends = [
            (rng.uniform(0, width_px), rng.uniform(0, height_px), rng.uniform(0, 2 * math.pi), height_px / 90)
            for _ in range(12)
        ]
        while open_ends:
            x, y, heading, thick_px = open_ends.pop()
            points = [(x, y)]
            for _ in range(int(rng.uniform(12, 30))):
                heading += rng.normal(0, 0.22)
                x, y = x + 5 * math.cos(heading), y + 5 * math.sin(heading)
                points.append((x, y))
                if thick_px > 1.4 and rng.random() < 0.1:
                    open_ends.append((x, y, heading + rng.choice((-0.8, 0.8)), thick_px * 0.6))
            line = np.asarray(points, np.float32).round().astype(np.int32)
            cv2.polylines(drawn, [line], False, 255, max(round(thick_px), 1), cv2.LINE_AA)
        return blurred(np.asarray(drawn / 255, dtype=np.float32), 0.8)

    def _wetness(
        self, shape_px: tuple[int, int], along_x: Map, along_y: Map, rng: np.random.Generator
    ) -> Rgb:
        """Return where the light is mirrored: small spots on what faces the lamp, brighter than white."""
        ripple_x, ripple_y = slopes(clouds(shape_px, cell_px=shape_px[0] / 14, octaves=3, rng=rng))
        tilt = np.hypot(along_x * 9 + ripple_x * 1.3 + 0.2, along_y * 9 + ripple_y * 1.3 + 0.2)
        glint: Map = np.clip((0.05 - tilt) * 40, 0, 1).astype(np.float32)
        return to_rgb(blurred(glint, 0.9) * 255 + blurred(glint, 6.0) * 90)


def draw_instrument(picture: Rgb, at_s: float) -> None:
    """Draw a grasper that comes in from the lower right, works, and goes away again."""
    height_px, width_px = picture.shape[:2]
    reach = 0.5 + 0.5 * math.sin(at_s * 0.45 - 1.2)
    if reach < 0.12:
        return
    root = np.array([width_px * 1.02, height_px * 0.95])
    aim = np.array(
        [width_px * (0.5 + 0.07 * math.sin(at_s * 0.9)), height_px * (0.55 + 0.06 * math.cos(at_s * 1.3))]
    )
    tip = root + (aim - root) * reach
    along = (tip - root) / np.linalg.norm(tip - root)
    beside = np.array([-along[1], along[0]])
    half_px = height_px / 28
    for share, grey in ((1.0, 52), (0.72, 96), (0.4, 150), (0.14, 214)):
        edge = beside * half_px * share
        lift = beside * half_px * 0.2
        shaft = np.array([root - edge - lift, tip - edge - lift, tip + edge - lift, root + edge - lift])
        cv2.fillConvexPoly(picture, shaft.round().astype(np.int32), (grey, grey, grey + 6), cv2.LINE_AA)
    gape = 0.16 + 0.16 * math.sin(at_s * 2.1)
    for side in (-1, 1):
        jaw = along * math.cos(gape) + beside * side * math.sin(gape)
        outline = [
            tip + beside * side * half_px * 0.8,
            tip,
            tip + jaw * half_px * 3.4,
            tip + jaw * half_px * 3.2 + beside * side * half_px * 0.45,
        ]
        cv2.fillPoly(picture, [np.asarray(outline).round().astype(np.int32)], (168, 170, 178), cv2.LINE_AA)
        cv2.polylines(
            picture, [np.asarray(outline).round().astype(np.int32)], True, (70, 70, 76), 1, cv2.LINE_AA
        )
