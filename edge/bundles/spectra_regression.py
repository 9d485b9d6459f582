"""The task `spectra-regression`: quantities that are read out of spectra, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import About, CodeEntry, FileName, Part, Sha256, Share, Words, check_names_differ

Wavelength = Annotated[float, Field(ge=100, le=50_000)]

# ── preprocessing ──────────────────────────────────────────────────────────────────────────────────────────


class Logarithm(Part):
    """Take the natural logarithm."""

    step: Literal["log"]
    floor: float = Field(gt=0, le=1, description="Smaller values count as this.")


class StandardNormal(Part):
    """Subtract the mean of each spectrum and divide by its standard deviation (SNV)."""

    step: Literal["snv"]


SpectraStep = Annotated[Logarithm | StandardNormal, Field(discriminator="step")]


# ── the network ────────────────────────────────────────────────────────────────────────────────────────────


class SpectraInput(Part):
    """What the network is given, after preprocessing."""

    name: Words = Field(description="Name of the graph's input, float32.")
    layout: Literal["NC"] = Field(description="Any number of spectra, one channel for each wavelength.")
    unit: Literal["reflectance"] = Field(description="What a spectrum must come in.")
    wavelengths_nm: tuple[Wavelength, ...] = Field(
        min_length=1, max_length=4096, description="Of its values, increasing."
    )
    value_min: float = Field(description="A spectrum with a value below this is not assessed.")
    value_max: float = Field(description="A spectrum with a value above this is not assessed.")
    batch_spectra_max: int = Field(ge=1, le=1_000_000, description="So many spectra in one pass, at most.")

    @check_all(mode="after")
    def _numbers_go_up(self) -> SpectraInput:
        if any(low >= high for low, high in pairwise(self.wavelengths_nm)):
            raise ValueError("wavelengths_nm must increase")
        if self.value_min >= self.value_max:
            raise ValueError(f"value_min {self.value_min:g} must be below value_max {self.value_max:g}")
        return self


class Quantity(Part):
    """One number that is read out of a spectrum."""

    name: Words = Field(description="Short, as it appears in findings.")
    code: CodeEntry = Field(description="What it is in public terms.")
    unit: Words = Field(description="UCUM: `1`, `%`, `umol/L` …")
    value_min: float = Field(description="An estimate below this is not one: not assessed.")
    value_max: float = Field(description="An estimate above this is not one: not assessed.")
    uncertainty_max: float | None = Field(
        default=None, gt=0, description="With more uncertainty than this, in its unit, not assessed."
    )

    @check_all(mode="after")
    def _low_is_below_high(self) -> Quantity:
        if self.value_min >= self.value_max:
            raise ValueError(f"value_min {self.value_min:g} must be below value_max {self.value_max:g}")
        return self


class SpectraOutput(Part):
    """What comes out, and when it counts as known."""

    name: Words = Field(description="Name of the graph's output, float32 (spectra, quantities).")
    uncertainty: Words | None = Field(
        default=None,
        description="Name of a second output of that shape: standard uncertainty, in each quantity's unit.",
    )
    quantities: tuple[Quantity, ...] = Field(min_length=1, max_length=64, description="In the graph's order.")

    @check_all(mode="after")
    def _uncertainty_is_judged(self) -> SpectraOutput:
        check_names_differ([one.name for one in self.quantities], where="quantities")
        for one in self.quantities:
            if (one.uncertainty_max is None) != (self.uncertainty is None):
                raise ValueError(
                    f"{one.name}: uncertainty_max goes with an output for the uncertainty, "
                    "both are given or neither"
                )
        return self


class SpectraGolden(Part):
    """Proof that the network still thinks the same: spectra, estimates they must give, how near is near."""

    file: FileName = Field(
        description="npz: `spectra` (n, bands) float, before any step, `estimates` (n, quantities) float, "
        "NaN where the network must not know."
    )
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    errors_max: Mapping[str, Annotated[float, Field(gt=0)]] = Field(
        description="For each quantity, in its unit: no estimate may be farther from the golden one."
    )
    same_validity_min: Share = Field(
        description="Share of the golden estimates that must be known, or not known, as in the file."
    )


# ── what may be said ───────────────────────────────────────────────────────────────────────────────────────


class SpectraPolicy(Part):
    """What is looked for, and when it counts as assessed."""

    looked_for: CodeEntry = Field(description="Code of the finding.")
    valid_share_min: Share = Field(
        description="Where the model knows its quantities for less of the spectra, nothing is assessed."
    )


class SpectraRegression(About):
    """A bundle that reads quantities out of spectra."""

    task: Literal["spectra-regression"] = Field(description="What it does.")
    input: SpectraInput = Field(description="What the network is given.")
    preprocessing: tuple[SpectraStep, ...] = Field(
        default=(), description="Steps, in this order; none is fine."
    )
    output: SpectraOutput = Field(description="What comes out.")
    golden: SpectraGolden = Field(description="Proof that it thinks as it did.")
    policy: SpectraPolicy = Field(description="What may be said.")

    @check_all(mode="after")
    def _names_agree(self) -> SpectraRegression:
        names = {one.name for one in self.output.quantities}
        if set(self.golden.errors_max) != names:
            raise ValueError(
                f"golden.errors_max is for {', '.join(self.golden.errors_max) or 'none'}, "
                f"wanted each of output.quantities: {', '.join(sorted(names))}"
            )
        return self
