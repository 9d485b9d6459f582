"""What may be said about things, masks, points and numbers of a picture, and what nothing means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edge.bundles.manifest import TASKS
from edge.bundles.picture_tasks import PictureManifest
from edge.bundles.pictures import PictureBundle
from edge.domain.answer import Detections, Embedding, Estimates, Keypoints, PictureMask, Scores
from edge.domain.errors import InferenceError
from edge.domain.finding import Observation, Verdict
from edge.findings.picture_masks import OUTLINE_CORNERS_MAX, outline, things_of
from edge.findings.pictures import NOT_MEASURED, judge, notes
from tests.builders.picture_tasks import Form, task_document

Edit = Callable[[dict[str, Any]], None]


def manifest(task: str, edit: Edit = lambda document: None, form: Form | None = None) -> PictureManifest:
    document = task_document(task, form or Form(), name="redness")
    document["golden"]["sha256"] = "0" * 64
    document["variants"] = [{"precision": "fp32", "file": "m", "sha256": "0" * 64, "devices": ["cpu"]}]
    edit(document)
    made = TASKS[task].model_validate(document, strict=False)
    assert isinstance(made, PictureBundle)
    return made


def said(answer: Any, made: PictureManifest, *present: str) -> tuple[Observation, ...]:
    return judge(answer, made, is_present=lambda _code, segment: segment in present)


# ── things ─────────────────────────────────────────────────────────────────────────────────────────────────


def things(*scores: float) -> Detections:
    count = len(scores)
    boxes = np.array([[10 * n, 5, 10 * n + 8, 25] for n in range(count)], np.float32).reshape(-1, 4)
    return Detections(
        names=("red",),
        boxes_px=boxes,
        classes=np.zeros(count, np.int64),
        scores=np.array(scores, np.float32),
        point_names=("tip",),
        points_px=np.ones((count, 1, 2), np.float32),
    )


def test_a_thing_has_its_box_class_score_and_points_and_all_are_counted() -> None:
    whole, first, second = said(things(0.99, 0.95, 0.7), manifest("picture-detection"))
    assert (whole.verdict, whole.box_px) == (Verdict.PRESENT, None)
    assert whole.score == pytest.approx(0.99)
    assert [(one.value, one.unit) for one in whole.measurements] == [(2.0, "1")]
    assert first.box_px == pytest.approx((0, 5, 8, 20))
    assert {first.segment, second.segment} == {"red"}
    assert [first.score, second.score] == pytest.approx([0.99, 0.95])
    assert (first.points[0].name, first.points[0].x_px) == ("tip", 1)


def test_what_is_being_followed_takes_a_lower_score_to_stay() -> None:
    made = manifest("picture-detection")
    assert [one.verdict for one in said(things(0.7), made)] == [Verdict.ABSENT]
    assert [one.verdict for one in said(things(0.7), made, "red")] == [Verdict.PRESENT] * 2
    assert [one.verdict for one in said(things(0.55), made, "red")] == [Verdict.ABSENT]


def not_assessed(document: dict[str, Any]) -> None:
    document["policy"]["nothing_found"] = "NOT_ASSESSED"


def test_nothing_found_is_what_the_bundle_says_it_is() -> None:
    (absent,) = said(things(), manifest("picture-detection"))
    assert (absent.verdict, absent.measurements[0].value) == (Verdict.ABSENT, 0)
    (unsure,) = said(things(), manifest("picture-detection", not_assessed))
    assert (unsure.verdict, unsure.measurements) == (Verdict.NOT_ASSESSED, ())
    assert "does not mean with this bundle that nothing is there" in unsure.reason


def test_more_things_than_are_said_one_by_one_are_counted() -> None:
    def few(document: dict[str, Any]) -> None:
        document["policy"]["things_said_max"] = 2

    whole, *each = said(things(0.99, 0.98, 0.97, 0.96), manifest("picture-detection", few))
    assert (len(each), whole.measurements[0].value) == (2, 4)
    assert whole.reason == "2 more are not told one by one"


# ── masks ──────────────────────────────────────────────────────────────────────────────────────────────────


def mask(labels: NDArray[np.uint8]) -> PictureMask:
    _, pieces = cv2.connectedComponents((labels > 0).astype(np.uint8), connectivity=8)
    return PictureMask(names=("red",), labels=labels, things=np.asarray(pieces, np.int32))


def test_a_label_is_there_by_its_area_and_each_thing_by_its_box() -> None:
    labels = np.zeros((50, 100), np.uint8)
    labels[10:20, 10:30] = labels[30:35, 60:70] = 1
    statement, larger, smaller = said(mask(labels), manifest("picture-segmentation"))
    numbers = {one.code.meaning: one.value for one in statement.measurements}
    assert numbers == {"Area": 250, "Share of the picture's area": 5.0, "Count": 2}
    assert (larger.box_px, smaller.box_px) == ((10, 10, 20, 10), (60, 30, 10, 5))
    assert set(larger.outline_px) == {(10, 10), (30, 10), (30, 20), (10, 20)}


@pytest.mark.parametrize(
    ("most", "areas", "reason"),
    [(0, [], "3 are not told one by one"), (1, [200.0], "2 more are not told one by one")],
)
def test_things_of_a_mask_that_are_not_said_one_by_one_are_told_of(
    most: int, areas: list[float], reason: str
) -> None:
    def few(document: dict[str, Any]) -> None:
        document["policy"]["things_said_max"] = most

    labels = np.zeros((50, 100), np.uint8)
    labels[10:20, 10:30] = labels[30:35, 60:70] = labels[40:42, 0:3] = 1
    statement, *each = said(mask(labels), manifest("picture-segmentation", few))
    assert ([one.measurements[0].value for one in each], statement.measurements[2].value) == (areas, 3)
    assert statement.reason == reason


def test_an_area_takes_less_to_stay_and_none_is_what_the_bundle_says() -> None:
    labels = np.zeros((50, 100), np.uint8)
    labels[0, :35] = 1  # 0.7 %: between the two limits
    made = manifest("picture-segmentation")
    assert [one.verdict for one in said(mask(labels), made)] == [Verdict.ABSENT]
    assert [one.verdict for one in said(mask(labels), made, "red")] == [Verdict.PRESENT] * 2
    nothing = mask(np.zeros((50, 100), np.uint8))
    assert [one.verdict for one in said(nothing, manifest("picture-segmentation", not_assessed), "red")] == [
        Verdict.NOT_ASSESSED
    ]


@settings(max_examples=60)
@given(arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 1)))
def test_the_things_of_a_mask_are_those_that_a_slow_count_finds(labels: NDArray[np.uint8]) -> None:
    shown = mask(labels)
    found = things_of(shown)
    assert [one.number for one in found] == [n for n in np.unique(shown.things).tolist() if n]
    for one in found:
        rows, columns = np.nonzero(shown.things == one.number)
        left, top, wide, high = one.box_px
        assert one.area_px == len(rows)
        assert (left, top) == (columns.min(), rows.min())
        assert (left + wide, top + high) == (columns.max() + 1, rows.max() + 1)
        corners = np.array(outline(shown, one))
        assert corners.min(axis=0).tolist() == [left, top]
        assert corners.max(axis=0).tolist() == [left + wide, top + high]


def test_the_outline_of_a_large_thing_has_few_corners_and_stays_near() -> None:
    labels = np.zeros((400, 600), np.uint8)
    cv2.circle(labels, (300, 200), 180, 1, -1)
    shown = mask(labels)
    (one,) = things_of(shown)
    corners = np.array(outline(shown, one))
    assert len(corners) <= OUTLINE_CORNERS_MAX
    assert np.abs(np.linalg.norm(corners - (300.5, 200.5), axis=1) - 180).max() < 4


# ── points, numbers, classes ───────────────────────────────────────────────────────────────────────────────


def test_points_that_are_there_are_said_and_too_few_are_nothing() -> None:
    made = manifest("picture-keypoints")
    place = np.array([[3.0, 4.0]], np.float32)
    (there,) = said(Keypoints(names=("tip",), points_px=place, scores=np.array([0.8], np.float32)), made)
    assert (there.verdict, there.points[0].x_px, there.points[0].y_px) == (Verdict.PRESENT, 3, 4)
    (gone,) = said(Keypoints(names=("tip",), points_px=place, scores=np.array([0.2], np.float32)), made)
    assert (gone.verdict, gone.points) == (Verdict.NOT_ASSESSED, ())
    assert gone.reason == "0 of 1 points are there, wanted at least 1"


def test_a_quantity_out_of_its_range_is_not_assessed() -> None:
    made = manifest("picture-regression")
    (known,) = said(Estimates(names=("share",), units=("%",), values=np.array([[42.0]], np.float32)), made)
    assert [(one.value, one.unit) for one in known.measurements] == [(42.0, "%")]
    unknown = Estimates(names=("share",), units=("%",), values=np.array([[np.nan]], np.float32))
    (not_known,) = said(unknown, made)
    assert not_known.verdict is Verdict.NOT_ASSESSED
    assert not_known.reason == "the estimate is not between 0 and 90 %"


def test_classes_that_are_findings_are_judged_each_by_itself() -> None:
    made = manifest("picture-classification")
    scores = Scores(names=("red", "pale"), values=np.array([0.95, 0.7], np.float32))
    assert [(one.segment, one.verdict) for one in said(scores, made)] == [
        ("red", Verdict.PRESENT),
        ("pale", Verdict.ABSENT),
    ]
    assert [one.verdict for one in said(scores, made, "pale")] == [Verdict.PRESENT] * 2


def test_a_vector_says_nothing_and_an_answer_to_another_question_is_an_error() -> None:
    vector = Embedding(vector=np.ones(16, np.float32))
    (nothing,) = said(vector, manifest("picture-embedding"))
    assert nothing.verdict is Verdict.NOT_ASSESSED
    with pytest.raises(InferenceError, match="Embedding is no answer of picture-detection"):
        said(vector, manifest("picture-detection"))


def test_what_a_network_does_not_see_or_nobody_measured_is_said() -> None:
    def unmeasured(document: dict[str, Any]) -> None:
        document["accuracy"] = [{"data": "nothing yet", "metric": "F1"}]

    assert notes(manifest("picture-detection"), shape_px=(100, 200)) == ()
    cropped = manifest("picture-detection", unmeasured, Form(fitting="crop"))
    assert notes(cropped, shape_px=(100, 200)) == (
        "the network sees the middle of the picture, 50% of its area",
        NOT_MEASURED,
    )
    assert notes(cropped, shape_px=(64, 64)) == (NOT_MEASURED,)


# ── manifests that contradict themselves ───────────────────────────────────────────────────────────────────


def put(path: str, value: Any) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        part = document
        for key in parents:
            part = part[key]
        part[last] = value

    return edit


def without(path: str) -> Edit:
    section, key = path.split(".")
    return lambda document: document[section].pop(key) and None


RED = {"name": "red", "enter_score_min": 0.9, "stay_score_min": 0.6}
WRONG: list[tuple[str, Edit, str]] = [
    (
        "picture-detection",
        put("policy.findings", [{**RED, "name": "blue"}]),
        "'blue' is not one of output.classes",
    ),
    ("picture-detection", put("policy.findings", [RED, RED]), "names must differ"),
    ("picture-detection", put("policy.findings", [{**RED, "stay_score_min": 0.2}]), "nothing comes through"),
    ("picture-detection", put("policy.findings", [{**RED, "stay_score_min": 0.95}]), "must not be above"),
    (
        "picture-detection",
        put("preprocessing", [{"step": "keep", "fill_rgb": (0, 0, 0)}]),
        "needs a free size",
    ),
    (
        "picture-detection",
        put("preprocessing", [{"step": "crop", "shorter_px": 32}]),
        "does not cover 64 x 64",
    ),
    ("picture-detection", put("preprocessing", [{"step": "scale", "divide_by": 2}]), "it comes first"),
    ("picture-detection", without("input.height_px"), "come together"),
    ("picture-detection", put("input.side_max_px", 128), "for a free size, and this one is fixed"),
    ("picture-detection", put("input.range_16_bits", (4095, 0)), "the lowest number, then the highest"),
    ("picture-detection", put("input.range_16_bits", (0, 65_536)), "less than or equal to 65535"),
    ("picture-keypoints", put("policy.enter_points_min", 2), "is more than the 1 points"),
    ("picture-regression", put("golden.errors_max", {"other": 1.0}), "speaks of other, wanted share"),
    ("picture-classification", put("policy.present_class", "red"), "either present_class with"),
    ("picture-classification", put("policy.findings", []), "either present_class with"),
    (
        "picture-segmentation",
        put("policy.findings", [{"name": "red", "enter_area_min": 0.1, "stay_area_min": 0.2}]),
        "must not be above",
    ),
]


@pytest.mark.parametrize(("task", "edit", "message"), WRONG, ids=lambda part: str(part)[:30])
def test_a_manifest_that_contradicts_itself_is_refused(task: str, edit: Edit, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        manifest(task, edit)


def test_numbers_for_other_channels_than_there_are_are_refused() -> None:
    steps = [{"step": "stretch"}, {"step": "normalize", "mean": (1.0, 2.0, 3.0), "std": (1.0,)}]
    assert manifest("picture-detection", put("preprocessing", steps)).preprocessing
    with pytest.raises(ValueError, match="3 numbers for 1 channel"):
        manifest("picture-detection", put("preprocessing", steps), Form(channels="GREY"))
