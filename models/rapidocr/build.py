"""Makes the bundle `rapidocr` of PP-OCRv6's text detector, as the wheel of rapidocr carries it."""

from collections.abc import Mapping, Sequence
from typing import Final

import onnx
from onnx import version_converter
from text import draw

from edge.workshop.drawn import DrawnPicture
from edge.workshop.recipe import Recipe
from edge.workshop.wheels import Wheel

NETWORK: Final = "rapidocr/models/PP-OCRv6_det_small.onnx"
GIVEN, ANSWER = "x", "scores"
OPSET: Final = 17
SAMPLES: Final = 32


def network(members: Mapping[str, bytes]) -> bytes:
    """Give the sides and the output names that say what they are, one picture at a time; raise the opset."""
    model = onnx.load_from_string(members[NETWORK])
    graph = model.graph
    seen = graph.output[0].name
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == seen:
                node.output[place] = ANSWER
    graph.output[0].name = ANSWER
    _resize(graph.input[0], 3, "height", "width")
    _resize(graph.output[0], 1, "height", "width")
    del graph.value_info[:]
    model.ir_version = 8
    model = version_converter.convert_version(model, OPSET)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _resize(value: onnx.ValueInfoProto, channels: int, rows: str, columns: str) -> None:
    shape = value.type.tensor_type.shape
    for side, known in zip(shape.dim, (1, channels, rows, columns), strict=True):
        side.Clear()
        if isinstance(known, int):
            side.dim_value = known
        else:
            side.dim_param = known


def samples() -> Sequence[DrawnPicture]:
    """Draw words over something like tissue."""
    return [DrawnPicture(draw(seed)) for seed in range(SAMPLES)]


RECIPE = Recipe(
    wheel=Wheel("rapidocr", "3.10.0", "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050"),
    members=(NETWORK,),
    licence="rapidocr-3.10.0.dist-info/licenses/MODEL_LICENSES.md",
    network=network,
    samples=samples,
)
