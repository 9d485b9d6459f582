"""Bundles of all picture tasks whose networks anybody can check by hand: they look at how red a pixel is.

With GREY, red is how bright it is. Of the network's input, 0 for none and 1 for all of it:

* `picture-detection` finds cells of 16 x 16 px, each as a box, whose mean red is the score;
* `picture-segmentation` marks pixels with more than half of it;
* `picture-keypoints` places one point in the middle of the reddest cell of 4 x 4 px;
* `picture-regression` reads the mean, in percent; 90 and more is out of its range;
* `picture-embedding` answers with the means of 16 cells, brought to length 1;
* `picture-classification` scores, each by itself, `red` by the mean and `pale` by the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from tests.builders.bundles import about, npz, serialized, write_files

CELL_PX, POINT_CELL_PX, SIDE_PX = 16, 4, 64
ONNX_TYPES = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}
RED = {"system": "99EDGE", "value": "red", "meaning": "Red"}
PALE = {"system": "99EDGE", "value": "pale", "meaning": "Pale"}
BOTH = [{"name": "red", "code": RED}, {"name": "pale", "code": PALE}]
LETTERBOX: dict[str, Any] = {"step": "letterbox", "fill_rgb": [0, 0, 0]}
TASKS = (
    "picture-classification",
    "picture-detection",
    "picture-segmentation",
    "picture-keypoints",
    "picture-regression",
    "picture-embedding",
)

Graph = tuple[list[NodeProto], list[ValueInfoProto], dict[str, NDArray[Any]]]


@dataclass(frozen=True)
class Form:
    """What the network takes.

    Attributes:
        layout: `NCHW` or `NHWC`.
        channels: `RGB`, `BGR` or `GREY`.
        dtype: `uint8`, `float32` or `float16`.
        fitting: First step of the preprocessing.
        is_free: The size follows the picture's.
    """

    layout: str = "NCHW"
    channels: str = "RGB"
    dtype: str = "float32"
    fitting: str = "letterbox"
    is_free: bool = False

    @property
    def depth(self) -> int:
        return 1 if self.channels == "GREY" else 3

    def __str__(self) -> str:
        size = "free" if self.is_free else "fixed"
        return f"{self.layout} {self.channels} {self.dtype} {self.fitting} {size}"


def task_network(task: str, form: Form) -> bytes:
    """An ONNX file."""
    sides: list[int | str] = ["h", "w"] if form.is_free else [SIDE_PX, SIDE_PX]
    shape = [1, form.depth, *sides] if form.layout == "NCHW" else [1, *sides, form.depth]
    given = helper.make_tensor_value_info("image", ONNX_TYPES[form.dtype], shape)
    kernel = np.zeros((1, form.depth, 1, 1), np.float32)
    kernel[0, 2 if form.channels == "BGR" else 0] = 1 / 255 if form.dtype == "uint8" else 1.0
    nodes = [helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT)]
    seen = "cast"
    if form.layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["cast"], ["planes"], perm=[0, 3, 1, 2]))
        seen = "planes"
    nodes.append(helper.make_node("Conv", [seen, "kernel"], ["red"]))
    further, answers, weights = GRAPHS[task]()
    return serialized([*nodes, *further], given=given, answers=answers, weights={"kernel": kernel, **weights})


def _floats(name: str, shape: list[int | str]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _pooled(answer: str, cell_px: int) -> NodeProto:
    sides = [cell_px, cell_px]
    return helper.make_node("AveragePool", ["red"], [answer], kernel_shape=sides, strides=sides)


def _detection() -> Graph:
    nodes = [
        _pooled("heat", CELL_PX),
        helper.make_node("Mul", ["heat", "nothing"], ["void"]),
        helper.make_node("Concat", ["void", "void"], ["pair"], axis=1),
        helper.make_node("Add", ["pair", "one"], ["size"]),
    ]
    answers = [_floats("heat", [1, 1, "y", "x"]), _floats("size", [1, 2, "y", "x"])]
    return nodes, answers, {"nothing": np.zeros((), np.float32), "one": np.ones((), np.float32)}


def _segmentation() -> Graph:
    nodes = [
        helper.make_node("Sub", ["red", "half"], ["over"]),
        helper.make_node("Mul", ["over", "slope"], ["marked"]),
        helper.make_node("Mul", ["over", "nothing"], ["ground"]),
        helper.make_node("Concat", ["ground", "marked"], ["logits"], axis=1),
    ]
    weights = {"half": 0.5, "slope": 20.0, "nothing": 0.0}
    return (
        nodes,
        [_floats("logits", [1, 2, "y", "x"])],
        {k: np.array(v, np.float32) for k, v in weights.items()},
    )


def _keypoints() -> Graph:
    nodes = [_pooled("heat", POINT_CELL_PX)]
    return nodes, [_floats("heat", [1, 1, "y", "x"])], {}


def _mean(answer: str) -> list[NodeProto]:
    return [helper.make_node("ReduceMean", ["red"], [answer], axes=[2, 3], keepdims=0)]


def _regression() -> Graph:
    return _mean("mean"), [_floats("mean", [1, 1])], {}


def _embedding() -> Graph:
    nodes = [
        _pooled("cells", CELL_PX),
        helper.make_node("Flatten", ["cells"], ["features"], axis=1),
    ]
    return nodes, [_floats("features", [1, (SIDE_PX // CELL_PX) ** 2])], {}


def _classification() -> Graph:
    nodes = [
        *_mean("mean"),
        helper.make_node("Sub", ["one", "mean"], ["rest"]),
        helper.make_node("Concat", ["mean", "rest"], ["scores"], axis=1),
    ]
    return nodes, [_floats("scores", [1, 2])], {"one": np.ones((1, 1), np.float32)}


GRAPHS: dict[str, Callable[[], Graph]] = {
    "picture-classification": _classification,
    "picture-detection": _detection,
    "picture-segmentation": _segmentation,
    "picture-keypoints": _keypoints,
    "picture-regression": _regression,
    "picture-embedding": _embedding,
}


# ── what is said about each ────────────────────────────────────────────────────────────────────────────────


def _parts(task: str) -> dict[str, Any]:
    """Output, policy and the bounds of the golden check."""
    output: dict[str, Any]
    policy: dict[str, Any]
    scored = {"name": "red", "enter_score_min": 0.9, "stay_score_min": 0.6}
    only_red = [{"name": "red", "code": RED}]
    match task:
        case "picture-detection":
            output = {
                "decoder": "centres",
                "heat": "heat",
                "size": "size",
                "stride_px": CELL_PX,
                "cell_offset": 0.5,
                "peak_cells": 1,
                "scores_are": "probabilities",
                "classes": only_red,
                "score_min": 0.5,
            }
            policy = {"looked_for": RED, "findings": [scored], "nothing_found": "ABSENT"}
            return {"output": output, "policy": policy, "golden": {"f1_min": 0.99}}
        case "picture-segmentation":
            output = {"decoder": "logits", "name": "logits", "labels": only_red}
            finding = {"name": "red", "enter_area_min": 0.01, "stay_area_min": 0.005}
            policy = {"looked_for": RED, "findings": [finding], "nothing_found": "ABSENT"}
            return {
                "output": output,
                "policy": policy,
                "golden": {"union_dice_min": 0.98, "label_dice_min": 0.98, "things_f1_min": 0.9},
            }
        case "picture-keypoints":
            output = {
                "decoder": "heatmaps",
                "name": "heat",
                "stride_px": POINT_CELL_PX,
                "refine": "none",
                "points": [{"name": "tip"}],
                "score_min": 0.5,
            }
            policy = {
                "looked_for": RED,
                "enter_points_min": 1,
                "stay_points_min": 1,
                "nothing_found": "NOT_ASSESSED",
            }
            return {"output": output, "policy": policy, "golden": {"point_error_max_px": 1.0}}
        case "picture-regression":
            share = {
                "name": "share",
                "code": RED,
                "unit": "%",
                "scale": 100.0,
                "value_min": 0,
                "value_max": 90,
            }
            output = {"decoder": "linear", "name": "mean", "quantities": [share]}
            return {"output": output, "policy": {"looked_for": RED}, "golden": {"errors_max": {"share": 1.0}}}
        case "picture-embedding":
            output = {"decoder": "vector", "name": "features", "features": (SIDE_PX // CELL_PX) ** 2}
            return {"output": output, "policy": {"looked_for": RED}, "golden": {"cosine_min": 0.99}}
        case _:
            output = {"decoder": "probabilities", "name": "scores", "classes": BOTH}
            findings = [scored, {**scored, "name": "pale"}]
            policy = {"looked_for": RED, "findings": findings, "fail_closed": False}
            return {"output": output, "policy": policy, "golden": {"score_error_max": 0.02}}


def golden_images(form: Form) -> NDArray[np.uint8]:
    """Three pictures: one red cell, two red cells, and one that lies across four of them; else black."""
    images = np.zeros((3, form.depth, SIDE_PX, SIDE_PX), np.uint8)
    images[0, 0, 16:32, 32:48] = 255
    images[1, 0, 0:16, 0:16] = images[1, 0, 32:48, 48:64] = 255
    images[2, 0, 24:44, 20:40] = 255
    return images


def golden_answers(task: str, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """What must be said about them, reckoned here without a network."""
    red = images[:, 0].astype(np.float32) / 255
    means = red.mean(axis=(1, 2))
    cells = red.reshape(3, 4, 16, 4, 16).mean(axis=(2, 4))
    match task:
        case "picture-detection":
            found = np.argwhere(cells >= 0.5)
            boxes = [[16 * x, 16 * y, 16 * x + 16, 16 * y + 16] for _, y, x in found.tolist()]
            return {
                "picture": found[:, 0],
                "boxes": np.array(boxes, np.float32),
                "classes": np.zeros(len(found), np.int64),
                "scores": cells[tuple(found.T)],
            }
        case "picture-segmentation":
            labels = (red > 0.5).astype(np.uint8)
            things = labels.astype(np.int32)
            things[1, 32:48] *= 2
            return {"labels": labels, "things": things}
        case "picture-keypoints":
            small = red.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4)).reshape(3, -1)
            rows, columns = np.divmod(small.argmax(axis=1), 16)
            points = np.stack([columns * 4.0 + 2, rows * 4.0 + 2], axis=1)[:, None].astype(np.float32)
            return {"points": points, "scores": small.max(axis=1, keepdims=True)}
        case "picture-regression":
            return {"estimates": means[:, None] * 100}
        case "picture-embedding":
            vectors = cells.reshape(3, -1)
            return {"vectors": vectors / np.linalg.norm(vectors, axis=1, keepdims=True)}
        case _:
            return {"scores": np.stack([means, 1 - means], axis=1)}


def task_document(task: str, form: Form, *, name: str) -> dict[str, Any]:
    """A manifest that is right, except for the hashes."""
    parts = _parts(task)
    size: dict[str, Any] = {"height_px": SIDE_PX, "width_px": SIDE_PX}
    if form.is_free:
        size = {"multiple_of_px": CELL_PX, "side_max_px": 256}
    fitting = dict(LETTERBOX) if form.fitting == "letterbox" else {"step": form.fitting}
    fitting |= {"shorter_px": SIDE_PX} if form.fitting == "crop" else {}
    fitting |= {"fill_rgb": [0, 0, 0]} if form.fitting == "keep" else {}
    return {
        **about(name),
        "task": task,
        "input": {
            "name": "image",
            "layout": form.layout,
            "channels": form.channels,
            "dtype": form.dtype,
            **size,
        },
        "preprocessing": [fitting, *[{"step": "scale", "divide_by": 255}] * (form.dtype != "uint8")],
        "output": parts["output"],
        "golden": {"file": "golden.npz", "sha256": "", **parts["golden"]},
        "policy": parts["policy"],
    }


def write_task_bundle(
    root: Path,
    task: str,
    form: Form | None = None,
    *,
    name: str = "redness",
    golden_npz: bytes | None = None,
    edit: Callable[[dict[str, Any]], None] = lambda document: None,
) -> Path:
    """Write a bundle with right hashes; `edit` changes the manifest after that."""
    form = form or Form()
    images = golden_images(form)
    right = npz(image=images, **golden_answers(task, images))
    return write_files(
        root / name,
        task_document(task, form, name=name),
        networks={"fp32": task_network(task, form)},
        golden_npz=right if golden_npz is None else golden_npz,
        edit=edit,
    )
