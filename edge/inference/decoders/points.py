"""Points of the one thing that a picture shows: from maps, from numbers, from distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundles.picture_outputs import CoordinatesOutput, HeatmapsOutput, SimccOutput
from edge.inference.decoders.raw import (
    Numbers,
    Outputs,
    RawPoints,
    check_probabilities,
    numbers_of,
    one_of_batch,
    sigmoid,
    softmax,
    wrong_shape,
)
from edge.inference.decoders.tables import Shape, grid_shape


def decode_heatmaps(outputs: Outputs, part: HeatmapsOutput, *, input_shape_px: Shape) -> RawPoints:
    """Decode maps: a point lies where its map is highest, x = (column + refinement + cell_offset) · stride.

    `quarter`: a quarter of a cell towards the higher neighbour (Newell and others, arXiv 1603.06937, section
    3.1). `parabola`: the top of the parabola through a cell and its two neighbours, at
    0.5 · (a - c) / (a - 2b + c) along each axis.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        input_shape_px: (height, width) of what the graph was given.

    Returns:
        Points in pixels of the input; a score below 0 or above 1 counts as 0 or 1.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    array, grid = numbers_of(outputs, part.name), grid_shape(input_shape_px, part.stride_px)
    count, is_last = len(part.points), part.layout == "NHWC"
    wanted = f"float {(1, *grid, count) if is_last else (1, count, *grid)}"
    maps = one_of_batch(array, axes=3, name=part.name, wanted=wanted)
    maps = np.moveaxis(maps, -1, 0) if is_last else maps
    if maps.shape != (count, *grid):
        raise wrong_shape(array, name=part.name, wanted=wanted)
    flat = maps.reshape(count, -1)
    places = flat.argmax(axis=1)
    rows, columns = np.unravel_index(places, grid)
    scores = _activated(flat, places, part.activation)
    across = np.pad(maps, ((0, 0), (0, 0), (1, 1)), mode="edge")
    down = np.pad(maps, ((0, 0), (1, 1), (0, 0)), mode="edge")
    each = np.arange(count)
    along_x = np.stack([across[each, rows, columns + step] for step in (0, 1, 2)])
    along_y = np.stack([down[each, rows + step, columns] for step in (0, 1, 2)])
    shift = np.stack([_shift(along_x, part.refine), _shift(along_y, part.refine)], axis=1)
    cells = np.stack([columns, rows], axis=1) + shift + part.cell_offset
    return RawPoints((cells * part.stride_px).astype(np.float32), scores)


def decode_coordinates(outputs: Outputs, part: CoordinatesOutput, *, input_shape_px: Shape) -> RawPoints:
    """Decode numbers for each point.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        input_shape_px: (height, width) of what the graph was given.

    Returns:
        Points in pixels of the input; their score is 1 where the graph gives none.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    array = numbers_of(outputs, part.name)
    count, width = len(part.points), len(part.numbers)
    if array.size != count * width or not {width, count * width} & {array.shape[-1] if array.ndim else 0}:
        raise wrong_shape(array, name=part.name, wanted=f"float (1, {count}, {width})")
    table = array.reshape(count, width)
    points = table[:, [part.numbers.index("x"), part.numbers.index("y")]]
    sides = np.array(input_shape_px[::-1], np.float32)
    if part.unit == "relative":
        points = np.asarray(points * sides, np.float32)
    if part.unit == "signed":
        points = np.asarray((points + 1) / 2 * sides, np.float32)
    scores = np.ones(count, np.float32)
    if "score" in part.numbers:
        scores = table[:, part.numbers.index("score")]
        if part.scores_are == "logits":
            scores = sigmoid(scores)
        check_probabilities(scores, name=part.name)
    return RawPoints(np.asarray(points, np.float32), scores.clip(0, 1))


def decode_simcc(outputs: Outputs, part: SimccOutput, *, input_shape_px: Shape) -> RawPoints:
    """Decode one distribution over columns and one over rows: x = bin / bins_per_px + pixel_offset.

    After SimCC, arXiv 2107.03332, and `SimCCLabel.decode` of mmpose, which counts from the middle of the
    first pixel and takes the lower of both heights as score.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        input_shape_px: (height, width) of what the graph was given.

    Returns:
        Points in pixels of the input; a score below 0 or above 1 counts as 0 or 1.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    found = []
    for name, side in ((part.columns, input_shape_px[1]), (part.rows, input_shape_px[0])):
        array = numbers_of(outputs, name)
        shape = (len(part.points), round(side * part.bins_per_px))
        shares = one_of_batch(array, axes=2, name=name, wanted=f"float {(1, *shape)}")
        if shares.shape != shape:
            raise wrong_shape(array, name=name, wanted=f"float {(1, *shape)}")
        bins = shares.argmax(axis=1)
        found.append((bins / part.bins_per_px + part.pixel_offset, _activated(shares, bins, part.activation)))
    (x, x_scores), (y, y_scores) = found
    return RawPoints(np.stack([x, y], axis=1).astype(np.float32), np.minimum(x_scores, y_scores))


def _activated(flat: Numbers, places: NDArray[np.intp], activation: str) -> Numbers:
    """Return the score at one place of each row, 0 to 1."""
    each = np.arange(len(flat))
    if activation == "softmax":
        return softmax(flat)[each, places]
    values = flat[each, places]
    return sigmoid(values) if activation == "sigmoid" else np.asarray(values.clip(0, 1), np.float32)


def _shift(three: Numbers, refine: str) -> NDArray[np.float64]:
    """Return how far the top lies from the middle of three neighbours, (3, points), -0.5 to 0.5 cells."""
    before, here, after = three.astype(np.float64)
    if refine == "quarter":
        return np.asarray(0.25 * np.sign(after - before))
    if refine == "none":
        return np.zeros_like(here)
    bend = before - 2 * here + after
    return np.asarray(0.5 * (before - after) / np.where(bend < 0, bend, -np.inf), np.float64)
