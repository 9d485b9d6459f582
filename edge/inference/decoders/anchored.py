"""Detectors with several boxes for each cell, relative to anchors: YOLOv3 to v7."""

from __future__ import annotations

import math

import numpy as np

from edge.bundles.detection_outputs import YoloV5Output
from edge.inference.decoders.grids import unit_px
from edge.inference.decoders.raw import (
    Numbers,
    Outputs,
    RawThings,
    bounded_exp,
    corners,
    numbers_of,
    one_of_batch,
    sigmoid,
    wrong_shape,
)
from edge.inference.decoders.suppression import Picked, pick_objects, things
from edge.inference.decoders.tables import Reading, Shape, grid_shape


def decode_yolov5(outputs: Outputs, part: YoloV5Output, *, input_shape_px: Shape) -> RawThings:
    """Decode boxes with objectness, decoded or relative to anchors.

    With s the sigmoid, c the cell, a the anchor:
    `v5` cx = (2 · s(x) - 0.5 + c) · stride, w = (2 · s(w))² · a;
    `v3` cx = (s(x) + c) · stride, w = exp(w) · a.

    Source of the formulae: `Detect.forward` in models/yolo.py of ultralytics/yolov5 (from release 5 on), and
    arXiv 1804.02767 (YOLOv3), section 2.1. Rows of one stride are anchors, then rows, then columns.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        input_shape_px: (height, width) of what the graph was given.

    Returns:
        Things in pixels of the input.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    sizes = (4, 1, len(part.classes), len(part.points) * part.point_numbers, part.unread_numbers)
    if part.form == "decoded":
        reading = Reading(part.layout, (), input_shape_px)
        whole = reading.table(outputs, part.tables, numbers=sum(sizes))
    else:
        whole = _raw(outputs, part, numbers=sum(sizes), shape=input_shape_px)
    boxes, objectness, scores, points, _ = np.split(whole, np.cumsum(sizes)[:-1], axis=1)
    picked = pick_objects(objectness[:, 0], scores, part, form=part.scores_are, name=part.tables[0])
    chosen = boxes[picked.rows]
    marks = points[picked.rows].reshape(len(chosen), len(part.points), part.point_numbers)[..., :2]
    if part.form == "decoded":
        scale = unit_px(part.unit, input_shape_px)
        decoded = corners(chosen[:, :2], chosen[:, 2:]) * np.tile(scale, 2)
        return things(picked, decoded, marks * scale, part)
    return things(picked, _from_anchors(chosen, picked, part, input_shape_px), marks, part)


def _from_anchors(chosen: Numbers, picked: Picked, part: YoloV5Output, shape: Shape) -> Numbers:
    """Return (n, 4) corners of raw boxes in pixels."""
    places, strides, anchors = _start(part, shape, picked)
    is_logit = part.scores_are == "logits"
    middle = sigmoid(chosen[:, :2]) if is_logit else chosen[:, :2]
    if part.form == "v3":
        return corners((middle + places) * strides, bounded_exp(chosen[:, 2:]) * anchors)
    side = sigmoid(chosen[:, 2:]) if is_logit else chosen[:, 2:]
    return corners((2 * middle - 0.5 + places) * strides, (2 * side) ** 2 * anchors)


def _start(part: YoloV5Output, shape: Shape, picked: Picked) -> tuple[Numbers, Numbers, Numbers]:
    """Return cell, stride and anchor of each candidate, told from its row."""
    places = np.empty((len(picked.rows), 2), np.float32)
    strides, anchors = np.empty((len(places), 1), np.float32), np.empty_like(places)
    first = 0
    for stride, several in zip(part.strides_px, part.anchors_px, strict=True):
        grid = grid_shape(shape, stride)
        count = len(several) * math.prod(grid)
        here = (picked.rows >= first) & (picked.rows < first + count)
        which, rows, columns = np.unravel_index(picked.rows[here] - first, (len(several), *grid))
        places[here] = np.stack([columns, rows], axis=1)
        strides[here], anchors[here] = stride, np.array(several, np.float32)[which]
        first += count
    return places, strides, anchors


def _raw(outputs: Outputs, part: YoloV5Output, *, numbers: int, shape: Shape) -> Numbers:
    """Return (anchors of all cells of all grids, numbers)."""
    forms = [
        (len(several), *grid_shape(shape, stride))
        for stride, several in zip(part.strides_px, part.anchors_px, strict=True)
    ]
    if len(part.tables) == 1 < len(forms):
        forms = [(sum(math.prod(form) for form in forms), 1, 1)]
    pieces = [
        _piece(numbers_of(outputs, name), form, part.layout, name=name, numbers=numbers)
        for name, form in zip(part.tables, forms, strict=True)
    ]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _piece(array: Numbers, form: tuple[int, int, int], layout: str, *, name: str, numbers: int) -> Numbers:
    """Return (anchors · rows · columns, numbers) of one output."""
    anchors, rows, columns = form
    shapes: dict[str, tuple[int, ...]] = {
        "rows": (math.prod(form), numbers),
        "columns": (numbers, math.prod(form)),
        "maps": (anchors * numbers, rows, columns),
        "maps-last": (rows, columns, anchors * numbers),
        "anchors": (anchors, rows, columns, numbers),
    }
    wanted = f"float {(1, *shapes[layout])}"
    one = one_of_batch(array, axes=len(shapes[layout]), name=name, wanted=wanted)
    if one.shape != shapes[layout]:
        raise wrong_shape(array, name=name, wanted=wanted)
    if layout == "columns":
        return one.T
    if layout == "maps":
        return np.moveaxis(one.reshape(anchors, numbers, rows, columns), 1, -1).reshape(-1, numbers)
    if layout == "maps-last":
        return np.moveaxis(one.reshape(rows, columns, anchors, numbers), 2, 0).reshape(-1, numbers)
    return one.reshape(-1, numbers)
