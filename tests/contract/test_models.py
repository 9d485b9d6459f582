"""What every model and every session promises, asked of the real runtimes with a network of a few KB."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from edge.bundles.store import Bundle, load
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import (
    BundleRejectedError,
    DeadlineExceededError,
    InferenceError,
    PictureRejectedError,
)
from edge.domain.image import Volume
from edge.domain.ports import Model
from edge.inference.deadline import Deadline
from edge.inference.engine import Engine
from edge.inference.forms import Form, open_session
from edge.inference.openvino_runtime import OpenVinoSession
from edge.inference.session import Answers, Session
from edge.inference.volume_network import look
from edge.kit.clock import SystemClock
from tests.builders.bundles import golden, labels_of, network, unchecked, write_bundle
from tests.builders.picture_bundles import SIDE_PX, write_picture_bundle
from tests.builders.volumes import volume
from tests.fakes.clock import FakeClock

FORMS = [
    Form("fp32", "openvino", "cpu"),
    Form("bf16", "openvino", "cpu"),
    Form("fp32", "onnxruntime", "cpu"),
]


def engine_of(root: Path, *names: str, **changes: Any) -> Engine:
    arguments: dict[str, Any] = {
        "roots": [root],
        "threads": 1,
        "providers": ["cpu"],
        "state_dir": root / "state",
        "clock": SystemClock(),
    }
    return Engine(names, **{**arguments, **changes})


def head(
    *, shape: tuple[int, int, int] = (32, 40, 44), spacing_mm: tuple[float, float, float] = (2.5, 2.0, 2.0)
) -> Volume:
    """A ball in the middle, bright inside, in raw numbers of a scanner."""
    place = (np.indices(shape).T - (np.array(shape) - 1) / 2) * spacing_mm
    distance_mm = np.sqrt((place**2).sum(axis=-1)).T
    return volume((1200 - distance_mm * 40).clip(0, 1000).astype(np.int16), spacing_mm=spacing_mm)


@pytest.fixture(params=["labels", "logits"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Model]:
    """Every implementation of the port."""
    write_bundle(tmp_path, decoder=request.param)
    with engine_of(tmp_path, "tiny") as engine:
        assert engine.refusals == {}
        yield engine.model("tiny")


# ── a model ───────────────────────────────────────────────────────────────────────────────────────


def test_a_segmentation_lies_on_the_grid_of_the_volume_that_was_asked_about(model: Model) -> None:
    asked = head()
    answer = model.infer(asked, deadline_s=30)
    assert answer.volume is asked
    assert answer.labels.shape == asked.voxels.shape
    assert answer.names == ("shell", "core")
    wanted = labels_of((asked.voxels / 1000).astype(np.float32))
    assert (answer.labels == wanted).mean() > 0.97
    assert answer.volume_ml(1, 2) == pytest.approx(answer.largest_ml, rel=0.05)


def test_a_model_says_how_long_each_stage_took(model: Model) -> None:
    latency_ms = model.infer(head(), deadline_s=30).latency_ms
    assert list(latency_ms) == ["preprocess", "infer", "decode"]
    assert min(latency_ms.values()) > 0


def test_a_model_says_which_weights_speak(model: Model) -> None:
    stamp = model.stamp
    assert (stamp.model_id, stamp.version, len(stamp.sha256)) == ("tiny", "1.0.0", 64)
    assert stamp.runtime.partition(" ")[0] in {"openvino", "onnxruntime"}
    assert stamp.provider in {"CPU", "CPUExecutionProvider"}


def test_the_same_volume_gives_the_same_bytes(model: Model) -> None:
    first, second = (model.infer(head(), deadline_s=30).labels for _ in range(2))
    assert np.array_equal(first, second)


def test_volumes_of_changing_shape_follow_each_other(model: Model) -> None:
    for shape in ((32, 40, 44), (12, 90, 91), (70, 33, 34), (32, 40, 44)):
        assert model.infer(head(shape=shape), deadline_s=30).labels.shape == shape


def test_no_time_is_an_error_and_not_an_empty_answer(model: Model) -> None:
    with pytest.raises(DeadlineExceededError, match="not done in the 0 s it was given"):
        model.infer(head(), deadline_s=0)
    assert model.infer(head(), deadline_s=30).labels.any()


def test_callers_from_several_threads_each_get_their_own_answer(model: Model) -> None:
    asked = [head(shape=(20 + 4 * n, 40, 44)) for n in range(6)]
    alone = [model.infer(volume, deadline_s=30).labels for volume in asked]
    with ThreadPoolExecutor(3) as callers:
        together = list(callers.map(lambda volume: model.infer(volume, deadline_s=30).labels, asked))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_a_volume_the_model_was_not_made_for_is_refused(model: Model) -> None:
    strange = volume(np.ones((8, 8, 8), np.float32), unit="suv_bw", modality="PT")
    with pytest.raises(PictureRejectedError, match="is PT in suv_bw, tiny takes MR in arbitrary, CT in"):
        model.infer(strange, deadline_s=30)


def test_a_volume_without_contrast_is_refused(model: Model) -> None:
    with pytest.raises(PictureRejectedError, match="wanted voxels that differ"):
        model.infer(volume(np.zeros((20, 20, 20), np.float32)), deadline_s=30)


def test_a_volume_too_large_is_refused_with_its_size(tmp_path: Path) -> None:
    def edit(written: dict[str, Any]) -> None:
        written["input"]["volume_voxels_max"] = 5000

    write_bundle(tmp_path, edit=edit)
    too_large = pytest.raises(PictureRejectedError, match=r"volume has 70400 voxels .* takes up to 5000")
    with engine_of(tmp_path, "tiny") as engine, too_large:
        engine.model("tiny").infer(head(), deadline_s=30)


def test_a_large_volume_in_tiles_gives_what_one_pass_gives(tmp_path: Path) -> None:
    def edit(written: dict[str, Any]) -> None:
        written["input"]["pass_voxels_max"] = 4096

    write_bundle(tmp_path / "tiles", edit=edit)
    write_bundle(tmp_path / "whole")
    answers = []
    for root in (tmp_path / "tiles", tmp_path / "whole"):
        with engine_of(root, "tiny") as engine:
            answers.append(engine.model("tiny").infer(head(), deadline_s=30).labels)
    assert (answers[0] == answers[1]).mean() > 0.999  # the two may run in different precision


# ── the two runtimes ──────────────────────────────────────────────────────────────────────────────


def session_of(tmp_path: Path, form: Form, content: bytes) -> Session:
    bundle = unchecked(write_bundle(tmp_path, networks={"fp32": content}))
    return open_session(bundle, form, threads=1)


def manifest_of(bundle: Bundle) -> VolumeSegmentation:
    assert isinstance(bundle.manifest, VolumeSegmentation)
    return bundle.manifest


@pytest.fixture(params=FORMS, ids=str)
def form(request: pytest.FixtureRequest) -> Form:
    chosen: Form = request.param
    return chosen


def test_both_runtimes_give_the_golden_labels(tmp_path: Path, form: Form) -> None:
    bundle = load(write_bundle(tmp_path))
    session = open_session(bundle, form, threads=1)
    picture = np.random.default_rng(0).random((16, 12, 20), np.float32)
    answer = look(session, picture[None], manifest_of(bundle), Deadline(SystemClock(), 30))
    assert (answer == labels_of(picture)).mean() > 0.99
    session.close()


def test_runs_of_changing_shape_follow_each_other_and_answers_stay(tmp_path: Path, form: Form) -> None:
    session = session_of(tmp_path, form, network())
    shapes = [(8, 12, 16), (8, 12, 16), (16, 8, 8), (8, 12, 16), (4, 4, 4)]
    pictures = [np.random.default_rng(n).random((1, 1, *shape), np.float32) for n, shape in enumerate(shapes)]
    answers = [session.run(picture, Deadline(SystemClock(), 30))["answer"] for picture in pictures]
    for picture, answer in zip(pictures, answers, strict=True):
        assert (answer[0] == labels_of(picture[0, 0])).mean() > 0.98
    session.close()


@pytest.mark.alone
def test_a_run_is_ended_in_the_middle_when_its_time_is_up(tmp_path: Path, form: Form) -> None:
    session = session_of(tmp_path, form, network(extra_convolutions=30))
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError, match=r"tiny/model.fp32.onnx: not done in the 0.05 s"):
        session.run(np.zeros((1, 1, 96, 96, 96), np.float32), Deadline(SystemClock(), 0.05))
    assert time.monotonic() - began < 1.5
    small = session.run(np.zeros((1, 1, 8, 8, 8), np.float32), Deadline(SystemClock(), 30))
    assert small["answer"].shape == (1, 8, 8, 8)
    session.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (network()[:300], "refuses it"),
        (b"", "refuses it|outputs are|inputs are"),
        (b"not an ONNX file at all", "refuses it"),
        (network(image="picture"), "inputs are .*picture.*, the manifest says 'image'"),
        (network(answer="mask"), "outputs are .*mask.*, the manifest says 'answer'"),
    ],
    ids=["truncated", "empty", "text", "other input", "other output"],
)
def test_a_file_that_is_not_the_promised_network_is_refused(
    tmp_path: Path, form: Form, content: bytes, message: str
) -> None:
    with pytest.raises(BundleRejectedError, match=rf"tiny/model.fp32.onnx: .*({message})"):
        session_of(tmp_path, form, content)


@pytest.mark.parametrize(
    ("content", "decoder", "message"),
    [
        (network(answer_type=TensorProto.INT16), "labels", r"is int16 \(1, 8, 8, 8\), wanted uint8"),
        (network(decoder="logits"), "labels", r"is float32 \(1, 3, 8, 8, 8\), wanted uint8, int32 or"),
        (network(), "logits", r"is uint8 \(1, 8, 8, 8\), wanted float32 \(1, 3, 8, 8, 8\)"),
        (
            network(decoder="logits", offsets=np.full(3, np.nan, np.float32)),
            "logits",
            "holds NaN or infinity",
        ),
        (
            network(slopes=np.array([0, 10, 20, 90], np.float32), offsets=np.zeros(4, np.float32)),
            "labels",
            "holds label 3, wanted below 3",
        ),
    ],
    ids=["int16", "logits for labels", "labels for logits", "NaN", "a label too many"],
)
def test_an_answer_of_another_form_is_an_error_that_says_seen_and_wanted(
    tmp_path: Path, form: Form, content: bytes, decoder: str, message: str
) -> None:
    bundle = unchecked(write_bundle(tmp_path, decoder=decoder, networks={"fp32": content}))
    session = open_session(bundle, form, threads=1)
    with pytest.raises(InferenceError, match=message):
        look(session, np.ones((1, 8, 8, 8), np.float32), manifest_of(bundle), Deadline(SystemClock(), 30))
    session.close()


def test_a_network_for_pictures_of_other_channels_says_so(tmp_path: Path) -> None:
    for number, runtime in enumerate(FORMS):
        session = session_of(tmp_path / str(number), runtime, network(channels=2))
        said = r"model.fp32.onnx: input 'image' is float32 \(1, 1, 8, 8, 8\), the network takes \(1, 2, "
        with pytest.raises(InferenceError, match=said):
            session.run(np.zeros((1, 1, 8, 8, 8), np.float32), Deadline(SystemClock(), 30))
        session.close()


def test_importing_and_running_both_runtimes_opens_no_connection(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    program = """
import sys, pathlib
sys.addaudithook(lambda event, what: event.startswith("socket.") and print("seen", event, what, flush=True))
from tests.contract.test_models import engine_of
root = pathlib.Path(sys.argv[1])
with engine_of(root, "tiny") as engine:
    print(engine.trials("tiny"))
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(tmp_path)]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True)
    assert "openvino" in ran.stdout
    assert "seen" not in ran.stdout


