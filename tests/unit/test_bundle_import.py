"""A MONAI bundle, or an ONNX file with a manifest, becomes a bundle; what nobody can know is asked for."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper
from typer.testing import CliRunner

from edge.bundles.manifest import parse
from edge.bundles.store import load
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.cli.app import app
from edge.domain.errors import BundleRejectedError
from edge.inference.engine import Engine
from edge.kit.clock import SystemClock
from edge.workshop.answers import Answers
from edge.workshop.golden import make_golden
from edge.workshop.monai import import_monai
from edge.workshop.monai_config import Config
from edge.workshop.monai_files import opened
from edge.workshop.monai_transforms import prepare_steps
from edge.workshop.plain_import import import_plain
from edge.workshop.scaffold import Written, sketch, write
from tests.builders.bundles import serialized
from tests.builders.monai_bundles import (
    CT_STEPS,
    REGIONS,
    inference,
    metadata,
    write_monai,
    zipped,
)
from tests.builders.volume_bundles import LESION, document, linear
from tests.builders.volumes import volume

SHARP = 40.0
STONES = linear([[0.0], [SHARP]], [0.0, -SHARP / 2])


def classifier() -> bytes:
    """One number for a whole volume."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0, axes=[2, 3, 4]),
        helper.make_node("Identity", ["mean"], ["answer"]),
    ]
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8, 8])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, 1])
    return serialized(nodes, given=given, answers=[answer], weights={})


def imported(source: Path, out: Path, *, name: str | None = None) -> Written:
    with opened(source) as files:
        return import_monai(files, name=name, into=out)


def manifest_of(written: Written) -> Any:
    return yaml.safe_load((written.folder / "manifest.yaml").read_text())


def edited(written: Written, **codes: Any) -> Path:
    """Fill in what is marked, as a person would."""
    manifest = manifest_of(written)
    manifest["policy"]["looked_for"] = LESION
    manifest["provenance"]["trained_on"][0]["licence"] = "unknown"
    manifest["policy"]["cutting_faces"] = []
    for key, value in codes.items():
        manifest[key] = value
    (written.folder / "manifest.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return written.folder


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_usual_bundle_is_understood_but_for_codes_and_licences(tmp_path: Path, is_zip: bool) -> None:
    source = write_monai(tmp_path, network=STONES)
    written = imported(zipped(source) if is_zip else source, tmp_path / "out")
    assert [path for path, _ in written.open_places] == [
        "policy.looked_for.value",
        "policy.looked_for.meaning",
        "provenance.trained_on.0.licence",
    ]
    manifest = manifest_of(written)
    assert (manifest["name"], manifest["version"], manifest["licence"]) == (
        "kidney-stones-ct",
        "0.3.1",
        "Apache-2.0",
    )
    assert manifest["input"] == {
        "name": "image",
        "layout": "NCDHW",
        "accepts": [{"modality": "CT", "unit": "hounsfield"}],
        "shape_voxels": [16, 16, 16],
        "overlap_voxels": [8, 8, 8],
        "volume_voxels_max": 80_000_000,
    }
    assert manifest["preprocessing"] == [
        {"step": "orient", "axes": "RAS"},
        {"step": "resample", "spacing_mm": [1.5, 1.5, 2.0]},
        {"step": "scale_range", "low": -100, "high": 300, "to_low": 0, "to_high": 1, "clip": True},
    ]
    assert manifest["output"]["decoder"] == "logits"
    assert [label["name"] for label in manifest["output"]["labels"]] == ["stone"]
    assert manifest["accuracy"] == [
        {"data": "drawn cubes, as its authors say", "metric": "mean_dice", "value": 0.91}
    ]


def test_a_bundle_with_open_places_is_refused_and_one_that_was_filled_in_finds_the_stone(
    tmp_path: Path,
) -> None:
    written = imported(write_monai(tmp_path, network=STONES), tmp_path / "out")
    with pytest.raises(BundleRejectedError, match=r"EDIT: policy.looked_for.value: .*trained_on.0.licence"):
        load(written.folder)
    folder = edited(written)
    make_golden(folder, [], clock=SystemClock())
    assert isinstance(load(folder).manifest, VolumeSegmentation)
    scan = np.full((20, 40, 40), -50, np.int16)
    scan[8:12, 15:25, 15:25] = 250
    stone = volume(scan, spacing_mm=(3.0, 1.0, 1.0), unit="hounsfield", modality="CT")
    engine = Engine(
        ["kidney-stones-ct"],
        roots=[tmp_path / "out"],
        threads=1,
        providers=["cpu"],
        state_dir=tmp_path / "state",
        clock=SystemClock(),
    )
    with engine:
        assert engine.refusals == {}
        answer = engine.model("kidney-stones-ct").infer(stone, deadline_s=30)
    assert answer.volume_ml(1) == pytest.approx(1.2, rel=0.25)
    assert (answer.labels > 0)[9:11, 16:24, 16:24].all()


def test_channels_get_their_roles_and_nested_regions_their_order_from_a_person(tmp_path: Path) -> None:
    network = linear([[1.0] * 4] * 3, [0.0] * 3, sides=("d", "h", "w"))
    about = metadata(
        modality="MR",
        form="magnitude",
        channels={"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"},
        labels={"0": "Tumor core", "1": "Whole tumor", "2": "Enhancing tumor"},
        shape=("8*n", "8*n", "8*n"),
    )
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True, "channel_wise": True},
    ]
    config = inference(preprocessing=steps, postprocessing=REGIONS, inferer={"_target_": "SimpleInferer"})
    source = write_monai(tmp_path, name="tumours", network=network, about=about, config=config)
    written = imported(source, tmp_path / "out")
    manifest = manifest_of(written)
    given = manifest["input"]
    assert [channel["role"] for channel in given["channels"]] == ["T1c", "T1", "T2", "FLAIR"]
    assert given["channels"][0]["accepts"] == [{"modality": "MR", "unit": "arbitrary"}]
    assert (given["multiple_of_voxels"], given["tile_voxels"]) == (8, [96, 96, 96])
    assert manifest["preprocessing"][1] == {"step": "zscore", "over": "nonzero"}
    assert manifest["output"]["decoder"] == "sigmoid"
    labels = manifest["output"]["labels"]
    assert [(one["name"], one["channel"]) for one in labels[:3]] == [
        ("Tumor core", 0),
        ("Whole tumor", 1),
        ("Enhancing tumor", 2),
    ]
    asked = dict(written.open_places)
    assert "from the outermost to the innermost" in asked["output.labels.3"]
    assert "where the axes of its training volumes ran to" in asked["preprocessing.0.axes"]
    manifest["preprocessing"][0]["axes"] = "RAS"
    manifest["output"]["labels"] = [labels[1], labels[0], labels[2]]
    folder = edited(written, preprocessing=manifest["preprocessing"], output=manifest["output"])
    made = parse((folder / "manifest.yaml").read_text(), origin="here")
    assert isinstance(made, VolumeSegmentation)
    assert (made.output.names[0], made.output.channels) == ("Whole tumor", (1, 0, 2))


