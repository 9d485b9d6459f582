"""A network for pictures of the size that real ones have, with drawn weights, in fp32 and int8."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from tests.builders.bundles import npz, serialized
from tests.builders.picture_bundles import write_picture_bundle

SIDE_PX = 224
WIDTHS = (32, 64, 128, 256)  # a ResNet-18 of half the width
BLOCKS = 2
PICTURES = 4


class _Graph:
    """Grows node by node."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, NDArray[Any]] = {}
        self._rng = np.random.default_rng(0)

    def conv(self, seen: str, given: int, made: int, *, kernel: int, stride: int = 1) -> str:
        name = f"conv{len(self.nodes)}"
        spread = (2 / (given * kernel * kernel)) ** 0.5
        self.weights[f"{name}_kernel"] = self._rng.normal(0, spread, (made, given, kernel, kernel)).astype(
            np.float32
        )
        self.weights[f"{name}_bias"] = self._rng.normal(0, 0.1, made).astype(np.float32)
        return self.node(
            "Conv",
            [seen, f"{name}_kernel", f"{name}_bias"],
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )

    def node(self, kind: str, given: list[str], *, made: str = "", **how: Any) -> str:
        made = made or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, given, [made], **how))
        return made


def residual_network(head: NDArray[np.float32] | None = None) -> bytes:
    """A residual network for `(1, 3, 224, 224)` float32: two logits, or its features where it has no head.

    Args:
        head: (features + 1, 2), the last row is added; or None.
    """
    graph = _Graph()
    seen = graph.node("Relu", [graph.conv("image", 3, WIDTHS[0], kernel=7, stride=2)])
    seen = graph.node("MaxPool", [seen], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    before = WIDTHS[0]
    for stage, width in enumerate(WIDTHS):
        for block in range(BLOCKS):
            stride = 2 if stage and not block else 1
            inner = graph.node("Relu", [graph.conv(seen, before, width, kernel=3, stride=stride)])
            inner = graph.conv(inner, width, width, kernel=3)
            skip = seen if before == width else graph.conv(seen, before, width, kernel=1, stride=stride)
            seen = graph.node("Relu", [graph.node("Add", [inner, skip])])
            before = width
    pooled = graph.node("GlobalAveragePool", [seen])
    if head is None:
        graph.node("Flatten", [pooled], made="answer")
    else:
        graph.weights |= {"head": head[:-1], "shift": head[-1:]}
        logits = graph.node("MatMul", [graph.node("Flatten", [pooled]), "head"])
        graph.node("Add", [logits, "shift"], made="answer")
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])
    made = WIDTHS[-1] if head is None else 2
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, made])
    return serialized(graph.nodes, given=given, answers=[answer], weights=graph.weights)


def write_residual_bundle(root: Path, *, name: str = "residual", version: str = "1.0.0") -> Path:
    """Write the bundle, with int8 and fp32: the class is how bright a picture is, as its features show it."""
    rng = np.random.default_rng(1)
    levels = np.linspace(30, 220, PICTURES)[:, None, None, None]
    noise = rng.integers(-30, 30, (PICTURES, 3, SIDE_PX, SIDE_PX))
    image = (levels + noise).clip(0, 255).astype(np.uint8)
    tensors = [one[None].astype(np.float32) / 255 for one in image]
    features = np.concatenate([answer_of(residual_network(), tensor) for tensor in tensors])
    line = features[-1] - features[0]
    line /= (line**2).sum() / 6  # the logits of the darkest and the brightest lie 6 apart
    slopes = np.stack([-line / 2, line / 2], axis=1)
    head = np.concatenate([slopes, -(features.mean(axis=0) @ slopes)[None]]).astype(np.float32)
    fp32 = residual_network(head)
    logits = np.concatenate([answer_of(fp32, tensor) for tensor in tensors])
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    def edit(document: dict[str, Any]) -> None:
        document["version"] = version
        document["golden"]["score_error_max"] = 0.1

    return write_picture_bundle(
        root,
        name=name,
        decoder="softmax",
        dtype="float32",
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        networks={"int8": int8_of(fp32, tensors), "fp32": fp32},
        golden_npz=npz(image=image, scores=scores),
        edit=edit,
    )


def answer_of(network: bytes, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ask a network once."""
    session = ort.InferenceSession(network, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": tensor})[0], np.float32)


def int8_of(network: bytes, tensors: list[NDArray[np.float32]]) -> bytes:
    """Quantize a network: uint8 activations, int8 weights per channel, QDQ."""

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # it has no types
        """Gives the samples one by one."""

        def __init__(self) -> None:
            self._left = iter(tensors)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            tensor = next(self._left, None)
            return None if tensor is None else {"image": tensor}

    with tempfile.TemporaryDirectory() as folder:
        given, ready, made = (Path(folder, name) for name in ("given.onnx", "ready.onnx", "made.onnx"))
        given.write_bytes(network)
        quant_pre_process(given, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            made,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "MaxPool"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return made.read_bytes()
