"""What every model of pictures promises, asked of the real runtimes with a network of a few KB."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge.domain.answer import Scores
from edge.domain.errors import (
    BundleRejectedError,
    DeadlineExceededError,
    InferenceError,
    PictureRejectedError,
)
from edge.domain.frame import Picture
from edge.domain.ports import PictureModel
from edge.inference.deadline import Deadline
from edge.inference.forms import Form, open_session
from edge.kit.clock import SystemClock
from tests.builders.bundles import npz, unchecked, write_bundle
from tests.builders.picture_bundles import (
    SIDE_PX,
    bright_score,
    golden_pictures,
    picture_network,
    write_picture_bundle,
)
from tests.contract.test_models import FORMS, engine_of
from tests.fakes.picture import FakePicture

DECODERS = ["probabilities", "softmax", "sigmoid"]


@pytest.fixture(
    params=[(decoder, dtype) for decoder in DECODERS for dtype in ("uint8", "float32")],
    ids=lambda kind: "-".join(kind),
)
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    chosen: tuple[str, str] = request.param
    return chosen


@pytest.fixture
def model(kind: tuple[str, str], tmp_path: Path) -> Iterator[PictureModel]:
    """Every implementation of the port."""
    write_picture_bundle(tmp_path, decoder=kind[0], dtype=kind[1])
    with engine_of(tmp_path, "brightness", live_callers=2) as engine:
        assert engine.refusals == {}
        yield engine.picture_model("brightness")


def scores_of(model: PictureModel, picture: Picture) -> Scores:
    answer = model.look(picture, deadline_s=30)
    assert isinstance(answer, Scores)
    return answer


def test_the_scores_are_those_of_the_network(model: PictureModel, kind: tuple[str, str]) -> None:
    for brightness in (0, 100, 255):
        answer = scores_of(model, FakePicture.grey(brightness))
        assert answer.names == ("dark", "bright")
        wanted = bright_score(brightness / 255, decoder=kind[0])
        assert answer.of("bright") == pytest.approx(wanted, abs=0.02)
        assert answer.of("dark") == pytest.approx(1 - wanted, abs=0.02)
        assert not answer.values.flags.writeable


def test_a_model_says_how_long_each_stage_took(model: PictureModel) -> None:
    latency_ms = model.look(FakePicture.grey(9), deadline_s=30).latency_ms
    assert list(latency_ms) == ["preprocess", "infer", "decode"]
    assert min(latency_ms.values()) > 0


def test_a_model_says_which_weights_speak(model: PictureModel) -> None:
    stamp = model.stamp
    assert (stamp.model_id, stamp.version, len(stamp.sha256)) == ("brightness", "1.0.0", 64)
    assert stamp.runtime.partition(" ")[0] in {"openvino", "onnxruntime"}
    assert stamp.provider in {"CPU", "CPUExecutionProvider"}


def test_pictures_of_changing_shape_follow_each_other(model: PictureModel, kind: tuple[str, str]) -> None:
    for shape in ((90, 160), (160, 90), (SIDE_PX, SIDE_PX), (1080, 1920), (90, 160)):
        picture = FakePicture.grey(77, height_px=shape[0], width_px=shape[1])
        answer = scores_of(model, picture)
        assert answer.of("bright") == pytest.approx(bright_score(77 / 255, decoder=kind[0]), abs=0.02)


def test_no_time_is_an_error_and_not_a_score(model: PictureModel) -> None:
    with pytest.raises(DeadlineExceededError, match="not done in the 0 s it was given"):
        model.look(FakePicture.grey(9), deadline_s=0)
    assert scores_of(model, FakePicture.grey(9)).names


def test_what_is_no_picture_is_refused_and_the_next_one_is_not(model: PictureModel) -> None:
    with pytest.raises(PictureRejectedError, match="picture is 1000 x 2 px"):
        model.look(FakePicture.grey(9, height_px=2, width_px=1000), deadline_s=30)
    assert scores_of(model, FakePicture.grey(9)).names


def test_callers_from_several_threads_each_get_their_own_answer(
    model: PictureModel, kind: tuple[str, str]
) -> None:
    levels = list(range(0, 250, 10))
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda level: scores_of(model, FakePicture.grey(level)), levels))
    for level, answer in zip(levels, answers, strict=True):
        wanted = bright_score(level / 255, decoder=kind[0])
        assert answer.of("bright") == pytest.approx(wanted, abs=0.02)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


def wrong_network() -> bytes:
    return picture_network(white=400)


def test_a_form_that_scores_otherwise_is_not_chosen(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path, networks={"int8": wrong_network(), "fp32": picture_network()})
    with engine_of(tmp_path, "brightness") as engine:
        trials = engine.trials("brightness")
        assert engine.picture_model("brightness").stamp.precision in {"fp32", "bf16"}
    refused = [trial for trial in trials if trial.refused]
    assert {trial.form.precision for trial in refused} == {"int8"}
    assert all("golden check: a score is off by 0.3" in trial.refused for trial in refused)
    assert all(set(trial.agreement) == {"score_error"} for trial in trials)


def test_a_bundle_whose_every_form_scores_otherwise_is_refused(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path, networks={"fp32": wrong_network()})
    with (
        engine_of(tmp_path, "brightness") as engine,
        pytest.raises(BundleRejectedError, match=r"nothing passes .* golden check: a score is off by"),
    ):
        engine.picture_model("brightness")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (golden_pictures(height_px=16), r"image is uint8 \(3, 3, 16, 32\), wanted uint8 \(3, 3, 32, 32\)"),
        (npz(image=np.zeros((2, 3, 32, 32), np.float32), scores=np.zeros((2, 2))), "image is float32"),
        (npz(image=np.zeros((2, 3, 32, 32), np.uint8), scores=np.zeros(2)), r"scores are float64 \(2,\)"),
        (npz(image=np.zeros((2, 3, 32, 32), np.uint8), scores=np.eye(2) * 2), "scores must be 0 to 1"),
        (npz(image=np.zeros((2, 3, 32, 32), np.uint8), scores=np.eye(2) * np.nan), "scores must be 0 to 1"),
        (npz(image=np.zeros((0, 3, 32, 32), np.uint8), scores=np.zeros((0, 2))), "scores must be 0 to 1"),
        (npz(image=np.zeros((2, 3, 32, 32), np.uint8), scores=np.ones((2, 2))), "which proves nothing"),
        (npz(picture=np.zeros(1)), "wanted an npz with `image` and `scores`"),
    ],
    ids=["size", "type", "scores' shape", "range", "NaN", "none", "all alike", "names"],
)
def test_golden_pictures_that_prove_nothing_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    write_picture_bundle(tmp_path, golden_npz=content)
    with (
        engine_of(tmp_path, "brightness") as engine,
        pytest.raises(BundleRejectedError, match=message),
    ):
        engine.picture_model("brightness")


def test_a_model_is_asked_for_what_it_is_made_for_only(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path)
    write_bundle(tmp_path)
    with engine_of(tmp_path, "brightness", "tiny") as engine:
        assert engine.refusals == {}
        for asked, name, task in (
            (engine.model, "brightness", "picture-classification"),
            (engine.spectra_model, "brightness", "picture-classification"),
            (engine.picture_model, "tiny", "volume-segmentation"),
        ):
            with pytest.raises(BundleRejectedError, match=f"{name}: is for {task}, which is not what"):
                asked(name)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (picture_network(dtype="float32"), "inputs are .*, the manifest says 'image', (u8|tensor.uint8.)"),
        (b"not an ONNX file at all", "refuses it"),
    ],
    ids=["type", "text"],
)
def test_a_file_that_is_not_the_promised_network_is_refused(
    tmp_path: Path, form: Form, content: bytes, message: str
) -> None:
    bundle = unchecked(write_picture_bundle(tmp_path, networks={"fp32": content}))
    with pytest.raises(BundleRejectedError, match=message):
        open_session(bundle, form, threads=1)


@pytest.mark.parametrize(
    ("decoder", "white", "message"),
    [
        ("probabilities", 100.0, "holds -0.19.* to 1.19.*, wanted probabilities, 0 to 1"),
        ("softmax", float("nan"), "holds NaN or infinity"),
    ],
)
def test_an_answer_that_is_no_score_is_an_error(
    tmp_path: Path, decoder: str, white: float, message: str
) -> None:
    write_picture_bundle(
        tmp_path, decoder=decoder, networks={"fp32": picture_network(decoder=decoder, white=white)}
    )
    with (
        engine_of(tmp_path, "brightness") as engine,
        pytest.raises(BundleRejectedError, match=message),
    ):
        engine.picture_model("brightness")


@pytest.mark.alone
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_run_is_ended_in_the_middle_when_its_time_is_up(tmp_path: Path, form: Form) -> None:
    content = picture_network(extra_convolutions=40)
    bundle = unchecked(write_picture_bundle(tmp_path, networks={"fp32": content}))
    session = open_session(bundle, form, threads=1)
    began = time.monotonic()
    with pytest.raises(InferenceError, match=r"not done in the 0.05 s it was given"):
        session.run(np.zeros((1, 3, 1500, 1500), np.uint8), Deadline(SystemClock(), 0.05))
    assert time.monotonic() - began < 1.5
    answers = session.run(np.full((1, 3, 8, 8), 255, np.uint8), Deadline(SystemClock(), 30))
    assert answers["answer"] == pytest.approx(np.array([[0, 1]]), abs=0.01)
    session.close()
