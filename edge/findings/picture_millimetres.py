"""What was measured in pixels of a picture, also in millimetres where it is known what a pixel measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.domain.finding import Code, Measurement, Observation
from edge.findings.thermal import AREA

WIDTH = Code("SCT", "103355008", "Width")
HEIGHT = Code("DCM", "121207", "Height")
PIXELS = "{pixel}"

Box = tuple[float, float, float, float]
SpacingOf = Callable[[Box], tuple[float, float] | None]


def in_millimetres(
    observations: Sequence[Observation], *, shape_px: tuple[int, int], spacing_of: SpacingOf
) -> tuple[Observation, ...]:
    """Add width and height of each box, and each area, in millimetres; pixels stay.

    Args:
        observations: About one picture, in its pixels.
        shape_px: (height, width) of the picture.
        spacing_of: Distance between rows, and between columns, within a box (left, top, width, height), or
            None where nothing is known of all of it.
    """
    everything = (0.0, 0.0, float(shape_px[1]), float(shape_px[0]))
    return tuple(_told(one, spacing_of(one.box_px or everything)) for one in observations)


def _told(one: Observation, spacing_mm: tuple[float, float] | None) -> Observation:
    if spacing_mm is None:
        return one
    row_mm, column_mm = spacing_mm
    areas = [
        replace(each, value=each.value * row_mm * column_mm, unit="mm2")
        for each in one.measurements
        if each.code == AREA and each.unit == PIXELS
    ]
    sides = []
    if one.box_px is not None:
        _, _, wide, high = one.box_px
        sides = [Measurement(WIDTH, wide * column_mm, "mm"), Measurement(HEIGHT, high * row_mm, "mm")]
    return replace(one, measurements=(*one.measurements, *sides, *areas))
