"""What every form of a segmenter of volumes promises: layouts, decoders, channels and slices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.manifest import parse
from edge.bundles.store import load
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import BundleRejectedError, InferenceError, PictureRejectedError
from edge.domain.image import Volume
from edge.inference import openvino_runtime
from edge.inference.deadline import Deadline
from edge.inference.device import has_cuda
from edge.inference.engine import Engine
from edge.inference.onnx_runtime import OnnxRuntimeSession
from edge.inference.openvino_runtime import OpenVinoSession
from edge.inference.session import Session, wiring
from edge.inference.volume_network import look
from edge.kit.clock import SystemClock
from tests.builders.bundles import npz
from tests.builders.volume_bundles import document, golden, linear, write_segmenter
from tests.builders.volumes import volume

Answer = Callable[[NDArray[np.float32]], NDArray[np.uint8]]
SHARP = 40.0
BRIGHT = ([[0.0], [SHARP]], [0.0, -SHARP / 2])  # two classes: above 0.5 is the core
NESTED = ([[SHARP], [SHARP]], [-SHARP * 0.7, -SHARP * 0.3])  # the graph has the inner region first


def bright(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(picture[0] > 0.5, np.uint8)


def nested(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.digitize(picture[0], [0.3, 0.7]), np.uint8)


def summed(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What two equal weights and an offset of one and a half make of two channels."""
    return np.asarray(picture.sum(axis=0) > 1.5, np.uint8)


def sessions(network: bytes, manifest: VolumeSegmentation) -> list[Session]:
    """The network in whatever is here."""
    addressed = wiring(manifest)
    cuda = ["cuda"] if has_cuda() else []
    found: list[Session] = [
        OnnxRuntimeSession(network, name="tiny", wiring=addressed, provider=provider, threads=1)
        for provider in ("cpu", *cuda)
    ]
    if openvino_runtime.offered():
        found.append(OpenVinoSession(network, name="tiny", wiring=addressed, hint="f32", threads=1))
    return found


def manifest_of(tmp_path: Path, network: bytes, written: dict[str, Any]) -> VolumeSegmentation:
    channels = len(written["input"].get("channels", [0]))
    made = load(
        write_segmenter(tmp_path, network, written, golden(lambda image: image[0] > 0, channels=channels))
    )
    assert isinstance(made.manifest, VolumeSegmentation)
    return made.manifest


def asked(
    network: bytes, manifest: VolumeSegmentation, picture: NDArray[np.float32]
) -> list[NDArray[np.uint8]]:
    """What each runtime says about a picture."""
    answers = []
    for session in sessions(network, manifest):
        answers.append(look(session, picture, manifest, Deadline(SystemClock(), 30)))
        session.close()
    return answers


def noise(*shape: int) -> NDArray[np.float32]:
    """Values in the middle between tenths, so that no threshold in tenths is near."""
    return ((np.random.default_rng(1).integers(0, 10, shape) + 0.5) / 10).astype(np.float32)


INNER = {"labels": ("whole", "inner")}
TWO = [
    {"role": "T1", "accepts": [{"modality": "MR", "unit": "arbitrary"}]},
    {"role": "FLAIR", "accepts": [{"modality": "MR", "unit": "arbitrary"}]},
]
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any], Any, Answer]] = {
    "logits": ({}, {}, BRIGHT, bright),
    "channels last": ({"layout": "NDHWC"}, {"layout": "NDHWC"}, BRIGHT, bright),
    "slices": ({"layout": "NCHW"}, {"layout": "NCHW", "slices": "axial"}, BRIGHT, bright),
    "slices, channels last": ({"layout": "NHWC"}, {"layout": "NHWC", "slices": "coronal"}, BRIGHT, bright),
    "slices in tiles": (
        {"layout": "NCHW"},
        {"layout": "NCHW", "slices": "axial", "pass_voxels_max": 4096, "tile_voxels": [16, 16]},
        BRIGHT,
        bright,
    ),
    "slices of a fixed shape": (
        {"layout": "NCHW", "sides": (16, 32)},
        {"layout": "NCHW", "slices": "axial", "shape_voxels": [16, 32]},
        BRIGHT,
        bright,
    ),
    "fixed shape": (
        {"sides": (8, 16, 32)},
        {"shape_voxels": [8, 16, 32], "overlap_voxels": [0, 4, 8]},
        BRIGHT,
        bright,
    ),
    "labels, int64": ({"labels": "int64"}, {"decoder": "labels"}, BRIGHT, bright),
    "labels, int32, slices": (
        {"labels": "int32", "layout": "NCHW"},
        {"decoder": "labels", "layout": "NCHW", "slices": "axial"},
        BRIGHT,
        bright,
    ),
    "labels, channels last": (
        {"labels": "uint8", "layout": "NDHWC"},
        {"decoder": "labels", "layout": "NDHWC"},
        BRIGHT,
        bright,
    ),
    "probabilities": ({"ending": "Softmax"}, {"decoder": "probabilities"}, BRIGHT, bright),
    "sigmoid": ({}, {"decoder": "sigmoid", **INNER}, NESTED, nested),
    "sigmoid in tiles": (
        {},
        {"decoder": "sigmoid", **INNER, "pass_voxels_max": 4096, "tile_voxels": [16, 16, 16]},
        NESTED,
        nested,
    ),
    "sigmoid in the graph": ({"ending": "Sigmoid"}, {"decoder": "sigmoid_in_graph", **INNER}, NESTED, nested),
    "float16": ({"dtype": "float16"}, {"dtype": "float16"}, BRIGHT, bright),
    "two channels": ({}, {"channels": TWO}, ([[0, 0], [SHARP, SHARP]], [0, -1.5 * SHARP]), summed),
}


