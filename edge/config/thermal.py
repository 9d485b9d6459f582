"""What an operator may say about thermal cameras, and about what is measured in their pictures."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.config.cameras import OpenS, Pace, RetryMaxS, RetryMinS, SilenceS
from edge.config.fields import DEVICE_PATTERN, Fraction, Name, PartName, Place, Section, check_pauses


class PlanckScale(Section):
    """A camera's own constants: count = r1 / (r2 · (exp(b / T) - f)) - o, T in kelvin."""

    kind: Literal["planck"] = Field(description="`planck`: the constants of the camera's maker.")
    r1: float = Field(ge=1e-9, le=1e12, description="Response of the detector.")
    b_kelvin: float = Field(ge=100, le=50_000, description="Second radiation constant / wavelength, K.")
    f: float = Field(ge=-100, le=1e6, description="1 for a detector that follows Planck's law, 0.5 to 2.")
    o: float = Field(ge=-1e9, le=1e9, description="Offset in counts; usually negative.")
    r2: float = Field(ge=1e-9, le=1e12, description="Gain.")


class LinearScale(Section):
    """Counts that are temperatures already: kelvin = kelvin_per_count · count + zero_kelvin."""

    kind: Literal["linear"] = Field(description="`linear`: counts that are temperatures.")
    kelvin_per_count: float = Field(ge=1e-4, le=1, description="0.01 for centikelvin.")
    zero_kelvin: float = Field(default=0.0, ge=0, le=1000, description="Temperature of count 0, K.")


class RadianceScale(Section):
    """Counts that follow the in-band radiance: radiance = gain · count + offset, in W/(m² sr)."""

    kind: Literal["radiance"] = Field(description="`radiance`: from two black bodies.")
    gain: float = Field(ge=1e-12, le=1e6, description="W/(m² sr) for one count.")
    offset: float = Field(ge=-1e6, le=1e6, description="W/(m² sr) of count 0.")
    low_um: float = Field(ge=0.5, le=50, description="Where the band begins, µm.")
    high_um: float = Field(ge=0.5, le=50, description="Where the band ends, µm.")

    @model_validator(mode="after")
    def _is_a_band(self) -> Self:
        if self.low_um >= self.high_um:
            raise ValueError(f"low_um is {self.low_um:g}, high_um {self.high_um:g}; wanted it below")
        return self


ThermalScale = Annotated[PlanckScale | LinearScale | RadianceScale, Field(discriminator="kind")]


class ThermalUncertainties(Section):
    """How well is known what a temperature rests on: standard uncertainties, the camera's error limits."""

    emissivity: float = Field(default=0.01, ge=0, le=1, description="Of the emissivity.")
    reflected_k: float = Field(default=3.0, ge=0, le=1000, description="Of the reflected temperature, K.")
    air_k: float = Field(default=2.0, ge=0, le=100, description="Of the air's temperature, K.")
    distance_fraction: float = Field(default=0.1, ge=0, le=1, description="Of the distance, a share of it.")
    humidity: float = Field(default=0.1, ge=0, le=1, description="Of the relative humidity.")
    window_k: float = Field(default=3.0, ge=0, le=1000, description="Of the window's temperature, K.")
    window_transmission: float = Field(default=0.02, ge=0, le=1, description="Of the window's transmission.")
    accuracy_k: float = Field(default=2.0, ge=0, le=100, description="Limit of the camera's error, K.")
    accuracy_fraction: float = Field(
        default=0.02, ge=0, le=1, description="The same as a share of the temperature; the larger counts."
    )


