"""How near answers about pictures are to the golden ones, in the numbers of each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.picture_classification import PictureClassification
from edge.bundles.picture_detection import DetectionGolden, PictureDetection
from edge.bundles.picture_embedding import PictureEmbedding
from edge.bundles.picture_keypoints import PictureKeypoints
from edge.bundles.picture_regression import PictureRegression
from edge.bundles.picture_segmentation import MaskGolden, PictureSegmentation
from edge.bundles.picture_tasks import PictureManifest
from edge.inference.golden import Agreement

Arrays = Sequence[NDArray[Any]]
NEVER = 1e9  # an error that no bound allows: one knows what the other does not
THING_IOU = 0.5  # from here on two things of masks are one


def agreement(answers: Arrays, wanted: Arrays, manifest: PictureManifest) -> Agreement:
    """Compare answers with those wanted, both as `as_array` makes them."""
    match manifest:
        case PictureClassification(golden=golden):
            error = max(float(np.abs(one - other).max()) for one, other in zip(answers, wanted, strict=True))
            return _within({"score_error": error}, {"score_error": golden.score_error_max})
        case PictureDetection(golden=golden, output=output):
            return _things(answers, wanted, golden, score_min=output.score_min)
        case PictureSegmentation(golden=golden):
            return _masks(answers, wanted, golden)
        case PictureKeypoints(golden=golden, output=output):
            numbers = _points(answers, wanted, output.score_min)
            limits = {"point_error_px": golden.point_error_max_px, "score_error": golden.score_error_max}
            return _within(numbers, limits)
        case PictureRegression(golden=golden, output=output):
            errors = _errors(np.stack(answers), np.stack(wanted))
            names = [one.name for one in output.quantities]
            return _within(dict(zip(names, errors, strict=True)), golden.errors_max)
        case PictureEmbedding(golden=golden):
            cosine = min(_cosine(one, other) for one, other in zip(answers, wanted, strict=True))
            return _at_least({"cosine": cosine}, {"cosine": golden.cosine_min})


def proves_nothing(wanted: Arrays, manifest: PictureManifest) -> str:
    """Return why an answer that does not look at the picture would pass, or ""."""
    if not wanted:
        return "there is no picture"
    match manifest:
        case PictureClassification(golden=golden):
            spread = float(np.ptp(np.stack(wanted), axis=0).max())
            return "all pictures get the same scores" if spread <= 2 * golden.score_error_max else ""
        case PictureDetection(output=output):
            is_there = any((one[:, 5] >= output.score_min).any() for one in wanted)
            return _same(wanted, manifest) if is_there else "there is nothing to find"
        case PictureSegmentation():
            is_flat = all(np.ptp(one[0]) == 0 for one in wanted)
            return "each picture has one label all over" if is_flat else _same(wanted, manifest)
        case PictureKeypoints() | PictureEmbedding():
            return _same(wanted, manifest) if len(wanted) > 1 else "there is one picture only"
        case PictureRegression(golden=golden, output=output):
            rows = np.stack(wanted)
            for column, quantity in enumerate(output.quantities):
                known = rows[np.isfinite(rows[:, column]), column]
                if len(known) < 2 or np.ptp(known) <= 2 * golden.errors_max[quantity.name]:
                    return f"all pictures get the same {quantity.name}"
            return ""


def _same(wanted: Arrays, manifest: PictureManifest) -> str:
    """Say whether the answer about the first picture is right for all of several."""
    if len(wanted) == 1:
        return ""
    constant = agreement([wanted[0]] * len(wanted), wanted, manifest)
    return "" if constant.shortfall else "all pictures get the same answer"


# ── each task's numbers ────────────────────────────────────────────────────────────────────────────────────


def _things(answers: Arrays, wanted: Arrays, golden: DetectionGolden, *, score_min: float) -> Agreement:
    """F1 over all things, mean overlap of those that are the same, and their worst difference of scores.

    What scores less than `score_min` is doubtful: it may be the same thing as one that scores enough, and
    counts for nothing else.
    """
    overlaps: list[float] = []
    differences: list[float] = []
    total = 0
    for seen, right in zip(answers, wanted, strict=True):
        sure, golden_sure = seen[:, 5] >= score_min, right[:, 5] >= score_min
        total += int(sure.sum() + golden_sure.sum())
        for row, column, overlap in _pairs(seen, right, golden_sure, iou_min=golden.iou_min):
            if sure[row] or golden_sure[column]:
                total += 2 - int(sure[row]) - int(golden_sure[column])
                overlaps.append(overlap)
                differences.append(abs(float(seen[row, 5]) - float(right[column, 5])))
    high = {
        "f1": 2 * len(overlaps) / total if total else 1.0,
        "box_iou": float(np.mean(overlaps)) if overlaps else 1.0,
    }
    low = {"score_error": max(differences, default=0.0)}
    found = _at_least(high, {"f1": golden.f1_min, "box_iou": golden.box_iou_min})
    scored = _within(low, {"score_error": golden.score_error_max})
    return Agreement({**found.numbers, **scored.numbers}, found.shortfall or scored.shortfall)


def _pairs(
    seen: NDArray[Any], right: NDArray[Any], is_sure: NDArray[np.bool_], *, iou_min: float
) -> list[tuple[int, int, float]]:
    """Match things of one class, the surest first: each with the sure one, else the one, it overlaps most."""
    pairs: list[tuple[int, int, float]] = []
    if not len(seen) or not len(right):
        return pairs
    overlaps = box_overlaps(seen[:, :4], right[:, :4])
    overlaps[seen[:, 4][:, None] != right[:, 4][None, :]] = 0
    overlaps[overlaps < iou_min] = 0
    for row in np.argsort(-seen[:, 5], kind="stable").tolist():
        sure = np.where(is_sure, overlaps[row], 0)
        column = int((sure if sure.any() else overlaps[row]).argmax())
        overlap = float(overlaps[row, column])
        if overlap > 0:
            pairs.append((row, column, overlap))
            overlaps[:, column] = 0
    return pairs


def box_overlaps(some: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Return intersection over union of boxes, (n, 4) and (m, 4) left, top, right, bottom, as (n, m)."""
    begins = np.maximum(some[:, None, :2], others[None, :, :2])
    ends = np.minimum(some[:, None, 2:], others[None, :, 2:])
    common = np.clip(ends - begins, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (some, others)]
    union = areas[0][:, None] + areas[1][None, :] - common
    return np.asarray(common / np.maximum(union, np.finfo(np.float64).tiny), np.float64)


