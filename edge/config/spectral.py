"""What an operator may say about cubes and spectra, and about what is read out of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from edge.config.fields import Name, PartName, Section
from edge.config.folders import After, FolderOptions, SettleS


def _told_apart(what: str, names: Iterable[str]) -> None:
    """Refuse a name that is given twice.

    Raises:
        ValueError: One is.
    """
    listed = list(names)
    if len(listed) != len(set(listed)):
        raise ValueError(f"{what} are called {', '.join(listed)}; wanted each name once")


class HyperspectralSource(FolderOptions):
    """A folder in which hyperspectral cubes appear; none of them is ever dropped."""

    kind: Literal["hyperspectral"] = Field(description="`hyperspectral`: ENVI, npz and TIFF cubes.")
    settle_s: SettleS = Field(
        default=2.0,
        description="A cube is taken when its files have not grown or changed for this many seconds.",
    )
    after: After = Field(
        default="keep",
        description="What becomes of its files once they are safely ours; references always stay.",
    )
    panel_reflectance: float = Field(
        default=1.0, ge=0.01, le=1, description="Of the panel on the white references, 0 to 1."
    )


class SpectrumSource(FolderOptions):
    """A folder in which single spectra appear; none of them is ever dropped."""

    kind: Literal["spectrum"] = Field(description="`spectrum`: text, CSV, JCAMP-DX and SPC files.")
    measures: Literal["infrared", "raman", "reflectance"] | None = Field(
        default=None, description="What is measured there; a file's own word goes first."
    )
    axis_unit: Literal["nm", "cm-1"] | None = Field(
        default=None, description="Of the axis, where a file does not say."
    )


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

    name: PartName = Field(description="Unique among the materials.")
    wavelengths_nm: tuple[float, ...] = Field(min_length=3, max_length=4096, description="Increasing, nm.")
    values: tuple[float, ...] = Field(min_length=3, max_length=4096, description="Reflectance, one for each.")

    @model_validator(mode="after")
    def _is_a_spectrum(self) -> Self:
        if len(self.values) != len(self.wavelengths_nm):
            raise ValueError(f"{len(self.values)} values for {len(self.wavelengths_nm)} wavelengths")
        if not all(low < high for low, high in pairwise(self.wavelengths_nm)):
            raise ValueError("wavelengths_nm do not increase; wanted each above the one before")
        if not any(value > 0 for value in self.values):
            raise ValueError("no value is above 0; wanted a spectrum that reflects something")
        return self


class IndexOption(Section):
    """A number out of two wavelengths."""

    name: PartName = Field(description="Unique among the indices.")
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

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        _told_apart("materials", (one.name for one in self.materials))
        _told_apart("indices", (one.name for one in self.indices))
        return self


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

    name: PartName = Field(description="What it stands for; unique.")
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

    @model_validator(mode="after")
    def _names_and_widths_agree(self) -> Self:
        _told_apart("expected peaks", (one.name for one in self.expected))
        if self.width_min >= self.width_max:
            raise ValueError(
                f"width_min is {self.width_min:g}, width_max {self.width_max:g}; wanted it below"
            )
        return self
