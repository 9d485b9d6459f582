"""What an operator may say about pipelines: what is looked at, with what, and how it is said."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

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


Fraction = Annotated[float, Field(ge=0, le=1)]
RegionName = Annotated[str, Field(min_length=1, max_length=64)]


class ThermalRegion(Section):
    """A named part of the picture."""

    name: RegionName = Field(description="Names it in findings; unique.")
    corners: tuple[tuple[Fraction, Fraction], ...] = Field(
        min_length=2,
        max_length=64,
        description="(x, y) from the upper left, 0 to 1: two of a rectangle, or three or more of a polygon.",
    )


class ThermalPair(Section):
    """Two regions that should be equally warm."""

    left: RegionName = Field(description="Name of one; the patient's left, where that is meant.")
    right: RegionName = Field(description="Name of the other.")


class ThermalPipeline(Section):
    """What is measured in the pictures of thermal cameras."""

    kind: Literal["thermal"] = Field(description="`thermal`: temperatures of regions, spots, asymmetry.")
    name: Name = Field(description="Names the pipeline in findings and topics: …/finding/<name>; unique.")
    sources: tuple[Name, ...] = Field(min_length=1, max_length=64, description="Names of thermal sources.")
    regions: tuple[ThermalRegion, ...] = Field(
        default=(), max_length=64, description="What is measured; left out: the whole picture."
    )
    pairs: tuple[ThermalPair, ...] = Field(
        default=(), max_length=64, description="Which regions are compared with each other."
    )
    judged_by: Literal["maximum", "mean", "p5", "p50", "p95"] = Field(
        default="p95", description="Which number of a region decides about limits and asymmetry."
    )
    limit_enter_celsius: float | None = Field(
        default=None,
        ge=-100,
        le=1500,
        description="A region this warm is above the limit, °C.",
    )
    limit_stay_celsius: float | None = Field(
        default=None, ge=-100, le=1500, description="It stays so down to this, °C."
    )
    asymmetry_enter_k: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="A pair that differs by this is asymmetric, K.",
    )
    asymmetry_stay_k: float | None = Field(
        default=None, ge=0, le=1000, description="It stays so down to this, K."
    )
    spot_enter_celsius: float | None = Field(
        default=None, ge=-100, le=1500, description="A hot spot has a pixel this warm, °C; left out: none."
    )
    spot_stay_celsius: float | None = Field(
        default=None, ge=-100, le=1500, description="It reaches as far as pixels are this warm, °C."
    )
    spot_area_min_px: int = Field(default=4, ge=1, le=1_000_000, description="Smaller spots do not count.")
    spots_in: tuple[RegionName, ...] = Field(
        default=(), max_length=64, description="Regions in which spots are looked for; left out: everywhere."
    )
    saturated_fraction_max: Fraction = Field(
        default=0.05, description="With more of a region saturated it is not assessed."
    )
    assumed_is_enough: bool = Field(
        default=True, description="Whether a calibration that nobody checked will do; else NOT_ASSESSED."
    )
    unevenness_k: float = Field(
        default=0.3, ge=0, le=100, description="Unevenness and noise of the camera within one picture, K."
    )
    pace: Pace = Field(default=Pace(), description="How quickly something is said, and how often.")

    @model_validator(mode="after")
    def _names_and_limits_agree(self) -> Self:
        names = [region.name for region in self.regions]
        asked = [name for pair in self.pairs for name in (pair.left, pair.right)] + list(self.spots_in)
        if len(names) != len(set(names)):
            raise ValueError(f"regions are called {', '.join(names)}; wanted each name once")
        for name in asked:
            if name not in names:
                raise ValueError(f"no region is called '{name}'; there are: {', '.join(names) or 'none'}")
        limits = {
            "limit_stay_celsius": (self.limit_enter_celsius, self.limit_stay_celsius),
            "asymmetry_stay_k": (self.asymmetry_enter_k, self.asymmetry_stay_k),
            "spot_stay_celsius": (self.spot_enter_celsius, self.spot_stay_celsius),
        }
        for name, (enter, stay) in limits.items():
            if stay is not None and (enter is None or stay > enter):
                raise ValueError(f"{name} is {stay:g}; wanted at most what it takes to enter, {enter}")
        return self


Pipeline = Annotated[ImagingPipeline | VideoPipeline | ThermalPipeline, Field(discriminator="kind")]
LivePipeline = VideoPipeline | ThermalPipeline
PipelineWithBundle = ImagingPipeline | VideoPipeline
