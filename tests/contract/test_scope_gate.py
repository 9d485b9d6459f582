"""What the bundle `scope-gate` promises: an int8 form as good as fp32, and that doubt means outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.picture_classification import PictureClassification
from edge.bundles.picture_policies import ScoreFinding
from edge.bundles.store import Bundle, load
from edge.domain.answer import Scores
from edge.domain.ports import PictureModel
from edge.findings.gate import Gate, GateRules, LocalValidation
from edge.inference.forms import Form, open_session, stamp_of
from edge.inference.pictures import PictureReader
from edge.kit.clock import SystemClock
from tests.builders.scripts import scripts_of
from tests.fakes.clock import FakeClock

BUNDLE = Path(__file__).parents[2] / "models" / "scope-gate"
FORMS = {
    "fp32": Form("fp32", "onnxruntime", "cpu"),
    "int8": Form("int8", "onnxruntime", "cpu"),
    "int8 in OpenVINO": Form("int8", "openvino", "cpu"),
}
DEADLINE_S = 20.0
SEED = 424_242
EACH = 8
SHAPE_PX = (96, 160)

Pixels = NDArray[np.uint8]


class Shown:
    """A `Picture` over RGB pixels that have the network's size already."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels

    @property
    def shape_px(self) -> tuple[int, int]:
        return SHAPE_PX

    def planes(self, *, height_px: int, width_px: int) -> Pixels:
        assert (height_px, width_px) == SHAPE_PX
        return np.ascontiguousarray(self._pixels.transpose(2, 0, 1))

    def rgb(self) -> Pixels:
        return self._pixels

    def luma(self, *, height_px: int, width_px: int) -> Pixels:
        raise AssertionError("nobody asks for it")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load(BUNDLE)


@pytest.fixture(scope="module")
def manifest(bundle: Bundle) -> PictureClassification:
    assert isinstance(bundle.manifest, PictureClassification)
    return bundle.manifest


@pytest.fixture(scope="module")
def rendering() -> Iterator[Any]:
    """The scripts of the bundle that draw scenes; they are no package, and leave no trace."""
    with scripts_of(BUNDLE, "scenes", "scope", "families") as found:
        yield found


@pytest.fixture(scope="module")
def rendered(rendering: Any) -> dict[str, list[Pixels]]:
    """Some pictures of each family, always the same."""
    fitted, draw = rendering.scope.fitted, rendering.scenes.draw_from
    return {
        family: [fitted(draw(family, SEED + n).picture) for n in range(EACH)]
        for family in (*rendering.families.TRAINED, *rendering.families.TEST)
    }


def model_of(bundle: Bundle, manifest: PictureClassification, form: Form) -> PictureReader:
    session = open_session(bundle, form, threads=1)
    stamp = stamp_of(bundle, form, session)
    return PictureReader(manifest, sessions=[session], stamp=stamp, clock=SystemClock())


@pytest.fixture(scope="module")
def models(bundle: Bundle, manifest: PictureClassification) -> Iterator[dict[str, PictureReader]]:
    opened = {name: model_of(bundle, manifest, form) for name, form in FORMS.items()}
    yield opened
    for model in opened.values():
        model.close()


def judged(manifest: PictureClassification) -> ScoreFinding:
    one = manifest.policy.one_class
    assert one is not None
    return one


def inside(model: PictureModel, pixels: Pixels) -> float:
    answer = model.look(Shown(pixels), deadline_s=DEADLINE_S)
    assert isinstance(answer, Scores)
    return answer.of("inside")


@pytest.mark.parametrize("name", ["int8", "int8 in OpenVINO"])
def test_int8_scores_as_fp32_does(
    models: dict[str, PictureReader], rendered: dict[str, list[Pixels]], name: str
) -> None:
    pictures = [picture for family in rendered.values() for picture in family]
    off = [abs(inside(models[name], one) - inside(models["fp32"], one)) for one in pictures]
    assert np.mean(off) < 0.02
    assert np.quantile(off, 0.95) < 0.06


def test_rendered_bodies_score_higher_than_rendered_rooms(
    models: dict[str, PictureReader], rendered: dict[str, list[Pixels]]
) -> None:
    means = {
        family: float(np.mean([inside(models["int8"], one) for one in pictures]))
        for family, pictures in rendered.items()
    }
    bodies = [means.pop(family) for family in ("cavity", "surface", "tube", "joint", "airway")]
    assert np.mean(bodies) > np.mean(list(means.values())) + 0.3


def test_hardly_a_rendered_room_reaches_the_score_that_opens_the_gate(
    models: dict[str, PictureReader], rendered: dict[str, list[Pixels]], manifest: PictureClassification
) -> None:
    rooms = set(rendered) - {"cavity", "surface", "tube", "joint", "airway"}
    scores = [inside(models["int8"], one) for family in sorted(rooms) for one in rendered[family]]
    assert np.mean(np.array(scores) >= judged(manifest).enter_score_min) <= 0.02


@pytest.mark.parametrize("level", [0, 10, 128, 255])
def test_a_picture_that_shows_nothing_is_outside(
    models: dict[str, PictureReader], manifest: PictureClassification, level: int
) -> None:
    blank = np.full((*SHAPE_PX, 3), level, np.uint8)
    assert inside(models["int8"], blank) < judged(manifest).stay_score_min


@pytest.mark.parametrize("colour", [(200, 60, 50), (150, 20, 20), (230, 150, 130), (90, 20, 20)])
def test_one_red_all_over_is_outside(
    models: dict[str, PictureReader], manifest: PictureClassification, colour: tuple[int, int, int]
) -> None:
    flat = np.broadcast_to(np.array(colour, np.uint8), (*SHAPE_PX, 3))
    assert inside(models["int8"], flat) < judged(manifest).stay_score_min


def test_snow_on_the_line_is_outside(
    models: dict[str, PictureReader], manifest: PictureClassification
) -> None:
    snow = np.random.default_rng(0).integers(0, 256, (*SHAPE_PX, 3), np.uint8)
    assert inside(models["int8"], snow) < judged(manifest).stay_score_min


def test_the_bundle_asks_to_fail_closed(manifest: PictureClassification) -> None:
    assert manifest.policy.fail_closed
    assert manifest.policy.present_class == "inside"


def test_the_gate_with_the_bundles_own_scores_stays_shut_without_the_site(
    bundle: Bundle, manifest: PictureClassification
) -> None:
    clock = FakeClock()
    rules = GateRules(
        enter_score_min=judged(manifest).enter_score_min,
        stay_score_min=judged(manifest).stay_score_min,
        enter_ms=1000,
        enter_frames_min=5,
        gap_max_ms=500,
        age_max_ms=400,
    )
    declared = LocalValidation(
        bundle_sha256=bundle.digest, validated_by="A", validated_on="2026-11-22", report_sha256="0" * 64
    )
    shut, free = (Gate(rules, validation=one, clock=clock) for one in (None, declared))
    for _ in range(12):
        clock.advance(0.1)
        now_ns = clock.monotonic_ns()
        for gate in (shut, free):
            gate.look(1.0, bundle_sha256=bundle.digest, captured_at_ns=now_ns)
    assert (shut.passage().is_open, free.passage().is_open) == (False, True)


def test_the_card_says_that_no_real_endoscopy_was_seen() -> None:
    card = (BUNDLE / "CARD.md").read_text()
    assert "No real endoscopy was seen, neither in training nor in testing." in card
