"""Which pixel of a picture is what: scores or labels of a graph, carried to the picture and decided there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.mask_outputs import LabelMapOutput, LogitsOutput, SigmoidOutput
from edge.domain.errors import InferenceError
from edge.domain.geometry import Geometry
from edge.inference.decoders.deciding import decided
from edge.inference.decoders.parting import Labels, Scale, Things, counted, part_things
from edge.inference.decoders.placement import Placement, source_in_input
from edge.inference.decoders.raw import (
    Numbers,
    Outputs,
    array_of,
    check_probabilities,
    logit,
    numbers_of,
    one_of_batch,
    wrong_shape,
)
from edge.inference.decoders.tables import Shape, grid_shape

MaskPart = LabelMapOutput | LogitsOutput | SigmoidOutput


@dataclass(frozen=True, slots=True, eq=False)
class RawMask:
    """Which pixel of the source is what, and which belong together.

    Attributes:
        labels: (height, width) uint8, read-only; 0 is background.
        things: (height, width) int32, read-only: from 1 on, 0 for background; each has one label.
    """

    labels: Labels
    things: Things

    def __post_init__(self) -> None:
        assert self.labels.shape == self.things.shape, "things lie on the grid of the labels"
        self.labels.flags.writeable = self.things.flags.writeable = False


def decode_mask(outputs: Outputs, part: MaskPart, *, geometry: Geometry) -> RawMask:
    """Decide for each pixel of the source what it is, and which of them belong together.

    Where it is decided at the source, scores are scaled before, so that the borders of a small output are as
    smooth as the network has drawn them; else at the input, and labels are scaled to the nearest. What a
    cropped input does not show is background.

    Args:
        outputs: Of the graph.
        part: Of the manifest.
        geometry: Where the source lies in what the graph was given.

    Raises:
        InferenceError: The outputs are not what the manifest promises.
    """
    planes = read_planes(outputs, part, input_shape_px=geometry.input_shape_px)
    stride = part.stride_px
    source = source_in_input(geometry)
    if not isinstance(part, LabelMapOutput) and part.decided_at == "source":
        labels, things = planes.decide(source.coarser(stride), Scale(*source.pixels_per_step, stride))
        return trimmed(labels, things, source, geometry)
    rows, columns = geometry.shown
    shown = Placement(
        shape=(rows.stop - rows.start, columns.stop - columns.start),
        step=(1.0, 1.0),
        start=(float(rows.start), float(columns.start)),
    )
    labels, things = planes.decide(shown.coarser(stride), Scale(1.0, 1.0, stride))
    top, left = source.start
    onto = replace(source, start=(top - rows.start, left - columns.start))
    spread = onto.nearest(things)
    if max(onto.step) > 1:  # a thing may lie between the pixels of a smaller picture
        spread = counted(spread)
    return trimmed(onto.nearest(labels), spread, source, geometry)


def trimmed(labels: Labels, things: Things, source: Placement, geometry: Geometry) -> RawMask:
    """Return a mask without what the input does not show; its things stay numbered without gaps."""
    rows, columns = source.outside(geometry.input_shape_px)
    if not (rows.any() or columns.any()):
        return RawMask(labels, things)
    for array in (labels, things):
        array[rows] = 0
        array[:, columns] = 0
    return RawMask(labels, counted(things))


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Checked outputs of a network for masks.

    Attributes:
        part: Of the manifest.
        labels: (channels, rows, columns) scores, or (rows, columns) labels where the graph has decided.
        maps: (rows, columns) each: what tells things apart.
    """

    part: MaskPart
    labels: NDArray[Any]
    maps: list[Numbers]

    def decide(self, grid: Placement, scale: Scale) -> tuple[Labels, Things]:
        """Return labels and things on a grid; `grid` lies among the cells of the output."""
        part = self.part
        return part_things(
            self._labels(grid),
            [grid.linear(plane) for plane in self.maps],
            rule=part.things,
            area_min_px=part.area_min_px,
            fill_holes=part.fill_holes,
            scale=scale,
        )

    def _labels(self, grid: Placement) -> Labels:
        """Return labels, 0 for background."""
        part = self.part
        if isinstance(part, LabelMapOutput):
            return grid.nearest(self.labels)
        if isinstance(part, LogitsOutput):
            return decided(self.labels, grid, partial(_highest, first=0 if part.has_background else 1))
        least = [logit(one) if part.scores_are == "logits" else one for one in part.thresholds]
        return decided(self.labels, grid, partial(_last_to_pass, least=least))