def written_for(form: str) -> tuple[bytes, dict[str, Any], Answer]:
    graph, said, (weights, offsets), answer = FORMS[form]
    written = document(name="tiny", **said)
    for channel, label in zip((1, 0), written["output"]["labels"], strict=False):
        label.update({"channel": channel, "threshold": 0.5} if "sigmoid" in said.get("decoder", "") else {})
    return linear(weights, offsets, **graph), written, answer


@pytest.mark.parametrize("form", FORMS)
def test_both_runtimes_label_every_voxel_in_every_form(tmp_path: Path, form: str) -> None:
    network, written, answer = written_for(form)
    manifest = manifest_of(tmp_path, network, written)
    picture = noise(len(manifest.input.roles), 11, 21, 35)
    for labels in asked(network, manifest, picture):
        assert labels.dtype == np.uint8
        assert np.array_equal(labels, answer(picture))


def test_a_threshold_is_that_of_each_label(tmp_path: Path) -> None:
    network = linear([[4.0], [4.0]], [-2.0, -2.0])
    written = document(name="tiny", decoder="sigmoid", **INNER)
    thresholds = [1 / (1 + np.exp(-4 * (value - 0.5))) for value in (0.2, 0.8)]
    for label, threshold in zip(written["output"]["labels"], thresholds, strict=True):
        label["threshold"] = float(threshold)
    manifest = manifest_of(tmp_path, network, written)
    picture = noise(1, 8, 8, 8)
    for labels in asked(network, manifest, picture):
        assert np.array_equal(labels, np.digitize(picture[0], [0.2, 0.8]))


def test_numbers_that_are_no_probabilities_are_an_error(tmp_path: Path) -> None:
    network = linear(*BRIGHT)
    manifest = manifest_of(tmp_path, network, document(name="tiny", decoder="probabilities"))
    with pytest.raises(InferenceError, match="'answer' holds -20 to 18, wanted probabilities"):
        asked(network, manifest, np.linspace(0, 0.95, 512, dtype=np.float32).reshape(1, 8, 8, 8))


# ── a model of several channels ──────────────────────────────────────────────────────────────────────


def engine_of(root: Path) -> Engine:
    return Engine(
        ["tiny"], roots=[root], threads=1, providers=["cpu"], state_dir=root / "state", clock=SystemClock()
    )


def ball(
    *, turn: NDArray[np.float64] | None = None, origin_mm: tuple[float, ...] = (0.0, 0.0, 0.0)
) -> Volume:
    """A bright ball around (10, 12, 8) mm, seen on a grid of its own."""
    grid = volume(np.zeros((20, 24, 22), np.float32), turn=turn, origin_mm=origin_mm)  # type: ignore[arg-type]  # three numbers
    k, j, i = np.indices(grid.voxels.shape)
    places = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ grid.patient_from_voxel.T
    far = np.linalg.norm(places[..., :3] - (10.0, 12.0, 8.0), axis=-1)
    return volume((1 - far / 8).clip(0, 1).astype(np.float32), turn=turn, origin_mm=origin_mm)  # type: ignore[arg-type]  # three numbers


@pytest.fixture
def two_channels(tmp_path: Path) -> Path:
    network, written, _ = written_for("two channels")
    write_segmenter(tmp_path, network, written, golden(summed, channels=2))
    return tmp_path


def test_channels_are_brought_to_the_grid_of_the_first_role(two_channels: Path) -> None:
    first = ball()
    upside_down = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, -1]])
    other = ball(turn=upside_down, origin_mm=(-0.5, 22.3, 19.0))
    with engine_of(two_channels) as engine:
        assert engine.refusals == {}
        answer = engine.model("tiny").infer(first, deadline_s=30, others={"FLAIR": other})
    wanted = first.voxels > 0.75
    assert (answer.labels > 0)[wanted].mean() > 0.9
    assert not (answer.labels > 0)[first.voxels < 0.65].any()
    assert answer.volume is first


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({}, "tiny takes T1, FLAIR; given: T1"),
        ({"T2": ball()}, "tiny takes T1, FLAIR; given: T1, T2"),
        ({"FLAIR": volume(np.ones((8, 8, 8), np.float32), modality="CT")}, "FLAIR of tiny takes MR in arb"),
        (
            {"FLAIR": ball(origin_mm=(15.0, 0.0, 0.0))},
            "role FLAIR shows .* of the field of view of the first",
        ),
    ],
    ids=["missing", "unknown", "another kind", "another place"],
)
def test_a_role_that_is_missing_or_does_not_fit_is_refused(
    two_channels: Path, others: dict[str, Volume], message: str
) -> None:
    with engine_of(two_channels) as engine, pytest.raises(PictureRejectedError, match=message):
        engine.model("tiny").infer(ball(), deadline_s=30, others=others)


