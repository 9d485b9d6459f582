"""Things with a mask of their own: weighted sums of prototypes, or a mask for each box."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.bundles.detection_outputs import YoloV5Output, YoloV8Output
from edge.bundles.detection_priors import BoxesOutput
from edge.bundles.instance_outputs import InstancesOutput
from edge.domain.geometry import Geometry
from edge.inference.decoders.anchored import decode_yolov5
from edge.inference.decoders.boxes import decode_boxes
from edge.inference.decoders.grids import decode_yolov8
from edge.inference.decoders.masks import RawMask, trimmed
from edge.inference.decoders.placement import Placement, source_in_input
from edge.inference.decoders.raw import (
    Numbers,
    Outputs,
    RawThings,
    array_of,
    check_probabilities,
    logit,
    numbers_of,
    one_of_batch,
    wrong_shape,
)
from edge.inference.decoders.tables import Reading, Shape, grid_shape


def decode_instances(outputs: Outputs, part: InstancesOutput, *, geometry: Geometry) -> RawMask:
    """Draw the mask of each thing at the size of the source, inside of its box, the best score first.

    A mask of prototypes is Σ coefficient · prototype, cut to the box: YOLACT, arXiv 1904.02689, section 3,
    and `process_mask` in ultralytics/utils/ops.py. A mask of a box is scaled to it: Mask R-CNN, arXiv
    1703.06870.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        geometry: Where the source lies in what the graph was given.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    shape = geometry.input_shape_px
    raw = _things(outputs, part, shape)
    planes = _summed(outputs, part, raw, shape) if part.prototypes else _given(outputs, part, raw, shape)
    boxes = geometry.to_source(raw.boxes.astype(np.float64))
    labels = np.zeros(geometry.source_shape_px, np.uint8)
    things = np.zeros(geometry.source_shape_px, np.int32)
    least = logit(part.mask_min) if part.scores_are == "logits" else part.mask_min
    source = source_in_input(geometry)
    down, right = source.pixels_per_step
    number = 0
    for box, plane, kind in zip(boxes, planes, raw.classes, strict=True):
        window = _window(box, geometry.source_shape_px)
        if window is None:
            continue
        grid = (
            _of_box(window, box, plane)
            if part.masks_of == "box"
            else _of_input(window, source, part.stride_px)
        )
        free = (grid.linear(plane) >= least) & (things[window] == 0)
        if np.count_nonzero(free) >= max(1, part.area_min_px * down * right):
            number += 1
            things[window][free] = number
            labels[window][free] = kind + 1
    return trimmed(labels, things, source, geometry)


Window = tuple[slice, slice]


def _window(box: NDArray[np.float64], shape: Shape) -> Window | None:
    """Return the pixels whose middle lies in a box, or None where there is none."""
    left, top, right, bottom = np.ceil(box - 0.5).astype(int)
    rows, columns = slice(max(top, 0), min(bottom, shape[0])), slice(max(left, 0), min(right, shape[1]))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _of_input(window: Window, source: Placement, stride: int) -> Placement:
    """Return where a window of the source lies among the cells of a mask that covers the input."""
    (down, right), (top, left) = source.step, source.start
    start = (top + window[0].start * down, left + window[1].start * right)
    return Placement(shape=_shape(window), step=source.step, start=start).coarser(stride)


def _of_box(window: Window, box: NDArray[np.float64], plane: Numbers) -> Placement:
    """Return where a window of the source lies among the cells of a mask that covers a box."""
    left, top, right, bottom = map(float, box)
    step = (plane.shape[0] / (bottom - top), plane.shape[1] / (right - left))
    start = ((window[0].start - top) * step[0], (window[1].start - left) * step[1])
    return Placement(shape=_shape(window), step=step, start=start)


def _shape(window: Window) -> Shape:
    return window[0].stop - window[0].start, window[1].stop - window[1].start


def _things(outputs: Outputs, part: InstancesOutput, shape: Shape) -> RawThings:
    """Decode the boxes."""
    match part.detector:
        case YoloV8Output():
            return decode_yolov8(outputs, part.detector, input_shape_px=shape)
        case YoloV5Output():
            return decode_yolov5(outputs, part.detector, input_shape_px=shape)
        case BoxesOutput():
            return decode_boxes(outputs, part.detector, input_shape_px=shape)


def _summed(outputs: Outputs, part: InstancesOutput, raw: RawThings, shape: Shape) -> Numbers:
    """Return (things, rows, columns): prototypes, weighted by the last numbers of each thing's row."""
    name, grid = part.prototypes or "", grid_shape(shape, part.stride_px)
    detector = part.detector
    assert not isinstance(detector, BoxesOutput), "prototypes go with tables"
    count = detector.unread_numbers
    array, wanted = numbers_of(outputs, name), f"float {(1, count, *grid)}"
    prototypes = one_of_batch(array, axes=3, name=name, wanted=wanted)
    if prototypes.shape != (count, *grid):
        raise wrong_shape(array, name=name, wanted=wanted)
    weights = _last_numbers(outputs, detector, raw, shape)
    return np.asarray((weights @ prototypes.reshape(count, -1)).reshape(-1, *grid), np.float32)


def _last_numbers(
    outputs: Outputs, detector: YoloV8Output | YoloV5Output, raw: RawThings, shape: Shape
) -> Numbers:
    """Return (things, numbers): what stands unread at the end of the row in which each thing was found."""
    numbers = len(detector.classes) + len(detector.points) * detector.point_numbers + detector.unread_numbers
    if isinstance(detector, YoloV5Output):
        reading = Reading(detector.layout, (), shape)
        table = reading.table(outputs, detector.tables, numbers=5 + numbers)
    else:
        reading = Reading(detector.layout, detector.strides_px, shape)
        sides = 4 * detector.bins if detector.form == "dfl" else 4
        table = reading.table(outputs, detector.tables, numbers=sides + numbers)
    return np.asarray(table[raw.rows, -detector.unread_numbers :], np.float32)


def _given(outputs: Outputs, part: InstancesOutput, raw: RawThings, shape: Shape) -> Numbers:
    """Return (things, rows, columns) of an output with a mask for each row of boxes."""
    name, detector = part.masks or "", part.detector
    assert isinstance(detector, BoxesOutput), "masks go with boxes"
    width = len(detector.columns) + len(detector.points) * detector.point_numbers if detector.table else 4
    rows = array_of(outputs, detector.table or detector.boxes or "").size // width
    array = numbers_of(outputs, name)
    grid = grid_shape(shape, part.stride_px) if part.masks_of == "input" else array.shape[-2:]
    if array.ndim not in (3, 4) or array.shape[-2:] != grid or math.prod(array.shape[:-2]) != rows:
        sides = f"{grid[0]}, {grid[1]}" if part.masks_of == "input" else "rows, columns"
        raise wrong_shape(array, name=name, wanted=f"float ({rows}, 1, {sides})")
    chosen = array.reshape(rows, *array.shape[-2:])[raw.rows]
    if part.scores_are == "probabilities":
        check_probabilities(chosen, name=name)
    return chosen
