"""Points, quantities and vectors come back from what a graph makes of them, and things to the source."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter

from edge.bundles.picture_outputs import KeypointsOutput, LinearOutput, VectorOutput
from edge.domain.answer import Detections, Embedding, Estimates, Keypoints
from edge.domain.errors import InferenceError
from edge.domain.geometry import Geometry
from edge.inference.decoders.answers import PointsPart, answer, points
from edge.inference.decoders.raw import RawThings
from edge.inference.decoders.source import things_in_source
from edge.preprocess.pictures import letterbox, stretch
from tests.builders.detectors import part

SHAPE = (96, 128)
COUNT = 3
inside = st.lists(
    st.tuples(st.floats(8, SHAPE[1] - 8), st.floats(8, SHAPE[0] - 8)), min_size=COUNT, max_size=COUNT
)
few = settings(max_examples=20)


def said(**document: Any) -> PointsPart:
    of: TypeAdapter[PointsPart] = TypeAdapter(KeypointsOutput)
    names = [{"name": name} for name in ("eye", "ear", "chin")]
    return of.validate_json(json.dumps({"points": names} | document))


def bell(length: int, middle: float, width: float = 1.5) -> NDArray[np.float64]:
    return np.asarray(np.exp(-((np.arange(length) - middle) ** 2) / (2 * width**2)))


@few
@given(inside)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("refine", "within_cells"), [("none", 0.51), ("quarter", 0.26), ("parabola", 0.06)])
def test_heatmaps(refine: str, within_cells: float, layout: str, wanted: list[tuple[float, float]]) -> None:
    maps = np.array([np.outer(bell(24, y / 4 - 0.5), bell(32, x / 4 - 0.5)) for x, y in wanted], np.float32)[
        np.newaxis
    ]
    maps = maps if layout == "NCHW" else np.moveaxis(maps, 1, -1)
    made = said(decoder="heatmaps", name="out", layout=layout, refine=refine)
    found = points({"out": maps}, made, input_shape_px=SHAPE)
    assert np.abs(found.points - wanted).max() < 4 * within_cells
    assert found.scores.min() > 0.8


def test_the_score_of_a_heatmap_is_its_sigmoid_or_its_share() -> None:
    maps = np.full((1, 3, 24, 32), -9, np.float32)
    maps[0, :, 5, 5] = 9
    for activation, least in (("sigmoid", 0.9998), ("softmax", 0.9999), ("none", 1.0)):
        made = said(decoder="heatmaps", name="out", activation=activation, refine="none")
        assert points({"out": maps}, made, input_shape_px=SHAPE).scores.min() >= least


def test_a_flat_map_is_no_reason_to_divide_by_zero() -> None:
    made = said(decoder="heatmaps", name="out")
    found = points({"out": np.zeros((1, 3, 24, 32), np.float32)}, made, input_shape_px=SHAPE)
    assert found.points.tolist() == [[2, 2]] * 3
    assert found.scores.tolist() == [0, 0, 0]


@few
@given(inside)
@pytest.mark.parametrize("unit", ["px", "relative", "signed"])
@pytest.mark.parametrize("flat", [True, False])
def test_coordinates(flat: bool, unit: str, wanted: list[tuple[float, float]]) -> None:
    sides = np.array(SHAPE[::-1])
    given_in = {"px": np.array(wanted), "relative": np.array(wanted) / sides}
    values = given_in.get(unit, 2 * np.array(wanted) / sides - 1)
    table = np.stack([values[:, 1], np.full(COUNT, 7.0), values[:, 0], np.full(COUNT, 0.75)], axis=1)
    made = said(decoder="coordinates", name="out", numbers=["y", "unread", "x", "score"], unit=unit)
    outputs = {"out": table.reshape((1, -1) if flat else (1, 1, COUNT, 4)).astype(np.float32)}
    found = points(outputs, made, input_shape_px=SHAPE)
    assert np.abs(found.points - wanted).max() < 1e-3
    assert found.scores.tolist() == [0.75] * COUNT


@few
@given(inside)
@pytest.mark.parametrize("activation", ["none", "softmax"])
def test_simcc(activation: str, wanted: list[tuple[float, float]]) -> None:
    x = np.array([bell(256, 2 * (one - 0.5)) for one, _ in wanted], np.float32)
    y = np.array([0.5 * bell(192, 2 * (one - 0.5)) for _, one in wanted], np.float32)
    made = said(decoder="simcc", columns="x", rows="y", activation=activation)
    found = points({"x": x[np.newaxis], "y": y[np.newaxis]}, made, input_shape_px=SHAPE)
    assert np.abs(found.points - wanted).max() <= 0.26
    assert found.scores.max() <= 0.5


@pytest.mark.parametrize(
    ("document", "outputs", "message"),
    [
        ({"decoder": "heatmaps"}, np.zeros((1, 3, 32, 24)), r"wanted float \(1, 3, 24, 32\)"),
        ({"decoder": "heatmaps"}, np.full((1, 3, 24, 32), np.nan), "holds NaN or infinity"),
        ({"decoder": "coordinates", "unit": "px"}, np.zeros((1, 7)), r"wanted float \(1, 3, 2\)"),
        ({"decoder": "coordinates", "unit": "px"}, np.zeros((1, 6), np.int64), "wanted floating-point"),
    ],
)
def test_other_points_than_promised_are_an_error(
    document: dict[str, Any], outputs: Any, message: str
) -> None:
    with pytest.raises(InferenceError, match=f"output 'out' .*{message}"):
        points({"out": outputs}, said(name="out", **document), input_shape_px=SHAPE)


# ── numbers ────────────────────────────────────────────────────────────────────────────────────────────────

HERE = Geometry(
    source_shape_px=(48, 64), input_shape_px=(96, 128), top_px=0, left_px=0, height_px=96, width_px=128
)


def linear() -> LinearOutput:
    code = {"system": "99EDGE", "value": "x", "meaning": "x"}
    shared = {"code": code, "unit": "mm", "value_min": 0, "value_max": 10}
    quantities = [{"name": "width", "scale": 2, "offset": 1, **shared}, {"name": "depth", **shared}]
    return LinearOutput.model_validate_json(
        json.dumps({"decoder": "linear", "name": "out", "quantities": quantities})
    )


def test_a_quantity_out_of_its_range_is_not_known() -> None:
    found = answer({"out": np.array([[3, 11]], np.float32)}, linear(), geometry=HERE)
    assert isinstance(found, Estimates)
    assert (found.names, found.units) == (("width", "depth"), ("mm", "mm"))
    assert found.values.tolist() == [[7, pytest.approx(np.nan, nan_ok=True)]]


def test_another_number_of_quantities_is_an_error() -> None:
    with pytest.raises(InferenceError, match=r"output 'out' is float32 \(1, 3\), wanted float \(1, 2\)"):
        answer({"out": np.zeros((1, 3), np.float32)}, linear(), geometry=HERE)


def vector(**document: Any) -> VectorOutput:
    return VectorOutput(decoder="vector", name="out", features=2, **document)


@pytest.mark.parametrize(
    ("layout", "shape"), [("NC", (1, 2)), ("NC", (2,)), ("NC", (1, 2, 1, 1)), ("NCHW", (1, 2, 3, 4))]
)
def test_a_vector_is_brought_to_length_one(layout: str, shape: tuple[int, ...]) -> None:
    values = np.broadcast_to(
        np.array([3, 4], np.float32).reshape([2 if side == 2 else 1 for side in shape]), shape
    )
    found = answer({"out": values}, vector(layout=layout), geometry=HERE)
    as_is = answer({"out": values}, vector(layout=layout, normalize=False), geometry=HERE)
    assert isinstance(found, Embedding)
    assert isinstance(as_is, Embedding)
    assert found.vector == pytest.approx([0.6, 0.8])
    assert as_is.vector == pytest.approx([3, 4])


@pytest.mark.parametrize(
    ("array", "message"),
    [(np.zeros((1, 3)), r"wanted float \(1, 2\)"), (np.zeros((1, 2)), "all zero, wanted a vector")],
)
def test_a_vector_that_is_none_is_an_error(array: NDArray[np.float64], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        answer({"out": array}, vector(), geometry=HERE)


# ── to the source ──────────────────────────────────────────────────────────────────────────────────────────

shapes = st.tuples(st.integers(20, 300), st.integers(20, 300))
boxes = st.lists(
    st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.05, 1), st.floats(0.05, 1)), max_size=5
)


@settings(max_examples=60)
@given(source=shapes, size=shapes, shares=boxes)
@pytest.mark.parametrize("place", [letterbox, stretch])
def test_boxes_and_points_return_to_the_source(
    place: Any, source: tuple[int, int], size: tuple[int, int], shares: list[tuple[float, ...]]
) -> None:
    geometry: Geometry = place(source, input_shape_px=size)
    height, width = source
    wanted = np.array(
        [(x * width, y * height, min(x + w, 1) * width, min(y + h, 1) * height) for x, y, w, h in shares]
    ).reshape(-1, 4)
    seen = geometry.to_input(wanted).astype(np.float32)
    count = len(seen)
    raw = RawThings(
        seen,
        np.zeros(count, np.int64),
        np.ones(count, np.float32),
        seen.reshape(count, 2, 2).copy(),
        np.arange(count),
    )
    found = things_in_source(raw, geometry)
    assert np.abs(found.boxes - wanted).max(initial=0) < 0.01
    assert np.abs(found.points.reshape(-1, 4) - wanted).max(initial=0) < 0.01


def test_boxes_are_cut_to_the_picture_and_those_in_the_border_are_dropped() -> None:
    geometry = letterbox((50, 100), input_shape_px=(100, 100))
    raw = RawThings(
        np.array([[-9, 20, 50, 60], [10, 2, 90, 20]], np.float32),
        np.array([0, 1]),
        np.array([0.9, 0.8], np.float32),
        np.empty((2, 0, 2), np.float32),
        np.arange(2),
    )
    found = things_in_source(raw, geometry)
    assert found.boxes.tolist() == [[0, 0, 50, 35]]
    assert found.classes.tolist() == [0]


def test_answers_name_what_they_found() -> None:
    table = np.zeros((1, 7, 252), np.float32)
    table[0, :5, 0] = [20, 20, 20, 20, 0.8]
    detector = part(decoder="yolov8", tables=["out"], scores_are="probabilities")
    found = answer({"out": table}, detector, geometry=HERE)
    assert isinstance(found, Detections)
    assert (found.names[found.classes[0]], found.boxes_px.tolist()) == ("cup", [[5, 5, 15, 15]])
    numbers = said(decoder="coordinates", name="out", numbers=["x", "y", "score"], unit="px", score_min=0.5)
    marks = answer(
        {"out": np.array([[[8, 6, 0.9], [2, 2, 0.6], [4, 4, 0.1]]], np.float32)}, numbers, geometry=HERE
    )
    assert isinstance(marks, Keypoints)
    assert marks.points_px.tolist() == [[4, 3], [1, 1], [2, 2]]
    assert marks.scores == pytest.approx([0.9, 0.6, 0])
