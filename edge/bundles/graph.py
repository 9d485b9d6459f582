"""What an ONNX file is, read before any runtime sees it: its inputs and outputs, and nothing that harms.

The file is walked in place (`edge.bundles.protobuf`): what costs time is its nodes, not its weights.
Numbers of fields and types are those of onnx.proto.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from edge.bundles.graph_tensors import (
    DIMENSIONS_MAX,
    VARINT_BYTES_MAX,
    Constants,
    Tensor,
    integers_of,
    number_of,
    part,
    text_of,
    value_of,
)
from edge.bundles.protobuf import Walk
from edge.domain.errors import BundleRejectedError, FormatError

# Bounds that no network of this appliance comes near; a runtime would try to serve them all.
FIELDS_MAX: Final = 500_000  # brain-mr in int8 has 4 047
DEPTH_MAX: Final = 8  # of graphs within nodes
ELEMENTS_MAX: Final = 1 << 31  # of a tensor that a node makes from a shape in the file

IR_VERSIONS: Final = range(3, 15)
OPSETS: Final = range(7, 29)  # of the default domain; onnxruntime 1.31 and openvino 2026.4 know no later
DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
DEFAULT_DOMAINS: Final = ("", "ai.onnx")

# Nodes that make a tensor of a shape they are given, and which input gives it.
MAKES_SHAPE: Final = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Resize": 3}
RANDOM: Final = ("RandomNormal", "RandomUniform")


@dataclass(frozen=True, slots=True)
class Network:
    """What an ONNX file says about itself.

    Attributes:
        inputs: That a caller must give, in order.
        outputs: In order.
        opset: Of the default domain.
        ir_version: Of the file.
        operators: How often each kind of node is there, those in inner graphs too.
        weights_bytes: All constants together, unpacked.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: int
    ir_version: int
    operators: Mapping[str, int]
    weights_bytes: int


def read_network(content: bytes, *, origin: str) -> Network:
    """Walk an ONNX file.

    Args:
        content: Its bytes.
        origin: Names it in errors.

    Raises:
        BundleRejectedError: It is none, keeps data in other files, claims more than it holds, or needs what
            neither runtime here offers.
    """
    try:
        return _Reading().network(memoryview(content))
    except FormatError as error:
        raise BundleRejectedError(f"{origin}: {error}") from error


@dataclass(slots=True)
class _Graph:
    """What one graph has shown so far."""

    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    constants: set[str] = field(default_factory=set)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # constants that may be one
    nodes: list[_Node] = field(default_factory=list)


@dataclass(slots=True)
class _Node:
    """One operation."""

    operator: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    made: tuple[int, ...] | None = None  # shape or value it was given as an attribute


