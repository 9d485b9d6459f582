"""How sure a temperature is: the standard uncertainty of the chain's answer, after the GUM.

JCGM 100:2008, 5.1.2 and note 2 to 5.1.3: what is not known exactly is moved by its standard uncertainty to
either side, and half of the way that the answer makes counts; the contributions are taken as independent and
added in squares,

    u²(T) = Σ (½ |T(x + u(x)) - T(x - u(x))|)².

The camera's accuracy is a limit that its maker gives, such as "±2 °C or 2 %", whichever is larger: a
rectangular distribution, so its standard uncertainty is the limit over √3 (4.3.7 there), and it enters as an
error of the apparent temperature.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edge.domain.thermal import RANGES, Atmosphere, Surroundings
from edge.preprocess.thermal_chain import ZERO_CELSIUS_K, Signal, surface_kelvin, weigh
from edge.preprocess.thermal_planck import Floats

GRID_KELVIN = np.linspace(200.0, 800.0, 1201)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainties:
    """Standard uncertainties of what is set, and the limits of the camera's error.

    The defaults are for a camera that looks at skin from near by, in a room that nobody measured.

    Attributes:
        emissivity: Of the emissivity.
        reflected_k: Of the reflected apparent temperature.
        air_k: Of the temperature of the air.
        distance_fraction: Of the distance, as a share of it.
        humidity: Of the relative humidity.
        window_k: Of the temperature of a window.
        window_transmission: Of the transmission of a window; not counted where there is none.
        accuracy_k: Limit of the camera's error.
        accuracy_fraction: The same as a share of the temperature in °C; the larger counts.
    """

    emissivity: float = 0.01
    reflected_k: float = 3.0
    air_k: float = 2.0
    distance_fraction: float = 0.1
    humidity: float = 0.1
    window_k: float = 3.0
    window_transmission: float = 0.02
    accuracy_k: float = 2.0
    accuracy_fraction: float = 0.02


def standard_uncertainty_k(
    signal: Signal, surroundings: Surroundings, atmosphere: Atmosphere, uncertain: Uncertainties
) -> Floats:
    """Return the standard uncertainty of surface temperatures at `GRID_KELVIN`, in K.

    Returns:
        (1201,); NaN where the camera could not see such a surface.
    """
    weights = weigh(signal, surroundings, atmosphere)
    seen = weights.surface * signal.of_kelvin(GRID_KELVIN) + weights.rest
    squares = np.zeros_like(GRID_KELVIN)
    for field, step in _steps(surroundings, uncertain):
        low, high = RANGES[field]
        given = getattr(surroundings, field)
        below, above = max(given - step, low), min(given + step, high)
        answers = [
            surface_kelvin(seen, weigh(signal, replace(surroundings, **{field: moved}), atmosphere), signal)
            for moved in (below, above)
        ]
        # A value at its end, an emissivity of 1, moves to one side only: as far again to the other is taken.
        squares += ((answers[1] - answers[0]) * step / max(above - below, 1e-12)) ** 2
    apparent = signal.to_kelvin(seen)
    limit = np.maximum(
        uncertain.accuracy_k, uncertain.accuracy_fraction * np.abs(apparent - ZERO_CELSIUS_K)
    ) / math.sqrt(3)
    moved = [
        surface_kelvin(signal.of_kelvin(apparent + side * limit), weights, signal) for side in (-1.0, 1.0)
    ]
    return np.sqrt(squares + ((moved[1] - moved[0]) / 2) ** 2)


def _steps(surroundings: Surroundings, uncertain: Uncertainties) -> Iterator[tuple[str, float]]:
    """Yield what counts, with its standard uncertainty."""
    yield "emissivity", uncertain.emissivity
    yield "reflected_celsius", uncertain.reflected_k
    if surroundings.distance_m > 0:
        yield "air_celsius", uncertain.air_k
        yield "distance_m", uncertain.distance_fraction * surroundings.distance_m
        yield "humidity", uncertain.humidity
    if surroundings.window_transmission < 1:
        yield "window_celsius", uncertain.window_k
        yield "window_transmission", uncertain.window_transmission
