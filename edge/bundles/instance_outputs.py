"""Outputs of networks that give each thing a box and a mask of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.detection_outputs import YoloV5Output, YoloV8Output
from edge.bundles.detection_priors import BoxesOutput
from edge.bundles.parts import Part, Words
from edge.bundles.pictures import PictureClass

LABELS_MAX = 255


class InstancesOutput(Part):
    """YOLOv8-seg, YOLOv5-seg, Mask R-CNN: where masks overlap, the thing that scores more has the pixel."""

    decoder: Literal["instances"]
    detector: Annotated[YoloV8Output | YoloV5Output | BoxesOutput, Field(discriminator="decoder")] = Field(
        description="How boxes, classes and scores are read; the classes are the labels."
    )
    prototypes: Words | None = Field(
        default=None,
        description="Name of the output (1, prototypes, rows, columns): a mask is their sum, weighted by the "
        "unread_numbers of the thing's row.",
    )
    masks: Words | None = Field(
        default=None, description="Instead, with `boxes`: name of the output (things, 1, rows, columns)."
    )
    masks_of: Literal["input", "box"] = Field(
        default="input", description="What a mask covers: all of the input, or the thing's box."
    )
    stride_px: int = Field(
        default=4, ge=1, le=64, description="Pixels of the input for each of a mask that covers it."
    )
    scores_are: Literal["probabilities", "logits"] = Field(
        default="logits", description="Of masks, before or after the sigmoid; a sum of prototypes is before."
    )
    mask_min: float = Field(
        default=0.5, gt=0, lt=1, description="A pixel belongs to it from this on, 0 to 1."
    )
    area_min_px: int = Field(
        default=0, ge=0, le=100_000_000, description="A smaller thing is none; pixels of the input."
    )

    @check_all(mode="after")
    def _masks_are_given(self) -> InstancesOutput:
        if (self.prototypes is None) == (self.masks is None):
            raise ValueError("give either `prototypes` or `masks`")
        if (self.masks is not None) != isinstance(self.detector, BoxesOutput):
            raise ValueError("`masks` go with a detector `boxes`, `prototypes` with `yolov8` and `yolov5`")
        if not isinstance(self.detector, BoxesOutput):
            if not (self.detector.tables and self.detector.unread_numbers):
                raise ValueError("detector: prototypes need `tables` with unread_numbers")
            if isinstance(self.detector, YoloV5Output) and self.detector.form != "decoded":
                raise ValueError("detector: prototypes need a `decoded` table of yolov5")
            if self.masks_of == "box" or self.scores_are == "probabilities":
                raise ValueError("prototypes cover the input, and their sum is before the sigmoid")
        if len(self.detector.classes) > LABELS_MAX:
            raise ValueError(f"detector: {len(self.detector.classes)} classes, wanted at most {LABELS_MAX}")
        return self

    @property
    def labels(self) -> tuple[PictureClass, ...]:
        """What a pixel may be; the first is 1."""
        return self.detector.classes

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return tuple(name for name in (*self.detector.graph_outputs, self.prototypes, self.masks) if name)