def _highest(planes: Iterable[Numbers], *, first: int) -> Labels:
    """Return the number of the plane that is the highest at each place; of several the first."""
    highest: Numbers | None = None
    for number, plane in enumerate(planes, start=first):
        if highest is None:
            highest, labels = plane.copy(), np.full(plane.shape, number, np.uint8)
            continue
        np.copyto(labels, np.uint8(number), where=plane > highest)
        np.maximum(highest, plane, out=highest)
    return labels


def _last_to_pass(planes: Iterable[Numbers], *, least: Sequence[float]) -> Labels:
    """Return the number, from 1 on, of the last plane that is at least so high at each place, 0 for none."""
    labels: Labels | None = None
    for number, (plane, low) in enumerate(zip(planes, least, strict=True), start=1):
        if labels is None:
            labels = np.zeros(plane.shape, np.uint8)
        np.copyto(labels, np.uint8(number), where=plane >= low)
    assert labels is not None, "there is a label"
    return labels


def read_planes(outputs: Outputs, part: MaskPart, *, input_shape_px: Shape) -> Planes:
    """Check the outputs of a network for masks.

    Raises:
        InferenceError: They are not what the manifest promises.
    """
    grid = grid_shape(input_shape_px, part.stride_px)
    maps = [
        _channels(outputs, one.output, part, grid=grid, least=one.channel + 1)[one.channel]
        for one in part.maps
    ]
    if isinstance(part, LabelMapOutput):
        return Planes(part, _label_map(outputs, part, grid=grid), maps)
    behind = [one.channel + 1 for one in part.maps if one.output == part.name]
    exact = max([part.label_channels, *behind])
    scores = _channels(outputs, part.name, part, grid=grid, least=exact, exact=True)[: part.label_channels]
    if isinstance(part, SigmoidOutput) and part.scores_are == "probabilities":
        check_probabilities(scores, name=part.name)
    return Planes(part, scores, maps)


def _channels(
    outputs: Outputs, name: str, part: MaskPart, *, grid: Shape, least: int, exact: bool = False
) -> Numbers:
    """Return (channels, rows, columns) of one output."""
    array = numbers_of(outputs, name)
    is_last = not isinstance(part, LabelMapOutput) and part.layout == "NHWC"
    count = str(least) if exact else f"{least} or more"
    shape = f"{grid[0]}, {grid[1]}"
    wanted = f"float (1, {shape}, {count})" if is_last else f"float (1, {count}, {shape})"
    if array.ndim == 3 and least == 1 and array.shape == (1, *grid):
        return array
    one = one_of_batch(array, axes=3, name=name, wanted=wanted)
    planes = np.moveaxis(one, -1, 0) if is_last else one
    if planes.shape[1:] != grid or len(planes) < least or (exact and len(planes) != least):
        raise wrong_shape(array, name=name, wanted=wanted)
    return planes


def _label_map(outputs: Outputs, part: LabelMapOutput, *, grid: Shape) -> Labels:
    """Return (rows, columns) of an output that holds labels, background 0.

    Raises:
        InferenceError: It has another form, or holds a label that there is not.
    """
    array = array_of(outputs, part.name)
    if array.dtype.kind not in "iub" or array.size != math.prod(grid) or grid not in _cuts(array.shape):
        raise wrong_shape(array, name=part.name, wanted=f"whole numbers (1, {grid[0]}, {grid[1]})")
    last = len(part.labels) if part.has_background else len(part.labels) - 1
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > last:
        raise InferenceError(f"output {part.name!r} holds labels {low} to {high}, wanted 0 to {last}")
    labels = array.reshape(grid).astype(np.uint8)
    return labels if part.has_background else labels + np.uint8(1)


def _cuts(shape: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Return all pairs of neighbouring sides."""
    return {shape[first : first + 2] for first in range(len(shape) - 1)}
