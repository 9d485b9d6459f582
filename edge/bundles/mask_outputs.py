"""Outputs of networks that say for each pixel what it is, and what belongs together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import Part, Words, check_names_differ
from edge.bundles.pictures import PictureClass

Threshold = Annotated[float, Field(gt=0, lt=1)]
Channel = Annotated[int, Field(ge=0, le=4096)]
Form = Literal["probabilities", "logits"]


class Map(Part):
    """One channel of an output."""

    output: Words = Field(description="Name of the graph's output; may be that of the labels.")
    channel: Channel = Field(default=0, description="Which; in the output of the labels, after theirs.")


class Components(Part):
    """Pixels of one label that touch are one thing."""

    by: Literal["components"]
    neighbours: Literal[4, 8] = Field(default=8, description="4: pixels touch by sides, 8: by corners, too.")


class Boundary(Part):
    """A channel for borders parts what touches: seeds are what is no border, and grow until they meet."""

    by: Literal["boundary"]
    border: Map = Field(description="Channel of the borders.")
    border_is: Form = Field(default="logits", description="Before or after the sigmoid.")
    border_max: Threshold = Field(default=0.5, description="A seed has less border than this, 0 to 1.")
    seed_min_px: int = Field(default=1, ge=1, le=1_000_000, description="A smaller seed is none.")


class Distance(Part):
    """A channel that is highest in the middle of each thing: its peaks are seeds, and grow downhill."""

    by: Literal["distance"]
    height: Map = Field(
        description="Channel of the distance from the border, or of centres; higher is inner."
    )
    height_min: float = Field(description="A seed is at least so high.")
    apart_min_px: int = Field(default=5, ge=1, le=1000, description="Peaks nearer than this are one.")
    smooth_px: float = Field(
        default=0.0, ge=0, le=100, description="Standard deviation of a blur before, against double peaks."
    )
    prominence_min: float = Field(
        default=0.0,
        ge=0,
        description="A peak that rises less above the pass to a higher one is part of that one's thing.",
    )


class CentreOffset(Part):
    """Each pixel points to the centre of its thing (Panoptic-DeepLab)."""

    by: Literal["centre-offset"]
    centre: Map = Field(description="Channel of the centres, 0 to 1.")
    offset_y: Map = Field(description="Channel of rows from a pixel to its centre.")
    offset_x: Map = Field(description="Channel of columns from a pixel to its centre.")
    offset_unit: Literal["px", "cells"] = Field(
        default="px", description="Pixels of the input, or cells of the output."
    )
    centre_min: Threshold = Field(default=0.1, description="A centre is at least so sure.")
    apart_min_px: int = Field(default=7, ge=1, le=1000, description="Centres nearer than this are one.")


class Rectangles(Part):
    """What touches is a rectangle that grows: lines of text of a DBNet (arXiv 1911.08947)."""

    by: Literal["rectangles"]
    grow_ratio: float = Field(
        default=1.5, ge=0, le=10, description="Each side moves out by area x this / perimeter."
    )
    side_min_px: int = Field(
        default=3, ge=1, le=1000, description="With a shorter side, before it grows, it is none."
    )


ThingsRule = Annotated[
    Components | Boundary | Distance | CentreOffset | Rectangles, Field(discriminator="by")
]


class LabelsPixels(Part):
    """What all networks for masks share."""

    name: Words = Field(description="Name of the graph's output.")
    labels: tuple[PictureClass, ...] = Field(
        min_length=1, max_length=255, description="In the graph's order, without background; the first is 1."
    )
    stride_px: int = Field(default=1, ge=1, le=64, description="Pixels of the input for each of the output.")
    things: ThingsRule = Field(
        default=Components(by="components"), description="Which pixels belong together."
    )
    area_min_px: int = Field(
        default=0, ge=0, le=100_000_000, description="A smaller thing is none; pixels of the input."
    )
    fill_holes: bool = Field(
        default=False, description="Whether background enclosed by a thing is part of it."
    )

    @check_all(mode="after")
    def _names_differ(self) -> LabelsPixels:
        check_names_differ([one.name for one in self.labels], where="labels")
        taken = [(one.output, one.channel) for one in self.maps]
        if len(set(taken)) < len(taken):
            raise ValueError("things: two maps are the same channel")
        if any(one.output == self.name and one.channel < self.label_channels for one in self.maps):
            raise ValueError(f"things: the first {self.label_channels} channels of {self.name!r} are labels")
        return self

    @property
    def maps(self) -> tuple[Map, ...]:
        """Channels that tell things apart."""
        match self.things:
            case Boundary(border=border):
                return (border,)
            case Distance(height=height):
                return (height,)
            case CentreOffset(centre=centre, offset_y=offset_y, offset_x=offset_x):
                return (centre, offset_y, offset_x)
        return ()

    @property
    def label_channels(self) -> int:
        """How many channels of the output are about labels; 0: it has no channels."""
        return len(self.labels)

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return tuple(dict.fromkeys((self.name, *(one.output for one in self.maps))))


class LabelMapOutput(LabelsPixels):
    """The graph has decided: a number for each pixel."""

    decoder: Literal["labels"]
    has_background: bool = Field(
        default=True,
        description="Whether 0 is background; else 0 is the first label, and every pixel has one.",
    )

    @property
    def label_channels(self) -> int:
        """No channels: one number for each pixel."""
        return 0

    @check_all(mode="after")
    def _maps_are_elsewhere(self) -> LabelMapOutput:
        if any(one.output == self.name for one in self.maps):
            raise ValueError(f"things: {self.name!r} holds labels and no maps")
        return self


class LogitsOutput(LabelsPixels):
    """Labels exclude each other: the highest wins."""

    decoder: Literal["logits"]
    layout: Literal["NCHW", "NHWC"] = Field(default="NCHW", description="Where the channels stand.")
    has_background: bool = Field(
        default=True, description="Whether channel 0 is background; else every pixel gets a label."
    )
    decided_at: Literal["source", "input"] = Field(
        default="source", description="Scores are scaled to the source before, or labels after the decision."
    )

    @property
    def label_channels(self) -> int:
        """Labels, and background where it has a channel."""
        return len(self.labels) + self.has_background


class SigmoidOutput(LabelsPixels):
    """Each label by itself; where several pass, the later one wins."""

    decoder: Literal["sigmoid"]
    layout: Literal["NCHW", "NHWC"] = Field(default="NCHW", description="Where the channels stand.")
    scores_are: Form = Field(default="logits", description="Before or after the sigmoid.")
    thresholds: tuple[Threshold, ...] = Field(
        min_length=1, max_length=255, description="For each label: a pixel has it from this score on."
    )
    decided_at: Literal["source", "input"] = Field(
        default="source", description="Scores are scaled to the source before, or labels after the decision."
    )

    @check_all(mode="after")
    def _each_label_has_a_threshold(self) -> SigmoidOutput:
        if len(self.thresholds) != len(self.labels):
            raise ValueError(f"thresholds: seen {len(self.thresholds)}, wanted {len(self.labels)}")
        return self
