"""The operating room, as an endoscope sees it that lies on the drapes or is carried about."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.simulate.textures import Map, Rgb, blurred, clouds, to_rgb

_MARGIN = 1.45  # the room is larger than the view, which sways over it
_SWAY_S = 9.0
_WALL, _FLOOR, _DRAPE, _GOWN = (150, 172, 168), (112, 120, 124), (28, 104, 118), (44, 92, 140)
_SKIN, _STEEL = (214, 166, 138), (178, 184, 190)


class Theatre:
    """Paints the room at the size of `work_px`."""

    def __init__(self, work_px: tuple[int, int], *, rng: np.random.Generator) -> None:
        self._work_px = work_px
        self._room_px = round(work_px[0] * _MARGIN), round(work_px[1] * _MARGIN)
        self._room = self._painted(rng)
        self._phase = float(rng.uniform(0, 2 * math.pi))

    def picture(self, at_s: float) -> Rgb:
        """Return (height, width, 3) RGB of one moment."""
        height_px, width_px = self._work_px
        room = self._room.copy()
        self._draw_hand(room, at_s)
        turn = 2 * math.pi * at_s / _SWAY_S + self._phase
        spare_x, spare_y = self._room_px[1] - width_px, self._room_px[0] - height_px
        middle = self._room_px[1] / 2, self._room_px[0] / 2
        way = cv2.getRotationMatrix2D(middle, 7 * math.sin(turn * 0.7), 1.0 + 0.07 * math.sin(turn * 1.3))
        way[0, 2] -= spare_x / 2 * (1 + 0.75 * math.sin(turn))
        way[1, 2] -= spare_y / 2 * (1 + 0.7 * math.cos(turn * 0.6))
        seen = cv2.warpAffine(room, way, (width_px, height_px), borderMode=cv2.BORDER_REFLECT)
        return np.asarray(seen, dtype=np.uint8)

    def _painted(self, rng: np.random.Generator) -> Rgb:
        height_px, width_px = self._room_px
        room = np.empty((height_px, width_px, 3), np.uint8)
        room[:] = _WALL
        for x in range(0, width_px, width_px // 14):
            cv2.line(room, (x, 0), (x, round(height_px * 0.55)), (138, 160, 157), 1, cv2.LINE_AA)
        room[round(height_px * 0.5) :] = _FLOOR
        self._draw_monitor(room)
        for place, size in ((0.16, 1.0), (0.83, 1.08), (0.6, 0.85)):
            self._draw_person(room, round(width_px * place), size)
        room = blurred(room, 1.6)  # what is far is out of focus
        self._draw_drape(room, rng)
        self._draw_tray(room, rng)
        lit = room.astype(np.float32) * (
            0.78 + 0.3 * clouds(self._room_px, cell_px=height_px, octaves=2, rng=rng)[..., None]
        )
        return to_rgb(lit + self._lamps()[..., None] * np.array([1.0, 0.99, 0.94], np.float32))

    def _lamps(self) -> Map:
        """Return the light of two surgical lamps: discs brighter than white, and their glow."""
        height_px, width_px = self._room_px
        light = np.zeros(self._room_px, np.float32)
        for x, y, radius in ((0.34, 0.17, 0.125), (0.72, 0.1, 0.085)):
            middle = np.array([width_px * x, height_px * y])
            for spoke in range(7):
                away = 0.0 if spoke == 0 else 0.68 * radius * height_px
                turn = 2 * math.pi * spoke / 6
                disc = middle + away * np.array([math.cos(turn), 0.8 * math.sin(turn)])
                cv2.circle(
                    light,
                    (round(disc[0]), round(disc[1])),
                    round(radius * height_px * 0.3),
                    420.0,
                    -1,
                    cv2.LINE_AA,
                )
        return np.asarray(blurred(light, 1.5) + 0.5 * blurred(light, height_px / 22), dtype=np.float32)

    def _draw_monitor(self, room: Rgb) -> None:
        height_px, width_px = self._room_px
        left, top, right, bottom = (
            round(share * side)
            for share, side in zip((0.44, 0.27, 0.56, 0.44), (width_px, height_px) * 2, strict=True)
        )
        cv2.rectangle(room, (left - 4, top - 4), (right + 4, bottom + 4), (46, 48, 52), -1)
        cv2.rectangle(room, (left, top), (right, bottom), (12, 20, 34), -1)
        x = np.arange(left + 3, right - 3)
        for row, colour in enumerate(((60, 230, 90), (240, 220, 70), (80, 190, 245))):
            beat = np.exp(-(((x - left) % 26 - 9) ** 2) / (4.0 + 9 * row)) * (bottom - top) * 0.2
            line = (
                np.column_stack([x, top + (bottom - top) * (0.28 + 0.3 * row) - beat])
                .round()
                .astype(np.int32)
            )
            cv2.polylines(room, [line], False, colour, 1, cv2.LINE_AA)

    def _draw_person(self, room: Rgb, x: int, size: float) -> None:
        """Draw somebody in gown, cap and mask."""
        unit = self._room_px[0] * 0.062 * size
        y = self._room_px[0] * 0.34

        def at(right: float, down: float) -> tuple[int, int]:
            return round(x + right * unit), round(y + down * unit)

        torso = np.array(
            [at(-1.1, 1.3), at(1.1, 1.3), at(2.1, 2.6), at(2.2, 9.0), at(-2.2, 9.0), at(-2.1, 2.6)]
        )
        cv2.fillPoly(room, [torso.astype(np.int32)], _GOWN, cv2.LINE_AA)
        cv2.line(room, at(0.0, 2.0), at(0.0, 9.0), (36, 78, 122), 2, cv2.LINE_AA)
        cv2.ellipse(
            room, at(0, 0), (round(unit * 0.95), round(unit * 1.25)), 0, 0, 360, _SKIN, -1, cv2.LINE_AA
        )
        cv2.ellipse(
            room,
            at(0, -0.35),
            (round(unit * 1.05), round(unit * 1.15)),
            0,
            180,
            360,
            (70, 140, 170),
            -1,
            cv2.LINE_AA,
        )
        cv2.ellipse(
            room,
            at(0, 0.62),
            (round(unit * 0.8), round(unit * 0.62)),
            0,
            0,
            360,
            (196, 220, 226),
            -1,
            cv2.LINE_AA,
        )

    def _draw_drape(self, room: Rgb, rng: np.random.Generator) -> None:
        """Draw the cloth with its folds, and the field of skin that it leaves open."""
        height_px, width_px = self._room_px
        top = round(height_px * 0.57)
        y, x = np.mgrid[top:height_px, :width_px].astype(np.float32)
        bend = clouds((height_px - top, width_px), cell_px=height_px / 4, octaves=3, rng=rng)
        folds = (
            np.sin(x / width_px * 46 + 9 * bend + y / height_px * 5) * 0.16
            + np.sin(x / width_px * 17 - 6 * bend) * 0.14
        )
        cloth = np.asarray(_DRAPE, np.float32) * (0.95 + folds + 0.25 * (bend - 0.5))[..., None]
        rim = top + height_px * 0.03 * np.sin(np.arange(width_px) / width_px * 7)
        is_cloth = (y > rim[None, :])[..., None]
        room[top:] = np.where(is_cloth, to_rgb(np.asarray(cloth, np.float32)), room[top:])
        middle = round(width_px * 0.44), round(height_px * 0.8)
        field = np.zeros_like(room)
        cv2.ellipse(
            field, middle, (round(width_px * 0.1), round(height_px * 0.085)), -6, 0, 360, (1, 1, 1), -1
        )
        skin = (
            np.asarray((196, 128, 74), np.float32)
            * (0.8 + 0.3 * clouds(self._room_px, cell_px=height_px / 8, octaves=4, rng=rng))[..., None]
        )
        room[:] = np.where(field > 0, to_rgb(np.asarray(skin, np.float32)), room)

    def _draw_tray(self, room: Rgb, rng: np.random.Generator) -> None:
        """Draw a steel tray with clamps and scissors on it."""
        height_px, width_px = self._room_px
        left, right, top, bottom = width_px * 0.64, width_px * 0.95, height_px * 0.68, height_px * 0.93
        corners = np.array(
            [(left, top), (right, top * 1.03), (right * 1.02, bottom), (left * 0.97, bottom * 0.98)]
        )
        cv2.fillConvexPoly(room, corners.round().astype(np.int32), (132, 140, 148), cv2.LINE_AA)
        cv2.polylines(room, [corners.round().astype(np.int32)], True, (216, 222, 228), 2, cv2.LINE_AA)
        for number in range(8):
            x = left + (right - left) * (0.08 + 0.115 * number)
            sway = rng.normal(0, height_px * 0.012, 4)
            head, joint = (x + sway[0], top + height_px * 0.035), (x + sway[1], top + height_px * 0.11)
            for side in (-1, 1):
                foot = x + sway[2] + side * height_px * 0.014, bottom - height_px * 0.045
                line = np.array([head, joint, foot]).round().astype(np.int32)
                cv2.polylines(room, [line + 2], False, (80, 86, 94), 2, cv2.LINE_AA)
                cv2.polylines(room, [line], False, _STEEL, 2, cv2.LINE_AA)
                cv2.polylines(room, [line - 1], False, (240, 244, 248), 1, cv2.LINE_AA)
                cv2.circle(
                    room, (round(foot[0]), round(foot[1])), round(height_px * 0.011), _STEEL, 2, cv2.LINE_AA
                )

    def _draw_hand(self, room: Rgb, at_s: float) -> None:
        """Draw a gloved hand that reaches over the drapes."""
        height_px, width_px = self._room_px
        x = width_px * (0.3 + 0.16 * math.sin(at_s * 0.8))
        y = height_px * (0.78 + 0.05 * math.cos(at_s * 1.1))
        wrist, palm = (round(x - width_px * 0.12), round(height_px * 1.02)), (round(x), round(y))
        thick = round(height_px * 0.085)
        cv2.line(room, wrist, palm, _GOWN, thick, cv2.LINE_AA)
        cuff = round(wrist[0] + (palm[0] - wrist[0]) * 0.6), round(wrist[1] + (palm[1] - wrist[1]) * 0.6)
        glove = (214, 208, 190)
        cv2.line(room, cuff, palm, glove, round(thick * 0.85), cv2.LINE_AA)
        for finger in range(4):
            spread = -0.75 + 0.36 * finger + 0.06 * math.sin(at_s * 2 + finger)
            tip = round(x + height_px * 0.1 * math.cos(spread)), round(y + height_px * 0.1 * math.sin(spread))
            cv2.line(room, palm, tip, (190, 184, 166), round(thick * 0.3), cv2.LINE_AA)
            cv2.line(room, palm, tip, glove, round(thick * 0.24), cv2.LINE_AA)