def test_a_network_of_slices_is_shown_slices(tmp_path: Path) -> None:
    network = linear([[0.0], [1.0]], [0.0, 0.0], layout="NCHW")
    inferer = {"_target_": "SliceInferer", "roi_size": [32, 32], "spatial_dim": 2}
    config = inference(inferer=inferer)
    about = metadata(shape=(32, 32))
    written = imported(write_monai(tmp_path, network=network, about=about, config=config), tmp_path / "out")
    given = manifest_of(written)["input"]
    assert (given["layout"], given["slices"], given["shape_voxels"]) == ("NCHW", "axial", [32, 32])


@pytest.mark.parametrize(
    ("transform", "step"),
    [
        ({"_target_": "Spacingd", "pixdim": [1.0, 1.0, 1.0]}, {"step": "resample", "spacing_mm": 1.0}),
        (
            {"_target_": "Spacing", "pixdim": [0.8, 0.8, -1]},
            {"step": "resample", "spacing_mm": [0.8, 0.8, None]},
        ),
        (
            {"_target_": "ScaleIntensityRange", "a_min": -57, "a_max": 164, "clip": True},
            {"step": "window", "low": -57, "high": 164},
        ),
        (
            {"_target_": "ScaleIntensityd", "minv": -1.0, "maxv": 1.0},
            {
                "step": "scale_percentiles",
                "low_percent": 0,
                "high_percent": 100,
                "to_low": -1,
                "to_high": 1,
                "clip": False,
            },
        ),
        (
            {
                "_target_": "ScaleIntensityRangePercentilesd",
                "lower": 1,
                "upper": 99,
                "b_min": 0,
                "b_max": 1,
                "clip": True,
            },
            {
                "step": "scale_percentiles",
                "low_percent": 1,
                "high_percent": 99,
                "to_low": 0,
                "to_high": 1,
                "clip": True,
            },
        ),
        ({"_target_": "NormalizeIntensityd", "nonzero": False}, {"step": "zscore", "over": "all"}),
        (
            {"_target_": "NormalizeIntensityd", "subtrahend": 5, "divisor": 2},
            {"step": "zscore", "mean": 5, "std": 2},
        ),
        (
            {"_target_": "CropForegroundd", "source_key": "image", "margin": 4},
            {"step": "crop_foreground", "above": 0, "margin_voxels": 4},
        ),
        (
            {"_target_": "CropForeground", "select_fn": "$lambda x: x > -500"},
            {"step": "crop_foreground", "above": -500, "margin_voxels": 0},
        ),
        (
            {"_target_": "monai.transforms.ResizeD", "spatial_size": [64, 64, -1]},
            {"step": "fit", "shape_voxels": [64, 64, None]},
        ),
    ],
)
def test_each_transform_of_the_field_has_its_step(transform: dict[str, Any], step: dict[str, Any]) -> None:
    axes = {"_target_": "Orientationd", "axcodes": "RAS"}
    assert prepare_steps([axes, transform], roles=["image"]).steps[1] == step


