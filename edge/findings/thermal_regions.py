"""Numbers of the regions of a thermogram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edge.findings.thermal_policy import Region, Statistic

_PERCENTILES: Mapping[Statistic, float] = {"p5": 0.05, "p50": 0.50, "p95": 0.95}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionNumbers:
    """What is known of one region.

    Attributes:
        celsius: Each statistic; empty where no pixel has a number.
        saturated_fraction: Of its pixels, those without a number, 0 to 1.
        pixels: How many it has.
    """

    celsius: Mapping[Statistic, float]
    saturated_fraction: float
    pixels: int


@lru_cache(maxsize=256)
def mask(region: Region, shape_px: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels have their centre within a region, (height, width), read-only."""
    height, width = shape_px
    x = (np.arange(width) + 0.5) / width
    y = ((np.arange(height) + 0.5) / height)[:, None]
    inside = np.zeros(shape_px, bool)
    corners = region.outline
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if y0 == y1:
            continue  # a ray along this side crosses it nowhere
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    inside.flags.writeable = False
    return inside


def measure(celsius: NDArray[np.float32], region: Region) -> RegionNumbers:
    """Return the numbers of one region.

    Args:
        celsius: (height, width); NaN counts as saturated.
        region: Which part.

    Returns:
        Maximum, mean, and the 5th, 50th and 95th percentile: the number that this share of the pixels does
        not exceed (nearest rank).
    """
    height, width = celsius.shape
    values = np.sort(celsius[mask(region, (height, width))])  # 0.7 ms for 640 × 480, np.partition 8; NaN last
    known = values[: values.size - int(np.count_nonzero(np.isnan(values)))]
    if not known.size:
        return RegionNumbers(celsius={}, saturated_fraction=1.0, pixels=values.size)
    ranks = {name: max(0, int(np.ceil(share * known.size)) - 1) for name, share in _PERCENTILES.items()}
    numbers: dict[Statistic, float] = {
        "maximum": float(known[-1]),
        "mean": float(known.mean(dtype=np.float64)),
        **{name: float(known[rank]) for name, rank in ranks.items()},
    }
    return RegionNumbers(celsius=numbers, saturated_fraction=1 - known.size / values.size, pixels=values.size)
