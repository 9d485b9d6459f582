"""One network in another precision: int8 by a recipe, or half precision inside."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from edge.domain.errors import BundleRejectedError
from edge.workshop.calibration import LAYERS, Rule, layers

Reach = Literal["layers", "chain"]

CARRIED: Final = (
    "Add",
    "AveragePool",
    "Concat",
    "GlobalAveragePool",
    "MaxPool",
    "Pad",
    "Resize",
)
"""Operators that work on bytes as well, and spare the way to float32 and back between two layers.

What joins a layer's bytes with constants stays in fp32: constants have ranges of their own."""
TINY: Final = 1e-12
PASSING: Final = ("Relu", "Clip", "Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to make a network int8.

    Attributes:
        reach: `layers`: only what multiplies by weights. `chain`: what lies between them, too.
        rule: How the samples' ranges become one.
        kept: Names of layers that stay in fp32.
        words: What a reader calls it.
    """

    reach: Reach
    rule: Rule
    kept: frozenset[str] = frozenset()
    words: str = field(default="", compare=False)

    @property
    def digest(self) -> str:
        """Names it in the ledger."""
        said = json.dumps([self.reach, self.rule, sorted(self.kept)])
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def to_int8(model: onnx.ModelProto, ranges: TensorsData, recipe: Recipe) -> bytes:
    """Quantize: unsigned activations, signed weights, a scale for each channel; ConvTranspose stays.

    Args:
        model: Prepared; it stays as it is.
        ranges: Of its numbers.
        recipe: Which layers.

    Raises:
        BundleRejectedError: The quantizer does not take it.
    """
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    stay = sorted({node.name for node in model.graph.node} - set(_reached(model, recipe, _flat(ranges))))
    quantizer = QDQQuantizer(
        copied,
        True,  # per channel
        False,  # the whole range of a byte
        QuantType.QInt8,
        QuantType.QUInt8,
        ranges,
        [],
        stay,
        [*LAYERS, *(CARRIED if recipe.reach == "chain" else ())],
        {"ActivationSymmetric": False, "WeightSymmetric": True},
    )
    try:
        quantizer.quantize_model()
    except (ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise BundleRejectedError(f"cannot be quantized ({recipe.words or recipe.reach}): {error}") from error
    return bytes(quantizer.model.model.SerializeToString())


def to_fp16(network: bytes) -> bytes:
    """Let a network compute in half precision; its inputs and outputs keep their types.

    Raises:
        BundleRejectedError: It cannot be converted.
    """
    model = onnx.load_model_from_string(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numbers below the smallest of half precision become it
        try:
            half: Any = convert_float_to_float16(
                model, keep_io_types=True, op_block_list=sorted({*DEFAULT_OP_BLOCK_LIST, "Resize"})
            )
        except (ValueError, KeyError, RuntimeError, AttributeError) as error:
            raise BundleRejectedError(f"cannot be made fp16: {error}") from error
    return bytes(half.SerializeToString())


def _joins_constants(node: onnx.NodeProto, weights: AbstractSet[str]) -> bool:
    return node.op_type in ("Add", "Concat") and not weights.isdisjoint(node.input)


def _flat(ranges: TensorsData) -> set[str]:
    """Name the numbers that are 0 on all samples: they have no scale, and OpenVINO 2026.4 crashes on one."""
    ends = {name: one.range_value for name, one in ranges.items()}
    return {name for name, (low, high) in ends.items() if not max(abs(low), abs(high)) > TINY}


def _reached(model: onnx.ModelProto, recipe: Recipe, flat: AbstractSet[str]) -> Iterator[str]:
    """Name the nodes that become int8: the layers that do, and what carries their bytes on."""
    dead = {node.name for node in model.graph.node if not flat.isdisjoint((*node.input, *node.output))}
    mine = set(layers(model)) - recipe.kept - dead
    yield from mine
    if recipe.reach == "layers":
        return
    weights = {tensor.name for tensor in model.graph.initializer}
    may_carry = {
        node.name
        for node in model.graph.node
        if node.op_type in CARRIED and node.name not in dead and not _joins_constants(node, weights)
    }
    bytes_come: set[str] = set()
    for node in model.graph.node:
        is_carried = node.name in may_carry and any(name in bytes_come for name in node.input)
        if is_carried:
            yield node.name
        if node.name in mine or is_carried or (node.op_type in PASSING and node.input[0] in bytes_come):
            bytes_come.update(node.output)
