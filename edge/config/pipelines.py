"""What an operator may say about pipelines: what is looked at, and with what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.config.cameras import VideoPipeline
from edge.config.fields import Modality, Name, Section
from edge.config.spectral import HyperspectralPipeline, PixelSpectraPipeline, SpectrumPipeline
from edge.config.thermal import ThermalPipeline


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
        description="Seconds the model may take for one volume, or one picture; then NOT_ASSESSED.",
    )
    pictures_max: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="A bundle for pictures looks at each picture of a series; one with more, each frame "
        "counted, is NOT_ASSESSED.",
    )


MeasuringPipeline = HyperspectralPipeline | PixelSpectraPipeline | SpectrumPipeline
LivePipeline = VideoPipeline | ThermalPipeline
PipelineWithBundle = ImagingPipeline | VideoPipeline | PixelSpectraPipeline
Pipeline = Annotated[ImagingPipeline | LivePipeline | MeasuringPipeline, Field(discriminator="kind")]
