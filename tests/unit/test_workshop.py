"""A bare network becomes a bundle, or is refused by what is wrong with it; and only what pays is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from edge.bundles.manifest import TASKS, parse
from edge.bundles.seal import seal
from edge.bundles.store import load
from edge.cli import bundle as bundle_commands
from edge.domain.errors import BundleRejectedError
from edge.inference.making import exams_of
from edge.inference.picture_exams import PictureExam
from edge.kit.clock import SystemClock
from edge.workshop import bench, carried, drawn, layer_search, questions
from edge.workshop.answers import Answers
from edge.workshop.golden import make_golden
from edge.workshop.manifest_edit import replaced, with_entry, without
from edge.workshop.network import read
from edge.workshop.quantization import Quantized, quantize
from edge.workshop.scaffold import sketch, write
from tests.builders import bare_networks
from tests.builders.bundles import write_bundle
from tests.builders.picture_bundles import write_picture_bundle
from tests.builders.spectra_bundles import write_spectra_bundle

WRITERS = (write_bundle, write_picture_bundle, write_spectra_bundle)


def saved(tmp_path: Path, network: bytes) -> Path:
    path = tmp_path / "bare.onnx"
    path.write_bytes(network)
    return path


def identity(tmp_path: Path, *shapes: list[int | str], dtype: int = TensorProto.FLOAT) -> Path:
    """A network that adds its inputs."""
    inputs = [helper.make_tensor_value_info(f"in{n}", dtype, shape) for n, shape in enumerate(shapes)]
    answer = helper.make_tensor_value_info("sum", dtype, None)
    nodes = [helper.make_node("Sum", [one.name for one in inputs], ["sum"])]
    graph = helper.make_graph(nodes, "sum", inputs, [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return saved(tmp_path, model.SerializeToString())


# ── new ──


@pytest.mark.parametrize(
    ("network", "task", "decoder"),
    [
        (bare_networks.classifier(), "picture-classification", "softmax"),
        (bare_networks.detector(), "picture-detection", "yolov8"),
        (bare_networks.relative_detector(), "picture-detection", "yolox"),
        (bare_networks.segmenter(), "picture-segmentation", "logits"),
        (bare_networks.label_map(), "picture-segmentation", "labels"),  # 256 rows are no 256 cells
        (bare_networks.label_map(keepdims=1), "picture-segmentation", "labels"),
        (bare_networks.label_map(stride=4), "picture-segmentation", "labels"),
    ],
)
def test_what_a_network_does_is_seen_from_what_it_answers(
    tmp_path: Path, network: bytes, task: str, decoder: str
) -> None:
    seen = sketch(saved(tmp_path, network)).guess
    assert (seen.task, seen.decoder) == (task, decoder)
    assert seen.because


@pytest.mark.parametrize(
    ("task", "decoder"), [("picture-embedding", "vector"), ("picture-regression", "linear")]
)
def test_what_a_person_says_it_does_decides_how_numbers_are_read(
    tmp_path: Path, task: str, decoder: str
) -> None:
    seen = sketch(saved(tmp_path, bare_networks.classifier()), task=task)
    written = write(seen, Answers(), name="numbers", into=tmp_path)
    assert yaml.safe_load((written.folder / "manifest.yaml").read_text())["output"]["decoder"] == decoder


def test_the_word_of_a_person_goes_before_the_first_likeness(tmp_path: Path) -> None:
    seen = sketch(saved(tmp_path, bare_networks.detector()), task="picture-segmentation").guess
    assert (seen.task, seen.decoder) == ("picture-segmentation", "")  # to be filled in
    with pytest.raises(BundleRejectedError, match="looks like picture-detection"):
        sketch(saved(tmp_path, bare_networks.detector()), task="picture-classification")


def test_boxes_that_may_be_deltas_are_called_so(tmp_path: Path) -> None:
    seen = sketch(saved(tmp_path, bare_networks.raw_boxes())).guess
    assert seen.decoder == "candidates"
    assert any("decoder anchors reads" in each for each in seen.unsure)


def test_labels_that_may_lie_within_each_other_are_called_so(tmp_path: Path) -> None:
    seen = sketch(saved(tmp_path, bare_networks.nested_segmenter())).guess
    assert seen.decoder == "sigmoid"
    assert "the whole is the sum" in seen.unsure[0]


def test_maps_of_points_with_their_channels_last_are_read_so(tmp_path: Path) -> None:
    seen = sketch(
        saved(tmp_path, bare_networks.nested_segmenter(channels_last=True)), task="picture-keypoints"
    )
    written = write(seen, Answers(classes=("left", "right")), name="points", into=tmp_path)
    output = yaml.safe_load((written.folder / "manifest.yaml").read_text())["output"]
    assert (output["decoder"], output["layout"], output["stride_px"]) == ("heatmaps", "NHWC", 1)


def test_what_an_exporter_wrote_down_is_not_asked_for(tmp_path: Path) -> None:
    metadata = {"names": "{0: 'red', 1: 'blue'}", "author": "Ultralytics", "license": "AGPL-3.0 License"}
    seen = sketch(saved(tmp_path, bare_networks.detector(metadata=metadata)))
    written = write(seen, Answers(threshold=0.5), name="marks", into=tmp_path)
    text = (written.folder / "manifest.yaml").read_text()
    assert 'licence: "AGPL-3.0"' in text
    assert 'name: "blue"' in text
    assert not any("classes" in path or "preprocessing" in path for path, _ in written.open_places)


def test_a_manifest_that_nobody_has_finished_is_refused_place_by_place(tmp_path: Path) -> None:
    written = write(
        sketch(saved(tmp_path, bare_networks.classifier())), Answers(), name="lamp", into=tmp_path
    )
    with pytest.raises(
        BundleRejectedError, match=r"intended_use: .*output\.classes\.1\.name: class 1"
    ) as refused:
        parse((written.folder / "manifest.yaml").read_text(), origin="manifest.yaml")
    assert all(path in str(refused.value) for path, _ in written.open_places)


def test_the_card_of_a_new_bundle_says_that_nothing_was_measured(tmp_path: Path) -> None:
    written = write(
        sketch(saved(tmp_path, bare_networks.segmenter())), Answers(), name="light", into=tmp_path
    )
    card = (written.folder / "CARD.md").read_text()
    assert card.count("NOT_ASSESSED") >= 4
    assert "research use" in card


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ([[1, 3, 8, 8], [1, 3, 8, 8]], "has 2 inputs .*in0.*in1"),
        ([[4, 3, 8, 8]], "in0 float32 .* takes 4 at once"),
        ([[1, 7, 8, 9]], "neither the second nor the last axis"),
        ([[1, 3, 8]], r"wanted \(1, channels"),
    ],
)
def test_a_network_that_is_none_for_us_is_refused_by_what_it_takes(
    tmp_path: Path, shapes: list[list[int | str]], said: str
) -> None:
    with pytest.raises(BundleRejectedError, match=said):
        sketch(identity(tmp_path, *shapes))


def test_what_is_no_onnx_file_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(BundleRejectedError, match="no ONNX file"):
        sketch(saved(tmp_path, b"neither this nor that"))


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_precisions_become_float32_everywhere(tmp_path: Path, dtype: int) -> None:
    network = read(identity(tmp_path, [1, 3, 8, 8], dtype=dtype))
    assert network.given.dtype == network.answers[0].dtype == "float32"
    assert "became float32" in network.notes[0]


def test_a_file_that_is_quantized_already_is_called_so() -> None:
    (note,) = read(Path(__file__).parents[2] / "models" / "scope-gate" / "model.int8.onnx").notes
    assert "quantized already (DequantizeLinear)" in note


def test_weights_beside_the_file_are_folded_in_and_those_elsewhere_refused(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(bare_networks.classifier())
    onnx.save(model, tmp_path / "beside.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert len(read(tmp_path / "beside.onnx").content()) > (tmp_path / "w.bin").stat().st_size
    (tmp_path / "w.bin").rename(tmp_path / "gone.bin")
    with pytest.raises(BundleRejectedError, match=r"w\.bin"):
        read(tmp_path / "beside.onnx")
    above = (tmp_path / "beside.onnx").read_bytes().replace(b"w.bin", b"../w.")
    with pytest.raises(BundleRejectedError, match="outside of its folder"):
        read(saved(tmp_path, above))


# ── golden ──


@pytest.mark.parametrize("writer", WRITERS)
def test_a_golden_check_is_drawn_where_nobody_gives_samples(tmp_path: Path, writer: object) -> None:
    folder = writer(tmp_path)  # type: ignore[operator]  # one of the three above
    (folder / "golden.npz").unlink()
    made = make_golden(folder, [], clock=SystemClock())
    assert load(folder).digest == made.digest


def test_golden_answers_that_prove_nothing_are_refused(tmp_path: Path) -> None:
    folder = write_picture_bundle(tmp_path)
    alike = list(drawn.pictures(1, height_px=32, width_px=32)) * 5
    with pytest.raises(BundleRejectedError, match="same scores, which proves nothing"):
        make_golden(folder, alike, clock=SystemClock())


def test_other_sides_than_those_of_the_network_are_refused_by_seen_and_wanted(lamp: Path) -> None:
    manifest = lamp / "manifest.yaml"
    manifest.write_text(replaced(manifest.read_text(), ("input", "height_px"), "96"))
    said = r"its input is image float32 \(1, 3, 64, 64\); the manifest says image float32 \(1, 3, 96, 64\)"
    with pytest.raises(BundleRejectedError, match=said):
        make_golden(lamp, [], clock=SystemClock())


def test_a_network_that_says_its_sides_are_free_and_runs_with_one_size_alone_has_that_size(
    tmp_path: Path,
) -> None:
    guess = sketch(saved(tmp_path, bare_networks.flat_classifier(side_px=64))).guess
    assert guess.sides == (64, 64)
    assert "it says that sides are free, and runs with 64 x 64 alone" in guess.because[0]
    with pytest.raises(BundleRejectedError, match=r"runs with none of 256, .*; wanted the sides it was made"):
        sketch(saved(tmp_path, bare_networks.flat_classifier(side_px=50)))


def test_the_help_of_new_names_all_tasks() -> None:
    assert sorted(bundle_commands.TASK_WORDS.split(", ")) == sorted(TASKS)


# ── quantize ──


@pytest.fixture
def lamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with a golden check, whose search is short."""
    monkeypatch.setattr(bench, "ROUNDS_S", 0.0)
    monkeypatch.setattr(layer_search, "NARROW", (16,))
    monkeypatch.setattr(layer_search, "REACHES", ("layers",))
    answers = Answers(
        classes=("dark", "bright"),
        licence="Apache-2.0",
        intended_use="Tests.",
        looked_for="Lamp on",
        numbers="0-1",
        threshold=0.5,
    )
    folder = write(
        sketch(saved(tmp_path, bare_networks.classifier())), answers, name="lamp", into=tmp_path
    ).folder
    text = (folder / "manifest.yaml").read_text()
    text = replaced(text, ("policy", "present_class"), "bright")
    text = replaced(text, ("policy", "looked_for", "value"), "lamp-lit")
    text = replaced(text, ("provenance", "trained_on"), "[{name: nothing, licence: CC0-1.0}]")
    (folder / "manifest.yaml").write_text(text)
    make_golden(folder, [], clock=SystemClock())
    return folder


