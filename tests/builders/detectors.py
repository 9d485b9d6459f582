"""Raw outputs of detectors, written the slow way from boxes that are known: what decoders must undo."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter

from edge.bundles.picture_outputs import DetectionOutput, Detector
from edge.inference.decoders.raw import RawThings

Array = NDArray[np.float32]
CLASSES = [
    {"name": name, "code": {"system": "99EDGE", "value": name, "meaning": name}}
    for name in ("cup", "jar", "pan")
]
POINTS = [{"name": "lid"}, {"name": "foot"}]
LOW = -9.0  # a logit of nothing


@dataclass(frozen=True)
class Thing:
    """A box with its class, score and points, in pixels of the input."""

    box: tuple[float, float, float, float]
    kind: int
    score: float
    points: tuple[tuple[float, float], ...] = ()

    @property
    def middle(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def sides(self) -> tuple[float, float]:
        return self.box[2] - self.box[0], self.box[3] - self.box[1]


@dataclass(frozen=True)
class Scene:
    """Things in an input of some size, the best score first."""

    shape: tuple[int, int]
    things: tuple[Thing, ...]
    seed: int = 0
    noise: Any = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", np.random.default_rng(self.seed))

    @property
    def boxes(self) -> Array:
        return np.array([one.box for one in self.things], np.float32).reshape(-1, 4)

    @property
    def kinds(self) -> list[int]:
        return [one.kind for one in self.things]

    @property
    def scores(self) -> list[float]:
        return [one.score for one in self.things]

    @property
    def points(self) -> Array:
        return np.array([one.points for one in self.things], np.float32).reshape(-1, len(POINTS), 2)


@st.composite
def scenes(draw: st.DrawFn, side_min_px: float = 8.0) -> Scene:
    """Draw up to five things whose middles lie 32 pixels apart, in x or in y.

    So no two share a cell of any grid, and none is the lower neighbour of another on a map of centres.
    """
    shape = draw(st.sampled_from([(64, 96), (96, 64), (128, 160), (160, 96)]))
    height, width = shape
    things: list[Thing] = []
    for score in sorted(draw(st.sets(st.integers(30, 95), max_size=5)), reverse=True):
        w = draw(st.floats(side_min_px, width - 1.0))
        h = draw(st.floats(side_min_px, height - 1.0))
        x, y = draw(st.floats(0, width - w)), draw(st.floats(0, height - h))
        points = tuple((x + draw(st.floats(0, 1)) * w, y + draw(st.floats(0, 1)) * h) for _ in POINTS)
        thing = Thing((x, y, x + w, y + h), draw(st.integers(0, len(CLASSES) - 1)), score / 100, points)
        if all(apart_px(thing, other) >= 32 for other in things):
            things.append(thing)
    return Scene(shape, tuple(things), seed=draw(st.integers(0, 1000)))


def apart_px(one: Thing, other: Thing) -> float:
    """The larger of the distances of two middles in x and in y."""
    return max(abs(a - b) for a, b in zip(one.middle, other.middle, strict=True))


def logit(share: float) -> float:
    return math.log(share / (1 - share))


def grids(scene: Scene, strides: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(math.ceil(scene.shape[0] / s), math.ceil(scene.shape[1] / s)) for s in strides]


def laid(table: Array, layout: str, grid: tuple[int, int] | None = None) -> Array:
    """Bring (cells, numbers) into a layout; maps need to know their grid."""
    if layout == "rows":
        return table[np.newaxis]
    if layout == "columns":
        return np.ascontiguousarray(table.T)[np.newaxis]
    assert grid is not None
    maps = table.reshape(*grid, -1)
    return np.ascontiguousarray(maps if layout == "maps-last" else np.moveaxis(maps, -1, 0))[np.newaxis]


def grid_tables(
    scene: Scene, form: str, *, strides: tuple[int, ...], objectness: bool, is_logit: bool, bins: int = 16
) -> list[dict[str, Array]]:
    """Write box, objectness, class scores and points of each cell, for each grid.

    Forms: `yolox` (relative to cells), `ltrb`, `dfl`, `cxcywh` and `xyxy` (in pixels).
    """
    tables = []
    for rows, columns in grids(scene, strides):
        cells, wide = rows * columns, 4 * bins if form == "dfl" else 4
        nothing = LOW if is_logit else 0.0
        tables.append(
            {
                "boxes": scene.noise.normal(0, 1, (cells, wide)).astype(np.float32),
                "objectness": np.full((cells, 1), nothing, np.float32),
                "scores": np.full((cells, len(CLASSES)), nothing, np.float32),
                "points": scene.noise.normal(0, 1, (cells, 2 * len(POINTS))).astype(np.float32),
            }
        )
    for number, thing in enumerate(scene.things):
        level = number % len(strides) if form != "dfl" else level_that_holds(thing, strides, bins)
        stride, (_, columns) = strides[level], grids(scene, strides)[level]
        column, row = int(thing.middle[0] // stride), int(thing.middle[1] // stride)
        table, place = tables[level], row * columns + column
        table["boxes"][place] = box_numbers(thing, form, column, row, stride, bins)
        score = math.sqrt(thing.score) if objectness else thing.score
        table["scores"][place, thing.kind] = logit(score) if is_logit else score
        table["objectness"][place] = logit(score) if is_logit else score
        table["points"][place] = [
            value for x, y in thing.points for value in point_numbers(x, y, form, column, row, stride)
        ]
    return tables


def level_that_holds(thing: Thing, strides: tuple[int, ...], bins: int) -> int:
    for level, stride in enumerate(strides):
        column, row = thing.middle[0] // stride, thing.middle[1] // stride
        if all(0 <= reach <= bins - 1 for reach in reaches(thing, column, row, stride)):
            return level
    raise AssertionError("no grid can say it")


def reaches(thing: Thing, column: float, row: float, stride: int) -> list[float]:
    x, y = column + 0.5, row + 0.5
    x0, y0, x1, y1 = (side / stride for side in thing.box)
    return [x - x0, y - y0, x1 - x, y1 - y]


def box_numbers(thing: Thing, form: str, column: int, row: int, stride: int, bins: int) -> list[float]:
    (x, y), (w, h) = thing.middle, thing.sides
    if form == "yolox":
        return [x / stride - column, y / stride - row, math.log(w / stride), math.log(h / stride)]
    if form == "cxcywh":
        return [x, y, w, h]
    if form == "xyxy":
        return list(thing.box)
    sides = reaches(thing, column, row, stride)
    return sides if form == "ltrb" else [value for side in sides for value in distribution(side, bins)]


def distribution(reach: float, bins: int) -> list[float]:
    """Logits of a distribution over two bins whose mean is this."""
    values = [-40.0] * bins
    low = min(int(reach), bins - 2)
    values[low] = math.log(max(low + 1 - reach, 1e-12))
    values[low + 1] = math.log(max(reach - low, 1e-12))
    return values


def point_numbers(x: float, y: float, form: str, column: int, row: int, stride: int) -> tuple[float, float]:
    if form in ("cxcywh", "xyxy"):
        return x, y
    if form == "yolox":
        return x / stride - column, y / stride - row
    return (x / stride - column) / 2, (y / stride - row) / 2


def part(**said: Any) -> Detector:
    """A part of a manifest in which no candidate suppresses another, where it is not said."""
    of: TypeAdapter[Detector] = TypeAdapter(DetectionOutput)
    document = {"classes": CLASSES} | ({} if said["decoder"] == "boxes" else {"iou_max": 1}) | said
    return of.validate_json(json.dumps(document))


def check(found: RawThings, scene: Scene, *, points: bool = False, within_px: float = 0.5) -> None:
    """Whether decoded things are those of the scene."""
    assert found.classes.tolist() == scene.kinds
    assert found.scores.tolist() == pytest.approx(scene.scores, abs=2e-3)
    assert np.abs(found.boxes - scene.boxes).max(initial=0) < within_px
    assert np.abs(found.points - scene.points).max(initial=0) < within_px if points else not found.points.size
