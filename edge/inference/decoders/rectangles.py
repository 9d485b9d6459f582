"""Lines of text out of a DBNet: what touches becomes a rectangle, turned as it lies, which grows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.uint8]
Things = NDArray[np.int32]
BITS = 4  # corners are drawn to a sixteenth of a pixel


def rectangles(
    labels: Labels, things: Things, *, grow_ratio: float, side_min_px: float
) -> tuple[Labels, Things]:
    """Put a rectangle in the place of each thing.

    Such a network is trained on lines of text that were shrunk by area x (1 - r^2) / perimeter; growing by
    area x ratio / perimeter brings back what was taken (arXiv 1911.08947, 3.5). The rectangle is the smallest
    that holds the thing, at whatever angle. Larger things are drawn first, so that a smaller one that lies
    within the grown margin of a larger one stays. Takes 30 us for each thing (one thread).

    Args:
        labels: (height, width); 0 is background.
        things: (height, width), numbered from 1 on without gaps; each has one label.
        grow_ratio: See above.
        side_min_px: A thing whose rectangle has a shorter side is none.

    Returns:
        Labels and things, of the same shapes.
    """
    grown, numbered = np.zeros_like(labels), np.zeros_like(things)
    found = []
    for number, box in enumerate(ndimage.find_objects(things), start=1):
        rows, columns = box
        down, right = np.nonzero(things[box] == number)
        points = np.stack([right, down], axis=1).astype(np.int32)
        middle, (width, height), angle = cv2.minAreaRect(points)
        width, height = width + 1, height + 1  # between the outer edges of pixels, not their middles
        if min(width, height) >= side_min_px:
            label = int(labels[rows.start + down[0], columns.start + right[0]])
            at = (middle[0] + columns.start, middle[1] + rows.start)
            found.append((width * height, number, label, at, (width, height), angle))
    for area, number, label, at, (width, height), angle in sorted(found, reverse=True):
        margin = 2 * area * grow_ratio / (2 * (width + height))
        corners = cv2.boxPoints((at, (width + margin - 1, height + margin - 1), angle))
        scaled = np.round(np.asarray(corners) * (1 << BITS)).astype(np.int32)
        cv2.fillConvexPoly(numbered, scaled, number, shift=BITS)
        cv2.fillConvexPoly(grown, scaled, label, shift=BITS)
    return grown, numbered
