"""What every model of spectra promises, asked of the real runtimes with a network of a few hundred bytes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.store import load
from edge.domain.errors import BundleRejectedError, DeadlineExceededError, PictureRejectedError
from edge.domain.ports import SpectraModel
from edge.inference.deadline import Deadline
from edge.inference.forms import Form, open_session
from edge.inference.spectra import read_out
from edge.kit.clock import SystemClock
from tests.builders.bundles import npz, unchecked
from tests.builders.spectra_bundles import (
    WAVELENGTHS_NM,
    estimates_of,
    spectra_network,
    write_spectra_bundle,
)
from tests.contract.test_models import FORMS, engine_of


def spectra_of(count: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Spectra of which some leave a range, bend too much, or are no numbers."""
    rng = np.random.default_rng(seed)
    spectra = rng.uniform(0, 1, (count, 1)) + rng.normal(0, 0.08, (count, 5))
    spectra[::7] = 2.5
    spectra[3::11, 2] = np.nan
    return spectra.astype(np.float32)


@pytest.fixture(params=[True, False], ids=["with uncertainty", "without"])
def has_uncertainty(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def model(has_uncertainty: bool, tmp_path: Path) -> Iterator[SpectraModel]:
    """Every implementation of the port."""
    write_spectra_bundle(tmp_path, has_uncertainty=has_uncertainty)
    with engine_of(tmp_path, "levels", live_callers=2) as engine:
        assert engine.refusals == {}
        yield engine.spectra_model("levels")


@pytest.mark.parametrize("count", [1, 7, 8, 9, 100])
def test_the_estimates_are_those_of_the_network_and_nan_where_it_must_not_know(
    model: SpectraModel, has_uncertainty: bool, count: int
) -> None:
    spectra = spectra_of(count)
    answer = model.estimate(spectra, deadline_s=30)
    wanted = estimates_of(spectra, has_uncertainty=has_uncertainty)
    assert (answer.names, answer.units) == (("level", "tilt"), ("1", "1"))
    assert np.array_equal(np.isnan(answer.values), np.isnan(wanted))
    assert np.allclose(answer.values, wanted, atol=0.01, equal_nan=True)
    assert not answer.values.flags.writeable


def test_spectra_of_which_none_is_in_range_are_all_not_known(model: SpectraModel) -> None:
    assert np.isnan(model.estimate(np.full((20, 5), 3, np.float32), deadline_s=30).values).all()


def test_the_same_spectrum_gets_the_same_estimate_alone_and_among_others(model: SpectraModel) -> None:
    spectra = spectra_of(30)
    together = model.estimate(spectra, deadline_s=30).values
    alone = [model.estimate(row[None], deadline_s=30).values[0] for row in spectra]
    assert np.allclose(together, alone, atol=1e-6, equal_nan=True)


def test_a_model_says_at_which_wavelengths_it_wants_its_spectra(model: SpectraModel) -> None:
    assert tuple(model.wavelengths_nm) == WAVELENGTHS_NM
    assert not model.wavelengths_nm.flags.writeable


@pytest.mark.parametrize(
    "spectra",
    [
        np.ones((4, 6), np.float32),
        np.ones(5, np.float32),
        np.ones((0, 5), np.float32),
        np.ones((4, 5), np.float64),
    ],
    ids=["bands", "axes", "none", "type"],
)
def test_spectra_of_another_form_are_refused(model: SpectraModel, spectra: NDArray[Any]) -> None:
    with pytest.raises(PictureRejectedError, match=r"spectra are .*, levels takes float32 \(at least 1, 5\)"):
        model.estimate(spectra, deadline_s=30)


def test_a_model_says_how_long_each_stage_took_and_which_weights_speak(model: SpectraModel) -> None:
    latency_ms = model.estimate(spectra_of(20), deadline_s=30).latency_ms
    assert list(latency_ms) == ["preprocess", "infer", "decode"]
    assert min(latency_ms.values()) > 0
    assert (model.stamp.model_id, len(model.stamp.sha256)) == ("levels", 64)


def test_no_time_is_an_error_and_not_an_estimate(model: SpectraModel) -> None:
    with pytest.raises(DeadlineExceededError, match="not done in the 0 s it was given"):
        model.estimate(spectra_of(1), deadline_s=0)
    assert model.estimate(spectra_of(1), deadline_s=30).names


def test_callers_from_several_threads_each_get_their_own_answer(
    model: SpectraModel, has_uncertainty: bool
) -> None:
    asked = [spectra_of(20 + n, seed=n) for n in range(12)]
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda spectra: model.estimate(spectra, deadline_s=30).values, asked))
    for spectra, answer in zip(asked, answers, strict=True):
        wanted = estimates_of(spectra, has_uncertainty=has_uncertainty)
        assert np.allclose(answer, wanted, atol=0.01, equal_nan=True)


