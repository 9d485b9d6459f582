"""Moving scenes, drawn without any picture from outside: what a camera in an operating room might see."""

from __future__ import annotations

from typing import Final, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

SceneName = Literal["bars"]
Rgb = NDArray[np.uint8]
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
        name: Which one.
        height_px: Of its pictures.
        width_px: Of its pictures.
        seed: The same seed gives the same scene.
    """
    return _SCENES[name](height_px, width_px, seed)


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


_SCENES: Final = {"bars": Bars}
