"""Hot spots of a thermogram: connected pixels, found where it is hot, followed to where it is still warm."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class HotSpot:
    """One connected hot part of the picture.

    Attributes:
        box_px: Left, top, width, height.
        centre_px: x and y of the centre of its area.
        peak_px: x and y of its hottest pixel.
        peak_celsius: The temperature there.
        mean_celsius: Over its area.
        area_px: How many pixels it has.
    """

    box_px: tuple[float, float, float, float]
    centre_px: tuple[float, float]
    peak_px: tuple[int, int]
    peak_celsius: float
    mean_celsius: float
    area_px: int


def hot_spots(
    celsius: NDArray[np.float32],
    *,
    enter_celsius: float,
    stay_celsius: float,
    area_min_px: int = 1,
    within: NDArray[np.bool_] | None = None,
) -> tuple[HotSpot, ...]:
    """Find connected pixels of at least `stay_celsius`, one of which has at least `enter_celsius`.

    Args:
        celsius: (height, width); NaN belongs to no spot.
        enter_celsius: What makes a spot.
        stay_celsius: How far it reaches; at most `enter_celsius`.
        area_min_px: Smaller ones are passed over.
        within: (height, width) where to look; None for everywhere.

    Returns:
        The hottest first. Pixels that touch at a corner are connected.
    """
    warm = celsius >= stay_celsius
    if within is not None:
        warm &= within
    found = cv2.connectedComponentsWithStats(warm.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    labels, stats = np.asarray(found[1], np.int32), np.asarray(found[2], np.int32)
    centres = np.asarray(found[3], np.float64)
    is_hot = warm & (celsius >= enter_celsius)
    seeds, places = np.unique(labels[is_hot], return_inverse=True)
    peaks = np.full(seeds.size, -np.inf, np.float32)
    np.maximum.at(peaks, places, celsius[is_hot])
    order = [
        at for at in np.argsort(-peaks, kind="stable") if stats[seeds[at], cv2.CC_STAT_AREA] >= area_min_px
    ]
    return tuple(_spot(celsius, labels, int(seeds[at]), stats, centres) for at in order)


def _spot(
    celsius: NDArray[np.float32],
    labels: NDArray[np.int32],
    label: int,
    stats: NDArray[np.int32],
    centres: NDArray[np.float64],
) -> HotSpot:
    left, top, width, height, area_px = (int(number) for number in stats[label])
    part = np.s_[top : top + height, left : left + width]
    inside = labels[part] == label
    values = np.where(inside, celsius[part], -np.inf)
    row, column = divmod(int(values.argmax()), width)
    return HotSpot(
        box_px=(float(left), float(top), float(width), float(height)),
        centre_px=(float(centres[label, 0]), float(centres[label, 1])),
        peak_px=(left + column, top + row),
        peak_celsius=float(values[row, column]),
        mean_celsius=float(celsius[part][inside].mean(dtype=np.float64)),
        area_px=area_px,
    )
