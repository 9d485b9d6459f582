"""A bundle of a few KB whose network anybody can check by hand: bright voxels are its organ.

`picture_bundles` and `spectra_bundles` beside this have the same for the other tasks.
"""

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

from edge.bundles.store import Bundle, read_manifest

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
    """An ONNX file; `extra_convolutions` take time, and change nothing."""
    weights = [
        numpy_helper.from_array(_through((len(slopes), channels), slopes), "kernel"),
        numpy_helper.from_array(offsets, "offsets"),
        numpy_helper.from_array(_through((16, channels), np.eye(16, 1, dtype=np.float32)[:, 0]), "widen"),
        numpy_helper.from_array(np.full((16, 16, 3, 3, 3), 1 / 432, np.float32), "smooth"),
        numpy_helper.from_array(np.zeros((), np.float32), "nothing"),
    ]
    nodes, seen = [], image
    for n in range(extra_convolutions):
        weight = "smooth" if n else "widen"
        nodes.append(helper.make_node("Conv", [seen, weight], [f"wide{n}"], pads=[1] * 6))
        seen = f"wide{n}"
    # The convolutions end in a number that is multiplied by nothing, so that none of them can be left out.
    nodes.append(helper.make_node("ReduceMean", [seen], ["idle"], keepdims=1))
    nodes.append(helper.make_node("Mul", ["idle", "nothing"], ["void"]))
    nodes.append(helper.make_node("Conv", [image, "kernel", "offsets"], ["found"], pads=[1] * 6))
    scores = answer if decoder == "logits" else "scores"
    nodes.append(helper.make_node("Add", ["found", "void"], [scores]))
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
    return write_files(
        root / name,
        document(name=name, decoder=decoder),
        networks=networks or {"fp32": network(decoder=decoder)},
        golden_npz=golden() if golden_npz is None else golden_npz,
        edit=edit,
    )


def write_files(
    folder: Path,
    written: dict[str, Any],
    *,
    networks: Mapping[str, bytes],
    golden_npz: bytes,
    edit: Callable[[dict[str, Any]], None],
) -> Path:
    """Write a bundle of any task: its networks by precision, its golden npz, and the manifest over them."""
    folder.mkdir(parents=True)
    for precision, content in networks.items():
        (folder / f"model.{precision}.onnx").write_bytes(content)
        written["variants"].append(
            {
                "precision": precision,
                "file": f"model.{precision}.onnx",
                "sha256": hashlib.sha256(content).hexdigest(),
                "devices": ["cpu"],
            }
        )
    (folder / "golden.npz").write_bytes(golden_npz)
    written["golden"]["sha256"] = hashlib.sha256(golden_npz).hexdigest()
    edit(written)
    (folder / "manifest.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    return folder


def unchecked(folder: Path) -> Bundle:
    """A bundle as its manifest describes it, its files not looked at: for what comes after they were."""
    text, manifest = read_manifest(folder)
    return Bundle(folder, manifest, hashlib.sha256(text).hexdigest())


def npz(**arrays: NDArray[Any]) -> bytes:
    """Return the bytes of an npz."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes the names for its own options
    return file.getvalue()


def about(name: str) -> dict[str, Any]:
    """What every bundle says, except for the variants."""
    return {
        "format": "edge.bundle/1",
        "name": name,
        "version": "1.0.0",
        "licence": "Apache-2.0",
        "intended_use": "Tests. Not a medical device.",
        "variants": [],
        "accuracy": [{"data": "its own golden input", "metric": "agreement", "value": 1.0}],
        "provenance": {"script": "bundles.py", "trained_on": [{"name": "nothing", "licence": "CC0-1.0"}]},
    }


def serialized(
    nodes: list[onnx.NodeProto],
    *,
    given: onnx.ValueInfoProto,
    answers: list[onnx.ValueInfoProto],
    weights: Mapping[str, NDArray[Any]],
) -> bytes:
    """Return the bytes of an ONNX file that was checked."""
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "tiny", [given], answers, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