def test_the_steps_of_the_manifest_are_done_and_one_that_cannot_be_done_is_not_known(tmp_path: Path) -> None:
    def edit(written: dict[str, Any]) -> None:
        written["preprocessing"] = [{"step": "log", "floor": 0.001}, {"step": "snv"}]
        for quantity in written["output"]["quantities"]:
            quantity.update(value_min=-9, value_max=9, uncertainty_max=9)

    bundle = load(write_spectra_bundle(tmp_path, edit=edit))
    assert isinstance(bundle.manifest, SpectraRegression)
    session = open_session(bundle, Form("fp32", "onnxruntime", "cpu"), threads=1)
    spectra = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.3] * 5], np.float32)
    clock = SystemClock()
    values, _ = read_out(session, spectra, bundle.manifest, Deadline(clock, 30), clock)
    logs = np.log(spectra[0].astype(np.float64))
    prepared = (logs - logs.mean()) / logs.std()
    assert values[0] == pytest.approx([0, prepared[-1] - prepared[0]], abs=1e-5)
    assert np.isnan(values[1]).all()  # it has no contrast
    session.close()


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


def golden_of(spectra: NDArray[Any], estimates: NDArray[Any]) -> bytes:
    return npz(spectra=spectra, estimates=estimates)


def test_a_form_that_estimates_otherwise_is_not_chosen(tmp_path: Path) -> None:
    networks = {"int8": spectra_network(level_offset=0.05), "fp32": spectra_network()}
    write_spectra_bundle(tmp_path, networks=networks)
    with engine_of(tmp_path, "levels") as engine:
        trials = engine.trials("levels")
        assert engine.spectra_model("levels").stamp.precision in {"fp32", "bf16"}
    refused = [trial for trial in trials if trial.refused]
    assert {trial.form.precision for trial in refused} == {"int8"}
    assert all("level is off by 0.05" in trial.refused for trial in refused)


def test_a_form_that_knows_what_it_must_not_know_is_refused(tmp_path: Path) -> None:
    def edit(written: dict[str, Any]) -> None:
        written["output"]["quantities"][0]["uncertainty_max"] = 5
        written["output"]["quantities"][1]["uncertainty_max"] = 5

    write_spectra_bundle(tmp_path, edit=edit)
    with (
        engine_of(tmp_path, "levels") as engine,
        pytest.raises(
            BundleRejectedError, match=r"golden check: 0.\d+ are known as they must be, wanted 0.95"
        ),
    ):
        engine.spectra_model("levels")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (golden_of(np.ones((3, 4), np.float32), np.ones((3, 2))), r"spectra are float32 \(3, 4\), wanted"),
        (golden_of(np.ones((3, 5), np.uint8), np.ones((3, 2))), r"spectra are uint8"),
        (golden_of(np.ones((3, 5)), np.ones((3, 1))), r"estimates are float64 \(3, 1\), wanted"),
        (golden_of(np.ones((3, 5)), np.ones((3, 2))), "estimates of level are all alike, which proves"),
        (golden_of(np.ones((3, 5)), np.full((3, 2), np.nan)), "estimates of level are all alike"),
        (golden_of(np.ones((0, 5)), np.ones((0, 2))), "estimates of level are all alike"),
        (
            golden_of(np.full((3, 5), 2.5), np.array([[0, -0.4], [0.5, 0], [0.9, 0.4]])),
            "the golden input asks the network nothing, which proves nothing",
        ),
        (b"no npz", "wanted an npz with `spectra` and `estimates`"),
    ],
    ids=["bands", "type", "quantities", "alike", "unknown", "none", "unasked", "text"],
)
def test_golden_spectra_that_prove_nothing_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    write_spectra_bundle(tmp_path, golden_npz=content)
    with (
        engine_of(tmp_path, "levels") as engine,
        pytest.raises(BundleRejectedError, match=message),
    ):
        engine.spectra_model("levels")


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_network_without_the_promised_uncertainty_is_refused(tmp_path: Path, form: Form) -> None:
    networks = {"fp32": spectra_network(has_uncertainty=False)}
    bundle = unchecked(write_spectra_bundle(tmp_path, networks=networks))
    with pytest.raises(BundleRejectedError, match=r"outputs are .*, the manifest says 'spread'"):
        open_session(bundle, form, threads=1)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_batches_of_changing_size_follow_each_other_and_answers_stay(tmp_path: Path, form: Form) -> None:
    session = open_session(load(write_spectra_bundle(tmp_path)), form, threads=1)
    asked = [np.full((count, 5), count / 20, np.float32) for count in (8, 3, 8, 1, 8)]
    answers = [session.run(spectra, Deadline(SystemClock(), 30)) for spectra in asked]
    for spectra, answer in zip(asked, answers, strict=True):
        assert answer["estimates"][:, 0] == pytest.approx(spectra[:, 0], abs=0.01)
        assert answer["spread"] == pytest.approx(np.zeros((len(spectra), 2)), abs=0.01)
    session.close()
