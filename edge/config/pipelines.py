"""What an operator may say about pipelines: what is looked at, with what, and how it is said."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.config.fields import DAY_PATTERN, Digest, Modality, Name, Section


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


class LocalValidation(Section):
    """What the site declares after it has looked at its own report (`edge bundle validate`)."""

    bundle_sha256: Digest = Field(description="Digest of the bundle that was validated, 64 hex digits.")
    validated_by: str = Field(min_length=1, max_length=128, description="Who answers for it.")
    validated_on: str = Field(pattern=DAY_PATTERN, description="Day, such as 2026-11-22.")
    report_sha256: Digest = Field(description="Digest of the report's file, 64 hex digits.")


class PixelGate(Section):
    """A pipeline that guards pixels: its cameras' pictures leave only while what it looks for is there."""

    enter_ms: float = Field(
        default=2000.0, ge=1, le=600_000, description="Scores must stay high for so long, in ms, to open it."
    )
    enter_frames_min: int = Field(default=10, ge=2, le=100_000, description="And in at least so many frames.")
    local_validation: LocalValidation | None = Field(
        default=None, description="Left out: nothing ever leaves. Only a person at the box can write it."
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
    gate: PixelGate | None = Field(
        default=None, description="Left out: this pipeline lets no picture of its cameras leave."
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
        default=(), min_length=0, max_length=64, description="What is measured; left out: the whole picture."
    )
    pairs: tuple[ThermalPair, ...] = Field(
        default=(), min_length=0, max_length=64, description="Which regions are compared with each other."
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
        default=(),
        min_length=0,
        max_length=64,
        description="Regions in which spots are looked for; left out: everywhere.",
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


class AnomalyRules(Section):
    """How pixels unlike the rest of a cube are found (RX)."""

    quantile: float = Field(
        default=0.9999,
        ge=0.9,
        le=0.9999999,
        description="Of the chi-square distribution; above counts.",
    )
    trim_share: float = Field(
        default=0.05, ge=0, le=0.5, description="The most unlike pixels that do not count as background."
    )
    area_min_px: int = Field(default=6, ge=1, le=1_000_000, description="Smaller places are not counted.")


class MaterialOption(Section):
    """A spectrum that is looked for."""

    name: RegionName = Field(description="Unique among the materials.")
    wavelengths_nm: tuple[float, ...] = Field(min_length=3, max_length=4096, description="Increasing, nm.")
    values: tuple[float, ...] = Field(min_length=3, max_length=4096, description="Reflectance, one for each.")


class IndexOption(Section):
    """A number out of two wavelengths."""

    name: RegionName = Field(description="Unique among the indices.")
    formula: Literal["normalised-difference", "ratio"] = Field(description="(a - b) / (a + b), or a / b.")
    first_nm: float = Field(ge=100, le=50_000, description="Where a is, nm.")
    second_nm: float = Field(ge=100, le=50_000, description="Where b is, nm.")
    width_nm: float = Field(default=10.0, ge=1, le=100, description="Bands within half of this are averaged.")


class HyperspectralPipeline(Section):
    """What is measured in hyperspectral cubes."""

    kind: Literal["hyperspectral"] = Field(description="`hyperspectral`: anomalies, materials, indices.")
    name: Name = Field(description="Names the pipeline in findings and topics: …/finding/<name>; unique.")
    sources: tuple[Name, ...] = Field(
        min_length=1, max_length=64, description="Names of hyperspectral sources."
    )
    needs: Literal["reflectance", "radiance", "counts"] = Field(
        default="reflectance", description="The unit without which nothing is said."
    )
    anomaly: AnomalyRules | None = Field(
        default=AnomalyRules(), description="How pixels unlike the rest are found; null: not looked for."
    )
    materials: tuple[MaterialOption, ...] = Field(
        default=(), min_length=0, max_length=64, description="Spectra that are looked for (SAM)."
    )
    angle_max_rad: float = Field(
        default=0.1, ge=0.01, le=1.5, description="A pixel farther from all materials is none of them, rad."
    )
    indices: tuple[IndexOption, ...] = Field(
        default=(), min_length=0, max_length=64, description="Numbers out of two wavelengths."
    )


class PixelSpectraPipeline(Section):
    """What a bundle reads out of the spectrum in every pixel of a cube."""

    kind: Literal["pixel-spectra"] = Field(description="`pixel-spectra`: a bundle for spectra, on cubes.")
    name: Name = Field(description="Names the pipeline in findings and topics: …/finding/<name>; unique.")
    bundle: Name = Field(description="The bundle whose model reads the spectra.")
    sources: tuple[Name, ...] = Field(
        min_length=1, max_length=64, description="Names of hyperspectral sources."
    )
    deadline_s: float = Field(
        default=60.0, ge=0.1, le=86_400, description="Seconds the model may take for one cube."
    )


class ExpectedPeak(Section):
    """A peak that the site wants to hear of, there or not."""

    name: RegionName = Field(description="What it stands for; unique.")
    position: float = Field(ge=-100_000, le=100_000, description="In units of the axis.")
    window: float = Field(ge=0.001, le=10_000, description="It may lie so far to either side.")


class SpectrumPipeline(Section):
    """What is measured in single spectra."""

    kind: Literal["spectrum"] = Field(description="`spectrum`: baseline, peaks, what is expected.")
    name: Name = Field(description="Names the pipeline in findings and topics: …/finding/<name>; unique.")
    sources: tuple[Name, ...] = Field(min_length=1, max_length=64, description="Names of spectrum sources.")
    axis_unit: Literal["nm", "cm-1"] = Field(
        default="cm-1", description="In which positions and widths are meant; other spectra are not assessed."
    )
    baseline: Literal["arpls", "airpls", "als", "drpls", "rubberband", "polynomial"] = Field(
        default="arpls", description="How the baseline is found."
    )
    smoothness: float = Field(
        default=1e5,
        ge=1,
        le=1e12,
        description="Of the baseline (not rubberband, polynomial).",
    )
    shape: Literal["gauss", "lorentz", "pseudo-voigt"] = Field(
        default="pseudo-voigt", description="Of peaks."
    )
    width_min: float = Field(default=2.0, ge=0.001, le=10_000, description="Of a peak, in units of the axis.")
    width_max: float = Field(default=200.0, ge=0.001, le=10_000, description="What is wider is background.")
    expected: tuple[ExpectedPeak, ...] = Field(
        default=(), min_length=0, max_length=64, description="Peaks that are told of, there or not."
    )
    remove_spikes: bool = Field(default=True, description="Whether cosmic rays are taken out (Raman).")
    snr_min: float = Field(
        default=10.0, ge=3, le=10_000, description="With less signal to noise nothing is said of peaks."
    )
    computed_by: Literal["own", "rampy"] = Field(
        default="own", description="Who finds baselines and fits peaks; rampy must be installed."
    )


MeasuringPipeline = HyperspectralPipeline | PixelSpectraPipeline | SpectrumPipeline
LivePipeline = VideoPipeline | ThermalPipeline
PipelineWithBundle = ImagingPipeline | VideoPipeline | PixelSpectraPipeline
Pipeline = Annotated[ImagingPipeline | LivePipeline | MeasuringPipeline, Field(discriminator="kind")]
