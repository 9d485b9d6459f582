"""What the bundle `brain-mr` promises: its Dice on scans it has not seen, and an int8 form as good."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.store import Bundle, load
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.finding import Verdict
from edge.domain.image import Segmentation, Volume
from edge.findings.policy import judge
from edge.formats import nifti
from edge.inference.deadline import Deadline
from edge.inference.forms import Form, open_session, stamp_of
from edge.inference.volumes import VolumeSegmenter
from edge.kit.clock import SystemClock
from tests.conftest import CORPUS

BUNDLE = Path(__file__).parents[2] / "models" / "brain-mr"
INT8 = Form("int8", "openvino", "cpu")
FP32 = Form("fp32", "openvino", "cpu")
REFERENCE = Form("fp32", "onnxruntime", "cpu")
SCANS = ("canon_dti", "ctge1", "prisma_epi", "siemens_epi", "toshiba0")
PHANTOM = "philips_b0"
DEADLINE_S = 120.0

# Scans with reference masks. They lie beside the corpus and are no part of it: it may come without them.
EVALUATION = CORPUS.parent / "recipes" / "brain-mr" / "eval"
needs_evaluation = (
    pytest.mark.corpus
    if EVALUATION.is_dir()
    else pytest.mark.skip(reason=f"no scans with reference masks at {EVALUATION}")
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load(BUNDLE)


@pytest.fixture(scope="module")
def int8(bundle: Bundle) -> Iterator[VolumeSegmenter]:
    model = model_of(bundle, INT8)
    yield model
    model.close()


@pytest.fixture(scope="module")
def fp32(bundle: Bundle) -> Iterator[VolumeSegmenter]:
    model = model_of(bundle, FP32)
    yield model
    model.close()


def model_of(bundle: Bundle, form: Form) -> VolumeSegmenter:
    session = open_session(bundle, form, threads=2, gives_way=True)
    return VolumeSegmenter(
        manifest(bundle), session=session, stamp=stamp_of(bundle, form, session), clock=SystemClock()
    )


def manifest(bundle: Bundle) -> VolumeSegmentation:
    assert isinstance(bundle.manifest, VolumeSegmentation)
    return bundle.manifest


def marks() -> dict[str, float]:
    """Dice that the trial reached, by scan, as the README beside the scans has it."""
    rows = re.findall(r"^\| (\w+) \|.*\| (0\.\d+) \|$", (EVALUATION / "README.md").read_text(), re.M)
    return {name: float(value) for name, value in rows}


def scan(name: str) -> Volume:
    """A scan of the evaluation; `ct…` are in Hounsfield units."""
    modality, unit = {True: ("CT", "hounsfield"), False: ("MR", "arbitrary")}[name.startswith("ct")]
    (volume,) = nifti.read(EVALUATION / f"{name}.nii.gz").volumes
    return replace(volume, modality=modality, unit=unit)


def truth(name: str) -> NDArray[np.bool_]:
    (volume,) = nifti.read(EVALUATION / f"{name}_brain.nii.gz").volumes
    return np.asarray(volume.voxels > 0)


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def brain(answer: Segmentation) -> NDArray[np.bool_]:
    return np.asarray(answer.labels > 0)


@needs_evaluation
@pytest.mark.parametrize("name", SCANS)
def test_the_brain_agrees_as_well_as_in_the_trial_and_int8_within_half_a_percent_of_fp32(
    int8: VolumeSegmenter, fp32: VolumeSegmenter, name: str
) -> None:
    volume = scan(name)
    quick, exact = (
        dice(brain(model.infer(volume, deadline_s=DEADLINE_S)), truth(name)) for model in (int8, fp32)
    )
    assert quick >= marks()[name]
    assert abs(quick - exact) <= 0.005


@needs_evaluation
def test_a_phantom_is_not_assessed(int8: VolumeSegmenter, bundle: Bundle) -> None:
    answer = int8.infer(scan(PHANTOM), deadline_s=DEADLINE_S)
    (observation,) = judge(answer, manifest(bundle).policy)
    assert observation.verdict is Verdict.NOT_ASSESSED


@needs_evaluation
def test_a_head_cut_at_the_top_is_present_without_any_volume(int8: VolumeSegmenter, bundle: Bundle) -> None:
    whole = scan("siemens_epi")
    rows = np.flatnonzero(truth("siemens_epi").max(axis=(1, 2)))
    cut = replace(whole, voxels=whole.voxels[: int(rows[-1]) - 20])
    (observation,) = judge(int8.infer(cut, deadline_s=DEADLINE_S), manifest(bundle).policy)
    assert (observation.verdict, observation.measurements) == (Verdict.PRESENT, ())
    assert "upper edge" in observation.reason


@pytest.mark.proof
def test_int8_is_at_least_four_times_faster_than_onnx_runtime_in_fp32_on_one_thread(bundle: Bundle) -> None:
    sessions = [open_session(bundle, form, threads=1) for form in (INT8, REFERENCE)]
    picture = np.random.default_rng(0).random((1, 1, 128, 128, 128), np.float32)
    best_s = [np.inf, np.inf]
    for _ in range(4):
        for n, session in enumerate(sessions):
            began = time.perf_counter()
            session.run(picture, Deadline(SystemClock(), DEADLINE_S))
            best_s[n] = min(best_s[n], time.perf_counter() - began)
    assert best_s[1] / best_s[0] >= 4