class _Reading:
    """One walk through one file."""

    def __init__(self) -> None:
        self._walk = Walk(fields_max=FIELDS_MAX)
        self._constants = Constants(self._walk)
        self._operators: dict[str, int] = {}
        self._called: set[tuple[str, str]] = set()
        self._functions: set[tuple[str, str]] = set()

    def network(self, model: memoryview) -> Network:
        graphs, opsets, ir_version = [], {}, 0
        for number, value in self._walk.fields(model):
            if number == 1:
                ir_version = number_of(value)
            elif number == 7:
                graphs.append(part(value))
            elif number == 8:
                domain, version = self._opset(part(value))
                opsets[domain] = version
            elif number == 20:
                raise FormatError("holds a graph for training, wanted a network that is ready")
            elif number == 25:
                self._function(part(value))
        if len(graphs) != 1:
            raise FormatError(f"holds {len(graphs)} graphs, wanted one: is it an ONNX file?")
        opset = max((opsets.get(domain, 0) for domain in DEFAULT_DOMAINS), default=0)
        _check_versions(ir_version, opset)
        graph = self._graph(graphs[0], depth=0)
        self._check_called()
        return Network(
            inputs=tuple(one for one in graph.inputs if one.name not in graph.constants),
            outputs=tuple(graph.outputs),
            opset=opset,
            ir_version=ir_version,
            operators=self._operators,
            weights_bytes=self._constants.unpacked_bytes,
        )

    # ── graphs and nodes ──

    def _graph(self, content: memoryview, *, depth: int) -> _Graph:
        if depth > DEPTH_MAX:
            raise FormatError(f"holds graphs within graphs, more than {DEPTH_MAX} deep")
        graph = _Graph()
        for number, value in self._walk.fields(content):
            if number == 1:
                graph.nodes.append(self._node(part(value), depth=depth))
            elif number == 5:
                name, numbers = self._constants.read(part(value))
                graph.constants.add(name)
                if numbers is not None:
                    graph.shapes[name] = numbers
            elif number == 11:
                graph.inputs.append(value_of(self._walk, part(value)))
            elif number == 12:
                graph.outputs.append(value_of(self._walk, part(value)))
            elif number == 15:
                raise FormatError("holds sparse weights, wanted them dense")
        _check_made(graph)
        return graph

    def _node(self, content: memoryview, *, depth: int) -> _Node:
        node = _Node()
        for number, value in self._walk.fields(content):
            if number == 1:
                node.inputs.append(text_of(value))
            elif number == 2:
                node.outputs.append(text_of(value))
            elif number == 4:
                node.operator = text_of(value)
            elif number == 5:
                made = self._attribute(part(value), depth=depth)
                node.made = made or node.made
            elif number == 7:
                node.domain = text_of(value)
        self._operators[node.operator] = self._operators.get(node.operator, 0) + 1
        self._called.add((node.domain, node.operator))
        return node

    def _attribute(self, content: memoryview, *, depth: int) -> tuple[int, ...] | None:
        """Return the shape it may give: `value` of a Constant, `shape` of a Random."""
        name, made = "", None
        numbers: list[int] = []
        seen: set[int] = set()
        for number, value in self._walk.fields(content):
            if number in (5, 6) and number in seen:
                raise FormatError("gives one attribute two values")
            seen.add(number)
            if number == 1:
                name = text_of(value)
            elif number in (5, 10):
                _, made = self._constants.read(part(value))
            elif number in (6, 11):
                self._graph(part(value), depth=depth + 1)
            elif number == 8:
                is_short = isinstance(value, int) or len(value) <= VARINT_BYTES_MAX * DIMENSIONS_MAX
                numbers += integers_of(value) if is_short and len(numbers) <= DIMENSIONS_MAX else []
            elif number in (22, 23):
                raise FormatError("holds sparse weights, wanted them dense")
        if name in ("value_ints", "shape"):
            return tuple(numbers)
        return made if name == "value" else None

    def _function(self, content: memoryview) -> None:
        """Walk a function of the file's own, which nodes may then call."""
        name = domain = ""
        graph = _Graph()
        for number, value in self._walk.fields(content):
            if number == 1:
                name = text_of(value)
            elif number == 7:
                graph.nodes.append(self._node(part(value), depth=1))
            elif number == 10:
                domain = text_of(value)
            elif number == 11:
                self._attribute(part(value), depth=1)
        self._functions.add((domain, name))
        _check_made(graph)

    def _check_called(self) -> None:
        strange = sorted(
            f"{domain}::{operator}"
            for domain, operator in self._called - self._functions
            if domain not in DOMAINS
        )
        if strange:
            raise FormatError(
                f"needs {', '.join(strange[:5])}, which no runtime here offers; "
                f"wanted operators of {', '.join(domain or 'ONNX' for domain in DOMAINS)}"
            )

    def _opset(self, content: memoryview) -> tuple[str, int]:
        domain, version = "", 0
        for number, value in self._walk.fields(content):
            if number == 1:
                domain = text_of(value)
            elif number == 2:
                version = number_of(value)
        return domain, version


def _check_versions(ir_version: int, opset: int) -> None:
    if ir_version not in IR_VERSIONS:
        raise FormatError(
            f"is ONNX IR {ir_version}; wanted {IR_VERSIONS.start} to {IR_VERSIONS.stop - 1}: "
            "is it an ONNX file?"
        )
    if opset not in OPSETS:
        raise FormatError(f"needs opset {opset}; wanted {OPSETS.start} to {OPSETS.stop - 1}")


def _check_made(graph: _Graph) -> None:
    """Refuse nodes that make huge tensors from shapes that stand in the file."""
    shapes = dict(graph.shapes)
    for node in graph.nodes:
        if node.operator == "Constant" and node.made is not None and node.outputs:
            shapes[node.outputs[0]] = node.made
    for node in graph.nodes:
        at = MAKES_SHAPE.get(node.operator)
        shape = shapes.get(node.inputs[at]) if at is not None and len(node.inputs) > at else None
        shape = node.made if node.operator in RANDOM else shape
        if shape is not None and math.prod(abs(side) for side in shape) > ELEMENTS_MAX:
            raise FormatError(
                f"{node.operator} makes a tensor of the shape {shape}; "
                f"at most {ELEMENTS_MAX} numbers are allowed"
            )
