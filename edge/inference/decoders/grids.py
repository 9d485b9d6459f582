"""Detectors with one box for each cell of several grids: YOLOX and YOLOv8 and their kin."""

from __future__ import annotations

import numpy as np

from edge.bundles.detection_outputs import YoloV8Output, YoloxOutput
from edge.domain.errors import InferenceError
from edge.inference.decoders.raw import Numbers, Outputs, RawThings, bounded_exp, corners, softmax
from edge.inference.decoders.suppression import pick, pick_objects, things
from edge.inference.decoders.tables import Cells, Reading, Shape, cells_of, check_cells


def decode_yolox(outputs: Outputs, part: YoloxOutput, *, input_shape_px: Shape) -> RawThings:
    """Decode YOLOX: cx = (x + column) · stride, w = exp(w) · stride, score = objectness · class.

    Source of the formulae: `decode_outputs` in yolox/models/yolo_head.py (Megvii, arXiv 2107.08430). The
    geometric mean and points at (x + column) · stride are those of YuNet (OpenCV, face_detect.cpp).

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        input_shape_px: (height, width) of what the graph was given.

    Returns:
        Things in pixels of the input.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    named = (part.tables,) if part.tables else (part.boxes, part.objectness, part.scores, part.point_outputs)
    sizes = (4, 1, len(part.classes), len(part.points) * part.point_numbers)
    reading = Reading(part.layout, part.strides_px, input_shape_px)
    boxes, objectness, scores, points = reading.blocks(outputs, named, sizes)
    picked = pick_objects(
        objectness[:, 0],
        scores,
        part,
        form=part.scores_are,
        name=(part.tables or part.scores)[0],
        is_mean=part.confidence == "geometric-mean",
    )
    chosen, marks = boxes[picked.rows], _marks(points[picked.rows], part)
    if part.decoded:
        return things(picked, corners(chosen[:, :2], chosen[:, 2:]), marks, part)
    places, strides = _cells(part, boxes, input_shape_px, picked.rows)
    centres, sides = (chosen[:, :2] + places) * strides, bounded_exp(chosen[:, 2:]) * strides
    marks = (marks + places[:, np.newaxis]) * strides[:, np.newaxis]
    return things(picked, corners(centres, sides), marks, part)


def decode_yolov8(outputs: Outputs, part: YoloV8Output, *, input_shape_px: Shape) -> RawThings:
    """Decode YOLOv8: decoded boxes, or distances of the sides from the middle of the cell.

    x0 = (column + 0.5 - left) · stride, x1 = (column + 0.5 + right) · stride; with `dfl` a distance is the
    mean of a distribution, Σ i · softmax(z)_i. Points of raw heads: x = (2 · x + column) · stride.

    Source of the formulae: `make_anchors`, `dist2bbox` in ultralytics/utils/tal.py, `Pose.kpts_decode` in
    ultralytics/nn/modules/head.py; the distribution is that of Generalized Focal Loss, arXiv 2006.04388.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        input_shape_px: (height, width) of what the graph was given.

    Returns:
        Things in pixels of the input.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    sides = 4 * part.bins if part.form == "dfl" else 4
    sizes = (sides, len(part.classes), len(part.points) * part.point_numbers)
    named = (part.tables,) if part.tables else (part.boxes, part.scores, part.point_outputs)
    reading = Reading(part.layout, part.strides_px, input_shape_px)
    if part.tables:
        boxes, scores, points, _ = reading.blocks(outputs, named, (*sizes, part.unread_numbers))
    else:
        boxes, scores, points = reading.blocks(outputs, named, sizes)
    name = (part.tables or part.scores)[0]
    if part.objectness:
        (objects,) = reading.blocks(outputs, (part.objectness,), (1,))
        if len(objects) != len(boxes):
            raise InferenceError(
                f"output {part.objectness[0]!r} has {len(objects)} cells, wanted {len(boxes)}, as boxes"
            )
        picked = pick_objects(
            objects[:, 0],
            scores,
            part,
            form=part.scores_are,
            name=name,
            is_mean=part.confidence == "geometric-mean",
        )
    else:
        picked = pick(scores, part, form=part.scores_are, name=name)
    chosen, marks = boxes[picked.rows], _marks(points[picked.rows], part)
    if part.form in ("cxcywh", "xyxy"):
        decoded = corners(chosen[:, :2], chosen[:, 2:]) if part.form == "cxcywh" else chosen
        scale = unit_px(part.unit, input_shape_px)
        return things(picked, decoded * np.tile(scale, 2), marks * scale, part)
    places, strides = _cells(part, boxes, input_shape_px, picked.rows)
    reach = distances(chosen, part.bins) if part.form == "dfl" else chosen
    middles = places + np.float32(part.cell_offset)
    decoded = np.concatenate([middles - reach[:, :2], middles + reach[:, 2:]], axis=1) * strides
    marks = (2 * marks + places[:, np.newaxis]) * strides[:, np.newaxis]
    return things(picked, decoded, marks, part)


def distances(distributions: Numbers, bins: int) -> Numbers:
    """Return (n, 4) mean distances in cells of (n, 4 · bins) distributions, side by side."""
    shares = softmax(distributions.reshape(-1, 4, bins))
    return np.asarray(shares @ np.arange(bins, dtype=np.float32), np.float32)


def unit_px(unit: str, input_shape_px: Shape) -> Numbers:
    """Return what x and y are multiplied by to become pixels of the input."""
    height, width = input_shape_px
    return np.array((width, height) if unit == "relative" else (1, 1), np.float32)


def _marks(points: Numbers, part: YoloxOutput | YoloV8Output) -> Numbers:
    """Return (n, points, 2) of a block of points; the third number of each is not read."""
    return points.reshape(len(points), len(part.points), part.point_numbers)[..., :2]


def _cells(
    part: YoloxOutput | YoloV8Output,
    boxes: Numbers,
    shape: Shape,
    rows: np.ndarray[tuple[int], np.dtype[np.intp]],
) -> tuple[Numbers, Numbers]:
    """Return place and side of the cells of some rows."""
    cells: Cells = cells_of(shape, part.strides_px)
    check_cells(len(boxes), cells, name=(part.tables or part.boxes)[0], shape=shape)
    return cells.places[rows], cells.strides[rows]
