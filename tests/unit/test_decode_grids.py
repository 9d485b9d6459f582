"""Boxes that were written as grid detectors write them come back: classes, scores and points, too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from edge.bundles.picture_outputs import Detector
from edge.domain.errors import InferenceError
from edge.inference.decoders.answers import things
from tests.builders import detectors as slow
from tests.builders.detectors import POINTS, Scene, check, part, scenes

STRIDES = (8, 16, 32)
few = settings(max_examples=12)


def joined(tables: list[dict[str, slow.Array]], *blocks: str) -> slow.Array:
    return np.concatenate([np.concatenate([table[name] for name in blocks], axis=1) for table in tables])


@few
@given(scenes())
@pytest.mark.parametrize("form", ["probabilities", "logits"])
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_yolox_in_one_table(layout: str, form: str, scene: Scene) -> None:
    tables = slow.grid_tables(scene, "yolox", strides=STRIDES, objectness=True, is_logit=form == "logits")
    outputs = {"out": slow.laid(joined(tables, "boxes", "objectness", "scores"), layout)}
    said = part(decoder="yolox", tables=["out"], layout=layout, scores_are=form)
    check(things(outputs, said, input_shape_px=scene.shape), scene)


@few
@given(scenes())
def test_yolox_decoded_in_the_graph(scene: Scene) -> None:
    tables = slow.grid_tables(scene, "cxcywh", strides=STRIDES, objectness=True, is_logit=False)
    outputs = {"out": slow.laid(joined(tables, "boxes", "objectness", "scores"), "rows")}
    said = part(decoder="yolox", tables=["out"], decoded=True, scores_are="probabilities")
    check(things(outputs, said, input_shape_px=scene.shape), scene)


@few
@given(scenes())
@pytest.mark.parametrize("layout", ["maps", "maps-last"])
def test_yolox_with_a_map_for_each_stride(layout: str, scene: Scene) -> None:
    tables = slow.grid_tables(scene, "yolox", strides=STRIDES, objectness=True, is_logit=False)
    outputs = {
        f"out{stride}": slow.laid(joined([table], "boxes", "objectness", "scores"), layout, grid)
        for stride, table, grid in zip(STRIDES, tables, slow.grids(scene, STRIDES), strict=True)
    }
    said = part(decoder="yolox", tables=list(outputs), layout=layout, scores_are="probabilities")
    check(things(outputs, said, input_shape_px=scene.shape), scene)


@few
@given(scenes())
def test_yolox_with_outputs_apart_the_mean_of_both_scores_and_points(scene: Scene) -> None:
    tables = slow.grid_tables(scene, "yolox", strides=STRIDES, objectness=False, is_logit=False)
    names = {name: [f"{name}_{stride}" for stride in STRIDES] for name in tables[0]}
    outputs = {
        names[name][level]: slow.laid(table[name], "rows")
        for level, table in enumerate(tables)
        for name in table
    }
    said = part(
        decoder="yolox",
        boxes=names["boxes"],
        objectness=names["objectness"],
        scores=names["scores"],
        point_outputs=names["points"],
        points=POINTS,
        confidence="geometric-mean",
        scores_are="probabilities",
    )
    check(things(outputs, said, input_shape_px=scene.shape), scene, points=True)


@few
@given(scenes())
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("form", ["cxcywh", "xyxy"])
@pytest.mark.parametrize("unit", ["px", "relative"])
def test_yolov8_decoded_with_points_and_coefficients_of_masks(
    unit: str, form: str, layout: str, scene: Scene
) -> None:
    tables = slow.grid_tables(scene, form, strides=STRIDES, objectness=False, is_logit=False)
    table = joined(tables, "boxes", "scores", "points")
    numbers = np.tile(scene.shape[::-1], 4) if unit == "relative" else np.ones(8)
    table[:, :4] /= numbers[:4]
    table[:, -4:] /= numbers[4:]
    table = np.concatenate([table, np.full((len(table), 32), 7, np.float32)], axis=1)
    said = part(
        decoder="yolov8",
        tables=["out"],
        layout=layout,
        form=form,
        unit=unit,
        points=POINTS,
        unread_numbers=32,
        scores_are="probabilities",
    )
    check(things({"out": slow.laid(table, layout)}, said, input_shape_px=scene.shape), scene, points=True)


@few
@given(scenes(side_min_px=20.0))
@pytest.mark.parametrize("form", ["ltrb", "dfl"])
def test_yolov8_raw_with_a_map_for_each_stride_and_points(form: str, scene: Scene) -> None:
    tables = slow.grid_tables(scene, form, strides=STRIDES, objectness=False, is_logit=True)
    outputs = {
        f"out{stride}": slow.laid(joined([table], "boxes", "scores", "points"), "maps", grid)
        for stride, table, grid in zip(STRIDES, tables, slow.grids(scene, STRIDES), strict=True)
    }
    said = part(
        decoder="yolov8", tables=list(outputs), layout="maps", form=form, points=POINTS, scores_are="logits"
    )
    check(things(outputs, said, input_shape_px=scene.shape), scene, points=True)


@few
@given(scenes(side_min_px=20.0))
def test_yolov8_raw_with_boxes_and_scores_apart(scene: Scene) -> None:
    tables = slow.grid_tables(scene, "dfl", strides=STRIDES, objectness=False, is_logit=True)
    outputs = {name: slow.laid(joined(tables, name), "columns") for name in ("boxes", "scores")}
    said = part(decoder="yolov8", boxes=["boxes"], scores=["scores"], form="dfl", scores_are="logits")
    check(things(outputs, said, input_shape_px=scene.shape), scene)


def yolov8(**said: Any) -> Detector:
    return part(decoder="yolov8", tables=["out"], form="ltrb", scores_are="probabilities", **said)


CELLS = 8 * 8 + 4 * 4 + 2 * 2


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "output 'out' is missing, seen none"),
        (
            {"out": np.zeros((1, CELLS, 7), np.float32)},
            r"is float32 \(1, 84, 7\), wanted float \(1, 7, cells\)",
        ),
        ({"out": np.zeros((2, 7, CELLS), np.float32)}, r"wanted float \(1, 7, cells\)"),
        ({"out": np.zeros((1, 7, CELLS), np.int32)}, "is int32 .*, wanted floating-point numbers"),
        ({"out": np.full((1, 7, CELLS), np.nan, np.float32)}, "holds NaN or infinity"),
        ({"out": np.full((1, 7, CELLS), np.inf, np.float32)}, "holds NaN or infinity"),
        ({"out": np.full((1, 7, CELLS), 3, np.float32)}, "holds 3 to 3, wanted probabilities, 0 to 1"),
        (
            {"out": np.ones((1, 7, CELLS - 1), np.float32)},
            "has 83 cells, wanted 84 for an input of 64 x 64 px",
        ),
    ],
)
def test_what_the_manifest_does_not_promise_is_an_error(outputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        things(outputs, yolov8(), input_shape_px=(64, 64))


def test_a_map_of_the_wrong_size_is_an_error() -> None:
    outputs = {name: np.zeros((1, 7, 8, 8), np.float32) for name in ("a", "b", "c")}
    said = part(
        decoder="yolov8", tables=["a", "b", "c"], layout="maps", form="ltrb", scores_are="probabilities"
    )
    with pytest.raises(InferenceError, match=r"output 'b' is .*, wanted float \(1, 7, 4, 4\)"):
        things(outputs, said, input_shape_px=(64, 64))


def test_half_precision_is_read_too() -> None:
    table = np.zeros((1, 7, CELLS), np.float16)
    table[0, :5, 0] = [0.5, 0.5, 1.5, 1.5, 0.75]
    found = things({"out": table}, yolov8(), input_shape_px=(64, 64))
    assert found.boxes.tolist() == [[0, 0, 16, 16]]
    assert found.scores.tolist() == [0.75]


def test_no_candidate_is_an_answer() -> None:
    found = things({"out": np.zeros((1, 7, CELLS), np.float32)}, yolov8(), input_shape_px=(64, 64))
    assert (len(found.boxes), len(found.scores)) == (0, 0)
