"""Detectors that draw a map of centres: CenterNet and CenterFace."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundles.detection_priors import CentresOutput
from edge.inference.decoders.raw import (
    Numbers,
    Outputs,
    RawThings,
    bounded_exp,
    check_probabilities,
    corners,
    logit,
    numbers_of,
    one_of_batch,
    sigmoid,
    wrong_shape,
)
from edge.inference.decoders.suppression import Picked, things
from edge.inference.decoders.tables import Shape, grid_shape


def decode_centres(outputs: Outputs, part: CentresOutput, *, input_shape_px: Shape) -> RawThings:
    """Decode centres: cx = (column + offset + cell_offset) · stride, w = size · stride or exp(size) · stride.

    Source of the formulae: `ctdet_decode` and `multi_pose_decode` of CenterNet (arXiv 1904.07850), whose
    cells without an offset count from their middle: cell_offset 0.5; `decode` of CenterFace (arXiv
    1911.03599), which counts from the middle of a cell always, keeps y before x, and measures points in
    shares of the box.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        input_shape_px: (height, width) of what the graph was given.

    Returns:
        Things in pixels of the input.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    grid = grid_shape(input_shape_px, part.stride_px)
    heat = _map(outputs, part.heat, channels=len(part.classes), grid=grid)
    if part.scores_are == "probabilities":
        check_probabilities(heat, name=part.heat)
    picked, rows, columns = _peaks(heat, part)
    flip = slice(None, None, -1 if part.axes == "yx" else 1)
    sizes = _map(outputs, part.size, channels=2, grid=grid)[:, rows, columns].T[:, flip]
    sizes = bounded_exp(sizes) if part.size_form == "log" else sizes
    sides = sizes * np.float32(part.stride_px if part.size_unit == "cells" else 1)
    cells = np.stack([columns, rows], axis=1).astype(np.float32)
    centres = cells + np.float32(part.cell_offset)
    if part.offset is not None:
        centres = centres + _map(outputs, part.offset, channels=2, grid=grid)[:, rows, columns].T[:, flip]
    boxes = corners(centres * np.float32(part.stride_px), sides)
    marks = np.empty((len(boxes), 0, 2), np.float32)
    if part.point_output is not None:
        found = _map(outputs, part.point_output, channels=2 * len(part.points), grid=grid)[:, rows, columns]
        marks = found.T.reshape(len(boxes), len(part.points), 2)[..., flip]
        is_box = part.points_from == "box"
        start = boxes[:, :2] if is_box else cells * np.float32(part.stride_px)
        unit = sides[:, np.newaxis] if is_box else np.float32(part.stride_px)
        marks = start[:, np.newaxis] + marks * unit
    return things(picked, boxes, marks, part)


def _peaks(heat: Numbers, part: CentresOutput) -> tuple[Picked, NDArray[np.intp], NDArray[np.intp]]:
    """Return centres, best first, with row and column of each; `Picked.rows` counts them."""
    is_logit = part.scores_are == "logits"
    classes, rows, columns = np.nonzero(heat >= (logit(part.score_min) if is_logit else part.score_min))
    values = heat[classes, rows, columns]
    highest = np.ones(len(values), np.bool_)
    reach = part.peak_cells // 2
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            near = (rows + down).clip(0, heat.shape[1] - 1), (columns + right).clip(0, heat.shape[2] - 1)
            highest &= values >= heat[classes, near[0], near[1]]
    order = np.flatnonzero(highest)
    order = order[np.argsort(-values[order], kind="stable")][: part.candidates_max]
    scores = sigmoid(values[order]) if is_logit else values[order]
    return Picked(np.arange(len(order)), classes[order].astype(np.int64), scores), rows[order], columns[order]


def _map(outputs: Outputs, name: str, *, channels: int, grid: Shape) -> Numbers:
    """Return (channels, rows, columns) of one output."""
    array = numbers_of(outputs, name)
    wanted = f"float (1, {channels}, {grid[0]}, {grid[1]})"
    one = one_of_batch(array, axes=3, name=name, wanted=wanted)
    if one.shape != (channels, *grid):
        raise wrong_shape(array, name=name, wanted=wanted)
    return one
