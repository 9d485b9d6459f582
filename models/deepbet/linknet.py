"""deepbet's network, LinkNet in three dimensions, written down as ONNX from its weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[np.float32]]


class Graph:
    """Nodes and constants that grow; each method adds one and returns the name of what it answers."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, given: Sequence[str], **said: Any) -> str:
        """Add a node with one output."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(given), [name], name=name, **said))
        return name

    def several(self, kind: str, given: Sequence[str], count: int, **said: Any) -> list[str]:
        """Add a node with several outputs."""
        first = f"{kind.lower()}_{len(self.nodes)}"
        names = [f"{first}_{place}" for place in range(count)]
        self.nodes.append(helper.make_node(kind, list(given), names, name=first, **said))
        return names

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Add numbers that the graph brings with it."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name


class LinkNet:
    """One of deepbet's two networks.

    Args:
        graph: Grows by it.
        weights: Of its TorchScript file.
    """

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self.graph, self.weights = graph, weights

    def answer(self, given: str) -> str:
        """Return (1, 2, d, h, w): the chances of all else and of brain."""
        graph = self.graph
        first = self._act(self._norm(self._conv("init.0", given, stride=2, pad=3), "init.0"))
        first = graph.add("MaxPool", [first], kernel_shape=[3] * 3, strides=[2] * 3, pads=[1] * 6)
        levels = [first]
        for level in range(4):
            levels.append(self._down(f"down{level}", levels[-1], stride=1 if level == 0 else 2))
        x = levels[4]
        for level in range(4):
            x = self._up(f"up{level}", x, stride=2 if level < 3 else 1)
            x = graph.add("Add", [x, levels[3 - level]])
        x = self._act(self._norm(self._transposed("tp_conv1.0", x, stride=2, pad=1, more=1), "tp_conv1.0"))
        x = self._act(self._norm(self._conv("conv.0", x, pad=1), "conv.0"))
        x = self._transposed("tp_conv2", x, stride=2, pad=0, more=0)
        return graph.add("Softmax", [x], axis=1)

    def _down(self, name: str, x: str, *, stride: int) -> str:
        return self._block(f"{name}.block2", self._block(f"{name}.block1", x, stride=stride), stride=1)

    def _block(self, name: str, x: str, *, stride: int) -> str:
        inner = self._conv(f"{name}.double_conv.0", x, stride=stride, pad=1)
        inner = self._act(self._norm(inner, f"{name}.double_conv.0"))
        inner = self._norm(self._conv(f"{name}.double_conv.3", inner, pad=1), f"{name}.double_conv.3")
        beside = x
        if f"{name}.downsample.0.weight" in self.weights:
            beside = self._norm(self._conv(f"{name}.downsample.0", x, stride=stride), f"{name}.downsample.0")
        return self._act(self.graph.add("Add", [inner, beside]))

    def _up(self, name: str, x: str, *, stride: int) -> str:
        x = self._act(self._norm(self._conv(f"{name}.conv1.0", x), f"{name}.conv1.0"))
        x = self._transposed(f"{name}.tp_conv.0", x, stride=stride, pad=1, more=stride - 1)
        x = self._act(self._norm(x, f"{name}.tp_conv.0", channels=1))
        return self._act(self._norm(self._conv(f"{name}.conv2.0", x), f"{name}.conv2.0"))

    def _conv(self, name: str, x: str, *, stride: int = 1, pad: int = 0) -> str:
        return self.graph.add("Conv", [x, *self._constants(name)], strides=[stride] * 3, pads=[pad] * 6)

    def _transposed(self, name: str, x: str, *, stride: int, pad: int, more: int) -> str:
        return self.graph.add(
            "ConvTranspose",
            [x, *self._constants(name)],
            strides=[stride] * 3,
            pads=[pad] * 6,
            output_padding=[more] * 3,
        )

    def _constants(self, name: str) -> list[str]:
        keys = [f"{name}.weight", f"{name}.bias"]
        return [self.graph.constant(self.weights[key]) for key in keys if key in self.weights]

    def _norm(self, x: str, conv: str, *, channels: int = 0) -> str:
        """Bring each channel to mean 0 and deviation 1; PyTorch's has no weights here."""
        count = self.weights[f"{conv}.weight"].shape[channels or int(conv.startswith("tp_"))]
        ones, zeros = self.graph.constant(np.ones(count)), self.graph.constant(np.zeros(count))
        return self.graph.add("InstanceNormalization", [x, ones, zeros], epsilon=1e-5)

    def _act(self, x: str) -> str:
        return self.graph.add("Relu", [x])
