"""Moving scenes, drawn without any picture from outside: what a camera in an operating room might see."""

from __future__ import annotations

from typing import Final, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.simulate.scene_inside import Inside
from edge.simulate.scene_theatre import Theatre
from edge.simulate.textures import Eyepiece

SceneName = Literal["bars", "theatre", "inside", "case"]
Rgb = NDArray[np.uint8]
CASE_S: Final = (
    6.0,
    9.0,
    21.0,
    24.0,
)  # outside, on the way in, inside, on the way out; then from the beginning
_BARS: Final = (
    (191, 191, 191),
    (191, 191, 0),
    (0, 191, 191),
    (0, 191, 0),
    (191, 0, 191),
    (191, 0, 0),
    (0, 0, 191),
)


class Scene(Protocol):
    """Something that moves."""

    def picture(self, at_s: float) -> Rgb:
        """Return (height, width, 3) RGB of one moment; the caller may write to it."""

    def is_inside(self, at_s: float) -> bool | None:
        """Whether the view is inside the body at that moment; None on the way in or out."""


def scene(name: SceneName, *, height_px: int, width_px: int, seed: int = 1) -> Scene:
    """Return a scene.

    Args:
        name: `theatre`: the operating room, seen by an endoscope that is not in the body. `inside`: inside
            the body. `case`: outside, inside, and out again, in 24 s. `bars`: a test picture.
        height_px: Of its pictures.
        width_px: Of its pictures.
        seed: The same seed gives the same scene.
    """
    if name == "bars":
        return Bars(height_px, width_px, seed)
    return Endoscopy(name, height_px, width_px, seed)


class Bars:
    """Colour bars with a ball that runs along below them: the test picture."""

    def __init__(self, height_px: int, width_px: int, seed: int) -> None:
        self._phase_s = seed * 0.7
        columns = np.arange(width_px) * len(_BARS) // width_px
        self._still = np.broadcast_to(np.asarray(_BARS, np.uint8)[columns], (height_px, width_px, 3)).copy()
        self._still[height_px * 3 // 4 :] = (np.arange(width_px) * 255 // width_px)[None, :, None]

    def picture(self, at_s: float) -> Rgb:
        """Return (height, width, 3) RGB of one moment."""
        picture = self._still.copy()
        height_px, width_px = picture.shape[:2]
        across = abs(((at_s + self._phase_s) * 0.25) % 2 - 1)
        middle = round((0.05 + 0.9 * across) * width_px), height_px * 7 // 8
        cv2.circle(picture, middle, height_px // 12, (240, 120, 20), -1, cv2.LINE_AA)
        return picture

    def is_inside(self, at_s: float) -> bool | None:  # noqa: ARG002  # at no moment
        """Never."""
        return False


class Endoscopy:
    """What an endoscope sees: the room, the inside of a body, or the way from one to the other and back."""

    def __init__(
        self, name: Literal["theatre", "inside", "case"], height_px: int, width_px: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        self._name = name
        self._eyepiece = Eyepiece((height_px, width_px), rng=rng)
        self._theatre = Theatre(self._eyepiece.work_px, rng=rng)
        self._inside = Inside(self._eyepiece.work_px, rng=rng)

    def picture(self, at_s: float) -> Rgb:
        """Return (height, width, 3) RGB of one moment."""
        depth = self._depth(at_s)
        if depth <= 0:
            painted = self._theatre.picture(at_s)
        elif depth >= 1:
            painted = self._inside.picture(at_s)
        elif depth < 0.5:
            painted = self._theatre.picture(at_s)
            _draw_trocar(painted, depth * 2)
        else:
            painted = _through_tube(self._inside.picture(at_s), depth * 2 - 1)
        return self._eyepiece.look(painted)

    def is_inside(self, at_s: float) -> bool | None:
        """Whether the view is inside; None in the trocar."""
        depth = self._depth(at_s)
        return None if 0 < depth < 1 else depth >= 1

    def _depth(self, at_s: float) -> float:
        """Return how far in the endoscope is: 0 outside, 1 inside."""
        if self._name != "case":
            return float(self._name == "inside")
        outside_s, in_s, inside_s, out_s = CASE_S
        at = at_s % out_s
        return float(np.interp(at, (outside_s, in_s, inside_s, out_s), (0, 1, 1, 0)))


def _draw_trocar(picture: Rgb, nearness: float) -> None:
    """Draw the mouth of the trocar that the endoscope goes to: far at 0, all that is seen at 1."""
    height_px, width_px = picture.shape[:2]
    middle = width_px // 2, height_px // 2
    radius = height_px * (0.03 + 1.3 * nearness**2.2)
    rings = (
        (1.0, (66, 96, 150)),
        (0.9, (96, 130, 186)),
        (0.78, (52, 74, 118)),
        (0.7, (30, 30, 34)),
        (0.5, (10, 9, 10)),
    )
    for share, colour in rings:
        cv2.circle(picture, middle, round(radius * share), colour, -1, cv2.LINE_AA)


def _through_tube(picture: Rgb, nearness: float) -> Rgb:
    """Return a picture as seen through the tube of the trocar: small at 0, all of it at 1."""
    height_px, width_px = picture.shape[:2]
    middle = width_px // 2, height_px // 2
    radius = height_px * (0.06 + 1.1 * nearness**1.6)
    wall = np.full_like(picture, 12)
    for share, grey in ((1.7, 26), (1.4, 44), (1.22, 78), (1.1, 118)):
        cv2.circle(wall, middle, round(radius * share), (grey, grey, grey + 4), -1, cv2.LINE_AA)
    hole = np.zeros((height_px, width_px), np.uint8)
    cv2.circle(hole, middle, round(radius), 255, -1, cv2.LINE_AA)
    cv2.copyTo(picture, hole, wall)
    return wall
