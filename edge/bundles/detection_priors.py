"""Outputs of detectors that start from given boxes, from centres, or have decoded everything themselves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.detection_outputs import FindsThings, Outputs, Overlapping, ScoreForm, Shape, Side, Stride
from edge.bundles.parts import Part, Share, Words

Order = Literal["xyxy", "yxyx", "xywh", "cxcywh"]
Unit = Literal["px", "relative"]
Background = Literal["none", "first", "last"]
Column = Literal["batch", "x0", "y0", "x1", "y1", "cx", "cy", "w", "h", "class", "score", "unread"]
Ratio = Annotated[float, Field(gt=0, le=100)]

CORNERS: tuple[frozenset[str], ...] = (
    frozenset(("x0", "y0", "x1", "y1")),
    frozenset(("x0", "y0", "w", "h")),
    frozenset(("cx", "cy", "w", "h")),
)


class PriorLevel(Part):
    """The boxes that a detector starts from on one of its grids."""

    stride_px: Side | tuple[Side, Side] = Field(
        description="Distance between the cells; two numbers, down and right, where they differ."
    )
    cells: tuple[Stride, Stride] | None = Field(
        default=None, description="Rows and columns of cells; else as many as cover the input."
    )
    sizes_px: tuple[Side, ...] = Field(
        default=(), max_length=64, description="Root of the area of a cell's boxes, with aspect_ratios."
    )
    aspect_ratios: tuple[Ratio, ...] = Field(
        default=(1.0,), min_length=1, max_length=64, description="Height over width, with sizes_px."
    )
    shapes_px: tuple[Shape, ...] = Field(
        default=(), max_length=256, description="Instead of sizes_px: width and height of each box of a cell."
    )

    @check_all(mode="after")
    def _has_boxes(self) -> PriorLevel:
        if bool(self.sizes_px) == bool(self.shapes_px):
            raise ValueError("give either `sizes_px` or `shapes_px`")
        return self


class AnchorsOutput(Overlapping):
    """SSD, RetinaNet, UltraFace, BlazeFace, SCRFD: deltas on boxes that are given beforehand."""

    decoder: Literal["anchors"]
    boxes: Annotated[Outputs, Field(min_length=1)] = Field(
        description="Names of outputs with deltas: one, or several that follow on each other."
    )
    scores: Annotated[Outputs, Field(min_length=1)] = Field(description="Likewise, with class scores.")
    point_outputs: Outputs = Field(
        default=(),
        description="Likewise, with points; where there are none, points follow each box's deltas.",
    )
    layout: Literal["rows", "maps", "maps-last"] = Field(
        default="rows",
        description="`rows` (boxes, numbers), `maps` (boxes of a cell × numbers, rows, columns), `maps-last` "
        "(rows, columns, boxes of a cell × numbers).",
    )
    levels: tuple[PriorLevel, ...] = Field(
        default=(), max_length=16, description="Grids of given boxes, in the order of the outputs."
    )
    priors_px: tuple[tuple[float, float, Side, Side], ...] = Field(
        default=(), max_length=20_000, description="Instead of levels: cx, cy, w, h of each given box."
    )
    cell_offset: Share = Field(
        default=0.5, description="Where in its cell a given box has its middle: 0 the corner, 0.5 the middle."
    )
    ratios_first: bool = Field(
        default=True,
        description="Order in a cell: all sizes of the first ratio first, else all ratios of a size.",
    )
    rounded: bool = Field(
        default=False, description="Whether the sides of given boxes are rounded, as torchvision does."
    )
    clamped: Literal["none", "sides", "all"] = Field(
        default="none", description="Which of cx, cy, w, h of given boxes are limited to those of the input."
    )
    coding: Literal["centre-size", "centre-size-linear", "ltrb"] = Field(
        default="centre-size",
        description="`centre-size`: shift of the middle, logarithm of the size. `centre-size-linear`: the "
        "size itself. `ltrb`: distances of the four sides from the middle. All in sides of the given box.",
    )
    variances: tuple[Ratio, Ratio] = Field(
        default=(0.1, 0.2),
        description="Deltas of middle (also sides, points) and size are multiplied by these.",
    )
    axes: Literal["xy", "yx"] = Field(default="xy", description="Which comes first in deltas and points.")
    scores_are: Literal["softmax", "sigmoid", "probabilities"] = Field(
        description="`softmax` and `sigmoid` are still to be taken; `probabilities`: 0 to 1 already."
    )
    background: Background = Field(default="none", description="Where the score of nothing stands.")

    @check_all(mode="after")
    def _priors_are_given(self) -> AnchorsOutput:
        if bool(self.levels) == bool(self.priors_px):
            raise ValueError("give either `levels` or `priors_px`")
        if self.point_outputs and not self.points:
            raise ValueError("point_outputs: there are no points")
        if self.scores_are == "softmax" and self.background == "none" and len(self.classes) == 1:
            raise ValueError("softmax of one class without background is always 1")
        return self

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return (*self.boxes, *self.scores, *self.point_outputs)


class CentresOutput(Overlapping):
    """CenterNet, CenterFace: a map of centres for each class, and maps of what lies there."""

    decoder: Literal["centres"]
    heat: Words = Field(description="Name of the output (1, classes, rows, columns).")
    size: Words = Field(description="Name of the output (1, 2, rows, columns).")
    offset: Words | None = Field(
        default=None, description="Name of the output (1, 2, rows, columns), if any."
    )
    point_output: Words | None = Field(
        default=None, description="Name of the output (1, 2 × points, rows, columns), where there are points."
    )
    stride_px: Stride = Field(default=4, description="Side of a cell.")
    scores_are: ScoreForm = Field(description="Before or after the sigmoid.")
    size_form: Literal["linear", "log"] = Field(default="linear", description="Of the sizes.")
    size_unit: Literal["cells", "px"] = Field(default="cells", description="Of the sizes.")
    axes: Literal["xy", "yx"] = Field(
        default="xy", description="Which comes first in sizes (w, h or h, w), offsets and points."
    )
    cell_offset: Share = Field(
        default=0.0, description="Added to cell and offset: 0 for CenterNet, 0.5 for CenterFace."
    )
    points_from: Literal["centre", "box"] = Field(
        default="centre",
        description="`centre`: in cells from the centre's cell. `box`: in shares of the box from its corner.",
    )
    peak_cells: Literal[1, 3, 5, 7] = Field(
        default=3, description="A centre is the highest in a square of so many cells; 1 leaves it to iou_max."
    )

    @check_all(mode="after")
    def _points_have_an_output(self) -> CentresOutput:
        if bool(self.points) != (self.point_output is not None):
            raise ValueError("points and point_output are given both or neither")
        if self.point_numbers != 2:
            raise ValueError("point_numbers: here a point has 2")
        return self

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return tuple(name for name in (self.heat, self.size, self.offset, self.point_output) if name)


class CandidatesOutput(Overlapping):
    """DETR, RT-DETR, exports with decoded boxes: boxes in the graph's own order, scores for each class."""

    decoder: Literal["candidates"]
    boxes: Words = Field(description="Name of the output (1, candidates, 4).")
    scores: Words = Field(description="Name of the output (1, candidates, classes), background included.")
    scores_layout: Literal["rows", "columns"] = Field(
        default="rows", description="`columns`: scores are (1, classes, candidates)."
    )
    order: Order = Field(description="Of the four numbers.")
    unit: Unit = Field(description="Pixels of the input, or shares of its sides.")
    scores_are: Literal["softmax", "sigmoid", "probabilities"] = Field(
        description="`softmax` and `sigmoid` are still to be taken; `probabilities`: 0 to 1 already."
    )
    background: Background = Field(default="none", description="Where the score of nothing stands.")

    @check_all(mode="after")
    def _has_no_points(self) -> CandidatesOutput:
        if self.points:
            raise ValueError("points: this decoder reads none")
        if self.scores_are == "softmax" and self.background == "none" and len(self.classes) == 1:
            raise ValueError("softmax of one class without background is always 1")
        return self

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return (self.boxes, self.scores)


