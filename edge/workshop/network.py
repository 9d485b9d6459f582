"""A bare ONNX file: read with all that belongs to it, brought to the form the engine takes, and run once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it has no stubs
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from edge.domain.errors import BundleRejectedError
from edge.inference.onnx_runtime import TROUBLE

NETWORK_BYTES_MAX: Final = 2_000_000_000  # protobuf ends at 2 GiB
WIDENED: Final = (TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
DTYPES: Final[dict[int, str]] = {
    TensorProto.FLOAT: "float32",
    TensorProto.UINT8: "uint8",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.INT8: "int8",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
}
# What is in a file whose weights were made bytes: as QDQ, or by operators of their own.
QUANTIZED: Final = frozenset(
    {"DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "MatMulNBits"}
)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a graph.

    Attributes:
        name: In the graph.
        dtype: As NumPy calls it.
        shape: A number where a side is fixed, a word where it is free; None where nobody knows how many.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None

    def __str__(self) -> str:
        sides = (
            "any shape" if self.shape is None else f"({', '.join(str(side) or '?' for side in self.shape)})"
        )
        return f"{self.name} {self.dtype} {sides}"


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A graph with one input that the engine can be given.

    Attributes:
        model: Of the file, with all weights inside.
        given: Its one input.
        answers: Its outputs.
        opset: Of the standard operators.
        producer: What wrote the file, as far as it says so.
        metadata: Key and value, as the exporter left them.
        notes: What was changed on the way, for the reader of the card.
    """

    model: onnx.ModelProto
    given: Port
    answers: tuple[Port, ...]
    opset: int
    producer: str
    metadata: Mapping[str, str]
    notes: tuple[str, ...]

    def content(self) -> bytes:
        """Return the bytes of an ONNX file that needs no other file."""
        return bytes(self.model.SerializeToString())


def read(path: Path) -> Network:
    """Read an ONNX file and bring it to the form the engine takes.

    Weights in files beside it are folded in. Half and double precision become float32, at the doors and
    inside. A free batch becomes 1; that of spectra, which come many at once, stays free. Label maps of whole
    numbers become uint8.

    Args:
        path: The file.

    Raises:
        BundleRejectedError: It is no ONNX file, takes more than one input or picture at a time, or needs a
            type or an operator that no runtime here has.
    """
    model = _load(path)
    given = [value for value in model.graph.input if value.name not in _named(model.graph.initializer)]
    if len(given) != 1:
        seen = ", ".join(str(_port(value)) for value in given) or "none"
        raise BundleRejectedError(f"{path}: has {len(given)} inputs ({seen}), wanted one: the picture")
    for value in (*given, *model.graph.output):
        if not value.type.HasField("tensor_type"):
            kind = value.type.WhichOneof("value")
            raise BundleRejectedError(f"{path}: {value.name} is a {kind}, wanted a tensor")
    notes = [*_widen(model), *_settle_batch(model, given[0], path), *_settle_labels(model)]
    notes += _quantized(model)
    _fill_in_shapes(model, path)
    seen_given = _port(given[0])
    if seen_given.dtype not in ("float32", "uint8"):
        raise BundleRejectedError(f"{path}: input {seen_given}, wanted float32 or uint8")
    return Network(
        model=model,
        given=seen_given,
        answers=tuple(_port(value) for value in model.graph.output),
        opset=next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0),
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        metadata={one.key: one.value for one in model.metadata_props},
        notes=tuple(notes),
    )


def _quantized(model: onnx.ModelProto) -> list[str]:
    kinds = sorted({node.op_type for node in model.graph.node} & QUANTIZED)
    if not kinds:
        return []
    return [
        f"the file is quantized already ({', '.join(kinds)}): what the manifest calls fp32 is this file as "
        "it is, which answers for every other form"
    ]


