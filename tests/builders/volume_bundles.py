"""Segmenters of volumes in every form a manifest can tell; what they answer is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.builders.bundles import about, npz, serialized, write_files

LESION = {"system": "SCT", "value": "52988006", "meaning": "Lesion"}
SHARP = 40.0
DTYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}
DTYPES |= {"int64": TensorProto.INT64, "int32": TensorProto.INT32}


def linear(
    weights: Sequence[Sequence[float]],
    offsets: Sequence[float],
    *,
    layout: str = "NCDHW",
    ending: str = "",
    dtype: str = "float32",
    labels: str = "",
    sides: Sequence[int | str] = (),
) -> bytes:
    """An ONNX file whose scores are linear in the channels of a voxel.

    Args:
        weights: (classes, channels).
        offsets: For each class.
        layout: Of its input, and of scores.
        ending: `Softmax` or `Sigmoid` over the classes, or "".
        dtype: Of its input, and of scores.
        labels: ArgMax is in the graph and gives this dtype.
        sides: Of a graph with a fixed shape.
    """
    flat, is_last = "D" not in layout, layout.endswith("C")
    names = list(sides) or ["h", "w"] if flat else list(sides) or ["d", "h", "w"]
    number = np.dtype(dtype if dtype != "float16" else "float16")
    kernel = np.array(weights, number).reshape(*np.shape(weights), *([1] * len(names)))
    first, last = [0, 1, 2, 3, 4][: len(names) + 2], len(names) + 1
    nodes, seen = [], "image"
    if is_last:
        nodes.append(helper.make_node("Transpose", [seen], ["planes"], perm=[0, last, *first[1:-1]]))
        seen = "planes"
    nodes.append(helper.make_node("Conv", [seen, "kernel", "offsets"], ["scores"]))
    seen = "scores"
    if ending == "Softmax":
        nodes.append(helper.make_node("Softmax", [seen], ["ended"], axis=1))
        seen = "ended"
    elif ending:
        nodes.append(helper.make_node(ending, [seen], ["ended"]))
        seen = "ended"
    if labels:
        nodes.append(helper.make_node("ArgMax", [seen], ["index"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["index"], ["answer"], to=DTYPES[labels]))
    elif is_last:
        nodes.append(helper.make_node("Transpose", [seen], ["answer"], perm=[0, *first[2:], 1]))
    else:
        nodes.append(helper.make_node("Identity", [seen], ["answer"]))
    channels, classes = len(weights[0]), len(weights)
    shape = [1, *names, channels] if is_last else [1, channels, *names]
    given = helper.make_tensor_value_info("image", DTYPES[dtype], shape)
    out = [1, *names] if labels else [1, *names, classes] if is_last else [1, classes, *names]
    answer = helper.make_tensor_value_info("answer", DTYPES[labels or dtype], out)
    constants = {"kernel": kernel, "offsets": np.array(offsets, number)}
    return serialized(nodes, given=given, answers=[answer], weights=constants)


def document(
    *, name: str, labels: Sequence[str] = ("core",), decoder: str = "logits", **given: Any
) -> dict[str, Any]:
    """A manifest for lesions in MR at 1 mm, right except for the hashes; `given` goes into input."""
    sides = {"pass_voxels_max": 64**3, "tile_voxels": [16, 16, 16]} if "shape_voxels" not in given else {}
    kinds = {"accepts": [{"modality": "MR", "unit": "arbitrary"}]} if "channels" not in given else {}
    if "slices" in given and sides:
        sides["tile_voxels"] = [16, 16]
    return {
        **about(name),
        "input": {
            "name": "image",
            "layout": "NCDHW",
            "overlap_voxels": 4,
            "volume_voxels_max": 10_000_000,
            **sides,
            **kinds,
            **given,
        },
        "preprocessing": [{"step": "orient", "axes": "RAS"}, {"step": "resample", "spacing_mm": 1.0}],
        "output": {
            "name": "answer",
            "decoder": decoder,
            "largest_component_only": False,
            "fill_holes": False,
            "field_of_view": {"margin_mm": 0.0, "contact_min_mm2": 0.0},
            "labels": [{"name": one, "code": LESION} for one in labels],
        },
        "golden": {"file": "golden.npz", "sha256": "", "union_dice_min": 0.99, "label_dice_min": 0.98},
        "policy": {
            "looked_for": LESION,
            "cutting_faces": [],
            "measurements": [
                {"name": "all", "code": LESION, "labels": list(labels), "modalities": ["MR"]},
            ],
        },
    }


def golden(
    answer: Callable[[NDArray[np.float32]], NDArray[np.uint8]],
    *,
    channels: int = 1,
    shape: Sequence[int] = (8, 16, 16),
) -> bytes:
    """A golden npz: noise, away from every threshold in tenths, and what `answer` says of it."""
    steps = np.random.default_rng(0).integers(0, 10, (1, channels, *shape))
    image = ((steps + 0.5) / 10).astype(np.float32)
    return npz(image=image, labels=answer(image[0])[None].astype(np.uint8))


def write_segmenter(
    root: Path,
    network: bytes,
    written: dict[str, Any],
    golden_npz: bytes,
    *,
    edit: Callable[[dict[str, Any]], None] = lambda document: None,
) -> Path:
    """Write a bundle with right hashes; `edit` changes the manifest after that."""
    return write_files(
        root / written["name"],
        written,
        networks={"fp16" if written["input"].get("dtype") == "float16" else "fp32": network},
        golden_npz=golden_npz,
        edit=edit,
    )


def write_pair(
    root: Path, *, name: str = "pair", edit: Callable[[dict[str, Any]], None] = lambda document: None
) -> Path:
    """Write a bundle of two channels of CT, T1 and FLAIR: where both together are bright is a lesion."""
    kind = [{"modality": "CT", "unit": "hounsfield"}]
    made = document(name=name, channels=[{"role": role, "accepts": kind} for role in ("T1", "FLAIR")])
    made["preprocessing"].append({"step": "scale_range", "low": 0, "high": 1000})
    made["policy"]["measurements"][0]["modalities"] = ["CT"]
    made["policy"]["components"] = {
        "code": made["policy"]["looked_for"],
        "labels": ["core"],
        "components_max": 5,
    }
    network = linear([[0, 0], [SHARP, SHARP]], [0, -1.5 * SHARP])
    return write_segmenter(root, network, made, golden(_bright_together, channels=2), edit=edit)


def _bright_together(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(picture.sum(axis=0) > 1.5, np.uint8)
