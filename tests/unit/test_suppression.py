"""Of candidates that overlap the best stays: as a slow loop over all pairs says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.bundles.detection_outputs import Overlapping
from edge.domain.errors import InferenceError
from edge.inference.decoders.raw import logit, sigmoid, softmax
from edge.inference.decoders.suppression import Picked, pick, pick_objects, suppressed, things
from tests.builders.detectors import part

Array = NDArray[np.float32]


def rules(**said: Any) -> Overlapping:
    made = part(decoder="yolov8", tables=["out"], scores_are="probabilities", **said)
    assert isinstance(made, Overlapping)
    return made


def slow(boxes: Array, classes: list[int], *, iou_max: float, across: bool) -> list[int]:
    """One after the other, best first: each that overlaps no kept one by more."""
    kept: list[int] = []
    for one in range(len(boxes)):
        rivals = [other for other in kept if across or classes[other] == classes[one]]
        kept += [one] * all(overlap(boxes[one], boxes[other]) <= iou_max for other in rivals)
    return kept


def overlap(one: Array, other: Array) -> float:
    w = min(one[2], other[2]) - max(one[0], other[0])
    h = min(one[3], other[3]) - max(one[1], other[1])
    both = float(max(w, 0) * max(h, 0))
    return both / float(area(one) + area(other) - both)


def area(box: Array) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


@settings(max_examples=60)
@given(
    sides=st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 12)] * 2), max_size=25),
    seed=st.integers(0, 99),
    iou_max=st.sampled_from([0.0, 0.29, 0.51, 0.83]),
    across=st.booleans(),
)
def test_suppression_is_that_of_a_slow_loop(
    sides: list[tuple[int, int, int, int]], seed: int, iou_max: float, across: bool
) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in sides], np.float32).reshape(-1, 4)
    classes = np.random.default_rng(seed).integers(0, 3, len(boxes))
    kept = suppressed(boxes, classes, rules(iou_max=iou_max, across_classes=across))
    assert kept.tolist() == slow(boxes, classes.tolist(), iou_max=iou_max, across=across)


def test_things_of_one_class_suppress_each_other_those_of_two_do_not() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [1, 0, 10, 10]], np.float32)
    found = Picked(np.arange(3), np.array([0, 0, 1]), np.array([0.9, 0.8, 0.7], np.float32))
    none = np.empty((3, 0, 2), np.float32)
    assert things(found, boxes, none, rules(iou_max=0.5)).scores.tolist() == pytest.approx([0.9, 0.7])
    assert things(
        found, boxes, none, rules(iou_max=0.5, across_classes=True)
    ).scores.tolist() == pytest.approx([0.9])
    assert len(things(found, boxes, none, rules(iou_max=1)).scores) == 3
    assert len(things(found, boxes, none, rules(iou_max=1, things_max=2)).scores) == 2


def test_boxes_of_no_size_are_no_things() -> None:
    boxes = np.array([[5, 5, 5, 9], [5, 5, 4, 9], [0, 0, 1, 1]], np.float32)
    found = Picked(np.arange(3), np.zeros(3, np.int64), np.array([0.9, 0.8, 0.7], np.float32))
    kept = things(found, boxes, np.empty((3, 0, 2), np.float32), rules(iou_max=0.5))
    assert kept.boxes.tolist() == [[0, 0, 1, 1]]


SCORES = np.array([[0.1, 0.6, 0.5], [0.0, 0.1, 0.2], [0.7, 0.1, 0.3]], np.float32)


def test_a_box_is_of_its_best_class_or_of_several() -> None:
    best = pick(SCORES, rules(), form="probabilities", name="out")
    each = pick(SCORES, rules(several_classes=True), form="probabilities", name="out")
    assert (best.rows.tolist(), best.classes.tolist()) == ([2, 0], [0, 1])
    assert (each.rows.tolist(), each.classes.tolist()) == ([2, 0, 0, 2], [0, 1, 2, 2])


def test_the_best_candidates_are_kept_where_there_are_too_many() -> None:
    kept = pick(SCORES, rules(several_classes=True, candidates_max=2), form="probabilities", name="out")
    assert kept.scores.tolist() == pytest.approx([0.7, 0.6])


@settings(max_examples=40)
@given(seed=st.integers(0, 999), least=st.sampled_from([0.0, 0.05, 0.4, 0.9]))
@pytest.mark.parametrize("background", ["none", "first", "last"])
def test_what_is_left_out_early_could_not_have_scored_enough(
    background: str, least: float, seed: int
) -> None:
    width = 3 + (background != "none")
    logits = np.random.default_rng(seed).normal(0, 3, (40, width)).astype(np.float32)
    foreground = slice(background == "first", (background == "first") + 3)
    said = rules(score_min=least, several_classes=True)
    for form, shares in (("softmax", softmax(logits)), ("logits", sigmoid(logits))):
        found = pick(logits, said, form=form, name="out", background=background)
        assert len(found.scores) == np.count_nonzero(shares[:, foreground] >= least)
        assert found.scores == pytest.approx(shares[:, foreground][found.rows, found.classes], abs=1e-6)


@settings(max_examples=40)
@given(seed=st.integers(0, 999), least=st.sampled_from([0.0, 0.05, 0.4, 0.9]), is_mean=st.booleans())
@pytest.mark.parametrize("form", ["logits", "probabilities"])
def test_objectness_times_class_is_that_of_the_whole_table(
    form: str, is_mean: bool, least: float, seed: int
) -> None:
    raw = np.random.default_rng(seed).normal(0, 3, (40, 4)).astype(np.float32)
    shares = sigmoid(raw)
    given_scores = raw if form == "logits" else shares
    products = shares[:, :1] * shares[:, 1:]
    products = np.sqrt(products) if is_mean else products
    said = rules(score_min=least, several_classes=True)
    found = pick_objects(
        given_scores[:, 0], given_scores[:, 1:], said, form=form, name="out", is_mean=is_mean
    )
    assert found.scores == pytest.approx(products[found.rows, found.classes], abs=1e-6)
    assert abs(len(found.scores) - np.count_nonzero(products >= least)) <= 1  # one may stand on the border


def test_probabilities_that_are_none_are_an_error() -> None:
    with pytest.raises(InferenceError, match="output 'out' holds -3 to 0, wanted probabilities"):
        pick(np.array([[-3.0, 0.0, 0.0]], np.float32), rules(), form="probabilities", name="out")


def test_a_logit_of_a_share_is_undone_by_the_sigmoid() -> None:
    assert sigmoid(np.array([logit(0.3)], np.float32)) == pytest.approx(0.3)
    assert (logit(0), logit(1)) == (-np.inf, np.inf)
