"""Which candidates are things: the best scores, and of those that overlap the best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundles.detection_outputs import Overlapping
from edge.inference.decoders.raw import (
    Numbers,
    RawThings,
    Rows,
    check_probabilities,
    logit,
    sigmoid,
    softmax,
)


@dataclass(frozen=True, slots=True, eq=False)
class Picked:
    """Candidates that score enough, best first.

    Attributes:
        rows: (n,) which rows of the output; a row may stand there once for each class.
        classes: (n,) int64.
        scores: (n,) float32, 0 to 1, falling.
    """

    rows: Rows
    classes: NDArray[np.int64]
    scores: Numbers


def pick(
    scores: Numbers,
    part: Overlapping,
    *,
    form: str,
    name: str,
    background: str = "none",
) -> Picked:
    """Return the candidates whose class scores enough.

    What cannot reach `score_min` is left out before any exponential is taken: a sigmoid is steady, and a
    softmax is at most exp(score - highest score).

    Args:
        scores: (rows, classes), background included.
        part: Says what is enough.
        form: `probabilities`, `logits` (or `sigmoid`), `softmax`.
        name: Of the output, for errors.
        background: Whether the `first`, the `last` or no column is background.

    Raises:
        InferenceError: What should be probabilities is not.
    """
    first = 1 if background == "first" else 0
    classes = slice(first, first + len(part.classes))
    if form == "probabilities":
        check_probabilities(scores, name=name)
        return best(np.arange(len(scores)), scores[:, classes], part, at_least=part.score_min)
    if form != "softmax":
        picked = best(np.arange(len(scores)), scores[:, classes], part, at_least=logit(part.score_min))
        return Picked(picked.rows, picked.classes, sigmoid(picked.scores))
    floor = math.log(part.score_min) if part.score_min > 0 else -math.inf
    hopeful = np.flatnonzero(scores[:, classes].max(axis=1) >= scores.max(axis=1) + floor)
    return best(hopeful, softmax(scores[hopeful])[:, classes], part, at_least=part.score_min)


def pick_objects(
    objectness: Numbers,
    scores: Numbers,
    part: Overlapping,
    *,
    form: str,
    name: str,
    is_mean: bool = False,
) -> Picked:
    """Return the candidates for which objectness times class score is enough.

    Args:
        objectness: (rows,); where it is too low, no class can lift it.
        scores: (rows, classes).
        part: Says what is enough.
        form: `probabilities` or `logits`, of both.
        name: Of the output, for errors.
        is_mean: Whether the score is the root of the product.

    Raises:
        InferenceError: What should be probabilities is not.
    """
    least = part.score_min**2 if is_mean else part.score_min
    is_logit = form == "logits"
    if not is_logit:
        check_probabilities(objectness, name=name)
        check_probabilities(scores, name=name)
    hopeful = np.flatnonzero(objectness >= (logit(least) if is_logit else least))
    objects, classes = objectness[hopeful, np.newaxis], scores[hopeful]
    products = sigmoid(objects) * sigmoid(classes) if is_logit else objects * classes
    picked = best(hopeful, products, part, at_least=least)
    return Picked(picked.rows, picked.classes, np.sqrt(picked.scores)) if is_mean else picked


def best(rows: Rows, scores: Numbers, part: Overlapping, *, at_least: float) -> Picked:
    """Return the candidates that reach a score, the best `candidates_max` of them.

    Args:
        rows: (n,) what each row of `scores` is called.
        scores: (n, classes).
        part: Says whether a row counts once or for several classes.
        at_least: In the form of `scores`.
    """
    if part.several_classes:
        places, classes = np.nonzero(scores >= at_least)
    else:
        places = np.flatnonzero(scores.max(axis=1) >= at_least) if len(scores) else np.arange(0)
        classes = scores[places].argmax(axis=1)
    values = np.asarray(scores[places, classes], np.float32)
    if len(values) > part.candidates_max:
        kept = np.argpartition(values, -part.candidates_max)[-part.candidates_max :]
        places, classes, values = places[kept], classes[kept], values[kept]
    order = np.argsort(-values, kind="stable")
    return Picked(rows[places[order]], classes[order].astype(np.int64), values[order])


def things(picked: Picked, boxes: Numbers, points: Numbers, part: Overlapping) -> RawThings:
    """Return what is left when better candidates have suppressed the worse ones that overlap them.

    Args:
        picked: Candidates, best first.
        boxes: (n, 4) of each of them, in pixels.
        points: (n, points, 2), likewise.
        part: Says how much they may overlap.
    """
    real = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    kept = real[suppressed(boxes[real], picked.classes[real], part)][: part.things_max]
    return RawThings(
        boxes[kept], picked.classes[kept], picked.scores[kept].clip(0, 1), points[kept], picked.rows[kept]
    )


def suppressed(boxes: Numbers, classes: NDArray[np.int64], part: Overlapping) -> Rows:
    """Return which boxes stay; they come best first, and stay in that order.

    OpenCV does it in native code: 0.5 ms for 300 boxes and 4.6 for 1000 where rows of NumPy took 2.4 and 9.2.
    """
    if part.iou_max >= 1 or len(boxes) < 2:
        return np.arange(len(boxes))
    sides: Any = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    ranks: Any = np.arange(len(boxes), 0, -1, dtype=np.float32)  # its own order among equals is not ours
    if part.across_classes or len(part.classes) == 1:
        kept = cv2.dnn.NMSBoxes(sides, ranks, 0.0, part.iou_max)
    else:
        groups: Any = classes
        kept = cv2.dnn.NMSBoxesBatched(sides, ranks, groups, 0.0, part.iou_max)
    return np.sort(np.asarray(kept, np.intp).ravel())
