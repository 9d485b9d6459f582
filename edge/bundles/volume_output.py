"""What comes out of a network of volumes, how it becomes a label map, and how that is cleaned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import CodeEntry, Part, Words, check_names_differ

BY_LABEL = ("sigmoid", "sigmoid_in_graph")
"""Decoders with one channel for each label and none for the background."""


class Label(Part):
    """One structure; the first of the list is label 1, background is 0."""

    name: Words = Field(description="Short, as it appears in files and findings.")
    code: CodeEntry = Field(description="What it is in public terms.")
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Sigmoid decoders: marked from this probability on; 0.5 where not given."
    )
    channel: int | None = Field(
        default=None,
        ge=0,
        le=253,
        description="Sigmoid decoders: which of the graph's channels; its place in the list where not given.",
    )


class FieldOfView(Part):
    """When a structure counts as cut off by the edge of the picture."""

    margin_mm: float = Field(
        ge=0,
        le=20,
        description="Voxels this near reach a face, mm; one layer at least.",
    )
    contact_min_mm2: float = Field(ge=0, le=100_000, description="Reached by at least this area, in mm².")
    continuing_labels: tuple[Words, ...] = Field(
        default=(), description="Labels that leave the picture by nature and do not count: the brainstem."
    )


class Output(Part):
    """What comes out, and how it becomes a label map."""

    name: Words = Field(description="Name of the graph's output.")
    decoder: Literal["labels", "logits", "probabilities", "sigmoid", "sigmoid_in_graph"] = Field(
        description="How numbers become labels; see the table."
    )
    largest_component_only: bool = Field(description="Keep the largest connected piece.")
    component_min_ml: float = Field(
        default=0.0, ge=0, le=10_000, description="Connected pieces smaller than this are left out, mL."
    )
    pieces_of: Literal["union", "label"] = Field(
        default="union", description="What is connected: everything marked, or each label by itself."
    )
    fill_holes: bool = Field(description="Give enclosed background the nearest label.")
    field_of_view: FieldOfView = Field(description="When a structure counts as cut.")
    labels: tuple[Label, ...] = Field(min_length=1, max_length=254, description="The first is label 1.")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the labels, in their order."""
        return tuple(label.name for label in self.labels)

    @property
    def classes(self) -> int:
        """Channels of scores that the graph gives."""
        return len(self.labels) + (self.decoder not in BY_LABEL)

    @property
    def channels(self) -> tuple[int, ...]:
        """For sigmoid decoders: the graph's channel of each label."""
        return tuple(n if label.channel is None else label.channel for n, label in enumerate(self.labels))

    @property
    def thresholds(self) -> tuple[float, ...]:
        """For sigmoid decoders: the probability from which on each label is marked."""
        return tuple(0.5 if label.threshold is None else label.threshold for label in self.labels)

    @check_all(mode="after")
    def _labels_agree(self) -> Output:
        check_names_differ(list(self.names), where="output.labels")
        if self.decoder in BY_LABEL:
            if sorted(self.channels) != list(range(len(self.labels))):
                seen = ", ".join(map(str, self.channels))
                raise ValueError(f"labels: each of the graph's channels once, from 0 on, seen {seen}")
        elif any(label.threshold is not None or label.channel is not None for label in self.labels):
            raise ValueError("labels: `threshold` and `channel` go with the sigmoid decoders")
        if self.largest_component_only and self.component_min_ml:
            raise ValueError("`component_min_ml` says nothing where only the largest piece stays")
        return self