@pytest.mark.parametrize(
    "transform",
    [
        {"_target_": "ClipIntensityPercentilesd", "lower": 1, "upper": 99},
        {"_target_": "scripts.transforms.OwnThing", "strength": 3},
        {"_target_": "ScaleIntensityRange", "a_min": 0, "a_max": "$max(1, 2)", "b_min": 0, "b_max": 1},
        {"_target_": "CropForegroundd", "select_fn": "$my_function"},
        {"_target_": "Spacingd", "pixdim": "$[1.0] * 3"},
        {"_target_": "Orientationd", "axcodes": "$f()"},
    ],
)
def test_a_transform_without_a_step_is_told_by_its_name(transform: dict[str, Any]) -> None:
    axes = {"_target_": "Orientationd", "axcodes": "RAS"}
    last = prepare_steps([axes, transform], roles=["image"]).steps[-1]
    assert last.startswith("EDIT: MONAI's ")
    assert transform["_target_"].rpartition(".")[2].removesuffix("d") in last


def test_a_statistic_over_all_channels_is_not_taken_for_one_of_each() -> None:
    transforms = [{"_target_": "Orientation", "axcodes": "RAS"}, {"_target_": "NormalizeIntensity"}]
    assert "NormalizeIntensity" in prepare_steps(transforms, roles=["T1", "T2"]).steps[1]


def test_spacing_before_orientation_is_along_axes_that_nobody_knows() -> None:
    transforms: list[dict[str, Any]] = [
        {"_target_": "Spacing", "pixdim": [1.0, 1.0, 3.0]},
        {"_target_": "Orientation", "axcodes": "SPL"},
    ]
    assert "before the Orientation" in prepare_steps(transforms, roles=["image"]).steps[0]


def test_what_is_for_labels_only_is_left_out() -> None:
    transforms: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": ["image", "label"]},
        {"_target_": "Orientationd", "keys": ["image", "label"], "axcodes": "RAS"},
        {"_target_": "AsDiscreted", "keys": "label", "to_onehot": 2},
        {"_target_": "RandFlipd", "keys": "image", "_disabled_": True},
    ]
    assert prepare_steps(transforms, roles=["image"]).steps == [{"step": "orient", "axes": "RAS"}]


def test_references_are_followed_and_nothing_is_run(tmp_path: Path) -> None:
    config = Config(
        {
            "sides": {"roi": [1, 2]},
            "same": "@sides#roi",
            "literal": "$[1.5, 2]",
            "first": [{"_target_": "A"}],
            "second": [{"_target_": "B"}],
            "preprocessing": {"transforms": "$@first + @second"},
            "circle": "@circle",
            "code": f"$open('{tmp_path}/made', 'w')",
        }
    )
    assert config.get("same") == [1, 2]
    assert config.get("literal") == [1.5, 2]
    assert [one["_target_"] for one in config.transforms("preprocessing")] == ["A", "B"]
    assert config.get("circle") == "?"
    assert config.get("code").startswith("$open")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("weights", [("model.pt",), ("model.pt", "model.ts")])
