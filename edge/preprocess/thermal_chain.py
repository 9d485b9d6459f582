"""The radiometric chain: what reaches a thermal camera, and what that says about the surface it looks at.

The camera sees the surface, what the surface mirrors, the air and a window halfway:

    seen = ε t w t · S(surface) + (1-ε) t w t · S(reflected) + (1-t) w t · S(air) + (1-w) t · S(window)
           + (1-t) · S(air)

with ε the emissivity, t the transmission of half the way, w that of the window, and S(T) what a black body
makes of the detector. The weights add up to 1, so a constant offset of S falls out. This is the chain of
Minkina and Dudzik, "Infrared Thermography: Errors and Uncertainties", Wiley 2009, in the form of `raw2temp`
of the R package Thermimage (G. J. Tattersall), to which our thermograms are equal within 1e-5 K. It takes the
air in two halves also where there is no window. FLIR's own programs take it in one piece there, and t does
not multiply (it goes with the root of the distance): at 1 m, 20 °C and 50 % the air lets 0.9939 through
instead of 0.9915, which is 0.04 K at 38 °C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from edge.domain.thermal import Atmosphere, LinearScale, PlanckScale, RadianceScale, Scale, Surroundings
from edge.preprocess.thermal_band import BandTable
from edge.preprocess.thermal_planck import Floats

ZERO_CELSIUS_K = 273.15


class Signal(Protocol):
    """What a black body makes of a detector, both ways."""

    def of_kelvin(self, kelvin: ArrayLike) -> Floats:
        """Return the signal of a black body; NaN where it is not known."""

    def to_kelvin(self, signal: ArrayLike) -> Floats:
        """Return the temperature of the black body that makes this signal; NaN where there is none."""


@dataclass(frozen=True, slots=True)
class PlanckSignal:
    """Counts of a camera that comes with Planck constants."""

    scale: PlanckScale

    def of_kelvin(self, kelvin: ArrayLike) -> Floats:
        """Return r1 / (r2 (exp(b/T) - f)) - o."""
        it = self.scale
        ratio = it.b_kelvin / np.asarray(kelvin, np.float64)
        return np.asarray(it.r1 / (it.r2 * (np.exp(np.minimum(ratio, 700.0)) - it.f)) - it.o)

    def to_kelvin(self, signal: ArrayLike) -> Floats:
        """Return b / ln(r1 / (r2 (signal + o)) + f)."""
        it = self.scale
        above = np.asarray(signal, np.float64) + it.o
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithm = np.log(np.where(above > 0, it.r1 / (it.r2 * above) + it.f, np.nan))
            return np.where(logarithm > 0, it.b_kelvin / logarithm, np.nan)


@dataclass(frozen=True, slots=True)
class BandSignal:
    """In-band radiance."""

    table: BandTable

    def of_kelvin(self, kelvin: ArrayLike) -> Floats:
        """Return the in-band radiance of a black body."""
        return self.table.radiance_at(kelvin)

    def to_kelvin(self, signal: ArrayLike) -> Floats:
        """Return the temperature of the black body with this in-band radiance."""
        return self.table.kelvin_at(signal)


@dataclass(frozen=True, slots=True)
class Weights:
    """What the signal at the camera is made of: seen = surface · S(surface) + rest."""

    surface: float
    rest: float


def transmission(distance_m: float, surroundings: Surroundings, atmosphere: Atmosphere) -> float:
    """Return how much of the radiation gets through the air, above 0, up to 1.

    x · exp(-√d (α1 + β1 √ω)) + (1-x) · exp(-√d (α2 + β2 √ω)), with the water in the air ω = humidity ·
    exp(1.5587 + 0.06939 t - 0.00027816 t² + 0.00000068455 t³), t in °C (FLIR; constants as in Thermimage).
    """
    t, it = surroundings.air_celsius, atmosphere
    water = surroundings.humidity * math.exp(1.5587 + 0.06939 * t - 2.7816e-4 * t**2 + 6.8455e-7 * t**3)
    root = math.sqrt(distance_m)
    first = math.exp(-root * (it.alpha1 + it.beta1 * math.sqrt(water)))
    second = math.exp(-root * (it.alpha2 + it.beta2 * math.sqrt(water)))
    return min(max(it.x * first + (1 - it.x) * second, 1e-3), 1.0)


def weigh(signal: Signal, surroundings: Surroundings, atmosphere: Atmosphere) -> Weights:
    """Return what the signal at the camera is made of."""
    it = surroundings
    half = transmission(it.distance_m / 2, it, atmosphere)
    window = it.window_transmission
    sources = np.array([it.reflected_celsius, it.air_celsius, it.window_celsius]) + ZERO_CELSIUS_K
    reflected, air, pane = (float(one) for one in signal.of_kelvin(sources))
    through = half * window * half
    rest = (1 - it.emissivity) * through * reflected
    rest += ((1 - half) * window * half + (1 - half)) * air + (1 - window) * half * pane
    return Weights(surface=it.emissivity * through, rest=rest)


def surface_kelvin(seen: ArrayLike, weights: Weights, signal: Signal) -> Floats:
    """Return the temperature of the surface behind a signal at the camera; NaN where there is none."""
    return signal.to_kelvin((np.asarray(seen, np.float64) - weights.rest) / weights.surface)


def seen_by_camera(counts: ArrayLike, scale: Scale, signal: Signal) -> Floats:
    """Return the signal that a count stands for."""
    given = np.asarray(counts, np.float64)
    if isinstance(scale, LinearScale):
        return signal.of_kelvin(scale.kelvin_per_count * given + scale.zero_kelvin)
    if isinstance(scale, RadianceScale):
        return scale.gain * given + scale.offset
    return given
