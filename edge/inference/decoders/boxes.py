"""Detectors whose graph has decoded the boxes, and those whose graph has suppressed what overlaps, too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.detection_priors import BoxesOutput, CandidatesOutput
from edge.domain.errors import InferenceError
from edge.inference.decoders.grids import unit_px
from edge.inference.decoders.raw import (
    Numbers,
    Outputs,
    RawThings,
    array_of,
    check_probabilities,
    corners,
    numbers_of,
    one_of_batch,
    wrong_shape,
)
from edge.inference.decoders.suppression import pick, things
from edge.inference.decoders.tables import Shape


def decode_candidates(outputs: Outputs, part: CandidatesOutput, *, input_shape_px: Shape) -> RawThings:
    """Decode boxes with scores for each class, as DETR (arXiv 2005.12872) and many exports put them out.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        input_shape_px: (height, width) of what the graph was given.

    Returns:
        Things in pixels of the input.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    boxes = _table(
        numbers_of(outputs, part.boxes), name=part.boxes, wanted="float (1, candidates, 4)", width=4
    )
    width = len(part.classes) + (part.background != "none")
    is_last = part.scores_layout == "rows"
    wanted = f"float (1, {len(boxes)}, {width})" if is_last else f"float (1, {width}, {len(boxes)})"
    array = numbers_of(outputs, part.scores)
    scores = one_of_batch(array, axes=2, name=part.scores, wanted=wanted)
    scores = scores if is_last else scores.T
    if scores.shape != (len(boxes), width):
        raise wrong_shape(array, name=part.scores, wanted=wanted)
    picked = pick(scores, part, form=part.scores_are, name=part.scores, background=part.background)
    chosen = as_corners(boxes[picked.rows], part.order) * np.tile(unit_px(part.unit, input_shape_px), 2)
    return things(picked, chosen, np.empty((len(chosen), 0, 2), np.float32), part)


def decode_boxes(outputs: Outputs, part: BoxesOutput, *, input_shape_px: Shape) -> RawThings:
    """Decode what is decoded: one table, or boxes, scores and labels apart.

    Rows that score less than `score_min` are not looked at: many graphs fill up with them.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        input_shape_px: (height, width) of what the graph was given.

    Returns:
        Things in pixels of the input.

    Raises:
        InferenceError: The outputs are not what the manifest promises, or name a class that there is not.
    """
    boxes, scores, labels, points = _from_table(outputs, part) if part.table else _from_apart(outputs, part)
    count = _count(outputs, part.count, rows=len(scores)) if part.count else len(scores)
    name = part.table or part.scores or ""
    check_probabilities(scores[:count], name=name)
    found = np.flatnonzero(scores[:count] >= part.score_min)
    found = found[np.argsort(-scores[found], kind="stable")]
    classes = _classes(labels[found], part, name=part.table or part.labels or "")
    chosen = boxes[found]
    real = np.flatnonzero((chosen[:, 2] > chosen[:, 0]) & (chosen[:, 3] > chosen[:, 1]))[: part.things_max]
    found, scale = found[real], unit_px(part.unit, input_shape_px)
    return RawThings(
        boxes[found] * np.tile(scale, 2),
        classes[real],
        scores[found].clip(0, 1),
        points[found] * scale,
        found,
    )