def test_weights_alone_are_refused_with_how_to_export_them(tmp_path: Path, weights: tuple[str, ...]) -> None:
    source = write_monai(tmp_path, weights=weights)
    with pytest.raises(BundleRejectedError, match=r"holds model.pt.* no ONNX file.*monai.bundle onnx_export"):
        imported(source, tmp_path / "out")


def test_an_archive_that_is_none_or_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.zip").write_bytes(b"PK not really")
    with pytest.raises(BundleRejectedError, match="cannot be unpacked"):
        imported(tmp_path / "none.zip", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../outside.txt", "x")
    with pytest.raises(BundleRejectedError, match=r"'../outside.txt' leads out of the bundle"):
        imported(tmp_path / "out.zip", tmp_path / "out")
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize(
    ("network", "modality"),
    [(linear([[1.0] * 3] * 2, [0.0] * 2, layout="NCHW"), "RGB"), (classifier(), "CT")],
    ids=["photographs", "a classifier"],
)
def test_what_does_not_segment_volumes_is_sent_elsewhere(
    tmp_path: Path, network: bytes, modality: str
) -> None:
    source = write_monai(tmp_path, network=network, about=metadata(modality=modality))
    with pytest.raises(BundleRejectedError, match=r"does not segment volumes; `edge bundle new`"):
        imported(source, tmp_path / "out")


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    source = write_monai(tmp_path, network=STONES)
    imported(source, tmp_path / "out", name="stones")
    with pytest.raises(BundleRejectedError, match="is there already"):
        imported(source, tmp_path / "out", name="stones")


def test_the_command_tells_what_is_to_be_edited(tmp_path: Path) -> None:
    steps = [*CT_STEPS, {"_target_": "GaussianSmoothd", "keys": "image", "sigma": 2.0}]
    source = write_monai(tmp_path, network=STONES, config=inference(preprocessing=steps))
    result = CliRunner().invoke(app, ["bundle", "import", str(source), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1, result.output
    assert "edit this: preprocessing.3: MONAI's GaussianSmooth(sigma=2.0) has no step here" in result.output
    assert "4 places to be filled in" in result.output


# ── a network with a manifest beside it ────────────────────────────────────────────────────────────────────


def beside(folder: Path) -> Path:
    """An ONNX file and a manifest whose hashes nobody has written."""
    folder.mkdir()
    written = document(name="stones")
    variant = {"precision": "fp32", "file": "stones.onnx", "devices": ["cpu"]}
    written["golden"].pop("sha256")
    (folder / "manifest.yaml").write_text(json.dumps({**written, "variants": [variant]}))
    (folder / "stones.onnx").write_bytes(STONES)
    return folder / "stones.onnx"


def test_an_onnx_file_with_a_manifest_gets_its_hashes_and_then_its_golden_check(tmp_path: Path) -> None:
    written = import_plain(beside(tmp_path / "in"), name=None, into=tmp_path / "out")
    assert written.open_places == ()
    make_golden(written.folder, [], clock=SystemClock())
    assert load(written.folder).manifest.name == "stones"


def test_an_onnx_file_alone_is_told_what_writes_a_manifest(tmp_path: Path) -> None:
    network = beside(tmp_path / "in")
    (network.parent / "manifest.yaml").unlink()
    with pytest.raises(BundleRejectedError, match=r"edge bundle new MODEL\.onnx"):
        import_plain(network, name=None, into=tmp_path / "out")


def test_a_manifest_of_another_network_is_refused(tmp_path: Path) -> None:
    network = beside(tmp_path / "in")
    other = network.rename(network.with_name("other.onnx"))
    with pytest.raises(BundleRejectedError, match=r"names stones\.onnx, wanted other\.onnx"):
        import_plain(other, name=None, into=tmp_path / "out")
    with pytest.raises(BundleRejectedError, match=r"stones\.onnx is not there, manifest\.yaml names it"):
        import_plain(tmp_path / "in", name=None, into=tmp_path / "out")


def test_a_network_of_slices_may_be_said_to_be_for_volumes(tmp_path: Path) -> None:
    (tmp_path / "slices.onnx").write_bytes(linear([[0.0], [SHARP]], [0.0, -SHARP / 2], layout="NCHW"))
    seen = sketch(tmp_path / "slices.onnx", task="volume-segmentation")
    written = write(seen, Answers(classes=("core",)), name="slices", into=tmp_path / "out")
    given = manifest_of(written)["input"]
    assert (given["layout"], given["tile_voxels"]) == ("NCHW", [96, 96])
    assert "axial, coronal or sagittal" in dict(written.open_places)["input.slices"]