def _masks(answers: Arrays, wanted: Arrays, golden: MaskGolden) -> Agreement:
    seen, right = np.stack([one[0] for one in answers]), np.stack([one[0] for one in wanted])
    present = [int(label) for label in np.union1d(np.unique(seen), np.unique(right)) if label]
    numbers = {
        "union_dice": _dice(seen > 0, right > 0),
        "label_dice": float(np.mean([_dice(seen == one, right == one) for one in present]))
        if present
        else 1.0,
    }
    limits = {"union_dice": golden.union_dice_min, "label_dice": golden.label_dice_min}
    if golden.things_f1_min > 0:
        pairs = [_same_things(one[1], other[1]) for one, other in zip(answers, wanted, strict=True)]
        same, total = sum(one for one, _ in pairs), sum(one for _, one in pairs)
        numbers["things_f1"] = 2 * same / total if total else 1.0
        limits["things_f1"] = golden.things_f1_min
    return _at_least(numbers, limits)


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def _same_things(some: NDArray[Any], others: NDArray[Any]) -> tuple[int, int]:
    """Return how many things of two maps overlap by more than half, and how many there are in both together.

    Above one half a thing overlaps with one other at most, so that nothing has to be assigned.
    """
    numbers, counts = np.unique(np.stack([some.ravel(), others.ravel()]), axis=1, return_counts=True)
    mine = np.bincount(some.ravel(), minlength=1)
    theirs = np.bincount(others.ravel(), minlength=1)
    is_both = (numbers > 0).all(axis=0)
    common = counts[is_both]
    union = mine[numbers[0, is_both]] + theirs[numbers[1, is_both]] - common
    same = int((common / np.maximum(union, 1) > THING_IOU).sum())
    return same, int((mine[1:] > 0).sum() + (theirs[1:] > 0).sum())


def _points(answers: Arrays, wanted: Arrays, score_min: float) -> dict[str, float]:
    seen, right = np.stack(answers), np.stack(wanted)
    there = right[..., 2] >= score_min
    steps = np.linalg.norm(seen[..., :2] - right[..., :2], axis=-1)[there]
    return {
        "point_error_px": float(steps.max(initial=0.0)),
        "score_error": float(np.abs(seen[..., 2] - right[..., 2]).max(initial=0.0)),
    }


def _errors(seen: NDArray[Any], right: NDArray[Any]) -> list[float]:
    """Return the largest error of each column; where only one of them knows, it is `NEVER`."""
    errors = np.abs(seen - right)
    errors[np.isnan(seen) & np.isnan(right)] = 0
    return [float(one) for one in np.nan_to_num(errors, nan=NEVER).max(axis=0)]


def _cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    length = float(np.linalg.norm(one.astype(np.float64)) * np.linalg.norm(other.astype(np.float64)))
    return float(one.astype(np.float64) @ other.astype(np.float64)) / length if length else 0.0


def _within(numbers: dict[str, float], limits: dict[str, float]) -> Agreement:
    over = [name for name in numbers if not numbers[name] <= limits[name]]
    shortfall = "; ".join(
        f"golden check: {_said(name)} is off by {numbers[name]:.4f}, wanted at most {limits[name]:g}"
        for name in over
    )
    return Agreement(numbers, shortfall)


def _at_least(numbers: dict[str, float], limits: dict[str, float]) -> Agreement:
    under = [name for name in numbers if not numbers[name] >= limits[name]]
    shortfall = "; ".join(
        f"golden check: {name} is {numbers[name]:.4f}, wanted at least {limits[name]:g}" for name in under
    )
    return Agreement(numbers, shortfall)


def _said(name: str) -> str:
    return {"score_error": "a score", "point_error_px": "a point"}.get(name, name)
