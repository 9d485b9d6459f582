"""What models of all picture tasks promise, asked of both runtimes with networks that anybody can check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.pictures import PictureBundle
from edge.bundles.store import load
from edge.domain.answer import Detections, Embedding, Estimates, Keypoints, PictureMask, Scores
from edge.domain.errors import BundleRejectedError, PictureRejectedError
from edge.domain.finding import Verdict
from edge.domain.frame import Picture
from edge.findings.pictures import judge
from edge.inference.deadline import Deadline
from edge.inference.forms import Form as Runtime
from edge.inference.forms import open_session, stamp_of
from edge.inference.picture_exams import read_picture_exam
from edge.inference.pictures import PictureReader
from edge.kit.clock import SystemClock
from edge.sources.still_pictures import picture_of
from tests.builders.bundles import npz
from tests.builders.picture_tasks import TASKS, Form, golden_answers, golden_images, write_task_bundle
from tests.contract.test_models import engine_of
from tests.fakes.picture import FakePicture

RUNTIMES = [Runtime("fp32", "openvino", "cpu"), Runtime("fp32", "onnxruntime", "cpu")]
FORMS = [
    Form(),
    Form(layout="NHWC", channels="BGR", dtype="uint8"),
    Form(channels="GREY", fitting="stretch"),
    Form(layout="NHWC", dtype="float16"),
    Form(channels="BGR", dtype="uint8", fitting="crop"),
]
FREE = [Form(is_free=True), Form(layout="NHWC", channels="BGR", dtype="uint8", fitting="keep", is_free=True)]


class Opened:
    """A bundle with its session on one runtime."""

    def __init__(self, root: Path, task: str, form: Form, runtime: Runtime) -> None:
        bundle = load(write_task_bundle(root, task, form))
        assert isinstance(bundle.manifest, PictureBundle)
        self.manifest = bundle.manifest
        self.exam = read_picture_exam(bundle, bundle.manifest)
        self.session = open_session(bundle, runtime, threads=1)
        stamp = stamp_of(bundle, runtime, self.session)
        self.model = PictureReader(bundle.manifest, sessions=[self.session], stamp=stamp, clock=SystemClock())


@pytest.fixture(params=RUNTIMES, ids=lambda runtime: runtime.runtime)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    chosen: Runtime = request.param
    return chosen


@pytest.fixture
def opened(runtime: Runtime, tmp_path: Path) -> Iterator[Any]:
    models: list[PictureReader] = []

    def open_(task: str, form: Form | None = None) -> Opened:
        one = Opened(tmp_path / str(len(models)), task, form or Form(), runtime)
        models.append(one.model)
        return one

    yield open_
    for model in models:
        model.close()


def picture(height_px: int, width_px: int, *boxes: tuple[int, int, int, int]) -> Picture:
    """Black, with red boxes: left, top, right, bottom."""
    return FakePicture(pixels(height_px, width_px, *boxes))


def pixels(height_px: int, width_px: int, *boxes: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    rgb = np.zeros((height_px, width_px, 3), np.uint8)
    for left, top, right, bottom in boxes:
        rgb[top:bottom, left:right, 0] = 255
    return rgb


def white(shown: NDArray[np.uint8]) -> Picture:
    """The same in grey: what is red becomes white."""
    return FakePicture(np.repeat(shown[:, :, :1], 3, axis=2))


@pytest.mark.parametrize(
    ("task", "form"),
    [(task, Form()) for task in TASKS] + [("picture-detection", form) for form in (*FORMS[1:], *FREE)],
    ids=str,
)
def test_every_task_and_every_form_of_pictures_passes_its_own_check(
    opened: Any, task: str, form: Form
) -> None:
    one = opened(task, form)
    alike = one.exam.agreement(one.exam.answers(one.session, Deadline(SystemClock(), 30)))
    assert alike.shortfall == ""
    assert alike.numbers


@pytest.mark.parametrize("form", [*FORMS[:4], *FREE], ids=str)
def test_things_lie_where_they_are_in_the_picture(opened: Any, form: Form) -> None:
    """128 px become 64, or stay: a square of 32 px at a multiple of 32 is a whole cell, or four."""
    shown = pixels(128, 128, (64, 32, 96, 64))
    found = opened("picture-detection", form).model.look(white(shown), deadline_s=30)
    assert isinstance(found, Detections)
    joined = [*found.boxes_px[:, :2].min(axis=0), *found.boxes_px[:, 2:].max(axis=0)]
    assert joined == pytest.approx([64, 32, 96, 64], abs=0.01)
    assert len(found.scores) == (4 if form.is_free else 1)
    assert found.scores.min() == pytest.approx(1.0, abs=0.01)


def test_a_thing_comes_back_out_of_a_letterbox_and_out_of_a_crop(opened: Any) -> None:
    wide = picture(64, 128, (32, 32, 64, 64))
    for form in (Form(), Form(fitting="crop")):
        found = opened("picture-detection", form).model.look(wide, deadline_s=30)
        assert found.boxes_px.min() >= 0
        corners = [*found.boxes_px[:, :2].min(axis=0), *found.boxes_px[:, 2:].max(axis=0)]
        assert corners == pytest.approx([32, 32, 64, 64], abs=0.01)


@pytest.mark.parametrize("form", [*FORMS[:4], *FREE], ids=str)
def test_a_mask_has_the_size_of_the_picture_and_tells_things_apart(opened: Any, form: Form) -> None:
    shown = pixels(120, 160, (20, 20, 60, 60), (100, 80, 140, 110))
    mask = opened("picture-segmentation", form).model.look(white(shown), deadline_s=30)
    assert isinstance(mask, PictureMask)
    assert mask.labels.shape == mask.things.shape == (120, 160)
    wanted = shown[:, :, 0] > 0
    overlap = 2 * ((mask.labels == 1) & wanted).sum() / ((mask.labels == 1).sum() + wanted.sum())
    assert overlap > 0.9
    assert sorted(np.unique(mask.things).tolist()) == [0, 1, 2]
    assert len(np.unique(mask.things[20:60, 20:60])) <= 2
    assert (mask.things > 0).tolist() == (mask.labels > 0).tolist()


def test_the_other_tasks_answer_what_the_picture_shows(opened: Any) -> None:
    shown = picture(128, 128, (64, 32, 96, 64))
    placed = opened("picture-keypoints").model.look(shown, deadline_s=30)
    assert isinstance(placed, Keypoints)
    assert placed.points_px[0] == pytest.approx([68, 36])
    read = opened("picture-regression").model.look(shown, deadline_s=30)
    assert isinstance(read, Estimates)
    assert read.values[0, 0] == pytest.approx(6.25, abs=0.05)
    vector = opened("picture-embedding").model.look(shown, deadline_s=30)
    assert isinstance(vector, Embedding)
    assert vector.vector.argmax() == 6
    scored = opened("picture-classification").model.look(shown, deadline_s=30)
    assert isinstance(scored, Scores)
    assert scored.of("pale") == pytest.approx(0.9375, abs=0.01)


def test_grey_and_colour_networks_see_a_still_as_they_see_a_frame(opened: Any) -> None:
    shown = np.repeat(pixels(96, 128, (64, 32, 96, 64))[:, :, :1], 3, axis=2)
    for form in (Form(), Form(channels="GREY"), Form(channels="BGR", layout="NHWC", dtype="uint8")):
        model = opened("picture-regression", form).model
        still = model.look(picture_of(shown), deadline_s=30)
        fake = model.look(FakePicture(shown), deadline_s=30)
        assert still.values[0, 0] == pytest.approx(float(fake.values[0, 0]), abs=1.0)


def test_pictures_of_changing_size_follow_each_other_where_the_size_is_free(opened: Any) -> None:
    model = opened("picture-segmentation", Form(is_free=True)).model
    for height_px, width_px in ((64, 64), (50, 200), (300, 500), (64, 64)):
        mask = model.look(picture(height_px, width_px, (10, 10, 30, 30)), deadline_s=30)
        assert mask.labels.shape == (height_px, width_px)
        assert int(mask.labels.sum()) == pytest.approx(400, rel=0.15)


def test_a_picture_too_large_for_a_network_that_keeps_sizes_is_refused(opened: Any) -> None:
    model = opened("picture-segmentation", Form(fitting="keep", is_free=True)).model
    with pytest.raises(PictureRejectedError, match=r"300 x 40 px, the network takes sides of at most 256 px"):
        model.look(picture(40, 300), deadline_s=30)
    assert model.look(picture(40, 200), deadline_s=30).labels.shape == (40, 200)


@pytest.mark.parametrize("task", TASKS)
def test_an_empty_picture_is_never_silence(opened: Any, task: str) -> None:
    one = opened(task)
    black = picture(64, 64)
    observations = judge(
        one.model.look(picture(64, 64, (0, 0, 8, 8)) if "embedding" in task else black, deadline_s=30),
        one.manifest,
        is_present=lambda _code, _segment: False,
    )
    verdicts = {one.verdict for one in observations}
    assert verdicts <= {Verdict.ABSENT, Verdict.NOT_ASSESSED, Verdict.PRESENT}
    assert observations
    assert all(one.reason for one in observations if one.verdict is Verdict.NOT_ASSESSED)


# ── golden files that prove nothing, or are none ───────────────────────────────────────────────────────────


def golden(task: str, **changes: NDArray[Any]) -> bytes:
    images = golden_images(Form())
    return npz(**{"image": images, **golden_answers(task, images), **changes})


EMPTY: dict[str, NDArray[Any]] = {
    "picture": np.zeros(0, np.int64),
    "boxes": np.zeros((0, 4), np.float32),
    "classes": np.zeros(0, np.int64),
    "scores": np.zeros(0, np.float32),
}
REFUSED: list[tuple[str, dict[str, NDArray[Any]], str]] = [
    ("picture-detection", EMPTY, "there is nothing to find, which proves nothing"),
    ("picture-detection", {"picture": np.full(4, 9)}, "of a picture or class that there is not"),
    ("picture-detection", {"classes": np.ones(4)}, "picture and classes must be integers"),
    ("picture-detection", {"boxes": np.zeros((4, 5), np.float32)}, "wanted one row for each thing"),
    ("picture-segmentation", {"labels": np.zeros((3, 64, 64), np.uint8)}, "one label all over"),
    ("picture-segmentation", {"labels": np.full((3, 64, 64), 7, np.uint8)}, "labels must be 0 to 1"),
    ("picture-segmentation", {"things": np.zeros((3, 64, 64), np.float32)}, "things are float32"),
    ("picture-keypoints", {"points": np.ones((3, 1, 2), np.float32)}, "all pictures get the same answer"),
    ("picture-keypoints", {"points": np.full((3, 1, 2), np.nan)}, "points must be numbers"),
    ("picture-regression", {"estimates": np.ones((3, 1), np.float32)}, "all pictures get the same share"),
    ("picture-embedding", {"vectors": np.ones((3, 16), np.float32)}, "all pictures get the same answer"),
    ("picture-embedding", {"vectors": np.ones((3, 4), np.float32)}, r"wanted float \(3, 16\)"),
]


@pytest.mark.parametrize(("task", "changes", "message"), REFUSED, ids=lambda part: str(part)[:40])
def test_a_golden_file_that_proves_nothing_is_refused(
    tmp_path: Path, task: str, changes: dict[str, NDArray[Any]], message: str
) -> None:
    bundle = load(write_task_bundle(tmp_path, task, golden_npz=golden(task, **changes)))
    assert isinstance(bundle.manifest, PictureBundle)
    with pytest.raises(BundleRejectedError, match=message):
        read_picture_exam(bundle, bundle.manifest)


@pytest.mark.parametrize("task", TASKS)
def test_a_network_that_answers_otherwise_is_refused(tmp_path: Path, task: str) -> None:
    images = golden_images(Form())
    moved = golden_answers(
        task, np.roll(images, 16, axis=3) // (1 if "mbed" in task or "oint" in task else 3)
    )
    changed = golden(task, **{**golden_answers(task, images), **moved})
    write_task_bundle(tmp_path, task, golden_npz=changed)
    with engine_of(tmp_path, "redness") as engine:
        assert "redness" in engine.refusals


@pytest.mark.parametrize(
    ("here", "there", "passes"),
    [
        (128, 127, True),  # 0.502 and 0.498, where 0.5 is a thing: rounding
        (127, 128, True),
        (140, 120, True),
        (128, 90, False),  # 0.353: it is not even near
        (90, 128, False),
        (127, 170, False),  # it was doubtful, and now is sure
        (230, 127, False),
        (128, 0, False),
        (0, 128, False),
    ],
)
def test_what_scores_just_enough_may_score_a_little_less_on_a_device_and_no_more(
    opened: Any, here: int, there: int, passes: bool
) -> None:
    one = opened("picture-detection")

    def found(level: int) -> list[NDArray[Any]]:
        image = np.zeros((1, 3, 64, 64), np.uint8)
        image[0, 0, :16, :16], image[0, 0, 32:48, 16:32] = 230, level
        exam = replace(one.exam, images=image)
        answers: list[NDArray[Any]] = exam.answers(one.session, Deadline(SystemClock(), 30))
        return answers

    agreement = one.exam.against(found(here)).agreement(found(there))
    assert (agreement.shortfall == "") == passes


def test_a_golden_file_in_which_everything_is_doubtful_proves_nothing(tmp_path: Path) -> None:
    few = {
        name: array[:1] for name, array in golden_answers("picture-detection", golden_images(Form())).items()
    }
    doubtful = golden("picture-detection", **{**few, "scores": np.array([0.49], np.float32)})
    bundle = load(write_task_bundle(tmp_path, "picture-detection", golden_npz=doubtful))
    assert isinstance(bundle.manifest, PictureBundle)
    with pytest.raises(BundleRejectedError, match="there is nothing to find, which proves nothing"):
        read_picture_exam(bundle, bundle.manifest)
