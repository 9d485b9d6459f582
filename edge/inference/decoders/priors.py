"""Detectors that say how given boxes must be shifted: SSD, RetinaNet, UltraFace, BlazeFace, SCRFD."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edge.bundles.detection_priors import AnchorsOutput, PriorLevel
from edge.domain.errors import InferenceError
from edge.inference.decoders.raw import (
    Numbers,
    Outputs,
    RawThings,
    bounded_exp,
    corners,
    numbers_of,
    one_of_batch,
    wrong_shape,
)
from edge.inference.decoders.suppression import pick, things
from edge.inference.decoders.tables import Shape, grid_shape


def decode_anchors(outputs: Outputs, part: AnchorsOutput, *, input_shape_px: Shape) -> RawThings:
    """Decode deltas d on given boxes g, with variances v.

    `centre-size`: cx = g.cx + d0 · v0 · g.w, w = g.w · exp(d2 · v1); `centre-size-linear`: w = g.w · d2 · v1;
    `ltrb`: x0 = g.cx - d0 · v0 · g.w. Points: x = g.cx + d · v0 · g.w.

    Source of the formulae: SSD, arXiv 1512.02325, section 2.2, with the variances of its Caffe code (0.1 and
    0.2); `BoxCoder.decode_single` in torchvision/models/detection/_utils.py (its weights are 1 / variance);
    linear sizes are those of MediaPipe's TensorsToDetectionsCalculator, `ltrb` is that of FCOS, arXiv
    1904.01355.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        input_shape_px: (height, width) of what the graph was given.

    Returns:
        Things in pixels of the input.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    given = priors(part, input_shape_px)
    along = 0 if part.point_outputs else len(part.points) * part.point_numbers
    width = len(part.classes) + (part.background != "none")
    boxes = _rows(outputs, part.boxes, part, numbers=4 + along, count=len(given))
    scores = _rows(outputs, part.scores, part, numbers=width, count=len(given))
    points = boxes[:, 4:]
    if part.point_outputs:
        numbers = len(part.points) * part.point_numbers
        points = _rows(outputs, part.point_outputs, part, numbers=numbers, count=len(given))
    picked = pick(scores, part, form=part.scores_are, name=part.scores[0], background=part.background)
    start, deltas = given[picked.rows], boxes[picked.rows, :4]
    marks = points[picked.rows].reshape(len(start), len(part.points), part.point_numbers)[..., :2]
    if part.axes == "yx":
        deltas, marks = deltas[:, [1, 0, 3, 2]], marks[..., ::-1]
    marks = start[:, np.newaxis, :2] + marks * np.float32(part.variances[0]) * start[:, np.newaxis, 2:]
    return things(picked, _shifted(start, deltas, part), marks, part)


def _shifted(start: Numbers, deltas: Numbers, part: AnchorsOutput) -> Numbers:
    """Return (n, 4) corners of given boxes, (n, 4) cx, cy, w, h, after their deltas."""
    middle, size = np.float32(part.variances[0]), np.float32(part.variances[1])
    if part.coding == "ltrb":
        reach = deltas * middle * np.tile(start[:, 2:], 2)
        return np.concatenate([start[:, :2] - reach[:, :2], start[:, :2] + reach[:, 2:]], axis=1)
    centres = start[:, :2] + deltas[:, :2] * middle * start[:, 2:]
    growth = deltas[:, 2:] * size
    return corners(
        centres, start[:, 2:] * (growth if part.coding.endswith("linear") else bounded_exp(growth))
    )


def priors(part: AnchorsOutput, input_shape_px: Shape) -> Numbers:
    """Return the given boxes, (n, 4) cx, cy, w, h in pixels of the input, read-only.

    They go level by level, then row by row, then cell by cell.
    """
    if part.priors_px:
        return _listed(part.priors_px)
    return _generated(
        part.levels,
        input_shape_px,
        offset=part.cell_offset,
        ratios_first=part.ratios_first,
        is_rounded=part.rounded,
        clamped=part.clamped,
    )