def searched(
    folder: Path, *, carries: bool = True, groups: Sequence[str] = ()
) -> tuple[Quantized, list[str]]:
    """What a search found, and what it did."""
    done: list[str] = []
    result = quantize(
        folder,
        list(drawn.pictures(16, height_px=64, width_px=64)),
        state_dir=folder.parent / "state",
        clock=SystemClock(),
        told=lambda doing, _done, _of: done.append(doing),
        carries=carries,
        groups=groups,
    )
    return result, done


def test_only_what_pays_is_kept(lamp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.Bench, "race", lambda *_: (2.0, 1.0))
    before = (lamp / "manifest.yaml").read_bytes()
    result, _ = searched(lamp)
    assert result.kept is None
    assert (lamp / "manifest.yaml").read_bytes() == before
    assert not (lamp / "model.int8.onnx").exists()
    assert json.loads((lamp / "quantization.json").read_text())["kept"] is None


def test_what_is_faster_and_right_becomes_a_variant_and_a_second_search_measures_nothing(
    lamp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.Bench, "race", lambda *_: (1.0, 2.0))
    result, _ = searched(lamp)
    assert result.kept is not None
    bundle = load(lamp)
    assert [one.precision for one in bundle.manifest.variants] == ["fp32", "int8"]
    assert bundle.manifest.accuracy[-1].data.startswith("int8 against fp32")
    monkeypatch.setattr(bench.Bench, "race", None)  # whoever asks for it again fails
    monkeypatch.setattr(bench.Bench, "judge", None)
    again, _ = searched(lamp)
    assert again.kept is not None
    assert again.kept.recipe == result.kept.recipe
    assert load(lamp).digest == bundle.digest