# ── admission ─────────────────────────────────────────────────────────────────────────────────────


def wrong_network() -> bytes:
    return network(slopes=np.array([20, 10, 0], np.float32))


def test_the_fastest_form_that_agrees_is_chosen_and_all_are_told(tmp_path: Path) -> None:
    write_bundle(tmp_path, networks={"int8": wrong_network(), "fp32": network()})
    with engine_of(tmp_path, "tiny") as engine:
        trials = engine.trials("tiny")
        assert engine.model("tiny").stamp.precision in {"fp32", "bf16"}
    assert (trials[0].refused, trials[0].beaten) == ("", "")
    assert all(trial.beaten for trial in trials[1:] if not trial.refused)
    assert all(trial.p50_ms > 0 and trial.p99_ms >= trial.p50_ms for trial in trials if not trial.refused)
    refused = {trial.form.precision for trial in trials if trial.refused}
    assert refused == {"int8"}
    assert all("golden check: union Dice" in trial.refused for trial in trials if trial.refused)


def test_a_bundle_whose_every_form_is_wrong_is_refused_with_what_each_did(tmp_path: Path) -> None:
    write_bundle(tmp_path, networks={"fp32": wrong_network()})
    write_bundle(tmp_path, name="good")
    with engine_of(tmp_path, "tiny", "good", "absent") as engine:
        assert sorted(engine.refusals) == ["absent", "tiny"]
        assert "fp32 with onnxruntime on cpu: golden check: union Dice" in engine.refusals["tiny"]
        assert engine.bundle("tiny").manifest.policy.looked_for.meaning == "Brain"
        assert engine.model("good").infer(head(), deadline_s=30).labels.any()
        with pytest.raises(BundleRejectedError, match="nothing passes on this device"):
            engine.model("tiny")
        with pytest.raises(BundleRejectedError, match="never: not one of the engine's bundles"):
            engine.model("never")


