"""One drawn picture of nuclei with what is true of it; and the targets that the network learns."""

from dataclasses import dataclass

import cv2
import numpy as np
from chance import Chance
from numpy.typing import NDArray
from pictures import Pixels, fluorescence, stained
from shapes import Things, lay_out

SIDE_PX = 288
STAINED_SHARE = 0.35
EMPTY_SHARE = 0.04


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A picture and its nuclei.

    Attributes:
        pixels: (height, width, 3) uint8 RGB.
        things: (height, width) int32, the number of the nucleus a pixel belongs to; 0 for none.
    """

    pixels: Pixels
    things: Things


def draw(seed: int, side_px: int = SIDE_PX) -> Drawn:
    """Draw one picture; the same seed gives the same."""
    chance = Chance(seed)
    things, radius_px = lay_out(chance, (side_px, side_px))
    if chance.happens(EMPTY_SHARE):
        things = np.zeros_like(things)
    look = stained if chance.happens(STAINED_SHARE) else fluorescence
    return Drawn(look(chance, things, radius_px), things)


def depth(things: Things) -> NDArray[np.float32]:
    """How deep in its nucleus each pixel lies: 0 at the rim, 1 at the deepest; (height, width).

    Each nucleus is measured by itself, so that two that touch are told apart by the valley between them.
    """
    made = np.zeros(things.shape, np.float32)
    boxes = _boxes(things)
    for number, (top, bottom, left, right) in boxes.items():
        own = np.pad((things[top:bottom, left:right] == number).astype(np.uint8), 1)
        inner = cv2.distanceTransform(own, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        part = made[top:bottom, left:right]
        np.maximum(part, inner / inner.max(), out=part)
    return made


def _boxes(things: Things) -> dict[int, tuple[int, int, int, int]]:
    """Return top, bottom, left and right of each nucleus."""
    rows, columns = np.nonzero(things)
    numbers = things[rows, columns]
    order = np.argsort(numbers, kind="stable")
    rows, columns, numbers = rows[order], columns[order], numbers[order]
    found, starts = np.unique(numbers, return_index=True)
    ends = np.append(starts, len(numbers))[1:]
    spans = zip(starts, ends, strict=True)
    return {
        int(number): (
            int(rows[a:b].min()),
            int(rows[a:b].max()) + 1,
            int(columns[a:b].min()),
            int(columns[a:b].max()) + 1,
        )
        for number, (a, b) in zip(found, spans, strict=True)
    }
