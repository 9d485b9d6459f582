"""Networks as a data scientist has them: bare ONNX files, whose answers anybody can check by hand.

Each also does idle work, whose result is multiplied by nothing: so that there are layers to quantize.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

SIDE_PX, CELL_PX = 64, 8
STRIDES_PX = (8, 16, 32)
CELLS = sum((SIDE_PX // stride) ** 2 for stride in STRIDES_PX)
FINEST = (SIDE_PX // CELL_PX) ** 2  # cells that may hold something; the coarser ones never do
WIDTH = 32
BLACK, WHITE, RED, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)
STEEPNESS = 20.0

Weights = dict[str, NDArray[Any]]


def classifier() -> bytes:
    """`dark` or `bright`: logits over the mean of the numbers, which are 0 to 1; its batch is free."""
    nodes, weights = _idle()
    nodes += [
        helper.make_node("Add", ["image", "void"], ["seen"]),
        helper.make_node("GlobalAveragePool", ["seen"], ["colours"]),
        helper.make_node("Flatten", ["colours"], ["row"]),
        helper.make_node("Gemm", ["row", "slopes", "offsets"], ["logits"]),
    ]
    weights["slopes"] = np.array([[0, STEEPNESS / 3]] * 3, np.float32)
    weights["offsets"] = np.array([0, -STEEPNESS / 2], np.float32)
    return _model(nodes, weights, shape=["batch", 3, SIDE_PX, SIDE_PX], answers={"logits": ["batch", 2]})


def flat_classifier(*, side_px: int) -> bytes:
    """Two logits over a picture laid flat: it says that its sides are free, and they are not."""
    nodes = [
        helper.make_node("Reshape", ["image", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "slopes"], ["logits"]),
    ]
    numbers = 3 * side_px * side_px
    slopes = np.linspace(-1, 1, 2 * numbers, dtype=np.float32).reshape(numbers, 2) / numbers
    weights = {"flat": np.array([1, numbers], np.int64), "slopes": slopes}
    return _model(nodes, weights, shape=["batch", 3, "h", "w"], answers={"logits": [1, 2]})


def detector(*, metadata: Mapping[str, str] = {}) -> bytes:  # never changed
    """Like YOLOv8: a cell of 8 x 8 px that is red, or blue, is a thing with just that box.

    One output (1, 6, 84): cx, cy, w, h in pixels of the input, and a score for each of two classes.
    """
    nodes, weights = _coloured_cells()
    nodes.append(helper.make_node("Concat", ["places", "scores"], ["output0"], axis=1))
    weights["places"] = _cells_px()
    return _model(
        nodes, weights, shape=[1, 3, SIDE_PX, SIDE_PX], answers={"output0": [1, 6, CELLS]}, metadata=metadata
    )


def relative_detector() -> bytes:
    """Like YOLOX: the same with objectness, boxes relative to their cells, and a row for each cell."""
    nodes, weights = _coloured_cells()
    nodes += [
        helper.make_node("Concat", ["places", "sure", "scores"], ["columns"], axis=1),
        helper.make_node("Transpose", ["columns"], ["output"], perm=[0, 2, 1]),
    ]
    relative = np.zeros((1, 4, CELLS), np.float32)
    relative[:, :2] = 0.5  # the middle of its cell; the size of it is exp(0) cells
    weights |= {"places": relative, "sure": np.ones((1, 1, CELLS), np.float32)}
    return _model(nodes, weights, shape=[1, 3, SIDE_PX, SIDE_PX], answers={"output": [1, CELLS, 7]})


def segmenter() -> bytes:
    """Background or `light`: logits for each pixel, over the mean of its three numbers, which are 0 to 1."""
    nodes, weights = _idle()
    nodes += [
        helper.make_node("Add", ["image", "void"], ["seen"]),
        helper.make_node("Conv", ["seen", "look", "offsets"], ["logits"]),
    ]
    look = np.zeros((2, 3, 1, 1), np.float32)
    look[1] = STEEPNESS / 3
    weights |= {"look": look, "offsets": np.array([0, -STEEPNESS / 2], np.float32)}
    return _model(nodes, weights, shape=[1, 3, "h", "w"], answers={"logits": [1, 2, "height", "width"]})


def raw_boxes() -> bytes:
    """Like SSD: deltas of given boxes, which go below zero, and scores for each of them."""
    nodes, weights = _coloured_cells()
    nodes += [
        helper.make_node("Transpose", ["scores"], ["conf"], perm=[0, 2, 1]),
        helper.make_node("Add", ["deltas", "void"], ["loc"]),
    ]
    weights["deltas"] = np.full((1, CELLS, 4), -2, np.float32)
    answers: dict[str, list[int | str]] = {"loc": [1, CELLS, 4], "conf": [1, CELLS, 2]}
    return _model(nodes, weights, shape=[1, 3, SIDE_PX, SIDE_PX], answers=answers)


def nested_segmenter(*, channels_last: bool = False) -> bytes:
    """The segmenter with a sigmoid in the graph: two labels, each by itself."""
    model = onnx.load_model_from_string(segmenter())
    model.graph.node[-1].output[0] = "raw"
    perm = [0, 2, 3, 1] if channels_last else [0, 1, 2, 3]
    model.graph.node.append(helper.make_node("Sigmoid", ["raw"], ["scores"]))
    model.graph.node.append(helper.make_node("Transpose", ["scores"], ["logits"], perm=perm))
    del model.graph.output[:]
    sides: list[int | str] = [1, "height", "width", 2] if channels_last else [1, 2, "height", "width"]
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, sides))
    return bytes(model.SerializeToString())


def label_map(*, keepdims: int = 0, stride: int = 1) -> bytes:
    """The segmenter with argmax in the graph: whole numbers (1, h, w), or (1, 1, h, w) with `keepdims`."""
    model = onnx.load_model_from_string(segmenter())
    model.graph.node[-1].output[0] = "fine"
    model.graph.node.append(
        helper.make_node("MaxPool", ["fine"], ["coarse"], kernel_shape=[stride] * 2, strides=[stride] * 2)
    )
    model.graph.node.append(helper.make_node("ArgMax", ["coarse"], ["labels"], axis=1, keepdims=keepdims))
    sides: list[int | str] = [1, *[1] * keepdims, "height", "width"]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("labels", TensorProto.INT64, sides))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _coloured_cells() -> tuple[list[NodeProto], Weights]:
    """Scores (1, 2, cells) of red and blue: how much of it, less the other two; none in coarse cells."""
    nodes, weights = _idle()
    nodes += [
        helper.make_node("Add", ["image", "void"], ["seen"]),
        helper.make_node(
            "Conv", ["seen", "colours"], ["cells"], kernel_shape=[CELL_PX] * 2, strides=[CELL_PX] * 2
        ),
        helper.make_node("Reshape", ["cells", "flat"], ["fine"]),
        helper.make_node("Concat", ["fine", "coarse"], ["all"], axis=2),
        helper.make_node("Clip", ["all", "none", "whole"], ["scores"]),
    ]
    mean = np.full((CELL_PX, CELL_PX), 1 / CELL_PX**2, np.float32)
    weights |= {
        "colours": np.stack([np.stack([mean, -mean, -mean]), np.stack([-mean, -mean, mean])]),
        "flat": np.array([1, 2, FINEST], np.int64),
        "coarse": np.zeros((1, 2, CELLS - FINEST), np.float32),
        "none": np.zeros((), np.float32),
        "whole": np.ones((), np.float32),
    }
    return nodes, weights


def _cells_px() -> NDArray[np.float32]:
    """(1, 4, cells): the middle and the sides of each cell."""
    each = []
    for stride in STRIDES_PX:
        rows, columns = np.indices((SIDE_PX // stride,) * 2)
        middle = [(columns.ravel() + 0.5) * stride, (rows.ravel() + 0.5) * stride]
        each.append(np.stack([*middle, *[np.full(columns.size, stride)] * 2]))
    return np.concatenate(each, axis=1)[None].astype(np.float32)


def _idle() -> tuple[list[NodeProto], Weights]:
    """Layers whose result is multiplied by nothing."""
    random = np.random.default_rng(0)
    weights: Weights = {
        "idle.0": random.normal(0, 0.2, (WIDTH, 3, 3, 3)).astype(np.float32),
        "idle.1": random.normal(0, 0.04, (WIDTH, WIDTH, 3, 3)).astype(np.float32),
        "idle.2": random.normal(0, 0.04, (WIDTH, WIDTH, 3, 3)).astype(np.float32),
        "nothing": np.zeros((), np.float32),
    }
    nodes, seen = [], "image"
    for number, stride in enumerate((4, 1, 1)):
        ends = [seen, f"idle.{number}"], [f"raw.{number}"]
        nodes.append(helper.make_node("Conv", *ends, pads=[1] * 4, strides=[stride] * 2))
        nodes.append(helper.make_node("Relu", [f"raw.{number}"], [f"idle.{number}.out"]))
        seen = f"idle.{number}.out"
    nodes.append(helper.make_node("ReduceMean", [seen], ["mean"], axes=[1, 2, 3], keepdims=1))
    nodes.append(helper.make_node("Mul", ["mean", "nothing"], ["void"]))
    return nodes, weights


def _model(
    nodes: Sequence[NodeProto],
    weights: Weights,
    *,
    shape: list[int | str],
    answers: Mapping[str, list[int | str]],
    metadata: Mapping[str, str] = {},  # never changed
) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "bare",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in answers.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="tests")
    model.ir_version = 8
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