@pytest.mark.parametrize(
    ("npz", "message"),
    [
        (b"not a zip", "wanted an npz"),
        (golden()[:200], "wanted an npz"),
        (
            golden(np.zeros((9, 9, 9), np.float32), np.ones((9, 9, 9), np.uint8)),
            r"image is float32 \(9, 9, 9\), wanted float",
        ),
        (golden(np.ones((1, 1, 15, 16, 16), np.float32)), "wanted sides in multiples of 4"),
        (golden(np.zeros((1, 1, 16, 16, 16), np.float32)), "all labels are background"),
        (
            golden(np.ones((2, 1, 8, 8, 8), np.float32), np.ones((1, 8, 8, 8), np.uint8)),
            r"labels are uint8 \(1, 8, 8, 8\), wanted uint8 \(2, 8, 8, 8\)",
        ),
    ],
    ids=["text", "truncated", "no batch", "odd side", "nothing to find", "other shape"],
)
def test_a_golden_input_that_proves_nothing_is_refused(tmp_path: Path, npz: bytes, message: str) -> None:
    write_bundle(tmp_path, golden_npz=npz)
    with engine_of(tmp_path, "tiny") as engine:
        assert list(engine.refusals) == ["tiny"]
        with pytest.raises(BundleRejectedError, match=message):
            engine.model("tiny")