def as_corners(boxes: Numbers, order: str) -> Numbers:
    """Return (n, 4) left, top, right, bottom of boxes in a given order."""
    if order == "xyxy":
        return boxes
    if order == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    if order == "cxcywh":
        return corners(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _from_table(outputs: Outputs, part: BoxesOutput) -> tuple[Numbers, Numbers, NDArray[np.float64], Numbers]:
    """Return boxes, scores, labels and points of one table."""
    name, columns = part.table or "", part.columns
    along = len(part.points) * part.point_numbers
    width = len(columns) + along
    array = numbers_of(outputs, name)
    squeezed = array.reshape(array.shape[-2:]) if array.ndim == 4 and array.shape[:2] == (1, 1) else array
    table = _table(
        squeezed, name=name, wanted=f"float (things, {width}) or (1, things, {width})", width=width
    )
    of: dict[str, Numbers] = {
        column: table[:, place] for place, column in enumerate(columns) if column != "unread"
    }
    corner = ("x0", "y0") if "x0" in of else ("cx", "cy")
    other = ("x1", "y1") if "x1" in of else ("w", "h")
    four = np.stack([of[column] for column in (*corner, *other)], axis=1)
    order = "xyxy" if "x1" in of else ("xywh" if "x0" in of else "cxcywh")
    labels = of.get("class", np.full(len(table), part.first_label, np.float32)).astype(np.float64)
    points = table[:, len(columns) :].reshape(len(table), len(part.points), part.point_numbers)[..., :2]
    return as_corners(four, order), of["score"], labels, points


def _from_apart(outputs: Outputs, part: BoxesOutput) -> tuple[Numbers, Numbers, NDArray[np.float64], Numbers]:
    """Return boxes, scores, labels and points of outputs of their own."""
    name = part.boxes or ""
    array = numbers_of(outputs, name)
    boxes = _table(array, name=name, wanted="float (things, 4) or (1, things, 4)", width=4)
    scores = _column(numbers_of(outputs, part.scores or ""), name=part.scores or "", rows=len(boxes))
    labels = np.full(len(boxes), part.first_label, np.float64)
    if part.labels is not None:
        given = array_of(outputs, part.labels)
        if given.dtype.kind not in "iuf":
            raise InferenceError(f"output {part.labels!r} is {given.dtype} {given.shape}, wanted numbers")
        labels = _column(given, name=part.labels, rows=len(boxes)).astype(np.float64)
    points = np.empty((len(boxes), 0, 2), np.float32)
    if part.point_output is not None:
        points = _points(numbers_of(outputs, part.point_output), part, rows=len(boxes))
    return as_corners(boxes, part.order), scores, labels, points


def _table(array: Numbers, *, name: str, wanted: str, width: int) -> Numbers:
    table = one_of_batch(array, axes=2, name=name, wanted=wanted)
    if table.shape[1] != width:
        raise wrong_shape(array, name=name, wanted=wanted)
    return table


def _column(array: NDArray[Any], *, name: str, rows: int) -> NDArray[Any]:
    """Return (rows,) of an output, whatever axes of 1 it has."""
    if array.size != rows or rows not in (*array.shape, 1):
        raise wrong_shape(array, name=name, wanted=f"({rows},) or (1, {rows}), as there are boxes")
    return array.reshape(-1)


def _points(array: Numbers, part: BoxesOutput, *, rows: int) -> Numbers:
    shape = (rows, len(part.points), part.point_numbers)
    if array.size != np.prod(shape) or array.shape[-1] not in (part.point_numbers, np.prod(shape[1:])):
        raise wrong_shape(array, name=part.point_output or "", wanted=f"float {shape}")
    return array.reshape(shape)[..., :2]


def _count(outputs: Outputs, name: str, *, rows: int) -> int:
    """Return how many rows are things."""
    array = array_of(outputs, name)
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise wrong_shape(array, name=name, wanted="one number")
    count = array.reshape(-1)[0]
    if not 0 <= count <= rows:
        raise InferenceError(f"output {name!r} says {count}, wanted 0 to {rows}, as there are rows")
    return int(count)


def _classes(labels: NDArray[np.float64], part: BoxesOutput, *, name: str) -> NDArray[np.int64]:
    """Return classes of labels.

    Raises:
        InferenceError: One is no whole number, or of no class.
    """
    wrong = (labels != np.round(labels)) | (labels < part.first_label)
    wrong |= labels >= part.first_label + len(part.classes)
    if wrong.any():
        last = part.first_label + len(part.classes) - 1
        raise InferenceError(
            f"output {name!r} names class {labels[wrong][0]:g}, wanted {part.first_label} to {last}"
        )
    return (labels - part.first_label).astype(np.int64)
