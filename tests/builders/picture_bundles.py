"""A bundle for pictures whose network anybody can check by hand: it scores the mean brightness.

Its classes are `dark` and `bright`. With the decoder `probabilities`, the default, the score of `bright` is
the mean over all channels and pixels of the network's input, 0 for black and 1 for white, and that of `dark`
is the rest. With `softmax` and `sigmoid` it is the logistic function of 10 times (that mean - 0.5).

The picture fills the input (`stretch`); what is looked for is PRESENT from a score of 0.6 for `bright` on,
and stays so down to 0.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.builders.bundles import about, npz, serialized, write_files

SIDE_PX = 32
STEEPNESS = 10.0
ONNX_TYPES = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
BRIGHT = {"system": "99EDGE", "value": "bright", "meaning": "Bright picture"}
DARK = {"system": "99EDGE", "value": "dark", "meaning": "Dark picture"}


def bright_score(mean: float, *, decoder: str = "probabilities") -> float:
    """What the network must say about a picture of this mean brightness, 0 to 1."""
    if decoder == "probabilities":
        return mean
    return float(1 / (1 + np.exp(-STEEPNESS * (mean - 0.5))))


def picture_network(
    *,
    decoder: str = "probabilities",
    dtype: str = "uint8",
    white: float = 255.0,
    extra_convolutions: int = 0,
    width_channels: int = 24,
) -> bytes:
    """An ONNX file.

    Args:
        decoder: Whose numbers it gives.
        dtype: Of its input.
        white: Value of a white pixel in its input.
        extra_convolutions: Take time, and change nothing.
        width_channels: Of those.
    """
    given = helper.make_tensor_value_info("image", ONNX_TYPES[dtype], [1, 3, "h", "w"])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, 2])
    nodes = [helper.make_node("Cast", ["image"], ["seen"], to=TensorProto.FLOAT)]
    seen, rng = "seen", np.random.default_rng(0)
    weights: dict[str, NDArray[Any]] = {"nothing": np.zeros((), np.float32)}
    for n in range(extra_convolutions):
        inputs = width_channels if n else 3
        shape = (width_channels, inputs, 3, 3)
        weights[f"kernel{n}"] = rng.normal(0, (inputs * 9) ** -0.5, shape).astype(np.float32)
        nodes.append(helper.make_node("Conv", [seen, f"kernel{n}"], [f"wide{n}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"wide{n}"], [f"bent{n}"]))
        seen = f"bent{n}"
    # The convolutions end in a number that is multiplied by nothing, so that none of them can be left out.
    nodes.append(helper.make_node("ReduceMean", [seen], ["idle"], axes=[1, 2, 3], keepdims=0))
    nodes.append(helper.make_node("Mul", ["idle", "nothing"], ["void"]))
    nodes.append(helper.make_node("ReduceMean", ["seen"], ["mean"], axes=[1, 2, 3], keepdims=0))
    nodes.append(helper.make_node("Add", ["mean", "void"], ["sum"]))
    nodes.append(helper.make_node("Unsqueeze", ["sum", "axis"], ["column"]))
    nodes.append(helper.make_node("MatMul", ["column", "slopes"], ["sloped"]))
    nodes.append(helper.make_node("Add", ["sloped", "offsets"], ["answer"]))
    slopes, offsets = LINES[decoder]
    weights |= {
        "axis": np.array([1], np.int64),
        "slopes": (np.array([slopes]) / white).astype(np.float32),
        "offsets": np.array([offsets], np.float32),
    }
    return serialized(nodes, given=given, answers=[answer], weights=weights)


# Of `dark` and `bright`: slopes over the mean, and offsets.
LINES = {
    "probabilities": ((-1.0, 1.0), (1.0, 0.0)),
    "softmax": ((0.0, STEEPNESS), (0.0, -STEEPNESS / 2)),
    "sigmoid": ((-STEEPNESS, STEEPNESS), (STEEPNESS / 2, -STEEPNESS / 2)),
}


def golden_pictures(
    *, decoder: str = "probabilities", height_px: int = SIDE_PX, width_px: int = SIDE_PX
) -> bytes:
    """Three noisy pictures of different brightness, with the scores they must get."""
    rng = np.random.default_rng(0)
    levels = np.array([20, 120, 220])[:, None, None, None]
    image = (levels + rng.integers(-20, 20, (3, 3, height_px, width_px))).astype(np.uint8)
    bright = [bright_score(float(one.mean()) / 255, decoder=decoder) for one in image]
    return npz(image=image, scores=np.array([[1 - score, score] for score in bright], np.float32))


def picture_document(
    *,
    name: str,
    decoder: str = "probabilities",
    dtype: str = "uint8",
    height_px: int = SIDE_PX,
    width_px: int = SIDE_PX,
) -> dict[str, Any]:
    """A manifest that is right, except for the hashes; with float32, white is 1."""
    return {
        **about(name),
        "task": "picture-classification",
        "input": {
            "name": "image",
            "layout": "NCHW",
            "channels": "RGB",
            "dtype": dtype,
            "height_px": height_px,
            "width_px": width_px,
        },
        "preprocessing": [{"step": "stretch"}, *[{"step": "scale", "divide_by": 255}] * (dtype == "float32")],
        "output": {
            "name": "answer",
            "decoder": decoder,
            "classes": [{"name": "dark", "code": DARK}, {"name": "bright", "code": BRIGHT}],
        },
        "golden": {"file": "golden.npz", "sha256": "", "score_error_max": 0.02},
        "policy": {
            "looked_for": BRIGHT,
            "present_class": "bright",
            "enter_score_min": 0.6,
            "stay_score_min": 0.4,
            "fail_closed": True,
        },
    }


def write_picture_bundle(
    root: Path,
    *,
    name: str = "brightness",
    decoder: str = "probabilities",
    dtype: str = "uint8",
    height_px: int = SIDE_PX,
    width_px: int = SIDE_PX,
    networks: Mapping[str, bytes] | None = None,
    golden_npz: bytes | None = None,
    edit: Callable[[dict[str, Any]], None] = lambda document: None,
) -> Path:
    """Write a bundle with right hashes; `edit` changes the manifest after that."""
    white = {"uint8": 255.0, "float32": 1.0}[dtype]
    pictures = golden_pictures(decoder=decoder, height_px=height_px, width_px=width_px)
    return write_files(
        root / name,
        picture_document(name=name, decoder=decoder, dtype=dtype, height_px=height_px, width_px=width_px),
        networks=networks or {"fp32": picture_network(decoder=decoder, dtype=dtype, white=white)},
        golden_npz=pictures if golden_npz is None else golden_npz,
        edit=edit,
    )
