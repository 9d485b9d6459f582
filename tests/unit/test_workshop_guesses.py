"""What `edge bundle new` makes of networks whose outputs could be read in more than one way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from pydantic import TypeAdapter, ValidationError

from edge.bundles.picture_outputs import OutputPart
from edge.cli import bundle_new
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.inference.decoders.grids import decode_yolov8
from edge.workshop.answers import Answers
from edge.workshop.guessed import Guess
from edge.workshop.scaffold import sketch, write

RANDOM = np.random.default_rng(3)


def constant(tmp_path: Path, outputs: Mapping[str, NDArray[Any]], *, channels: int = 3) -> Path:
    """A network for pictures of 64 x 64 that answers the same to all of them."""
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, 64, 64])
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "mean"], ["nothing"]),
        *(helper.make_node("Add", [f"{name}-held", "nothing"], [name]) for name in outputs),
    ]
    held = [numpy_helper.from_array(one.astype(np.float32), f"{name}-held") for name, one in outputs.items()]
    told = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, one.shape) for name, one in outputs.items()
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "constant", [given], told, held), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    path = tmp_path / "bare.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def guessed(tmp_path: Path, outputs: Mapping[str, NDArray[Any]], *, classes: int = 0) -> Guess:
    return sketch(constant(tmp_path, outputs), classes=classes).guess


def output_of(tmp_path: Path, outputs: Mapping[str, NDArray[Any]], *names: str) -> dict[str, Any]:
    seen = sketch(constant(tmp_path, outputs), classes=len(names))
    written = write(seen, Answers(classes=names, threshold=0.5), name="bare", into=tmp_path)
    output: dict[str, Any] = yaml.safe_load((written.folder / "manifest.yaml").read_text())["output"]
    return output


def maps(numbers: int, *, low: float) -> list[NDArray[np.float64]]:
    return [RANDOM.uniform(low, 3, (1, numbers, 64 // stride, 64 // stride)) for stride in (8, 16)]


def decoded_boxes(rows: int) -> NDArray[np.float64]:
    corners = RANDOM.uniform(0, 30, (rows, 2))
    return np.concatenate([corners, corners + RANDOM.uniform(1, 30, (rows, 2))], axis=1)[np.newaxis]


def test_scores_that_are_called_classes_are_scores_and_nothing_is_called_suppressed(tmp_path: Path) -> None:
    """`cls_logits` and `bbox_regression` are what RetinaNet of torchvision calls its heads."""
    raw = {"cls_logits": RANDOM.uniform(0, 1, (1, 90, 2)), "bbox_regression": RANDOM.normal(0, 3, (1, 90, 4))}
    seen = guessed(tmp_path, raw, classes=2)
    assert (seen.decoder, dict(seen.outputs)) == (
        "candidates",
        {"boxes": "bbox_regression", "scores": "cls_logits"},
    )
    assert any("decoder anchors reads" in each for each in seen.unsure)


def test_boxes_and_scores_need_no_names_where_they_have_as_many_rows(tmp_path: Path) -> None:
    seen = guessed(tmp_path, {"ltrb": RANDOM.uniform(0, 9, (1, 90, 4)), "y": RANDOM.random((1, 90, 3))})
    assert dict(seen.outputs) == {"boxes": "ltrb", "scores": "y"}
    assert any("coding ltrb" in each for each in seen.unsure)


def test_maps_of_several_sizes_are_a_detector_and_no_segmentation(tmp_path: Path) -> None:
    reg, cls, ctr = maps(4, low=0), maps(2, low=-3), maps(1, low=-3)
    named = {"cls3": cls[0], "reg3": reg[0], "ctr3": ctr[0], "cls4": cls[1], "reg4": reg[1], "ctr4": ctr[1]}
    output = output_of(tmp_path, named, "disk", "square")
    assert (output["decoder"], output["form"], output["strides_px"]) == ("yolov8", "ltrb", [8, 16])
    assert (output["boxes"], output["scores"]) == (["reg3", "reg4"], ["cls3", "cls4"])
    assert (output["objectness"], output["confidence"]) == (["ctr3", "ctr4"], "geometric-mean")
    TypeAdapter[Any](OutputPart).validate_json(json.dumps(output))


def test_boxes_relative_to_their_cells_beside_objectness_are_those_of_yolox(tmp_path: Path) -> None:
    reg, cls, obj = maps(4, low=-3), maps(2, low=-3), maps(1, low=-3)
    named = {"b8": reg[0], "b16": reg[1], "c8": cls[0], "c16": cls[1], "obj8": obj[0], "obj16": obj[1]}
    output = output_of(tmp_path, named, "disk", "square")
    assert (output["decoder"], output["objectness"]) == ("yolox", ["obj8", "obj16"])
    TypeAdapter[Any](OutputPart).validate_json(json.dumps(output))


def test_raw_heads_of_yolov8_are_distributions_of_distances(tmp_path: Path) -> None:
    named = dict(zip(("o8", "o16"), maps(64 + 2, low=-3), strict=True))
    output = output_of(tmp_path, named, "disk", "square")
    assert (output["decoder"], output["form"], output["tables"]) == ("yolov8", "dfl", ["o8", "o16"])
    TypeAdapter[Any](OutputPart).validate_json(json.dumps(output))


@pytest.mark.parametrize("numbers", [(21,), (36, 18)])
def test_heads_with_boxes_to_start_from_are_a_detector_whose_decoder_is_to_be_chosen(
    tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    named = {f"o{count}-{n}": one for count in numbers for n, one in enumerate(maps(count, low=-3))}
    seen = guessed(tmp_path, named, classes=2)
    assert (seen.task, seen.decoder) == ("picture-detection", "")
    assert "decoder anchors" in seen.unsure[0]


def test_a_segmentation_that_was_taught_at_several_sizes_stays_one(tmp_path: Path) -> None:
    assert guessed(tmp_path, {"out": maps(2, low=-3)[0], "aux": maps(2, low=-3)[1]}).task == (
        "picture-segmentation"
    )


@pytest.mark.parametrize(
    ("names", "has_background", "told"),
    [(("road", "sky", "car"), False, 3), (("sky", "car"), True, 2), ((), True, 2)],
    ids=["a name for each channel", "one less", "none"],
)
def test_as_many_names_as_channels_leave_no_channel_for_background(
    tmp_path: Path, names: tuple[str, ...], has_background: bool, told: int
) -> None:
    scores = {"out": RANDOM.normal(0, 3, (1, 3, 64, 64))}
    seen = guessed(tmp_path, scores, classes=len(names))
    assert (seen.decoder, seen.classes, seen.facts["has_background"]) == ("logits", told, has_background)
    assert output_of(tmp_path, scores, *names)["has_background"] is has_background


@pytest.mark.parametrize(("classes", "decoder"), [(0, "yolox"), (1, "yolox"), (2, "yolov8")])
def test_how_many_classes_were_named_tells_whether_there_is_objectness(
    tmp_path: Path, classes: int, decoder: str
) -> None:
    table = np.concatenate([decoded_boxes(84), RANDOM.random((1, 84, 2))], axis=2)
    assert guessed(tmp_path, {"pred": table}, classes=classes).decoder == decoder


@pytest.mark.parametrize(
    ("names", "scores_are", "background"),
    [
        (("disk", "square"), "softmax", "EDIT: first or last"),
        (("disk", "square", "star"), "sigmoid", "none"),
        ((), "sigmoid", "EDIT: none, first or last"),
    ],
)
def test_one_score_more_than_names_is_that_of_nothing(
    tmp_path: Path, names: tuple[str, ...], scores_are: str, background: str
) -> None:
    named = {"pred_logits": RANDOM.normal(0, 3, (1, 64, 3)), "pred_boxes": RANDOM.random((1, 64, 4))}
    output = output_of(tmp_path, named, *names)
    assert output["scores_are"] == scores_are
    assert output["background"].startswith(background)


def test_what_tensorflow_calls_boxes_begins_with_the_top(tmp_path: Path) -> None:
    named = {
        "detection_boxes": RANDOM.random((1, 9, 4)),
        "detection_scores": RANDOM.random((1, 9)),
        "detection_classes": np.ones((1, 9)),
        "num_detections": np.ones(1),
    }
    output = output_of(tmp_path, named, "disk", "square")
    assert (output["decoder"], output["order"], output["first_label"]) == ("boxes", "yxyx", 1)


@pytest.mark.parametrize(("classes", "name"), [(2, "second"), (5, "first_logits"), (0, "first_logits")])
def test_of_several_vectors_the_one_with_as_many_numbers_as_names_is_read(
    tmp_path: Path, classes: int, name: str
) -> None:
    named = {"features": np.ones((1, 48)), "second": np.ones((1, 2)), "first_logits": np.ones((1, 5))}
    seen = guessed(tmp_path, named, classes=classes)
    assert dict(seen.outputs) == {"name": name}
    assert f"{name} was taken of features, second, first_logits" in seen.unsure


@pytest.mark.parametrize("shape", [(2,), (1, 2, 1, 1)])
def test_a_row_of_scores_is_one_with_sides_of_one_and_without_a_batch(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    seen = guessed(tmp_path, {"scores": np.array([3.0, -2.0]).reshape(shape)})
    assert (seen.task, seen.decoder, seen.classes) == ("picture-classification", "softmax", 2)


def test_scores_with_a_number_for_each_name_are_read_and_the_map_beside_them_is_not(tmp_path: Path) -> None:
    named = {"map": RANDOM.normal(0, 3, (1, 48, 8, 8)), "logits": np.array([[3.0, -2.0]])}
    assert guessed(tmp_path, named, classes=2).task == "picture-classification"
    assert guessed(tmp_path, named, classes=47).task == "picture-segmentation"


def test_as_many_names_as_a_volume_has_channels_leave_none_for_background(tmp_path: Path) -> None:
    """Whole tumour, core, rim: a name for each channel, and logits that say nothing of it."""
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8, 8])
    told = helper.make_tensor_value_info("regions", TensorProto.FLOAT, [1, 3, 8, 8, 8])
    nodes = [
        helper.make_node("Concat", ["image"] * 3, ["three"], axis=1),
        helper.make_node("Neg", ["three"], ["regions"]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "regions", [given], [told]), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    (tmp_path / "bare.onnx").write_bytes(model.SerializeToString())
    assert sketch(tmp_path / "bare.onnx", classes=2).guess.decoder == "logits"
    seen = sketch(tmp_path / "bare.onnx", classes=3)
    assert (seen.guess.decoder, "none was taken for background" in seen.guess.unsure[0]) == ("sigmoid", True)
    written = write(seen, Answers(classes=("whole", "core", "rim")), name="bare", into=tmp_path)
    policy = yaml.safe_load((written.folder / "manifest.yaml").read_text())["policy"]
    assert [one["labels"] for one in policy["measurements"]] == [
        "EDIT: [whole, core, rim], less those that do not lie within whole",
        "EDIT: [core, rim], less those that do not lie within core",
        ["rim"],
    ]


def test_that_classes_exclude_each_other_is_called_a_guess(tmp_path: Path) -> None:
    written = write(
        sketch(constant(tmp_path, {"logits": np.array([[3.0, -2.0]])})), Answers(), name="bare", into=tmp_path
    )
    assert "decoder: softmax         # a guess" in (written.folder / "manifest.yaml").read_text()


def test_names_that_are_asked_for_count_as_those_that_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = constant(tmp_path, {"features": np.ones((1, 48)), "second": np.ones((1, 2))})
    named = Answers(classes=("disk", "square"))
    monkeypatch.setattr(bundle_new, "_asked", lambda _guess, _answers: named)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    bundle_new.run(network, name="bare", task=None, out=tmp_path, answers=Answers(), is_asked=True)
    assert "With so many names it is something else" in capsys.readouterr().out
    assert 'name: "second"' in (tmp_path / "bare" / "manifest.yaml").read_text()


def test_neighbouring_slices_as_channels_are_refused_by_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(BundleRejectedError, match="neighbouring slices or frames as channels are not read"):
        sketch(constant(tmp_path, {"mask": np.ones((1, 2, 64, 64))}, channels=5))


# ── the centre-ness of FCOS ──

FCOS = {
    "decoder": "yolov8",
    "boxes": ["reg"],
    "scores": ["cls"],
    "objectness": ["ctr"],
    "confidence": "geometric-mean",
    "layout": "maps",
    "form": "ltrb",
    "strides_px": [8],
    "scores_are": "probabilities",
    "classes": [{"name": "disk", "code": {"system": "99EDGE", "value": "disk", "meaning": "disk"}}],
}


def test_centreness_is_part_of_a_score() -> None:
    part = TypeAdapter[Any](OutputPart).validate_json(json.dumps(FCOS))
    outputs = {
        "reg": np.ones((1, 4, 2, 2), np.float32),
        "cls": np.full((1, 1, 2, 2), 0.9, np.float32),
        "ctr": np.array([[[[0.4, 0.0], [0.0, 0.0]]]], np.float32),
    }
    found = decode_yolov8(outputs, part, input_shape_px=(16, 16))
    assert found.scores.tolist() == pytest.approx([0.6])
    assert found.boxes.tolist() == [[-4, -4, 12, 12]]
    with pytest.raises(InferenceError, match="'ctr'"):
        decode_yolov8({**outputs, "ctr": outputs["reg"]}, part, input_shape_px=(16, 16))


def test_centreness_beside_a_table_is_refused() -> None:
    of_a_table = {key: value for key, value in FCOS.items() if key not in ("boxes", "scores")}
    with pytest.raises(ValidationError, match="objectness stands beside"):
        TypeAdapter[Any](OutputPart).validate_json(json.dumps({**of_a_table, "tables": ["t"]}))
