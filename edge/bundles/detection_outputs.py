"""Outputs of detectors: how the numbers of each family become boxes, classes, scores and points."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import CodeEntry, Part, Share, Words, check_names_differ
from edge.bundles.pictures import PictureClass

Stride = Annotated[int, Field(ge=1, le=1024)]
Strides = Annotated[tuple[Stride, ...], Field(min_length=1, max_length=8)]
Side = Annotated[float, Field(gt=0, le=65_536)]
Shape = tuple[Side, Side]
Outputs = Annotated[tuple[Words, ...], Field(max_length=32)]
Layout = Literal["rows", "columns", "maps", "maps-last"]
ScoreForm = Literal["probabilities", "logits"]

LAYOUT = (
    "Axes after the batch of 1: `rows` (cells, numbers), `columns` (numbers, cells), `maps` (numbers, rows, "
    "columns), `maps-last` (rows, columns, numbers)."
)
PER_STRIDE = "one for all strides, or one for each in the order of strides_px"


class PointEntry(Part):
    """One point that a network places."""

    name: Words = Field(description="Short, as it appears in findings.")
    code: CodeEntry | None = Field(default=None, description="What it is in public terms, where known.")


class FindsThings(Part):
    """What all detectors share: what may be found, and which candidates are things."""

    classes: tuple[PictureClass, ...] = Field(
        min_length=1, max_length=4096, description="In the graph's order, without background."
    )
    points: tuple[PointEntry, ...] = Field(
        default=(), max_length=1024, description="That each thing has, in the graph's order."
    )
    point_numbers: Literal[2, 3] = Field(
        default=2, description="Numbers of a point: x and y, or also a third that is not read."
    )
    score_min: Share = Field(default=0.25, description="What scores less is no thing, 0 to 1.")
    things_max: int = Field(default=300, ge=1, le=10_000, description="The best so many are kept.")

    @check_all(mode="after")
    def _names_differ(self) -> FindsThings:
        check_names_differ([one.name for one in self.classes], where="classes")
        check_names_differ([one.name for one in self.points], where="points")
        return self


class Overlapping(FindsThings):
    """Detectors that see one thing several times, so that the best candidate suppresses others."""

    iou_max: Share = Field(
        default=0.5,
        description="A candidate that overlaps a better one by more is the same thing; 1 keeps all.",
    )
    across_classes: bool = Field(
        default=False, description="Whether a candidate is suppressed by a better one of another class, too."
    )
    several_classes: bool = Field(
        default=False, description="Whether a box is a thing of each class above score_min; else of the best."
    )
    candidates_max: int = Field(
        default=1000, ge=1, le=100_000, description="The best so many enter the suppression."
    )


class YoloxOutput(Overlapping):
    """YOLOX and its kin: one box for each cell of several grids, with objectness."""

    decoder: Literal["yolox"]
    tables: Outputs = Field(
        default=(), description=f"Names of outputs with box, objectness, classes, points: {PER_STRIDE}."
    )
    boxes: Outputs = Field(default=(), description=f"Instead of tables, outputs with boxes: {PER_STRIDE}.")
    objectness: Outputs = Field(default=(), description="Beside boxes: one number for each cell.")
    scores: Outputs = Field(default=(), description="Beside boxes: one number for each class.")
    point_outputs: Outputs = Field(default=(), description="Beside boxes, where there are points.")
    layout: Layout = Field(default="rows", description=LAYOUT)
    strides_px: Strides = Field(default=(8, 16, 32), description="Sides of the cells.")
    decoded: bool = Field(
        default=False, description="Whether boxes are cx, cy, w, h in pixels already; else relative to cells."
    )
    scores_are: ScoreForm = Field(description="Before or after the sigmoid.")
    confidence: Literal["product", "geometric-mean"] = Field(
        default="product", description="Of objectness and class: the thing's score."
    )

    @check_all(mode="after")
    def _outputs_are_complete(self) -> YoloxOutput:
        _check_points(self.point_outputs, self.points)
        beside = (self.objectness, self.scores, *([self.point_outputs] if self.points else []))
        _check_one_form(self.tables, self.boxes, beside, strides=len(self.strides_px))
        return self

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return (*self.tables, *self.boxes, *self.objectness, *self.scores, *self.point_outputs)


class YoloV8Output(Overlapping):
    """YOLOv8 and its kin (v9, v11, PP-YOLOE, NanoDet): one box for each cell, no objectness."""

    decoder: Literal["yolov8"]
    tables: Outputs = Field(
        default=(), description=f"Names of outputs with box, classes, points: {PER_STRIDE}."
    )
    boxes: Outputs = Field(default=(), description=f"Instead of tables, outputs with boxes: {PER_STRIDE}.")
    scores: Outputs = Field(default=(), description="Beside boxes: one number for each class.")
    objectness: Outputs = Field(
        default=(), description="Beside boxes, if any: one number for each cell, as the centre-ness of FCOS."
    )
    confidence: Literal["product", "geometric-mean"] = Field(
        default="product",
        description="With objectness: of it and class, the thing's score; FCOS has the mean.",
    )
    point_outputs: Outputs = Field(default=(), description="Beside boxes, where there are points.")
    layout: Layout = Field(default="columns", description=LAYOUT)
    form: Literal["cxcywh", "xyxy", "ltrb", "dfl"] = Field(
        default="cxcywh",
        description="`cxcywh`, `xyxy`: decoded. `ltrb`: distances of the four sides from the middle of the "
        "cell, in cells. `dfl`: a distribution over such distances for each side.",
    )
    unit: Literal["px", "relative"] = Field(
        default="px", description="Of decoded boxes and points: pixels of the input, or shares of its sides."
    )
    cell_offset: Share = Field(
        default=0.5, description="With `ltrb` and `dfl`: where in a cell its middle is, 0.5; 0: its corner."
    )
    bins: int = Field(default=16, ge=2, le=64, description="Of each distribution, with `dfl`.")
    strides_px: Strides = Field(default=(8, 16, 32), description="Sides of the cells.")
    scores_are: ScoreForm = Field(description="Before or after the sigmoid.")
    unread_numbers: int = Field(
        default=0, ge=0, le=1024, description="At the end of each row of a table: coefficients of masks."
    )

    @check_all(mode="after")
    def _outputs_are_complete(self) -> YoloV8Output:
        _check_points(self.point_outputs, self.points)
        if self.tables and self.objectness:
            raise ValueError("objectness stands beside `boxes`; with a table for it, it is `yolox`")
        optional = [one for one in (self.objectness,) if one]
        beside = (self.scores, *optional, *([self.point_outputs] if self.points else []))
        _check_one_form(self.tables, self.boxes, beside, strides=len(self.strides_px))
        return self

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return (*self.tables, *self.boxes, *self.scores, *self.objectness, *self.point_outputs)


class YoloV5Output(Overlapping):
    """YOLOv3, v4, v5, v6, v7: boxes with objectness, decoded in the graph or relative to anchors."""

    decoder: Literal["yolov5"]
    tables: Annotated[Outputs, Field(min_length=1)] = Field(
        description="Names of outputs with box, objectness, classes, points: one, or one for each stride."
    )
    form: Literal["decoded", "v5", "v3"] = Field(
        default="decoded",
        description="`decoded`: cx, cy, w, h. `v5`: raw, sizes by the square of a sigmoid. `v3`: raw, sizes "
        "by the exponential.",
    )
    unit: Literal["px", "relative"] = Field(
        default="px", description="Of decoded boxes: pixels of the input, or shares of its sides."
    )
    layout: Literal["rows", "columns", "maps", "maps-last", "anchors"] = Field(
        default="rows", description=f"{LAYOUT} `anchors` (anchors, rows, columns, numbers)."
    )
    strides_px: Strides = Field(default=(8, 16, 32), description="Sides of the cells.")
    anchors_px: tuple[tuple[Shape, ...], ...] = Field(
        default=(), max_length=8, description="For raw forms: widths and heights for each stride."
    )
    scores_are: ScoreForm = Field(description="Before or after the sigmoid; in raw forms that of boxes, too.")
    unread_numbers: int = Field(
        default=0, ge=0, le=1024, description="At the end of each row: coefficients of masks."
    )

    @check_all(mode="after")
    def _anchors_go_with_raw_forms(self) -> YoloV5Output:
        if self.form == "decoded":
            wrong = bool(self.anchors_px) or len(self.tables) > 1 or self.layout not in ("rows", "columns")
            if wrong:
                raise ValueError("`decoded` is one table in `rows` or `columns`, and has no anchors_px")
            return self
        if len(self.anchors_px) != len(self.strides_px) or not all(self.anchors_px):
            raise ValueError(f"anchors_px: wanted some for each of {len(self.strides_px)} strides")
        if self.points:
            raise ValueError("points are read from `decoded` tables only")
        if len(self.tables) not in (1, len(self.strides_px)):
            raise ValueError(f"tables: wanted 1 or {len(self.strides_px)}, seen {len(self.tables)}")
        if len(self.tables) == 1 < len(self.strides_px) and self.layout not in ("rows", "columns"):
            raise ValueError("one table for all strides comes in `rows` or `columns`")
        return self

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return self.tables


def _check_points(outputs: tuple[str, ...], points: tuple[PointEntry, ...]) -> None:
    if outputs and not points:
        raise ValueError("point_outputs: there are no points")


def _check_one_form(
    tables: tuple[str, ...], boxes: tuple[str, ...], beside: tuple[tuple[str, ...], ...], *, strides: int
) -> None:
    """Refuse outputs that are neither all in tables nor all apart.

    Raises:
        ValueError: They are mixed, or too many, or too few.
    """
    if bool(tables) == bool(boxes) or (tables and any(beside)):
        raise ValueError("give either `tables` or `boxes` with all that stands beside them")
    count = len(tables or boxes)
    if count not in (1, strides):
        raise ValueError(f"wanted 1 output or one for each of {strides} strides, seen {count}")
    if boxes and any(len(other) != count for other in beside):
        raise ValueError(
            f"there are {count} outputs of boxes, wanted as many of each that stands beside them"
        )
