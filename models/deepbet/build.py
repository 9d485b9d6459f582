"""Makes the bundle `deepbet` of deepbet's two networks: the brain in T1, as `edge bundle build` runs it.

deepbet looks twice: at the whole volume, shrunk to 128 voxels a side, for where the brain lies; then at the
box around it, brought to 256 voxels a side. Both networks and all that lies between them are one graph here,
so that the engine gives it a volume of any shape and gets chances of the same shape back.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import onnx
from heads import SPACING_MM, draw
from linknet import Graph, LinkNet
from onnx import TensorProto, helper
from torchscript import weights

from edge.domain.image import Volume
from edge.workshop.recipe import Recipe
from edge.workshop.wheels import Wheel

FINDS, MARKS = "data/models/bbox_model.pt", "data/models/model.pt"
SMALL, LARGE = 128, 256
QUANTILE: Final = 0.005
MEAN, DEVIATION = 0.449, 0.226  # to which deepbet brings all that a network sees
MARGIN: Final = 0.1  # of the box, on each side
SHARE_MIN: Final = 0.02  # of a plane that is brain, for the plane to belong to the box
SAMPLES: Final = 8
SPACE: Final = (2, 3, 4)


def network(members: Mapping[str, bytes]) -> bytes:
    """Write deepbet's `run_model` down as one graph; what it does afterwards is in the manifest."""
    graph = Graph()
    small = _resized(graph, "image", [SMALL] * 3)
    low, high = _quantiles(graph, small)
    chances = LinkNet(graph, weights(members[FINDS])).answer(_normal(graph, small, low, high))
    shape = graph.add("Shape", ["image"], start=2)
    first, behind = _box(graph, _brain(graph, chances), shape)
    axes = graph.constant(SPACE, np.int64)
    cut = graph.add("Slice", ["image", first, behind, axes])
    seen = _normal(graph, _resized(graph, cut, [LARGE] * 3), low, high)
    chances = _brain(graph, LinkNet(graph, weights(members[MARKS])).answer(seen))
    there = _resized(graph, chances, graph.add("Sub", [behind, first]))
    none = graph.constant([0, 0], np.int64)
    pads = graph.add("Concat", [none, first, none, graph.add("Sub", [shape, behind])], axis=0)
    graph.nodes.append(helper.make_node("Pad", [there, pads], ["brain"], name="brain"))
    sides: list[int | str] = [1, 1, "d", "h", "w"]
    value = helper.make_tensor_value_info
    whole = helper.make_graph(
        graph.nodes,
        "deepbet",
        [value("image", TensorProto.FLOAT, sides)],
        [value("brain", TensorProto.FLOAT, sides)],
        graph.constants,
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _resized(graph: Graph, x: str, sides: list[int] | str) -> str:
    """Take the nearest voxel, as PyTorch's `nearest-exact`: the one that holds the middle of the new one."""
    space = graph.constant(sides, np.int64) if isinstance(sides, list) else sides
    whole = graph.add("Concat", [graph.constant([1, 1], np.int64), space], axis=0)
    return graph.add(
        "Resize",
        [x, "", "", whole],
        mode="nearest",
        coordinate_transformation_mode="half_pixel",
        nearest_mode="round_prefer_ceil",
    )


def _quantiles(graph: Graph, x: str) -> tuple[str, str]:
    """Return the brightness below and above which half a percent lies, linear between neighbours."""
    place = QUANTILE * (SMALL**3 - 1)
    count = int(place) + 2
    flat = graph.add("Reshape", [x, graph.constant([-1], np.int64)])
    found = []
    for largest in (0, 1):
        values, _ = graph.several(
            "TopK", [flat, graph.constant([count], np.int64)], 2, axis=0, largest=largest, sorted=1
        )
        last = graph.add(
            "Slice",
            [values, graph.constant([count - 2], np.int64), graph.constant([count], np.int64)],
        )
        share = place - int(place)
        weighted = graph.add("Mul", [last, graph.constant([1 - share, share])])
        found.append(graph.add("ReduceSum", [weighted], keepdims=1))
    return found[0], found[1]


def _normal(graph: Graph, x: str, low: str, high: str) -> str:
    """Bring what lies between two quantiles to deepbet's mean and deviation."""
    span = graph.add("Sub", [high, low])
    x = graph.add("Div", [graph.add("Sub", [x, low]), span])
    x = graph.add("Clip", [x, graph.constant(0.0), graph.constant(1.0)])
    off = graph.add("Sub", [x, graph.add("ReduceMean", [x], axes=list(SPACE), keepdims=1)])
    square = graph.add("ReduceMean", [graph.add("Mul", [off, off])], axes=list(SPACE), keepdims=1)
    x = graph.add("Div", [off, graph.add("Sqrt", [square])])
    x = graph.add("Mul", [x, graph.constant(DEVIATION)])
    return graph.add("Add", [x, graph.constant(MEAN)])


def _brain(graph: Graph, chances: str) -> str:
    one, two, axis = (graph.constant([value], np.int64) for value in (1, 2, 1))
    return graph.add("Slice", [chances, one, two, axis])


def _box(graph: Graph, chances: str, shape: str) -> tuple[str, str]:
    """Return the first voxel of the box around the brain on each axis, and the one behind its last.

    deepbet leaves all but the largest piece away before; here what is scattered counts, where it fills a
    fiftieth of a plane. Where nothing is brain, the box is the whole volume.
    """
    marked = graph.add("Cast", [graph.add("Greater", [chances, graph.constant(0.5)])], to=TensorProto.FLOAT)
    places = graph.constant(np.arange(SMALL))
    firsts, lasts = [], []
    for axis in SPACE:
        others = [other for other in range(5) if other != axis]
        share = graph.add("ReduceMean", [marked], axes=others, keepdims=0)
        here = graph.add("Greater", [share, graph.constant(SHARE_MIN)])
        low = graph.add("Where", [here, places, graph.constant(float(SMALL))])
        high = graph.add("Where", [here, places, graph.constant(-1.0)])
        firsts.append(graph.add("ReduceMin", [low], axes=[0], keepdims=1))
        lasts.append(graph.add("ReduceMax", [high], axes=[0], keepdims=1))
    first = graph.add("Concat", firsts, axis=0)
    behind = graph.add("Add", [graph.add("Concat", lasts, axis=0), graph.constant(1.0)])
    is_empty = graph.add("Less", [behind, first])
    first = graph.add("Where", [is_empty, graph.constant(0.0), first])
    behind = graph.add("Where", [is_empty, graph.constant(float(SMALL)), behind])
    sides = graph.add("Cast", [shape], to=TensorProto.FLOAT)
    scale = graph.add("Div", [sides, graph.constant(float(SMALL))])
    sum_, span = graph.add("Add", [behind, first]), graph.add("Sub", [behind, first])
    middle = graph.add("Round", [graph.add("Mul", [scale, graph.add("Div", [sum_, graph.constant(2.0)])])])
    grown = graph.add("Mul", [graph.add("Mul", [scale, span]), graph.constant(1 + 2 * MARGIN)])
    half = graph.add("Div", [graph.add("Round", [grown]), graph.constant(2.0)])
    ends = []
    for end in (graph.add("Sub", [middle, half]), graph.add("Add", [middle, half])):
        whole = graph.add("Floor", [graph.add("Max", [end, graph.constant(0.0)])])
        ends.append(graph.add("Cast", [graph.add("Min", [whole, sides])], to=TensorProto.INT64))
    return ends[0], ends[1]


def samples() -> Sequence[Sequence[Volume]]:
    """Draw heads; no scan of anybody is needed."""
    spacing = (SPACING_MM,) * 3
    return [
        [
            Volume(
                voxels=draw(seed),
                unit="arbitrary",
                spacing_mm=spacing,
                patient_from_voxel=np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0]),
                modality="MR",
            )
        ]
        for seed in range(SAMPLES)
    ]


RECIPE = Recipe(
    wheel=Wheel("deepbet", "1.0.2", "1999e2ea00ec48f6233b95b96f3901a962d3f70431c63aeb985e8a49a198473c"),
    members=(FINDS, MARKS),
    licence="deepbet-1.0.2.dist-info/LICENSE",
    network=network,
    samples=samples,
    quantizes=False,
)
