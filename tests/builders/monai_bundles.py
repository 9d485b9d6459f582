"""MONAI bundles as their specification has them, around networks whose answers are known beforehand."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CT_STEPS: tuple[dict[str, Any], ...] = (
    {"_target_": "LoadImaged", "keys": "@image_key"},
    {"_target_": "EnsureChannelFirstd", "keys": "@image_key"},
    {"_target_": "Orientationd", "keys": "@image_key", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
    {
        "_target_": "ScaleIntensityRanged",
        "keys": "@image_key",
        "a_min": -100,
        "a_max": 300,
        "b_min": 0,
        "b_max": 1,
        "clip": True,
    },
    {"_target_": "EnsureTyped", "keys": "@image_key"},
)
ARGMAX: tuple[dict[str, Any], ...] = (
    {"_target_": "Activationsd", "keys": "pred", "softmax": True},
    {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "@image_key"},
    {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
    {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
)
REGIONS: tuple[dict[str, Any], ...] = (
    {"_target_": "monai.transforms.Activationsd", "keys": "pred", "sigmoid": True},
    {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
)
WINDOWS = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 4, "overlap": 0.5}


def metadata(
    *,
    modality: str = "CT",
    form: str = "hounsfield",
    channels: Mapping[str, str] = {"0": "image"},  # never written to
    labels: Mapping[str, str] = {"0": "background", "1": "stone"},  # never written to
    shape: Sequence[object] = (16, 16, 16),
    **changes: Any,
) -> dict[str, Any]:
    """What `configs/metadata.json` says."""
    tensor = {"type": "image", "spatial_shape": list(shape), "dtype": "float32", "is_patch_data": True}
    return {
        "schema": "urn:monai:meta-schema",
        "version": "0.3.1",
        "changelog": {"0.3.1": "made by a test"},
        "monai_version": "1.4.0",
        "pytorch_version": "2.4.0",
        "numpy_version": "1.24.4",
        "optional_packages_version": {"nibabel": "5.2.1"},
        "name": "Kidney stones",
        "task": "Segmentation of kidney stones",
        "description": "A network for the segmentation of kidney stones in CT",
        "authors": "the tests",
        "copyright": "nobody",
        "data_source": "drawn cubes",
        "data_type": "nibabel",
        "eval_metrics": {"mean_dice": 0.91},
        "intended_use": "Tests. Not a medical device.",
        "network_data_format": {
            "inputs": {
                "image": {
                    **tensor,
                    "format": form,
                    "modality": modality,
                    "num_channels": len(channels),
                    "value_range": [0, 1],
                    "channel_def": dict(channels),
                }
            },
            "outputs": {
                "pred": {
                    **tensor,
                    "format": "segmentation",
                    "num_channels": len(labels),
                    "value_range": [],
                    "channel_def": dict(labels),
                }
            },
        },
        **changes,
    }


def inference(
    *,
    preprocessing: Sequence[Mapping[str, Any]] = CT_STEPS,
    postprocessing: Sequence[Mapping[str, Any]] = ARGMAX,
    inferer: Mapping[str, Any] = WINDOWS,
) -> dict[str, Any]:
    """What `configs/inference.json` says."""
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "image_key": "image",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": "UNet", "spatial_dims": 3, "channels": [16, 32], "strides": [2]},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": list(preprocessing)},
        "inferer": dict(inferer),
        "postprocessing": {"_target_": "Compose", "transforms": list(postprocessing)},
        "evaluator": {"_target_": "SupervisedEvaluator", "device": "@device", "network": "@network"},
    }


def write_monai(
    root: Path,
    *,
    name: str = "kidney_stones_ct",
    network: bytes | None = None,
    weights: Sequence[str] = ("model.pt", "model.ts"),
    about: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write a bundle as a folder; `network` is its ONNX file."""
    folder = root / name
    for below in ("configs", "models", "docs"):
        (folder / below).mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text(json.dumps(about or metadata()))
    (folder / "configs" / "inference.json").write_text(json.dumps(config or inference()))
    (folder / "LICENSE").write_text(
        "                                 Apache License\n   Version 2.0, January 2004\n"
    )
    for file in weights:
        (folder / "models" / file).write_bytes(b"weights")
    if network is not None:
        (folder / "models" / "model.onnx").write_bytes(network)
    return folder


def zipped(folder: Path) -> Path:
    """Pack a bundle into a zip, its folder included."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path
