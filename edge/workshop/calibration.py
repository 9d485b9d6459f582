"""What the numbers inside a network are on real inputs: the range of each, sample by sample."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData

from edge.domain.errors import BundleRejectedError
from edge.inference.onnx_runtime import TROUBLE

Rule = Literal["average", "widest", "percentile"]
Row = Mapping[str, tuple[float, float, float, float]]  # of one sample: low, high, and both without the rarest

RULES: Final[Mapping[Rule, str]] = {
    "average": "mean of the samples' minima and maxima",
    "percentile": "mean of the samples' 0.01 % and 99.99 % quantiles",
    "widest": "smallest minimum and largest maximum",
}
LAYERS: Final = ("Conv", "Gemm", "MatMul")
OPSET_MIN, OPSET = 13, 17  # per-channel scales came with 13
RARE: Final = 1e-4
COUNTED: Final = 50_000  # values of each tensor and sample that quantiles are taken of


def prepared(network: bytes) -> onnx.ModelProto:
    """Bring a network to the form that is quantized: constants folded, shapes known, every node with a name.

    Raises:
        BundleRejectedError: Its operators are too old, and cannot be made newer.
    """
    model = onnx.load_model_from_string(network)
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if opset < OPSET_MIN:
        try:
            model = version_converter.convert_version(model, OPSET)
        except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
            first = str(error).strip().splitlines()[0][:200]
            raise BundleRejectedError(
                f"opset {opset}: int8 for each channel needs {OPSET_MIN}, it cannot be made newer: {first}"
            ) from error
    with tempfile.TemporaryDirectory(prefix="edge-") as folder:
        path = Path(folder) / "prepared.onnx"
        options = _options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        try:
            ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except TROUBLE as error:
            first = str(error).strip().splitlines()[0][:200]
            raise BundleRejectedError(f"ONNX Runtime refuses it: {first}") from error
        model = onnx.load(path)
    used = {node.domain or "ai.onnx" for node in model.graph.node} | {"ai.onnx"}
    imports = [one for one in model.opset_import if (one.domain or "ai.onnx") in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    return onnx.shape_inference.infer_shapes(model)


def layers(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the nodes that may become int8: those that multiply by weights of their own."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return tuple(
        node.name for node in model.graph.node if node.op_type in LAYERS and node.input[1] in weights
    )


def measured(
    model: onnx.ModelProto,
    feeds: Mapping[str, NDArray[Any]],
    *,
    known: Mapping[str, Row],
    told: Callable[[str, Row], None],
) -> dict[str, Row]:
    """Run a network on samples and note the range of every number inside it.

    Nothing is kept of the numbers themselves but a few thousand of each tensor, so that memory does not grow
    with the network or the samples.

    Args:
        model: Prepared.
        feeds: Inputs of the network by their digest.
        known: What was noted before, by digest.
        told: Is given each row as soon as it is known.

    Raises:
        BundleRejectedError: The runtime fails, or a number is none.
    """
    rows = {key: known[key] for key in feeds if key in known}
    missing = [key for key in feeds if key not in rows]
    if not missing:
        return rows
    given = model.graph.input[0].name
    watched = list(_floats(model))
    sizes = _run(_watching(model, watched, steps=None), given, feeds[missing[0]])
    steps = {name: max(1, int(size) // COUNTED) | 1 for name, size in zip(watched, sizes, strict=True)}
    session = _session(_watching(model, watched, steps=steps))
    for key in missing:
        values = _answers(session, given, feeds[key])
        rows[key] = dict(_row(watched, values))
        told(key, rows[key])
    return rows


def ranges(rows: Sequence[Row], rule: Rule) -> TensorsData:
    """Make of rows what the quantizer takes."""
    stacked = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    chosen: Callable[[NDArray[Any]], tuple[float, float]] = {
        "average": lambda four: (four[:, 0].mean(), four[:, 1].mean()),
        "widest": lambda four: (four[:, 0].min(), four[:, 1].max()),
        "percentile": lambda four: (four[:, 2].mean(), four[:, 3].mean()),
    }[rule]
    each = {}
    for name, four in stacked.items():
        low, high = (np.array(end, np.float32) for end in chosen(four))
        each[name] = TensorData(lowest=low, highest=high)
    return TensorsData(CalibrationMethod.MinMax, each)


def _floats(model: onnx.ModelProto) -> Iterator[str]:
    """Every number inside the graph that is no weight; shapes and indices aside."""
    weights = {tensor.name for tensor in model.graph.initializer}
    known = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in known}
    seen: dict[str, None] = {}
    for node in model.graph.node:
        for name in (*node.input, *node.output):
            if name and name not in weights and types.get(name) == TensorProto.FLOAT:
                seen.setdefault(name)
    yield from seen


def _watching(model: onnx.ModelProto, watched: Sequence[str], *, steps: Mapping[str, int] | None) -> bytes:
    """Give a graph further outputs: the size of each tensor, or its extremes and every n-th of its values."""
    watching = onnx.ModelProto()
    watching.CopyFrom(model)
    graph = watching.graph
    del graph.output[:]

    def put(kind: str, inputs: list[str], output: str, elem_type: int, **attributes: Any) -> None:
        graph.node.append(helper.make_node(kind, inputs, [output], **attributes))
        graph.output.append(helper.make_tensor_value_info(output, elem_type, None))

    def constant(name: str, values: list[int]) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    flat, start, end = constant("edge.flat", [-1]), constant("edge.start", [0]), constant("edge.end", [2**62])
    axis = constant("edge.axis", [0])
    for name in watched:
        if steps is None:
            put("Size", [name], f"{name}.edge.size", TensorProto.INT64)
            continue
        put("ReduceMin", [name], f"{name}.edge.low", TensorProto.FLOAT, keepdims=0)
        put("ReduceMax", [name], f"{name}.edge.high", TensorProto.FLOAT, keepdims=0)
        graph.node.append(helper.make_node("Reshape", [name, flat], [f"{name}.edge.row"]))
        step = constant(f"{name}.edge.step", [steps[name]])
        put("Slice", [f"{name}.edge.row", start, end, axis, step], f"{name}.edge.some", TensorProto.FLOAT)
    return bytes(watching.SerializeToString())


def _row(
    watched: Sequence[str], values: Sequence[NDArray[Any]]
) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    for place, name in enumerate(watched):
        low, high, some = values[3 * place : 3 * place + 3]
        if not (np.isfinite(low) and np.isfinite(high)):
            raise BundleRejectedError(f"{name} holds NaN or infinity on a sample: such numbers have no range")
        inner = np.quantile(some, (RARE, 1 - RARE)) if some.size else (low, high)
        yield name, (float(low), float(high), float(inner[0]), float(inner[1]))


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _session(network: bytes) -> Any:
    try:
        return ort.InferenceSession(network, _options(), providers=["CPUExecutionProvider"])
    except TROUBLE as error:
        first = str(error).strip().splitlines()[0][:200]
        raise BundleRejectedError(f"its numbers cannot be watched: {first}") from error


def _run(network: bytes, given: str, feed: NDArray[Any]) -> list[NDArray[Any]]:
    return _answers(_session(network), given, feed)


def _answers(session: Any, given: str, feed: NDArray[Any]) -> list[NDArray[Any]]:
    try:
        return list(session.run(None, {given: feed}))
    except TROUBLE as error:
        first = str(error).strip().splitlines()[0][:200]
        raise BundleRejectedError(f"ONNX Runtime fails on a sample of {feed.shape}: {first}") from error