def run_once(network: Network, given: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Run a network on the CPU, with nothing optimised: what its author meant.

    Raises:
        BundleRejectedError: The runtime does not take it, or not this input.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    names = [answer.name for answer in network.answers]
    try:
        session = ort.InferenceSession(network.content(), options, providers=["CPUExecutionProvider"])
        answers = session.run(names, {network.given.name: given})
    except TROUBLE as error:
        first = str(error).strip().splitlines()[0][:300]
        raise BundleRejectedError(
            f"ONNX Runtime cannot run it on {given.dtype} {given.shape}: {first}"
        ) from error
    return dict(zip(names, answers, strict=True))


def class_names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return what exporters call the classes (`names` of Ultralytics, `classes`, `labels`), or ()."""
    for key in ("names", "classes", "labels", "class_names"):
        words = metadata.get(key, "")
        table = _parsed(words)
        if isinstance(table, dict):
            try:
                return tuple(str(table[number]) for number in sorted(table, key=int))
            except (TypeError, ValueError):
                continue
        if isinstance(table, list):
            return tuple(str(one) for one in table)
        if "," in words:
            return tuple(word.strip() for word in words.split(",") if word.strip())
    return ()


def whole_numbers(metadata: Mapping[str, str], key: str) -> tuple[int, ...]:
    """Return the whole numbers under a key, `[640, 640]` or `32`, or ()."""
    seen = _parsed(metadata.get(key, ""))
    numbers = seen if isinstance(seen, list) else [seen]
    whole = [one for one in numbers if type(one) is int]
    return tuple(whole) if len(whole) == len(numbers) else ()


def _parsed(words: str) -> object:
    """Read JSON, or what Python prints for a dict; without ever running it."""
    import ast

    for read_as in (json.loads, ast.literal_eval):
        try:
            return read_as(words)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


# ── reading ────────────────────────────────────────────────────────────────────────────────────────────────


def _load(path: Path) -> onnx.ModelProto:
    try:
        size = path.stat().st_size
        if size > NETWORK_BYTES_MAX:
            raise BundleRejectedError(f"{path}: {size} bytes, wanted at most {NETWORK_BYTES_MAX}")
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise BundleRejectedError(f"{path}: {error.strerror}") from error
    except (DecodeError, ValueError) as error:
        raise BundleRejectedError(f"{path}: no ONNX file: {error}") from error
    if not model.graph.node:
        raise BundleRejectedError(f"{path}: no ONNX file: it holds no graph")
    _fold_in(model, path)
    return model


def _fold_in(model: onnx.ModelProto, path: Path) -> None:
    """Read weights that lie in files beside the network into it.

    Raises:
        BundleRejectedError: Such a file is missing, too large, or not in the same folder.
    """
    outside = [tensor for tensor in _tensors(model.graph) if external_data_helper.uses_external_data(tensor)]
    total = 0
    for tensor in outside:
        place = external_data_helper.ExternalDataInfo(tensor).location
        beside = path.parent / place
        if _leaves(place) or path.parent.resolve() not in beside.resolve().parents:
            raise BundleRejectedError(
                f"{path}: weights of {tensor.name!r} lie in {place!r}, outside of its folder"
            )
        if not beside.is_file():
            raise BundleRejectedError(
                f"{path}: weights of {tensor.name!r} lie in {place!r}, which is not there"
            )
    for name in {external_data_helper.ExternalDataInfo(tensor).location for tensor in outside}:
        total += (path.parent / name).stat().st_size
    if total > NETWORK_BYTES_MAX:
        raise BundleRejectedError(f"{path}: {total} bytes of weights, wanted at most {NETWORK_BYTES_MAX}")
    for tensor in outside:
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise BundleRejectedError(f"{path}: weights of {tensor.name!r}: {error}") from error
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def _leaves(place: str) -> bool:
    pure = (PurePosixPath(place), PureWindowsPath(place))
    return any(one.is_absolute() or ".." in one.parts for one in pure)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from _graphs(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    for one in _graphs(graph):
        yield from one.initializer
        for node in one.node:
            for attribute in node.attribute:
                yield from attribute.tensors
                if attribute.HasField("t"):
                    yield attribute.t


def _named(tensors: Iterable[onnx.TensorProto]) -> set[str]:
    return {tensor.name for tensor in tensors}


def _port(value: onnx.ValueInfoProto) -> Port:
    kind = value.type.tensor_type
    shape = None
    if kind.HasField("shape"):
        shape = tuple(one.dim_value if one.dim_value > 0 else one.dim_param for one in kind.shape.dim)
    return Port(value.name, DTYPES.get(kind.elem_type, f"type {kind.elem_type}"), shape)


# ── bringing it to the engine's form ───────────────────────────────────────────────────────────────────────


def _widen(model: onnx.ModelProto) -> list[str]:
    """Make float32 of half and double precision, everywhere: one reference, whatever it was made for."""
    seen: set[str] = set()
    for tensor in _tensors(model.graph):
        if tensor.data_type in WIDENED:
            seen.add(DTYPES[tensor.data_type])
            array, name = numpy_helper.to_array(tensor).astype(np.float32), tensor.name
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    for graph in _graphs(model.graph):
        del graph.value_info[:]
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type in WIDENED:
                seen.add(DTYPES[value.type.tensor_type.elem_type])
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "dtype") and attribute.i in WIDENED:
                    seen.add(DTYPES[attribute.i])
                    attribute.i = TensorProto.FLOAT
    return [f"{', '.join(sorted(seen))} became float32, inside and at its doors"] * bool(seen)


def _settle_batch(model: onnx.ModelProto, given: onnx.ValueInfoProto, path: Path) -> list[str]:
    shape = given.type.tensor_type.shape.dim
    if not shape:
        raise BundleRejectedError(f"{path}: input {_port(given)}: does not say how many axes it has")
    batch = shape[0]
    if batch.dim_value == 1:
        return []
    if batch.dim_value > 1:
        raise BundleRejectedError(
            f"{path}: input {_port(given)} takes {batch.dim_value} at once, wanted a batch of 1 or a free one"
        )
    if len(shape) == 2:
        return []
    word = batch.dim_param
    batch.dim_value = 1
    for value in model.graph.output:
        sides = value.type.tensor_type.shape.dim
        if sides and (
            (word and sides[0].dim_param == word) or sides[0].dim_param in ("batch", "batch_size", "N")
        ):
            sides[0].dim_value = 1
    return [f"the free batch {word or 'of its input'!r} is 1"]


def _settle_labels(model: onnx.ModelProto) -> list[str]:
    """Let whole-number label maps, (1, …) with three axes or more, leave as uint8, as the format has them."""
    notes = []
    for value in model.graph.output:
        kind = value.type.tensor_type
        if kind.elem_type in (TensorProto.INT64, TensorProto.INT32) and _is_map(model, value.name):
            inner = f"{value.name}_whole"
            _rename(model.graph, value.name, inner)
            model.graph.node.append(helper.make_node("Cast", [inner], [value.name], to=TensorProto.UINT8))
            notes.append(f"{value.name} leaves as uint8, it was {DTYPES[kind.elem_type]}")
            kind.elem_type = TensorProto.UINT8
    return notes


def _is_map(model: onnx.ModelProto, name: str) -> bool:
    """Whether an output comes straight out of an argmax over pixels or voxels."""
    makers = {output: node for node in model.graph.node for output in node.output}
    node = makers.get(name)
    while node is not None and node.op_type in ("Cast", "Squeeze", "Unsqueeze", "Identity"):
        node = makers.get(node.input[0])
    if node is None or node.op_type != "ArgMax":
        return False
    shape = next(one for one in model.graph.output if one.name == name).type.tensor_type.shape.dim
    return len(shape) >= 3


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def _fill_in_shapes(model: onnx.ModelProto, path: Path) -> None:
    """Write down the shapes of outputs that the exporter left out, as far as they follow from the graph."""
    if all(value.type.tensor_type.HasField("shape") for value in model.graph.output):
        return
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except (RuntimeError, onnx.shape_inference.InferenceError) as error:
        first = str(error).strip().splitlines()[0][:300]
        raise BundleRejectedError(f"{path}: no sound ONNX graph: {first}") from error
    for value, known in zip(model.graph.output, inferred.graph.output, strict=True):
        value.CopyFrom(known)