def test_some_of_the_samples_travel_with_the_bundle_and_devices_compare_on_them(
    lamp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.Bench, "race", lambda *_: (1.0, 2.0))
    searched(lamp)
    bundle = load(lamp)
    exam = exams_of(bundle, SystemClock()).calibration
    assert bundle.manifest.calibration is not None
    assert isinstance(exam, PictureExam)
    assert len(exam.images) == 12  # of 16 four were held out
    report = json.loads((lamp / "quantization.json").read_text())["carried_samples"]
    size = (lamp / "calibration.npz").stat().st_size
    assert report == {"count": 12, "file": "calibration.npz", "bytes": size}
    assert "12 carried ones" in bundle.manifest.accuracy[-1].data


def test_what_is_alike_is_held_out_together_and_the_report_says_so(
    lamp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.Bench, "race", lambda *_: (2.0, 1.0))
    groups = [f"video {number // 4}" for number in range(16)]
    searched(lamp, groups=groups)
    report = json.loads((lamp / "quantization.json").read_text())
    assert (report["calibration_samples"], report["held_out_samples"]) == (12, 4)
    assert report["held_out"] == "1 of 4 groups, whole: a study, a video or a folder is one"
    searched(lamp)
    assert json.loads((lamp / "quantization.json").read_text())["held_out"] == "every fourth"