def test_a_model_of_one_series_takes_no_further_ones(tmp_path: Path) -> None:
    network, written, answer = written_for("logits")
    write_segmenter(tmp_path, network, written, golden(answer))
    with engine_of(tmp_path) as engine, pytest.raises(PictureRejectedError, match="takes one series"):
        engine.model("tiny").infer(ball(), deadline_s=30, others={"FLAIR": ball()})


def test_a_voxel_that_is_no_number_is_refused_whatever_the_steps(tmp_path: Path) -> None:
    network, written, answer = written_for("logits")
    write_segmenter(tmp_path, network, written, golden(answer))
    voxels = np.ones((8, 8, 8), np.float32)
    voxels[3, 4, 5] = np.nan
    with engine_of(tmp_path) as engine, pytest.raises(PictureRejectedError, match="NaN or infinity"):
        engine.model("tiny").infer(volume(voxels), deadline_s=30)


def test_golden_pictures_of_too_few_channels_are_refused(tmp_path: Path) -> None:
    network, written, _ = written_for("two channels")
    image = np.ones((1, 1, 8, 8, 8), np.float32)
    made = npz(image=image, labels=np.ones((1, 8, 8, 8), np.uint8))
    write_segmenter(tmp_path, network, written, made)
    with (
        engine_of(tmp_path) as engine,
        pytest.raises(BundleRejectedError, match=r"wanted float \(n,2,d,h,w\)"),
    ):
        engine.model("tiny")


# ── manifests that cannot be ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("input", {"layout": "NCHW"}, "`slices` goes with the layouts NCHW and NHWC"),
        ("input", {"slices": "axial"}, "`slices` goes with the layouts NCHW and NHWC"),
        ("input", {"channels": TWO}, "either `accepts`, or `channels` with a role each"),
        ("input", {"accepts": []}, "either `accepts`, or `channels` with a role each"),
        ("input", {"accepts": [], "channels": TWO[:1] * 2}, "input.channels: names must differ, seen T1, T1"),
        ("input", {"shape_voxels": [8, 8, 8]}, "either `shape_voxels`, or `pass_voxels_max` and `tile_vox"),
        ("input", {"tile_voxels": None}, "either `shape_voxels`, or `pass_voxels_max` and `tile_vox"),
        ("input", {"tile_voxels": [16, 16]}, "tile_voxels has 2 sides, the layout NCDHW has 3"),
        ("input", {"overlap_voxels": [1, 2, 16]}, "tile side 16 must be a multiple of 1 and above the"),
        (
            "output",
            {"decoder": "sigmoid", "component_min_ml": 1, "largest_component_only": True},
            "says noth",
        ),
        ("policy", {"nothing_marked": "ABSENT"}, "ABSENT wants `sensitivity`"),
        (
            "policy",
            {"components": {"code": {}, "labels": ["x"], "components_max": 1}},
            "policy.components.code",
        ),
    ],
)
def test_each_mistake_is_named(part: str, changes: dict[str, Any], message: str) -> None:
    written = document(name="tiny")
    written[part].update(changes)
    with pytest.raises(BundleRejectedError, match=message):
        parse(text_of(written), origin="here")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"step": "resample", "spacing_mm": [1, 1, 2]}], "0: resample by axis must come after `orient`"),
        ([{"step": "fit", "shape_voxels": [8, 8, 8]}], "0: fit by axis must come after `orient`"),
        ([{"step": "zscore"}], "either `over`, or both `mean` and `std`"),
        ([{"step": "zscore", "over": "all", "mean": 1.0, "std": 2.0}], "either `over`, or both `mean`"),
        ([{"step": "scale_range", "low": 1, "high": 1}], "low 1 must be below high 1"),
        ([{"step": "window", "low": 0, "high": 1, "when": {"role": ["T2"]}}], "role 'T2' is not one of"),
        ([{"step": "window", "low": 0, "high": 1, "when": {}}], "must name a modality or a role"),
    ],
)
def test_steps_that_do_not_go_together_are_refused(steps: list[dict[str, Any]], message: str) -> None:
    written = document(name="tiny")
    written["preprocessing"] = [*steps, *written["preprocessing"]]
    with pytest.raises(BundleRejectedError, match=message):
        parse(text_of(written), origin="here")


def test_a_step_that_moves_the_grid_is_for_all_channels() -> None:
    written = document(name="tiny", channels=TWO)
    written["preprocessing"][1]["when"] = {"role": ["T1"]}
    with pytest.raises(BundleRejectedError, match="1: resample must be done for all channels alike"):
        parse(text_of(written), origin="here")


def text_of(written: dict[str, Any]) -> str:
    network = {"precision": "fp32", "file": "m.onnx", "sha256": "0" * 64, "devices": ["cpu"]}
    return json.dumps({**written, "variants": [network], "golden": {**written["golden"], "sha256": "0" * 64}})
