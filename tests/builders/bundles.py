"""A bundle of a few KB whose network anybody can check by hand: bright voxels are its organ."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SCT = {"shell": "119238007", "core": "35764002"}

# Scores are linear in the brightness of a voxel: background below 0.3, shell to 0.7, core above.
SLOPES = np.array([0.0, 10.0, 20.0], np.float32)
OFFSETS = np.array([0.0, -3.0, -10.0], np.float32)


def labels_of(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What the network must say about a picture."""
    return np.digitize(picture, [0.3, 0.7]).astype(np.uint8)


def network(
    *,
    decoder: str = "labels",
    slopes: NDArray[np.float32] = SLOPES,
    offsets: NDArray[np.float32] = OFFSETS,
    channels: int = 1,
    image: str = "image",
    answer: str = "answer",
    answer_type: int = TensorProto.UINT8,
    extra_convolutions: int = 0,
) -> bytes:
    """An ONNX file; `extra_convolutions` blur the picture and take time."""
    wide = 16 if extra_convolutions else channels
    weights = [
        numpy_helper.from_array(_through((len(slopes), wide), slopes), "kernel"),
        numpy_helper.from_array(offsets, "offsets"),
        numpy_helper.from_array(_through((16, channels), np.eye(16, 1, dtype=np.float32)[:, 0]), "widen"),
        numpy_helper.from_array(np.full((16, 16, 3, 3, 3), 1 / 432, np.float32), "smooth"),
    ]
    nodes, seen = [], image
    for n in range(extra_convolutions):
        weight = "smooth" if n else "widen"
        nodes.append(helper.make_node("Conv", [seen, weight], [f"wide{n}"], pads=[1] * 6))
        seen = f"wide{n}"
    scores = answer if decoder == "logits" else "scores"
    nodes.append(helper.make_node("Conv", [seen, "kernel", "offsets"], [scores], pads=[1] * 6))
    shape: list[int | str] = [1, len(slopes), "d", "h", "w"]
    if decoder == "labels":
        nodes.append(helper.make_node("ArgMax", ["scores"], ["index"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["index"], [answer], to=answer_type))
        shape = [1, "d", "h", "w"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(image, TensorProto.FLOAT, [1, channels, "d", "h", "w"])],
        [
            helper.make_tensor_value_info(
                answer, TensorProto.FLOAT if decoder == "logits" else answer_type, shape
            )
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _through(shape: tuple[int, int], first: NDArray[np.float32]) -> NDArray[np.float32]:
    """Kernels that look at the voxel itself, in the first channel only."""
    kernel = np.zeros((*shape, 3, 3, 3), np.float32)
    kernel[:, 0, 1, 1, 1] = first
    return kernel


def golden(image: NDArray[np.float32] | None = None, labels: NDArray[np.uint8] | None = None) -> bytes:
    """A golden npz: a ball with a core, or what is given."""
    if image is None:
        place = np.indices((16, 16, 16)) - 7.5
        image = (1.2 - np.sqrt((place**2).sum(axis=0)) / 8).clip(0, 1).astype(np.float32)[None, None]
    file = io.BytesIO()
    np.savez(file, image=image, labels=labels_of(image[:, 0]) if labels is None else labels)
    return file.getvalue()


def document(*, name: str, decoder: str = "labels") -> dict[str, Any]:
    """A manifest that is right, except for the hashes."""

    def code(value: str, meaning: str) -> dict[str, str]:
        return {"system": "SCT", "value": value, "meaning": meaning}

    return {
        "format": "edge.bundle/1",
        "name": name,
        "version": "1.0.0",
        "licence": "Apache-2.0",
        "intended_use": "Tests. Not a medical device.",
        "input": {
            "name": "image",
            "layout": "NCDHW",
            "accepts": [{"modality": "MR", "unit": "arbitrary"}, {"modality": "CT", "unit": "hounsfield"}],
            "multiple_of_voxels": 4,
            "pass_voxels_max": 64**3,
            "tile_voxels": [32, 32, 32],
            "overlap_voxels": 8,
            "volume_voxels_max": 10_000_000,
        },
        "preprocessing": [
            {"step": "window", "low": 0, "high": 1000, "when": {"modality": ["CT"]}},
            {"step": "resample", "spacing_mm": 2.0},
            {"step": "orient", "axes": "RAS"},
            {
                "step": "percentile",
                "low_percent": 0,
                "high_percent": 100,
                "foreground_above": 0.0,
                "clip_high": 1.0,
            },
        ],
        "output": {
            "name": "answer",
            "decoder": decoder,
            "largest_component_only": True,
            "fill_holes": True,
            "field_of_view": {"margin_mm": 2.0, "contact_min_mm2": 30.0, "continuing_labels": []},
            "labels": [
                {"name": "shell", "code": code(SCT["shell"], "Brain stem")},
                {"name": "core", "code": code(SCT["core"], "Brain ventricle")},
            ],
        },
        "variants": [],
        "golden": {"file": "golden.npz", "sha256": "", "union_dice_min": 0.99, "label_dice_min": 0.98},
        "policy": {
            "looked_for": code("12738006", "Brain"),
            "gates": {
                "largest_fraction_min": 0.9,
                "whole_field_mm": [50, 50, 50],
                "whole_min_ml": 5,
                "part_min_ml": 1,
                "max_ml": 500,
            },
            "cutting_faces": ["L", "R", "A", "P", "S", "I"],
            "measurements": [
                {
                    "name": "all",
                    "code": code("12738006", "Brain"),
                    "labels": ["shell", "core"],
                    "modalities": ["MR", "CT"],
                },
                {
                    "name": "core",
                    "code": code(SCT["core"], "Brain ventricle"),
                    "labels": ["core"],
                    "modalities": ["MR"],
                },
            ],
            "notes": [{"modality": "CT", "note": "The core cannot be told apart in CT."}],
        },
        "accuracy": [{"data": "its own golden input", "metric": "union Dice", "value": 1.0}],
        "provenance": {"script": "bundles.py", "trained_on": [{"name": "nothing", "licence": "CC0-1.0"}]},
    }


def write_bundle(
    root: Path,
    *,
    name: str = "tiny",
    decoder: str = "labels",
    networks: Mapping[str, bytes] | None = None,
    golden_npz: bytes | None = None,
    edit: Callable[[dict[str, Any]], None] = lambda document: None,
) -> Path:
    """Write a bundle with right hashes; `edit` changes the manifest after that."""
    folder = root / name
    folder.mkdir(parents=True)
    written = document(name=name, decoder=decoder)
    for precision, content in (networks or {"fp32": network(decoder=decoder)}).items():
        (folder / f"model.{precision}.onnx").write_bytes(content)
        written["variants"].append(
            {
                "precision": precision,
                "file": f"model.{precision}.onnx",
                "sha256": hashlib.sha256(content).hexdigest(),
                "devices": ["cpu"],
            }
        )
    npz = golden() if golden_npz is None else golden_npz
    (folder / "golden.npz").write_bytes(npz)
    written["golden"]["sha256"] = hashlib.sha256(npz).hexdigest()
    edit(written)
    (folder / "manifest.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    return folder