@lru_cache(maxsize=4)
def _listed(boxes: tuple[tuple[float, float, float, float], ...]) -> Numbers:
    answer = np.array(boxes, np.float32)
    answer.flags.writeable = False
    return answer


@lru_cache(maxsize=16)
def _generated(
    levels: tuple[PriorLevel, ...],
    shape: Shape,
    *,
    offset: float,
    ratios_first: bool,
    is_rounded: bool,
    clamped: str,
) -> Numbers:
    """Place the boxes of a cell on all cells of all levels.

    Source: `DefaultBoxGenerator` of torchvision for the offset of 0.5 and the clamping of w and h alone;
    `generate_priors` of UltraFace for that of cx and cy, too; `AnchorGenerator` of torchvision for the offset
    of 0 and the rounding: it rounds half sides, to even. Beside both of torchvision 0.28: the same to 3e-5
    pixels.
    """
    pieces = []
    for level in levels:
        sides = _shapes(level, ratios_first=ratios_first)
        if is_rounded:
            sides = 2 * np.round(sides / 2)
        down, right = level.stride_px if isinstance(level.stride_px, tuple) else (level.stride_px,) * 2
        height, width = level.cells or (grid_shape(shape, down)[0], grid_shape(shape, right)[1])
        rows, columns = np.mgrid[:height, :width]
        places = (np.stack([columns.ravel(), rows.ravel()], axis=1) + offset) * (right, down)
        middles = np.repeat(places, len(sides), axis=0)
        pieces.append(np.concatenate([middles, np.tile(sides, (len(places), 1))], axis=1))
    answer = np.concatenate(pieces)
    if clamped != "none":
        first = 0 if clamped == "all" else 2
        answer[:, first:] = answer[:, first:].clip(0, ([shape[1], shape[0]] * 2)[first:])
    numbers: Numbers = answer.astype(np.float32)
    numbers.flags.writeable = False
    return numbers


def _shapes(level: PriorLevel, *, ratios_first: bool) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return (boxes of a cell, 2) widths and heights; a ratio is height over width at the same area."""
    if level.shapes_px:
        return np.array(level.shapes_px, np.float64)
    roots, sizes = np.sqrt(level.aspect_ratios), np.array(level.sizes_px, np.float64)
    pair = np.stack(
        [sizes / roots[:, np.newaxis], sizes * roots[:, np.newaxis]], axis=-1
    )  # (ratios, sizes, 2)
    return (pair if ratios_first else pair.swapaxes(0, 1)).reshape(-1, 2)


def _rows(
    outputs: Outputs, names: tuple[str, ...], part: AnchorsOutput, *, numbers: int, count: int
) -> Numbers:
    """Return (given boxes, numbers) of outputs that follow on each other.

    Raises:
        InferenceError: They have another shape, or are not as many as there are given boxes.
    """
    pieces = [_piece(numbers_of(outputs, name), part.layout, name=name, numbers=numbers) for name in names]
    whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    if len(whole) != count:
        name = ", ".join(map(repr, names))
        raise InferenceError(f"output {name} has {len(whole)} rows, wanted {count}, as there are given boxes")
    return whole


def _piece(array: Numbers, layout: str, *, name: str, numbers: int) -> Numbers:
    """Return (boxes, numbers) of one output."""
    wanted = {
        "rows": f"float (1, boxes, {numbers})",
        "maps": f"float (1, boxes of a cell × {numbers}, rows, columns)",
        "maps-last": f"float (1, rows, columns, boxes of a cell × {numbers})",
    }[layout]
    one = one_of_batch(array, axes=2 if layout == "rows" else 3, name=name, wanted=wanted)
    channels = one.shape[0] if layout == "maps" else one.shape[-1]
    if channels % numbers or (layout == "rows" and channels != numbers):
        raise wrong_shape(array, name=name, wanted=wanted)
    return np.moveaxis(one, 0, -1).reshape(-1, numbers) if layout == "maps" else one.reshape(-1, numbers)
