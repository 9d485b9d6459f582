"""A model is exchanged while it is asked: every item is answered, by the old one or the new one."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundles.store import Bundle, load
from edge.domain.answer import Scores
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.inference.handle import PictureHandle
from edge.inference.state import ModelState
from tests.builders.bundles import network, write_bundle
from tests.builders.picture_bundles import bright_score, picture_network, write_picture_bundle
from tests.contract.test_models import engine_of, head
from tests.fakes.picture import FakePicture

LEVEL = 40
SAYS = {  # what each version says about a picture of that brightness
    "1.0.0": bright_score(LEVEL / 255),
    "2.0.0": bright_score(LEVEL / 255, decoder="softmax"),
}


def second_version(root: Path, **changes: Any) -> Bundle:
    """The same name with another network, which gives other scores."""

    def edit(document: dict[str, Any]) -> None:
        document["version"] = "2.0.0"

    return load(write_picture_bundle(root / "second", **{"decoder": "softmax", "edit": edit, **changes}))


def bright(model: PictureHandle) -> tuple[float, str]:
    """The score, and the version that says it gave it."""
    with model.held() as active:
        answer = active.model.look(FakePicture.grey(LEVEL), deadline_s=30)
    assert isinstance(answer, Scores)
    return answer.of("bright"), active.stamp.version


def test_each_of_many_answers_during_an_exchange_is_that_of_the_version_it_names(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path)
    second = second_version(tmp_path)
    seen: list[list[tuple[float, str]]] = [[], []]
    ends = threading.Event()
    with engine_of(tmp_path, "brightness", live_callers=2) as engine:
        model = engine.picture_model("brightness")

        def ask(answers: list[tuple[float, str]]) -> None:
            while not ends.wait(0.005):
                answers.append(bright(model))

        callers = [threading.Thread(target=ask, args=(answers,)) for answers in seen]
        for caller in callers:
            caller.start()
        try:
            assert engine.swap(second).result(60).version == "2.0.0"
            after = bright(model)
        finally:
            ends.set()
            for caller in callers:
                caller.join(30)
        assert engine.state("brightness").previous is not None
        assert engine.bundle("brightness") is second
    assert after[1] == "2.0.0"
    for answers in seen:
        versions = [version for _, version in answers]
        assert versions == sorted(versions)  # never back to the old one
        assert set(versions) <= set(SAYS)
        assert all(score == pytest.approx(SAYS[version], abs=0.02) for score, version in answers)


def test_a_new_version_with_a_wrong_golden_output_leaves_the_old_one_at_work(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path)
    wrong = second_version(tmp_path, networks={"fp32": picture_network(white=400)})
    told: list[ModelState] = []
    with engine_of(tmp_path, "brightness") as engine:
        engine.on_change(told.append)
        model = engine.picture_model("brightness")
        with pytest.raises(BundleRejectedError, match="nothing passes on this device"):
            engine.swap(wrong).result(60)
        score, version = bright(model)
        assert version == "1.0.0"
        assert score == pytest.approx(SAYS["1.0.0"], abs=0.02)
        assert engine.bundle("brightness").manifest.version == "1.0.0"
    assert told[-1].stamp.version == "1.0.0"
    assert told[-1].refusal.startswith("version 2.0.0: brightness: nothing passes")
    assert told[-1].doing is None


def test_a_new_version_for_another_task_or_of_another_name_is_refused(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path)
    volumes = load(write_bundle(tmp_path / "other", name="brightness"))
    stranger = load(write_picture_bundle(tmp_path / "other", name="stranger"))
    with engine_of(tmp_path, "brightness") as engine:
        with pytest.raises(BundleRejectedError, match=r"the new one is for volume-seg.* picture-cl"):
            engine.swap(volumes).result(60)
        with pytest.raises(BundleRejectedError, match="stranger: not one of the engine's bundles"):
            engine.swap(stranger).result(60)
        assert bright(engine.picture_model("brightness"))[1] == "1.0.0"


def test_who_holds_a_model_keeps_it_and_the_exchange_waits_for_them(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path)
    with engine_of(tmp_path, "brightness") as engine:
        model = engine.picture_model("brightness")
        with model.held() as active:
            swapped = engine.swap(second_version(tmp_path))
            with pytest.raises(TimeoutError):
                swapped.result(0.5)
            answer = active.model.look(FakePicture.grey(LEVEL), deadline_s=30)
            assert isinstance(answer, Scores)
            assert answer.of("bright") == pytest.approx(SAYS["1.0.0"], abs=0.02)
        assert swapped.result(60) == model.stamp


def test_a_model_of_a_closed_engine_says_so(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path)
    with engine_of(tmp_path, "brightness") as engine:
        model = engine.picture_model("brightness")
    with pytest.raises(InferenceError, match="brightness: the engine is closed"):
        model.look(FakePicture.grey(LEVEL), deadline_s=30)


# ── measuring behind ──────────────────────────────────────────────────────────────────────────────


def test_what_was_never_measured_serves_at_once_and_gets_better_behind(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    told: list[ModelState] = []
    with engine_of(tmp_path, "tiny", measures="behind") as engine:
        model = engine.model("tiny")
        engine.on_change(told.append)
        labels = model.infer(head(), deadline_s=30).labels
        assert engine.settle(timeout_s=60)
        state = engine.state("tiny")
        assert (model.infer(head(), deadline_s=30).labels == labels).mean() > 0.99
        assert model.stamp == state.stamp
    assert state.is_measured
    assert len(state.trials) == 3
    assert state.trials[0].form == state.form
    assert told[-1] == state
    with engine_of(tmp_path, "tiny", measures="behind") as engine:
        assert engine.settle(timeout_s=1)
        assert engine.state("tiny").is_measured
        assert engine.state("tiny").form == state.form


def test_an_engine_that_is_closed_while_it_measures_ends_and_measures_again_next_time(tmp_path: Path) -> None:
    write_bundle(tmp_path, networks={"fp32": network(extra_convolutions=6)})
    with engine_of(tmp_path, "tiny", measures="behind") as engine:
        assert not engine.settle(timeout_s=0.01)
    assert list((tmp_path / "state").rglob("*.json")) == []
    with engine_of(tmp_path, "tiny", measures="behind") as engine:
        assert engine.settle(timeout_s=60)
        assert engine.state("tiny").is_measured


def test_measuring_that_finds_nothing_leaves_the_model_and_is_not_said_to_go_on(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    told: list[ModelState] = []
    with engine_of(tmp_path, "tiny") as engine:
        engine.on_change(told.append)
        (tmp_path / "tiny" / "model.fp32.onnx").unlink()
        with pytest.raises(BundleRejectedError, match=r"nothing passes on this device: .* No such file"):
            engine._measure(engine.bundle("tiny"))
        assert engine.model("tiny").infer(head(), deadline_s=30).labels.any()
    assert [one.doing is not None for one in told][:1] == [True]
    assert told[-1].doing is None


# ── memory ────────────────────────────────────────────────────────────────────────────────────────


def test_in_a_small_memory_models_of_volumes_take_turns_and_all_answer(tmp_path: Path) -> None:
    for name in ("tiny", "other"):
        write_bundle(tmp_path, name=name, networks={"fp32": network(extra_convolutions=3)})
    with engine_of(tmp_path, "tiny", "other", memory_mb=0.001) as engine:
        for name in ("tiny", "other", "tiny"):
            assert engine.model(name).infer(head(), deadline_s=60).labels.any()
            opened = {one: engine.model(one).active.sessions[0].is_open for one in ("tiny", "other")}
            assert opened[name]


def test_a_network_whose_files_are_gone_stays_open_however_small_the_memory(tmp_path: Path) -> None:
    for name in ("tiny", "other"):
        write_bundle(tmp_path, name=name)
    with engine_of(tmp_path, "tiny", "other", memory_mb=0.001) as engine:
        assert engine.model("tiny").infer(head(), deadline_s=60).labels.any()
        shutil.rmtree(tmp_path / "tiny")
        for name in ("other", "tiny"):
            assert engine.model(name).infer(head(), deadline_s=60).labels.any()


def test_answers_that_were_given_stay_when_their_network_is_gone(tmp_path: Path) -> None:
    write_bundle(tmp_path, decoder="logits")
    with engine_of(tmp_path, "tiny") as engine:
        asked = head(shape=(48, 48, 48))
        given = engine.model("tiny").infer(asked, deadline_s=30).labels
        kept = given.copy()
    assert np.array_equal(given, kept)
