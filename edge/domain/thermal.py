"""What a thermal camera gives before anybody says degrees: counts, and what is needed to read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COUNTS = 65536  # a count has 16 bits
HOTTEST_K = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanckScale:
    """What a black body makes of a detector: count = r1 / (r2 · (exp(b / T) - f)) - o, T in kelvin.

    Attributes:
        r1: Response of the detector.
        b_kelvin: Second radiation constant over the effective wavelength.
        f: 0.5 to 2; 1 for a detector that follows Planck's law at one wavelength.
        o: Offset in counts; usually negative.
        r2: Gain.
    """

    r1: float
    b_kelvin: float
    f: float
    o: float
    r2: float

    def problem(self) -> str:
        """Return which constant cannot be, with what could, or ""."""
        for name, value in (("r1", self.r1), ("r2", self.r2)):
            if not 1e-9 < value < 1e12:
                return f"Planck constant {name} {value:g}, wanted more than 0"
        if not 100 <= self.b_kelvin <= 50_000:  # wavelengths of 0.3 to 144 µm
            return f"Planck constant b {self.b_kelvin:g} K, wanted 100 to 50000"
        f_max = 0.99 * math.exp(self.b_kelvin / HOTTEST_K)  # with more, something warm would send nothing
        if not -100 <= self.f <= f_max or not abs(self.o) <= 1e9:
            return f"Planck constants f {self.f:g} and o {self.o:g}, wanted up to {f_max:.3g} and 1e9"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearScale:
    """Counts that are temperatures already: kelvin = kelvin_per_count · count + zero_kelvin.

    Attributes:
        kelvin_per_count: 0.01 for centikelvin, 0.04 for the coarser TLinear.
        zero_kelvin: Temperature of count 0; 0 where counts begin at absolute zero.
    """

    kelvin_per_count: float
    zero_kelvin: float = 0.0

    def problem(self) -> str:
        """Return what cannot be, with what could, or ""."""
        if not 1e-4 <= self.kelvin_per_count <= 1 or not 0 <= self.zero_kelvin <= 1000:
            return (
                f"{self.kelvin_per_count:g} K for one count from {self.zero_kelvin:g} K, "
                "wanted 0.0001 to 1 from 0 to 1000"
            )
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadianceScale:
    """Counts that follow the in-band radiance: radiance = gain · count + offset, in W/(m² sr).

    Attributes:
        gain: From two black bodies, in W/(m² sr) for one count.
        offset: The same, in W/(m² sr).
        low_um: Where the band begins.
        high_um: Where it ends; between the two the camera sees everything alike.
    """

    gain: float
    offset: float
    low_um: float
    high_um: float

    def problem(self) -> str:
        """Return what cannot be, with what could, or ""."""
        if not 0 < self.gain < 1e6 or not abs(self.offset) <= 1e6:
            return f"gain {self.gain:g} and offset {self.offset:g}, wanted a gain above 0"
        return band_problem((self.low_um, self.high_um))


def band_problem(band_um: tuple[float, float]) -> str:
    """Return why a camera does not see in this band, or ""."""
    low, high = band_um
    return "" if 0.5 <= low < high <= 50 else f"a band of {low:g} to {high:g} µm, wanted one within 0.5 to 50"


Scale = PlanckScale | LinearScale | RadianceScale


@dataclass(frozen=True, slots=True, kw_only=True)
class Atmosphere:
    """The five constants by which cameras of the FLIR kind reckon how much air swallows.

    The defaults are what every camera of that kind in our corpus says.
    """

    alpha1: float = 0.006569
    alpha2: float = 0.01262
    beta1: float = -0.002276
    beta2: float = -0.00667
    x: float = 1.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything between a warm surface and the camera that changes what the camera sees.

    The defaults leave the apparent temperature as it is.

    Attributes:
        emissivity: Above 0, up to 1.
        reflected_celsius: Apparent temperature of what the surface mirrors.
        air_celsius: Of the air between.
        distance_m: From 0.
        humidity: Relative, 0 to 1.
        window_celsius: Of an infrared window halfway.
        window_transmission: Of that window, above 0, up to 1; 1 where there is none.
    """

    emissivity: float = 1.0
    reflected_celsius: float = 20.0
    air_celsius: float = 20.0
    distance_m: float = 0.0
    humidity: float = 0.5
    window_celsius: float = 20.0
    window_transmission: float = 1.0

    def __post_init__(self) -> None:
        problem = self.problem()
        assert not problem, problem

    def problem(self) -> str:
        """Return what cannot be, with what could, or ""; for values that come from outside."""
        return what_is_wrong({name: getattr(self, name) for name in RANGES})


RANGES: Mapping[str, tuple[float, float]] = {
    "emissivity": (0.01, 1.0),
    "reflected_celsius": (-100.0, 1500.0),
    "air_celsius": (-60.0, 100.0),
    "distance_m": (0.0, 10_000.0),
    "humidity": (0.0, 1.0),
    "window_celsius": (-100.0, 500.0),
    "window_transmission": (0.01, 1.0),
}
"""Lowest and highest value of each field of `Surroundings`."""


def what_is_wrong(given: Mapping[str, float]) -> str:
    """Return which field of `Surroundings` is out of its range, with what was seen and wanted, or ""."""
    for name, value in given.items():
        low, high = RANGES[name]
        if not low <= value <= high:  # NaN is in no range
            return f"{name} {value:g}, wanted {low:g} to {high:g}"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawThermogram:
    """One radiometric picture as it was stored or sent.

    Attributes:
        counts: (height, width) uint16, read-only.
        scale: What the maker says that a count means; None where the file does not say.
        surroundings: What was set at the camera; None where the file does not say.
        atmosphere: The camera's constants.
        saturated_counts: A count at or below the first, or at or above the second, is no measurement.
        recorded_at_s: Time of the recorder in seconds; only differences within one file are meant. None
            where the file does not say.
        camera: Model, or "".
    """

    counts: NDArray[np.uint16]
    scale: Scale | None = None
    surroundings: Surroundings | None = None
    atmosphere: Atmosphere = Atmosphere()
    saturated_counts: tuple[int, int] = (0, COUNTS - 1)
    recorded_at_s: float | None = None
    camera: str = ""

    def __post_init__(self) -> None:
        assert self.counts.ndim == 2, f"a thermogram has 2 axes, this one {self.counts.ndim}"
        assert self.counts.dtype == np.uint16, f"counts are {self.counts.dtype}, wanted uint16"
        self.counts.flags.writeable = False
