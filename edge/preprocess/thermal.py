"""Counts to degrees: one table of 65536 temperatures for as long as nothing about a camera changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import UnsupportedError
from edge.domain.frame import Calibration, Thermogram
from edge.domain.thermal import (
    COUNTS,
    Atmosphere,
    LinearScale,
    PlanckScale,
    RadianceScale,
    RawThermogram,
    Scale,
    Surroundings,
)
from edge.preprocess.thermal_band import Backend, flat_band
from edge.preprocess.thermal_chain import (
    ZERO_CELSIUS_K,
    BandSignal,
    PlanckSignal,
    Signal,
    seen_by_camera,
    surface_kelvin,
    weigh,
)
from edge.preprocess.thermal_site import SiteCalibration
from edge.preprocess.thermal_uncertainty import GRID_KELVIN, Uncertainties, standard_uncertainty_k

State = Literal["factory", "site", "assumed"]

_SAMPLED = 64  # every pixel of so many columns and rows decides what uncertainty a thermogram is given
_MIDDLE_PERCENT = (1.0, 99.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """Everything that decides a table."""

    scale: Scale
    surroundings: Surroundings
    atmosphere: Atmosphere
    saturated_counts: tuple[int, int]
    state: State
    band_um: tuple[float, float]
    radiometry: Backend
    uncertainties: Uncertainties


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """One temperature, and its standard uncertainty, for every count; and the largest of the latter."""

    celsius: NDArray[np.float32]
    uncertainty_k: NDArray[np.float32]
    worst_k: float


def thermogram(raw: RawThermogram, site: SiteCalibration) -> Thermogram:
    """Turn counts into degrees.

    Args:
        raw: What a file or a camera gave.
        site: What goes before what it says about itself.

    Returns:
        Degrees Celsius; NaN where a count is saturated or means no temperature. Its calibration carries the
        largest standard uncertainty within the middle 98 % of the picture, or that of any count where
        nothing was measured.

    Raises:
        UnsupportedError: Nobody says what a count means, or no count means a temperature.
        ConfigurationError: The site wants pyradi, which is not there.
    """
    setting = _setting(raw, site)
    table = _table(setting)
    celsius = table.celsius.take(raw.counts)
    it = setting.surroundings
    return Thermogram(
        celsius=celsius,
        calibration=Calibration(
            state=setting.state,
            emissivity=it.emissivity,
            reflected_celsius=it.reflected_celsius,
            air_celsius=it.air_celsius,
            distance_m=it.distance_m,
            humidity=it.humidity,
            window_transmission=it.window_transmission,
            uncertainty_celsius=_uncertainty_k(raw.counts, table),
        ),
    )


def _setting(raw: RawThermogram, site: SiteCalibration) -> _Setting:
    scale = site.scale or raw.scale
    if scale is None:
        raise UnsupportedError(
            f"counts of {raw.camera or 'an unnamed camera'} without a calibration; "
            "wanted Planck constants in the file, or a scale from the site"
        )
    overrides = site.overrides()
    own = raw.surroundings or Surroundings()
    fields = {name: overrides.get(name, getattr(own, name)) for name in Surroundings.__dataclass_fields__}
    state: State = "site" if overrides or site.scale is not None else "factory"
    if isinstance(scale, LinearScale):
        state = "site" if site.is_checked else "assumed"
    return _Setting(
        scale=scale,
        surroundings=Surroundings(**fields),
        atmosphere=raw.atmosphere,
        saturated_counts=raw.saturated_counts,
        state=state,
        band_um=site.band_um,
        radiometry=site.radiometry,
        uncertainties=site.uncertainties,
    )


@lru_cache(maxsize=32)
def _table(setting: _Setting) -> _Table:
    signal = _signal(setting)
    weights = weigh(signal, setting.surroundings, setting.atmosphere)
    seen = seen_by_camera(np.arange(COUNTS), setting.scale, signal)
    kelvin = surface_kelvin(seen, weights, signal)
    low, high = setting.saturated_counts
    kelvin[: low + 1] = np.nan
    kelvin[high:] = np.nan
    uncertainty = standard_uncertainty_k(
        signal, setting.surroundings, setting.atmosphere, setting.uncertainties
    )
    of_counts = np.interp(kelvin, GRID_KELVIN, uncertainty).astype(np.float32)
    if not np.isfinite(of_counts).any():
        raise UnsupportedError(f"{setting.scale} with {setting.surroundings} gives no count a temperature")
    return _Table(
        celsius=(kelvin - ZERO_CELSIUS_K).astype(np.float32),
        uncertainty_k=of_counts,
        worst_k=float(np.nanmax(of_counts)),
    )


def _signal(setting: _Setting) -> Signal:
    if isinstance(setting.scale, PlanckScale):
        return PlanckSignal(setting.scale)
    if isinstance(setting.scale, RadianceScale):
        return BandSignal(flat_band(setting.scale.low_um, setting.scale.high_um, setting.radiometry))
    return BandSignal(flat_band(*setting.band_um, setting.radiometry))


def _uncertainty_k(counts: NDArray[np.uint16], table: _Table) -> float:
    """Return the largest standard uncertainty in the picture without its coldest and hottest percent."""
    height, width = counts.shape
    sample = np.sort(counts[:: max(1, height // _SAMPLED), :: max(1, width // _SAMPLED)], axis=None)
    sample = sample[np.isfinite(table.uncertainty_k.take(sample))]
    if not sample.size:
        return table.worst_k
    ends = [sample[round((sample.size - 1) * percent / 100)] for percent in _MIDDLE_PERCENT]
    return float(np.max(table.uncertainty_k[ends]))