class ThermalCalibration(Section):
    """What the site knows of its camera and its room; it goes before what a file or the camera says."""

    scale: ThermalScale | None = Field(
        default=None, description="What a count means; left out: as the file says."
    )
    emissivity: float | None = Field(
        default=None, ge=0.01, le=1, description="Of what is looked at; skin has about 0.98."
    )
    reflected_celsius: float | None = Field(
        default=None, ge=-100, le=1500, description="Apparent temperature of what is mirrored, °C."
    )
    air_celsius: float | None = Field(default=None, ge=-60, le=100, description="Of the air between, °C.")
    distance_m: float | None = Field(default=None, ge=0, le=10_000, description="To what is looked at, m.")
    humidity: float | None = Field(default=None, ge=0, le=1, description="Relative humidity, 0 to 1.")
    window_celsius: float | None = Field(
        default=None, ge=-100, le=500, description="Of an infrared window in between, °C."
    )
    window_transmission: float | None = Field(
        default=None, ge=0.01, le=1, description="Of that window; 1 where there is none."
    )
    band_um: tuple[float, float] = Field(
        default=(7.5, 13.5), description="Where the camera sees, µm; only a linear scale needs it."
    )
    is_checked: bool = Field(
        default=False, description="A linear scale was checked against a black body; else it is `assumed`."
    )
    radiometry: Literal["own", "pyradi"] = Field(
        default="own", description="Who reckons Planck's law; pyradi must be installed."
    )
    uncertainties: ThermalUncertainties = Field(
        default=ThermalUncertainties(), description="How well all that is known."
    )

    @model_validator(mode="after")
    def _sees_a_band(self) -> Self:
        low_um, high_um = self.band_um
        if not 0.5 <= low_um < high_um <= 50:
            raise ValueError(f"band_um is {low_um:g} to {high_um:g}; wanted one within 0.5 to 50")
        return self


class ThermalSource(Section):
    """A thermal camera: at this machine, a folder that it fills, or a recording that takes its place."""

    kind: Literal["thermal"] = Field(description="`thermal`: 16-bit radiometric pictures.")
    name: Name = Field(description="Names this source in health, topics and logs; unique.")
    enabled: bool = Field(default=True, description="Whether it is opened; else it is reported as disabled.")
    device: Annotated[str, Field(pattern=DEVICE_PATTERN)] | None = Field(
        default=None, description="A V4L2 device that gives Y16; one of device, folder and recording."
    )
    folder: Place | None = Field(
        default=None, description="Where TIFF, PNG, FFF or radiometric JPEG frames appear; the newest counts."
    )
    recording: Place | None = Field(
        default=None, description="A recording (SEQ, CSQ, PTW, FFF, a folder of frames), at its own pace."
    )
    after: Literal["keep", "remove"] = Field(
        default="keep", description="What becomes of a file of the folder that was taken or overtaken."
    )
    loop: bool = Field(default=False, description="Whether a recording begins anew at its end.")
    frames_per_s: float = Field(
        default=9.0, ge=0.01, le=1000, description="Pace of a recording that has no times, frames a second."
    )
    telemetry_rows: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Rows at the lower edge of a device's picture that are none.",
    )
    calibration: ThermalCalibration = Field(
        default=ThermalCalibration(), description="What the site knows of its camera and its room."
    )
    open_s: OpenS = 10.0
    silence_s: SilenceS = 3.0
    retry_min_s: RetryMinS = 0.5
    retry_max_s: RetryMaxS = 30.0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if sum(way is not None for way in (self.device, self.folder, self.recording)) != 1:
            raise ValueError("wanted exactly one of device, folder and recording")
        check_pauses(self.retry_min_s, self.retry_max_s)
        return self


class ThermalRegion(Section):
    """A named part of the picture."""

    name: PartName = Field(description="Names it in findings; unique.")
    corners: tuple[tuple[Fraction, Fraction], ...] = Field(
        min_length=2,
        max_length=64,
        description="(x, y) from the upper left, 0 to 1: two of a rectangle, or three or more of a polygon.",
    )

    @model_validator(mode="after")
    def _encloses_something(self) -> Self:
        across, down = ({corner[axis] for corner in self.corners} for axis in (0, 1))
        if len(across) < 2 or len(down) < 2:
            raise ValueError(f"the corners of '{self.name}' lie on a line; wanted some that enclose an area")
        return self


class ThermalPair(Section):
    """Two regions that should be equally warm."""

    left: PartName = Field(description="Name of one; the patient's left, where that is meant.")
    right: PartName = Field(description="Name of the other.")

    @model_validator(mode="after")
    def _are_two(self) -> Self:
        if self.left == self.right:
            raise ValueError(f"left and right are both '{self.left}'; wanted two regions")
        return self


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
    spots_in: tuple[PartName, ...] = Field(
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