class BoxesOutput(FindsThings):
    """Graphs that end with things: suppression is done."""

    decoder: Literal["boxes"]
    table: Words | None = Field(
        default=None, description="Name of one output (things, columns), then points; instead of boxes."
    )
    columns: tuple[Column, ...] = Field(
        default=(),
        max_length=32,
        description="Of the table: x0, y0, x1, y1 or x0, y0, w, h or cx, cy, w, h …",
    )
    boxes: Words | None = Field(default=None, description="Name of the output (things, 4).")
    scores: Words | None = Field(default=None, description="Name of the output (things), beside boxes.")
    labels: Words | None = Field(
        default=None, description="Name of the output (things), beside boxes; none where there is one class."
    )
    point_output: Words | None = Field(
        default=None, description="Name of the output (things, points, 2 or 3)."
    )
    count: Words | None = Field(
        default=None, description="Name of an output with one number: how many rows are things."
    )
    order: Order = Field(
        default="xyxy", description="Of the four numbers of a box, beside a table no matter."
    )
    unit: Unit = Field(default="px", description="Pixels of the input, or shares of its sides.")
    first_label: int = Field(
        default=0, ge=0, le=1000, description="Label of the first class: 1 where 0 is background."
    )

    @check_all(mode="after")
    def _outputs_are_complete(self) -> BoxesOutput:
        apart = (self.boxes, self.scores, self.labels, self.point_output)
        if (self.table is None) == (self.boxes is None) or (self.table is not None and any(apart)):
            raise ValueError("give either `table` with `columns`, or `boxes` with what stands beside them")
        if self.table is not None:
            self._check_columns()
        elif self.scores is None or self.columns:
            raise ValueError("beside `boxes` there are `scores` and no `columns`")
        elif bool(self.points) != (self.point_output is not None):
            raise ValueError("points and point_output are given both or neither")
        if self.labels is None and "class" not in self.columns and len(self.classes) > 1:
            raise ValueError("several classes need `labels` or a column `class`")
        return self

    def _check_columns(self) -> None:
        read = [name for name in self.columns if name != "unread"]
        if len(set(read)) < len(read):
            raise ValueError("columns: each may stand there once, `unread` aside")
        if set(read) - {"batch", "class", "score"} not in CORNERS or "score" not in read:
            raise ValueError("columns: wanted score and x0, y0, x1, y1 or x0, y0, w, h or cx, cy, w, h")

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        names = (self.table, self.boxes, self.scores, self.labels, self.point_output, self.count)
        return tuple(name for name in names if name)
