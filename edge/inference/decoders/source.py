"""From pixels of a network's input to pixels of the picture: things and points."""

from __future__ import annotations

import numpy as np

from edge.domain.geometry import Geometry
from edge.inference.decoders.raw import Numbers, RawPoints, RawThings


def things_in_source(raw: RawThings, geometry: Geometry) -> RawThings:
    """Carry things to the source and cut their boxes to it; what lies outside of it altogether is dropped.

    Points stay where they are, for a point of a thing may lie outside of the picture.
    """
    boxes = geometry.to_source(raw.boxes.astype(np.float64))
    height, width = geometry.source_shape_px
    boxes = boxes.clip(0, [width, height] * 2)
    kept = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    points = _carried(raw.points.reshape(-1, 2), geometry).reshape(raw.points.shape)
    return RawThings(
        boxes[kept].astype(np.float32), raw.classes[kept], raw.scores[kept], points[kept], raw.rows[kept]
    )


def points_in_source(raw: RawPoints, geometry: Geometry) -> RawPoints:
    """Carry points to the source; one that was found in the border lies outside of it."""
    return RawPoints(_carried(raw.points, geometry), raw.scores.copy())


def _carried(points: Numbers, geometry: Geometry) -> Numbers:
    """Return (n, 2) points in pixels of the source."""
    doubled = np.concatenate([points, points], axis=1).astype(np.float64)
    return geometry.to_source(doubled)[:, :2].astype(np.float32)
