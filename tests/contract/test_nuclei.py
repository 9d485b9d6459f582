"""What the bundle `nuclei` promises: the scores of its card in every form, and nothing where nothing is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.picture_segmentation import PictureSegmentation
from edge.bundles.store import Bundle, load
from edge.domain.answer import PictureMask
from edge.domain.finding import Verdict
from edge.findings.picture_masks import judge
from edge.inference.forms import Form, forms_of, open_session, stamp_of
from edge.inference.pictures import PictureReader
from edge.kit.clock import SystemClock
from edge.sources.still_pictures import picture_of
from tests.builders.scripts import scripts_of

BUNDLE = Path(__file__).parents[2] / "models" / "nuclei"
FP32 = Form("fp32", "onnxruntime", "cpu")
INT8 = Form("int8", "openvino", "cpu")
COLUMNS = {"fp32": 0, "int8": 2}  # of the card's table of pictures never shown: AP and F1 of each
SMALL = ("4ca50818", "785555c0", "2cfa61be")
NEVER_SHOWN = (*SMALL, "538b7673")
SEED = 9_100_000_000  # far from those of training, of the golden check and of calibration
DEADLINE_S = 60.0

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load(BUNDLE)


@pytest.fixture(scope="module")
def manifest(bundle: Bundle) -> PictureSegmentation:
    assert isinstance(bundle.manifest, PictureSegmentation)
    return bundle.manifest


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """The scripts of the bundle that read, draw and score; they are no package, and leave no trace."""
    with scripts_of(BUNDLE, "real", "scoring", "synthesis") as found:
        yield found


@pytest.fixture(scope="module")
def labelled(scripts: Any, corpus: Path) -> dict[str, Any]:
    """Pictures with what people outlined in them, by name."""
    return {one.name: one for one in scripts.real.read(corpus / "dsb2018-nuclei")}


def model_of(bundle: Bundle, manifest: PictureSegmentation, form: Form) -> PictureReader:
    session = open_session(bundle, form, threads=1)
    stamp = stamp_of(bundle, form, session)
    return PictureReader(manifest, sessions=[session], stamp=stamp, clock=SystemClock())


@pytest.fixture(scope="module")
def models(bundle: Bundle, manifest: PictureSegmentation) -> Iterator[dict[str, PictureReader]]:
    opened = {form.precision: model_of(bundle, manifest, form) for form in (FP32, INT8)}
    yield opened
    for model in opened.values():
        model.close()


def look(model: PictureReader, pixels: Pixels) -> PictureMask:
    answer = model.look(picture_of(pixels), deadline_s=DEADLINE_S)
    assert isinstance(answer, PictureMask)
    return answer


def card_of(name: str) -> list[float]:
    """AP and F1 of a picture never shown, in fp32 and in int8, as the card has them."""
    row = re.search(rf"^\| `{name}` \|[^|]*\|(.*)\|$", (BUNDLE / "CARD.md").read_text(), re.M)
    assert row is not None, f"the card has a row for {name}"
    return [float(number) for number in row[1].split("|")]


def scores(scripts: Any, model: PictureReader, one: Any) -> tuple[float, float]:
    """AP and F1 at an IoU of 0.5."""
    iou = scripts.scoring.overlaps(look(model, one.pixels).things, one.things)
    return scripts.scoring.mean_precision(iou), scripts.scoring.f1([scripts.scoring.hits(iou, 0.5)])


@pytest.mark.corpus
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("precision", COLUMNS)
def test_pictures_never_shown_score_as_the_card_says(
    models: dict[str, PictureReader], scripts: Any, labelled: dict[str, Any], precision: str, name: str
) -> None:
    wanted = card_of(name)[COLUMNS[precision] :][:2]
    assert scores(scripts, models[precision], labelled[name]) == pytest.approx(wanted, abs=0.02)


@pytest.mark.corpus
@pytest.mark.proof
@pytest.mark.parametrize("name", NEVER_SHOWN)
def test_every_form_of_this_machine_scores_as_the_card_says(
    bundle: Bundle, manifest: PictureSegmentation, scripts: Any, labelled: dict[str, Any], name: str
) -> None:
    exact, quick = card_of(name)[:2], card_of(name)[2:]
    for form in forms_of(manifest, {"cpu", "cuda"}):
        model = model_of(bundle, manifest, form)
        wanted = quick if form.precision == "int8" else exact
        assert scores(scripts, model, labelled[name]) == pytest.approx(wanted, abs=0.02), str(form)
        model.close()


@pytest.mark.corpus
def test_the_pictures_of_the_cards_table_are_the_fold_that_was_kept_for_testing(
    scripts: Any, labelled: dict[str, Any]
) -> None:
    folds = scripts.real.fold_of(list(labelled.values()))
    assert {name for name, fold in folds.items() if fold == 0} == set(NEVER_SHOWN)


@pytest.mark.parametrize("precision", COLUMNS)
def test_nuclei_of_drawn_pictures_are_found_one_by_one(
    models: dict[str, PictureReader], scripts: Any, precision: str
) -> None:
    hits = []
    for seed in range(SEED, SEED + 12):
        drawn = scripts.synthesis.draw(seed, 203)
        iou = scripts.scoring.overlaps(look(models[precision], drawn.pixels).things, drawn.things)
        hits.append(scripts.scoring.hits(iou, 0.5))
    assert scripts.scoring.f1(hits) > 0.75


def cell(shape: tuple[int, int], *, ground: float, nucleus: float) -> tuple[Pixels, NDArray[np.int32]]:
    """One round nucleus in the middle of a noisy picture, and where it is."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    disc = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) <= 14
    light = cv2.GaussianBlur(np.where(disc, nucleus, ground).astype(np.float32), (0, 0), 1.2)
    grey = np.clip(np.round(np.random.default_rng(0).poisson(4 * light) / 4), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=2), disc.astype(np.int32)


@pytest.mark.parametrize("shape", [(192, 208), (200, 203), (187, 241)])
@pytest.mark.parametrize(("ground", "nucleus"), [(6, 18), (20, 60), (200, 80)])
def test_the_rim_of_a_picture_of_any_size_is_no_nucleus(
    models: dict[str, PictureReader], scripts: Any, ground: float, nucleus: float, shape: tuple[int, int]
) -> None:
    pixels, disc = cell(shape, ground=ground, nucleus=nucleus)
    found = look(models["int8"], pixels)
    assert found.things.max() == 1
    assert scripts.scoring.overlaps(found.things, disc)[0, 0] > 0.85


@pytest.mark.parametrize("level", [0, 12, 128, 255])
def test_where_no_nucleus_is_seen_nothing_is_ruled_out(
    models: dict[str, PictureReader], manifest: PictureSegmentation, level: int
) -> None:
    noise = np.random.default_rng(level).normal(0, 2, (100, 117, 3))
    for pixels in (np.full((100, 117, 3), level), np.clip(level + noise, 0, 255)):
        found = look(models["int8"], pixels.astype(np.uint8))
        assert found.things.max() == 0
        (said,) = judge(found, manifest, is_present=lambda _code, _segment: False)
        assert said.verdict is Verdict.NOT_ASSESSED


def test_a_single_small_nucleus_is_said(
    models: dict[str, PictureReader], manifest: PictureSegmentation
) -> None:
    pixels, _ = cell((600, 605), ground=12, nucleus=60)
    found = look(models["int8"], pixels)
    (said,) = judge(found, manifest, is_present=lambda _code, _segment: False)
    assert said.verdict is Verdict.PRESENT
