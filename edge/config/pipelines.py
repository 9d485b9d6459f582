"""What an operator may say about pipelines: what is looked at, with what, and how it is said."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.config.fields import Modality, Name, Section


class Select(Section):
    """Which series a pipeline is meant for; a series has to fulfil all of it."""

    modalities: tuple[Modality, ...] = Field(
        min_length=1, max_length=32, description="One of these modalities."
    )
    slices_min: int = Field(default=1, ge=1, le=100_000, description="At least this many slices.")
    spacing_max_mm: float = Field(
        default=1000.0, ge=0.01, le=1000, description="No side of a voxel longer than this many millimetres."
    )


class ImagingPipeline(Section):
    """What is done with series of one kind."""

    kind: Literal["imaging"] = Field(
        default="imaging", description="`imaging`: series of CT, MR …; what is meant where no kind is given."
    )
    name: Name = Field(description="Names the pipeline in findings and topics: …/finding/<name>; unique.")
    bundle: Name = Field(description="The bundle whose model looks at the series.")
    select: Select = Field(description="Which series.")
    deadline_s: float = Field(
        default=300.0,
        ge=0.1,
        le=86_400,
        description="Seconds the model may take for one volume; then NOT_ASSESSED.",
    )


class Pace(Section):
    """How quickly something that is seen is said, and how often."""

    age_max_ms: float = Field(
        default=500.0, ge=1, le=60_000, description="A frame older than this is given up, in ms."
    )
    gap_max_ms: float = Field(
        default=2000.0,
        ge=10,
        le=600_000,
        description="Without an assessed frame for so long, in ms, the finding is NOT_ASSESSED.",
    )
    settle_ms: float = Field(
        default=300.0,
        ge=0,
        le=60_000,
        description="What is seen must last so long, in ms, before it is said.",
    )
    vanish_ms: float = Field(
        default=1000.0,
        ge=0,
        le=60_000,
        description="A thing that was not seen again for so long, in ms, is over.",
    )
    summary_s: float = Field(
        default=60.0,
        ge=1,
        le=86_400,
        description="Seconds between two findings about something that does not change.",
    )


class VideoPipeline(Section):
    """What is looked for in the pictures of cameras, by a bundle that judges whole pictures."""

    kind: Literal["video"] = Field(description="`video`: pictures of cameras.")
    name: Name = Field(description="Names the pipeline in findings and topics: …/finding/<name>; unique.")
    bundle: Name = Field(description="The bundle whose model looks at the pictures.")
    sources: tuple[Name, ...] = Field(min_length=1, max_length=64, description="Names of camera sources.")
    pace: Pace = Field(default=Pace(), description="How quickly something is said, and how often.")
    deadline_ms: float = Field(
        default=250.0, ge=1, le=60_000, description="Milliseconds the model may take for one picture."
    )


Pipeline = Annotated[ImagingPipeline | VideoPipeline, Field(discriminator="kind")]
LivePipeline = VideoPipeline
