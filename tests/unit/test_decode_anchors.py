"""Boxes that were written relative to anchors, given boxes or centres come back; so do those of the graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from edge.bundles.detection_priors import AnchorsOutput
from edge.domain.errors import InferenceError
from edge.inference.decoders.answers import things
from edge.inference.decoders.priors import priors
from tests.builders.detectors import (
    CLASSES,
    LOW,
    POINTS,
    Array,
    Scene,
    Thing,
    check,
    grids,
    laid,
    logit,
    part,
    scenes,
)

few = settings(max_examples=12)

# ── YOLOv5 and YOLOv3 ──────────────────────────────────────────────────────────────────────────────────────

STRIDES = (8, 16, 32)
ANCHORS = [[[10, 13], [40, 30]], [[30, 61], [80, 60]], [[110, 90], [150, 140]]]


def raw_yolov5(scene: Scene, form: str) -> list[Array]:
    """(anchors, rows, columns, numbers) of each grid."""
    tables = [np.full((2, *grid, 5 + len(CLASSES)), LOW, np.float32) for grid in grids(scene, STRIDES)]
    for thing in scene.things:
        (x, y), (w, h) = thing.middle, thing.sides
        level, which = min(
            ((level, which) for level in range(3) for which in range(2)),
            key=lambda at: misfit(thing, ANCHORS[at[0]][at[1]]),
        )
        stride, anchor = STRIDES[level], ANCHORS[level][which]
        column, row = int(x // stride), int(y // stride)
        score = logit(math.sqrt(thing.score))
        cell = tables[level][which, row, column]
        cell[4], cell[5 + thing.kind] = score, score
        inner = (x / stride - column, y / stride - row)
        if form == "v5":
            cell[:2] = [logit((one + 0.5) / 2) for one in inner]
            cell[2:4] = [logit(math.sqrt(side / one) / 2) for side, one in zip((w, h), anchor, strict=True)]
        else:
            cell[:2] = [logit(min(max(one, 1e-6), 1 - 1e-6)) for one in inner]
            cell[2:4] = [math.log(side / one) for side, one in zip((w, h), anchor, strict=True)]
    return tables


def misfit(thing: Thing, anchor: list[int]) -> float:
    return max(abs(math.log(side / one)) for side, one in zip(thing.sides, anchor, strict=True))


@few
@given(scenes())
@pytest.mark.parametrize("form", ["v5", "v3"])
@pytest.mark.parametrize("layout", ["anchors", "maps", "maps-last", "rows", "columns"])
def test_yolov5_raw(layout: str, form: str, scene: Scene) -> None:
    tables = raw_yolov5(scene, form)
    shaped: Callable[[Array], Array] = {
        "anchors": lambda table: table[np.newaxis],
        "maps": lambda table: np.moveaxis(table, -1, 1).reshape(1, -1, *table.shape[1:3]),
        "maps-last": lambda table: np.moveaxis(table, 0, 2).reshape(1, *table.shape[1:3], -1),
        "rows": lambda table: table.reshape(1, -1, table.shape[-1]),
        "columns": lambda table: table.reshape(-1, table.shape[-1]).T[np.newaxis],
    }[layout]
    outputs = {f"out{level}": shaped(table) for level, table in enumerate(tables)}
    said = part(
        decoder="yolov5",
        tables=list(outputs),
        form=form,
        layout=layout,
        anchors_px=ANCHORS,
        scores_are="logits",
    )
    check(things(outputs, said, input_shape_px=scene.shape), scene)


@few
@given(scenes())
def test_yolov5_raw_in_one_table(scene: Scene) -> None:
    rows = np.concatenate([table.reshape(-1, table.shape[-1]) for table in raw_yolov5(scene, "v5")])
    said = part(decoder="yolov5", tables=["out"], form="v5", anchors_px=ANCHORS, scores_are="logits")
    check(things({"out": rows[np.newaxis]}, said, input_shape_px=scene.shape), scene)


@few
@given(scenes())
@pytest.mark.parametrize("unit", ["px", "relative"])
def test_yolov5_decoded_with_points(unit: str, scene: Scene) -> None:
    table = np.zeros((40, 5 + len(CLASSES) + 6), np.float32)
    side = np.array(scene.shape[::-1] if unit == "relative" else (1, 1))
    for row, thing in zip(table[::-3], scene.things, strict=False):
        row[:4] = [*(thing.middle / side), *(thing.sides / side)]
        row[4] = row[5 + thing.kind] = math.sqrt(thing.score)
        row[-6:] = [value for point in thing.points for value in (*(point / side), 0.5)]
    said = part(
        decoder="yolov5",
        tables=["out"],
        unit=unit,
        points=POINTS,
        point_numbers=3,
        scores_are="probabilities",
    )
    check(things({"out": table[np.newaxis]}, said, input_shape_px=scene.shape), scene, points=True)


# ── given boxes ────────────────────────────────────────────────────────────────────────────────────────────

LEVELS = [
    {"stride_px": 16, "sizes_px": [20, 40], "aspect_ratios": [0.5, 1, 2]},
    {"stride_px": 32, "shapes_px": [[60, 60], [90, 50]]},
]


def slow_priors(shape: tuple[int, int], offset: float, *, ratios_first: bool = True) -> Array:
    """Given boxes, one by one: cx, cy, w, h."""
    listed = []
    for level in LEVELS:
        stride: Any = level["stride_px"]
        sizes: Any = level.get("sizes_px", [])
        ratios: Any = level.get("aspect_ratios", [])
        pairs = (
            [(size, ratio) for ratio in ratios for size in sizes]
            if ratios_first
            else [(size, ratio) for size in sizes for ratio in ratios]
        )
        sides: Any = level.get("shapes_px") or [(s / math.sqrt(r), s * math.sqrt(r)) for s, r in pairs]
        for row in range(math.ceil(shape[0] / stride)):
            for column in range(math.ceil(shape[1] / stride)):
                listed += [((column + offset) * stride, (row + offset) * stride, w, h) for w, h in sides]
    return np.array(listed, np.float32)


def anchors(**said: Any) -> AnchorsOutput:
    document: dict[str, Any] = {"boxes": ["boxes"], "scores": ["scores"], "levels": LEVELS} | said
    made = part(decoder="anchors", **document)
    assert isinstance(made, AnchorsOutput)
    return made


@pytest.mark.parametrize("shape", [(64, 96), (70, 50)])
@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize("ratios_first", [True, False])
def test_given_boxes_stand_where_a_slow_loop_puts_them(
    ratios_first: bool, offset: float, shape: tuple[int, int]
) -> None:
    said = anchors(cell_offset=offset, ratios_first=ratios_first, scores_are="sigmoid")
    assert priors(said, shape) == pytest.approx(slow_priors(shape, offset, ratios_first=ratios_first))


def test_torchvision_rounds_half_sides_to_even() -> None:
    levels = [{"stride_px": 32, "sizes_px": [21, 23], "aspect_ratios": [1]}]
    said = anchors(levels=levels, cell_offset=0, rounded=True, scores_are="sigmoid")
    assert priors(said, (32, 32)).tolist() == [[0, 0, 20, 20], [0, 0, 24, 24]]  # 10.5 to 10, 11.5 to 12


def test_given_boxes_are_clamped_to_the_input_and_may_be_listed() -> None:
    levels: list[dict[str, Any]] = [{"stride_px": 64, "shapes_px": [[100, 20]]}]
    levels += [{"stride_px": [30, 64], "cells": [2, 1], "shapes_px": [[9, 80]]}]
    clamped = anchors(levels=levels, clamped="all", cell_offset=1, scores_are="sigmoid")
    sides = anchors(levels=levels, clamped="sides", cell_offset=1.0, scores_are="sigmoid")
    listed = anchors(levels=[], priors_px=[[1, 2, 3, 4]], scores_are="sigmoid")
    assert priors(clamped, (50, 50)).tolist() == [[50, 50, 50, 20], [50, 30, 9, 50], [50, 50, 9, 50]]
    assert priors(sides, (50, 50)).tolist() == [[64, 64, 50, 20], [64, 30, 9, 50], [64, 60, 9, 50]]
    assert priors(listed, (64, 64)).tolist() == [[1, 2, 3, 4]]


def deltas(given: Array, thing: Thing, coding: str, variances: tuple[float, float]) -> list[float]:
    cx, cy, w, h = map(float, given)
    x0, y0, x1, y1 = thing.box
    first, second = variances
    if coding == "ltrb":
        return [(cx - x0) / w / first, (cy - y0) / h / first, (x1 - cx) / w / first, (y1 - cy) / h / first]
    grown = [thing.sides[0] / w, thing.sides[1] / h]
    shift = [(thing.middle[0] - cx) / w / first, (thing.middle[1] - cy) / h / first]
    return [*shift, *(one / second if coding.endswith("linear") else math.log(one) / second for one in grown)]


def written(
    scene: Scene,
    given: Array,
    *,
    coding: str,
    variances: tuple[float, float],
    width: int,
    first: int,
    low: float,
) -> tuple[Array, Array, Array]:
    """Deltas, points and scores of all given boxes."""
    boxes = scene.noise.normal(0, 1, (len(given), 4)).astype(np.float32)
    points = scene.noise.normal(0, 1, (len(given), 4)).astype(np.float32)
    scores = np.full((len(given), width), low, np.float32)
    taken: set[int] = set()
    for thing in scene.things:
        order = np.argsort(np.abs(given[:, :2] - thing.middle).sum(axis=1), kind="stable")
        place = int(next(one for one in order if int(one) not in taken))
        taken.add(place)
        boxes[place] = deltas(given[place], thing, coding, variances)
        corner, sides = given[place, :2], given[place, 2:]
        points[place] = np.concatenate(
            [(np.array(one) - corner) / sides / variances[0] for one in thing.points]
        )
        scores[place, first + thing.kind] = thing.score
    return boxes, points, scores


@few
@given(scenes())
@pytest.mark.parametrize("coding", ["centre-size", "centre-size-linear", "ltrb"])
@pytest.mark.parametrize("axes", ["xy", "yx"])
def test_given_boxes_with_points_behind_their_deltas(axes: str, coding: str, scene: Scene) -> None:
    made = slow_priors(scene.shape, 0.5)
    boxes, points, scores = written(
        scene, made, coding=coding, variances=(0.1, 0.2), width=3, first=0, low=0.0
    )
    swap = [1, 0, 3, 2] if axes == "yx" else [0, 1, 2, 3]
    outputs = {
        "boxes": np.hstack([boxes[:, swap], points[:, swap]])[np.newaxis],
        "scores": scores[np.newaxis],
    }
    said = anchors(coding=coding, axes=axes, points=POINTS, scores_are="probabilities")
    check(things(outputs, said, input_shape_px=scene.shape), scene, points=True)


@few
@given(scenes())
@pytest.mark.parametrize("background", ["first", "last"])
def test_ssd_with_softmax_and_background(background: str, scene: Scene) -> None:
    made, first = slow_priors(scene.shape, 0.5), int(background == "first")
    boxes, _, scores = written(
        scene, made, coding="centre-size", variances=(0.1, 0.2), width=4, first=first, low=1e-6
    )
    empty = 0 if first else 3
    scores[:, empty] = 1 - scores.sum(axis=1)
    logits = np.log(scores.clip(1e-7, 1)) + 5  # whatever is added
    said = anchors(scores_are="softmax", background=background)
    outputs = {"boxes": boxes[np.newaxis], "scores": logits[np.newaxis]}
    check(things(outputs, said, input_shape_px=scene.shape), scene)


@few
@given(scenes())
@pytest.mark.parametrize("layout", ["rows", "maps", "maps-last"])
def test_retinanet_with_an_output_for_each_level_and_points_apart(layout: str, scene: Scene) -> None:
    made = slow_priors(scene.shape, 0.0)
    boxes, points, scores = written(
        scene, made, coding="centre-size", variances=(1, 1), width=3, first=0, low=0.01
    )
    logits = np.log(scores / (1 - scores))
    (rows, columns), (fewer, narrower) = grids(scene, (16, 32))
    split = rows * columns * 6
    outputs: dict[str, Array] = {}
    for name, table in (("b", boxes), ("s", logits), ("p", points)):
        for level, piece, grid in (
            (0, table[:split], (rows, columns)),
            (1, table[split:], (fewer, narrower)),
        ):
            wide = piece if layout == "rows" else piece.reshape(math.prod(grid), -1)
            outputs[f"{name}{level}"] = laid(wide, layout, grid)
    said = anchors(
        boxes=["b0", "b1"],
        scores=["s0", "s1"],
        point_outputs=["p0", "p1"],
        points=POINTS,
        layout=layout,
        cell_offset=0,
        variances=[1, 1],
        scores_are="sigmoid",
    )
    check(things(outputs, said, input_shape_px=scene.shape), scene, points=True)


def test_as_many_rows_as_given_boxes() -> None:
    outputs = {"boxes": np.zeros((1, 9, 4), np.float32), "scores": np.zeros((1, 9, 3), np.float32)}
    with pytest.raises(
        InferenceError, match="output 'boxes' has 9 rows, wanted 156, as there are given boxes"
    ):
        things(outputs, anchors(scores_are="sigmoid"), input_shape_px=(64, 96))


# ── centres ────────────────────────────────────────────────────────────────────────────────────────────────


def centre_maps(scene: Scene, *, axes: str, log: bool, middle: float, box: bool) -> dict[str, Array]:
    rows, columns = scene.shape[0] // 4, scene.shape[1] // 4
    maps = {
        "heat": np.full((1, 3, rows, columns), 0.01, np.float32),
        "size": np.zeros((1, 2, rows, columns), np.float32),
        "offset": np.zeros((1, 2, rows, columns), np.float32),
        "points": np.zeros((1, 4, rows, columns), np.float32),
    }
    turn = slice(None, None, -1 if axes == "yx" else 1)
    for thing in scene.things:
        (x, y), (w, h) = thing.middle, thing.sides
        column, row = int(x // 4), int(y // 4)
        maps["heat"][0, thing.kind, row, column] = thing.score
        sizes = [w / 4, h / 4][turn]
        maps["size"][0, :, row, column] = np.log(sizes) if log else sizes
        maps["offset"][0, :, row, column] = [x / 4 - column - middle, y / 4 - row - middle][turn]
        start, unit = (thing.box[:2], thing.sides) if box else ((4 * column, 4 * row), (4, 4))
        values = [(np.array(point) - start) / unit for point in thing.points]
        maps["points"][0, :, row, column] = np.concatenate([value[turn] for value in values])
    return maps


@few
@given(scenes())
@pytest.mark.parametrize(
    ("axes", "size_form", "offset", "points_from", "peak"),
    [("xy", "linear", 0.0, "centre", 3), ("yx", "log", 0.5, "box", 1)],
    ids=["CenterNet", "CenterFace"],
)
def test_centres(axes: str, size_form: str, offset: float, points_from: str, peak: int, scene: Scene) -> None:
    outputs = centre_maps(scene, axes=axes, log=size_form == "log", middle=offset, box=points_from == "box")
    said = part(
        decoder="centres",
        heat="heat",
        size="size",
        offset="offset",
        point_output="points",
        points=POINTS,
        axes=axes,
        size_form=size_form,
        cell_offset=offset,
        points_from=points_from,
        peak_cells=peak,
        scores_are="probabilities",
    )
    check(things(outputs, said, input_shape_px=scene.shape), scene, points=True)


def test_only_the_highest_of_its_neighbours_is_a_centre() -> None:
    heat = np.full((1, 3, 16, 16), -9, np.float32)
    heat[0, 0, 4:7, 4:7] = [[0, 1, 0], [1, 2, 1], [0, 1, 0]]
    heat[0, 1, 0, 0] = 1.0
    outputs = {"heat": heat, "size": np.full((1, 2, 16, 16), 20, np.float32)}
    said = part(
        decoder="centres", heat="heat", size="size", scores_are="logits", size_unit="px", cell_offset=0.5
    )
    found = things(outputs, said, input_shape_px=(64, 64))
    assert found.boxes.tolist() == [[12, 12, 32, 32], [-8, -8, 12, 12]]
    assert found.classes.tolist() == [0, 1]


# ── boxes of the graph ─────────────────────────────────────────────────────────────────────────────────────


def ordered(box: tuple[float, ...], order: str) -> list[float]:
    x0, y0, x1, y1 = box
    return {
        "xyxy": [x0, y0, x1, y1],
        "yxyx": [y0, x0, y1, x1],
        "xywh": [x0, y0, x1 - x0, y1 - y0],
        "cxcywh": [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0],
    }[order]


def shares(scene: Scene, unit: str, order: str) -> Array:
    side = np.array(scene.shape[::-1] if unit == "relative" else (1, 1))
    rows = [
        ordered(thing.box, order) / np.tile(side[::-1] if order == "yxyx" else side, 2)
        for thing in scene.things
    ]
    return np.array(rows, np.float32).reshape(-1, 4)


@few
@given(scenes())
@pytest.mark.parametrize("order", ["xyxy", "yxyx", "xywh", "cxcywh"])
@pytest.mark.parametrize("unit", ["px", "relative"])
def test_boxes_that_the_graph_has_chosen(unit: str, order: str, scene: Scene) -> None:
    side = np.array(scene.shape[::-1] if unit == "relative" else (1, 1))
    filler = 3
    outputs = {
        "boxes": np.concatenate([shares(scene, unit, order), np.ones((filler, 4), np.float32)])[np.newaxis],
        "scores": np.array([[*scene.scores, *[0.9] * filler]], np.float32),
        "labels": np.array([[*(kind + 1 for kind in scene.kinds), *[-1] * filler]], np.int64),
        "points": np.concatenate([scene.points / side, np.ones((filler, 2, 2))])[np.newaxis].astype(
            np.float32
        ),
        "count": np.array([len(scene.things)], np.int32),
    }
    said = part(
        decoder="boxes",
        boxes="boxes",
        scores="scores",
        labels="labels",
        point_output="points",
        points=POINTS,
        count="count",
        order=order,
        unit=unit,
        first_label=1,
    )
    check(things(outputs, said, input_shape_px=scene.shape), scene, points=True)


@few
@given(scenes())
@pytest.mark.parametrize(
    ("columns", "order"),
    [
        (["batch", "x0", "y0", "x1", "y1", "class", "score"], "xyxy"),
        (["class", "score", "x0", "y0", "w", "h"], "xywh"),
        (["unread", "cx", "cy", "w", "h", "score", "class"], "cxcywh"),
    ],
)
def test_a_table_of_things(columns: list[str], order: str, scene: Scene) -> None:
    corner = {"xyxy": ["x0", "y0", "x1", "y1"], "xywh": ["x0", "y0", "w", "h"]}
    names = corner.get(order, ["cx", "cy", "w", "h"])
    table = np.zeros((len(scene.things) + 2, len(columns)), np.float32)
    for row, box, thing in zip(table, shares(scene, "px", order), scene.things, strict=False):
        said = dict(zip(names, box, strict=True)) | {"score": thing.score, "class": thing.kind}
        row[:] = [said.get(name, 0) for name in columns]
    made = part(decoder="boxes", table="out", columns=columns)
    check(
        things({"out": table[scene.noise.permutation(len(table))]}, made, input_shape_px=scene.shape), scene
    )


@few
@given(scenes())
@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
def test_candidates_as_detr_gives_them(form: str, scene: Scene) -> None:
    count = len(scene.things)
    scores = np.full((9, 4 if form == "softmax" else 3), 1e-5)
    scores[np.arange(count), scene.kinds] = scene.scores
    if_softmax = scores.copy()
    if_softmax[:, -1] = 1 - scores[:, :-1].sum(axis=1)
    logits = np.log(if_softmax) if form == "softmax" else np.log(scores / (1 - scores))
    boxes = np.full((9, 4), 0.5)
    boxes[:count] = shares(scene, "relative", "cxcywh")
    outputs = {"boxes": boxes[np.newaxis].astype(np.float32), "scores": logits[np.newaxis].astype(np.float32)}
    said = part(
        decoder="candidates",
        boxes="boxes",
        scores="scores",
        order="cxcywh",
        unit="relative",
        scores_are=form,
        background={"softmax": "last", "sigmoid": "none"}[form],
    )
    check(things(outputs, said, input_shape_px=scene.shape), scene)


def three(**changed: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "boxes": np.array([[0, 0, 9, 9]] * 2, np.float32),
        "scores": np.array([0.9, 0.8], np.float32),
        "labels": np.array([0, 2]),
        "count": np.array([2]),
    }
    return whole | changed


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (three(labels=np.array([0, 3])), "output 'labels' names class 3, wanted 0 to 2"),
        (three(labels=np.array([-1, 0])), "output 'labels' names class -1, wanted 0 to 2"),
        (three(labels=np.array([0.5, 0])), "output 'labels' names class 0.5, wanted 0 to 2"),
        (three(labels=np.array([0])), r"output 'labels' is int64 \(1,\), wanted \(2,\) or \(1, 2\)"),
        (three(labels=np.array(["a", "b"])), "output 'labels' is <U1 .*, wanted numbers"),
        (
            three(scores=np.array([2.0, 0.8], np.float32)),
            "output 'scores' holds 0.8 to 2, wanted probabilities",
        ),
        (three(boxes=np.zeros((2, 5), np.float32)), r"output 'boxes' is .* wanted float \(things, 4\)"),
        (three(count=np.array([3])), "output 'count' says 3, wanted 0 to 2"),
        (three(count=np.array([1, 1])), "output 'count' is .*, wanted one number"),
    ],
)
def test_wrong_boxes_of_a_graph_are_errors(outputs: dict[str, Any], message: str) -> None:
    said = part(decoder="boxes", boxes="boxes", scores="scores", labels="labels", count="count")
    with pytest.raises(InferenceError, match=message):
        things(outputs, said, input_shape_px=(32, 32))


def test_a_label_that_there_is_not_does_not_matter_where_nothing_was_found() -> None:
    outputs = three(labels=np.array([0, 99]), scores=np.array([0.9, 0.01], np.float32))
    said = part(decoder="boxes", boxes="boxes", scores="scores", labels="labels")
    assert things(outputs, said, input_shape_px=(32, 32)).classes.tolist() == [0]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"decoder": "yolox", "scores_are": "logits"}, "give either `tables` or `boxes`"),
        (
            {"decoder": "yolox", "tables": ["a", "b"], "scores_are": "logits"},
            "one for each of 3 strides, seen 2",
        ),
        ({"decoder": "yolov8", "boxes": ["a"], "scores_are": "logits"}, "there are 1 outputs of boxes"),
        (
            {"decoder": "yolov5", "tables": ["a"], "form": "v5", "scores_are": "logits"},
            "wanted some for each of 3",
        ),
        (
            {"decoder": "anchors", "boxes": ["a"], "scores": ["b"], "scores_are": "sigmoid"},
            "`levels` or `priors_px`",
        ),
        (
            {"decoder": "boxes", "table": "a", "columns": ["x0", "y0", "x1", "h", "score"]},
            "columns: wanted score",
        ),
        ({"decoder": "boxes", "boxes": "a", "scores": "b"}, "several classes need `labels`"),
        ({"decoder": "boxes", "table": "a", "boxes": "b", "scores": "c"}, "give either `table`"),
    ],
)
def test_parts_that_say_too_little_or_too_much_are_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        part(**said)