def test_groups_that_prove_nothing_are_not_held_out(lamp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.Bench, "race", lambda *_: (2.0, 1.0))
    answers = iter(["all pictures get the same scores"])
    asked = questions.nothing_proven
    monkeypatch.setattr(questions, "nothing_proven", lambda *given: next(answers, None) or asked(*given))
    result, _ = searched(lamp, groups=[f"class {number // 4}" for number in range(16)])
    assert result.held_out == 4
    assert result.held_out_how.startswith("every fourth, for whole groups would prove nothing; what was held")


def test_samples_of_a_search_that_fit_no_more_leave_the_bundle_with_a_new_golden_check(
    lamp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.Bench, "race", lambda *_: (1.0, 2.0))
    searched(lamp)
    assert make_golden(lamp, [], clock=SystemClock()).misfit == ""
    with np.load(lamp / "calibration.npz") as written:
        arrays = {**written, "image": written["image"][..., :32]}  # as if the input had had another size
    np.savez_compressed(lamp / "calibration.npz", **arrays)
    seal(lamp / "manifest.yaml")
    assert "image is uint8 (12, 3, 64, 32), wanted" in make_golden(lamp, [], clock=SystemClock()).misfit
    assert load(lamp).manifest.calibration is None
    assert not (lamp / "calibration.npz").exists()


def test_no_samples_travel_where_nobody_wants_them_to_or_they_are_too_large(
    lamp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.Bench, "race", lambda *_: (1.0, 2.0))
    result, _ = searched(lamp, carries=False)
    assert result.kept is not None
    assert load(lamp).manifest.calibration is None
    assert not (lamp / "calibration.npz").exists()
    monkeypatch.setattr(carried, "BYTES_MAX", 1000)
    assert searched(lamp)[0].carried == "one sample has 0.0123 MB, wanted at most 0.001 MB"
    monkeypatch.setattr(carried, "BYTES_MAX", 40_000)
    held = searched(lamp)[0].carried
    assert isinstance(held, carried.Carried)
    assert held.samples == 3


def test_samples_that_a_person_has_put_into_the_bundle_stay_and_are_compared_on(
    lamp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.Bench, "race", lambda *_: (1.0, 2.0))
    (lamp / "mine.npz").write_bytes((lamp / "golden.npz").read_bytes())
    with (lamp / "manifest.yaml").open("a") as manifest:
        manifest.write("\ncalibration: {file: mine.npz}\n")
    seal(lamp / "manifest.yaml")
    result, _ = searched(lamp)
    assert result.carried == "the bundle has samples of its own, mine.npz"
    assert not (lamp / "calibration.npz").exists()
    samples = load(lamp).manifest.calibration
    assert samples is not None
    assert samples.file == "mine.npz"


def test_faster_and_wrong_is_not_kept(lamp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.Bench, "race", lambda *_: (1.0, 9.0))
    monkeypatch.setattr(bench.Bench, "judge", lambda *_: bench.Verdict({"score_error": 0.4}, "off"))
    result, _ = searched(lamp)
    assert result.kept is None


# ── edits ──


def test_an_entry_goes_where_the_list_ends_and_every_comment_stays() -> None:
    text = "a:  # first\n  - {n: 1}   # one\n  - n: 2\n    m: x\n\n# after\nb: 3\n"
    longer = with_entry(text, ("a",), {"n": "3"}, instead_of=lambda one: one["n"] == "3")
    assert longer == text.replace("    m: x\n", "    m: x\n  - {n: 3}\n")
    again = with_entry(longer, ("a",), {"n": "3", "k": "y"}, instead_of=lambda one: one["n"] == "3")
    assert again == longer.replace("{n: 3}", "{n: 3, k: y}")
    assert replaced(again, ("b",), "4").endswith("b: 4\n")
    assert without(text, "a") == "\n# after\nb: 3\n"
    assert without(text, "b") == text.removesuffix("b: 3\n")


def test_drawn_volumes_and_pictures_are_the_same_every_time() -> None:
    one, other = (next(drawn.pictures(1, height_px=16, width_px=16)).rgb() for _ in range(2))
    assert np.array_equal(one, other)