def test_a_measurement_is_remembered_until_bundle_or_threads_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path)
    opened: list[Form] = []

    def counting(bundle: Any, form: Form, **how: Any) -> Session:
        opened.append(form)
        return open_session(bundle, form, **how)

    monkeypatch.setattr("edge.inference.making.open_session", counting)

    def opened_by(threads: int) -> int:
        opened.clear()
        with engine_of(tmp_path, "tiny", threads=threads) as engine:
            assert engine.refusals == {}
        return len(opened)

    assert [opened_by(1), opened_by(1), opened_by(2)] == [3, 1, 3]


def test_a_state_folder_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    (tmp_path / "state").write_text("a file in its place")
    with engine_of(tmp_path, "tiny") as engine:
        assert engine.refusals == {}


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"key": 1}', b'{"key": {}, "trials": []}'])
def test_a_damaged_memory_costs_time_only(tmp_path: Path, damage: bytes) -> None:
    write_bundle(tmp_path)
    with engine_of(tmp_path, "tiny"):
        [table] = (tmp_path / "state" / "admission").iterdir()
    table.write_bytes(damage)
    with engine_of(tmp_path, "tiny") as engine:
        assert engine.refusals == {}


def test_a_remembered_form_that_thinks_otherwise_today_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path)
    with engine_of(tmp_path, "tiny") as engine:
        remembered = engine.trials("tiny")[0].form

    def lying(bundle: Any, form: Form, **how: Any) -> Session:
        session = open_session(bundle, form, **how)
        return Lying(session) if form == remembered else session

    monkeypatch.setattr("edge.inference.making.open_session", lying)
    with engine_of(tmp_path, "tiny") as engine:
        chosen = engine.trials("tiny")[0].form
        refused = {trial.form for trial in engine.trials("tiny") if trial.refused}
    assert chosen != remembered
    assert refused == {remembered}


class Lying:
    """A session whose every answer is background."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.runtime = session.runtime
        self.provider = session.provider
        self.close: Callable[[], None] = session.close

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        return {name: answer * 0 for name, answer in self._session.run(given, deadline).items()}


def test_a_network_that_was_quick_and_is_late_once_can_be_ended_the_next_time(tmp_path: Path) -> None:
    """A quick one runs in its caller's thread, where nobody can end it."""
    bundle = load(write_picture_bundle(tmp_path))
    clock, pixels = FakeClock(), np.zeros((1, 3, SIDE_PX, SIDE_PX), np.uint8)
    session = open_session(bundle, Form("fp32", "openvino", "cpu"), threads=1)
    assert isinstance(session, OpenVinoSession)
    session.run(pixels, Deadline(clock, 5))
    session._took_s = 0.001  # on a busy machine it might not have looked quick
    request = session._request

    class Late:
        ended: list[str] = []  # noqa: RUF012  # of this test alone

        def infer(self, **options: Any) -> None:
            clock.advance(6)
            self.ended.append("in the caller's thread")
            request.infer(**options)

        def start_async(self) -> None:
            self.ended.append("where it can be ended")
            request.start_async()

        def __getattr__(self, name: str) -> Any:
            return getattr(request, name)

    session._request = Late()
    with pytest.raises(DeadlineExceededError):
        session.run(pixels, Deadline(clock, 5))
    session.run(pixels, Deadline(clock, 5))
    session.close()
    assert Late.ended == ["in the caller's thread", "where it can be ended"]
