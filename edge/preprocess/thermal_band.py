"""What a camera sees of a black body in its band: a table over temperature, and the way back."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from edge.domain.thermal import HOTTEST_K
from edge.preprocess.thermal_planck import Floats, OwnRadiometry, Radiometry
from edge.preprocess.thermal_pyradi import PyradiRadiometry

Backend = Literal["own", "pyradi"]

KELVIN_MIN, KELVIN_MAX, KELVIN_STEP = 150.0, HOTTEST_K, 1.0
SAMPLES = 601  # of a band; of 7.5 to 13.5 µm at 300 K, 60001 give 3.5e-7 more


class BandTable:
    """In-band radiance of a black body over temperature; both directions, strictly monotone."""

    def __init__(self, spectral_um: ArrayLike, response: ArrayLike, *, radiometry: Radiometry) -> None:
        """Integrate Planck's law over the response, by the trapezoid rule, at each temperature.

        Args:
            spectral_um: (n,) wavelengths, strictly increasing.
            response: (n,) from 0 to 1, of camera and optics together; not 0 everywhere.
            radiometry: Who reckons Planck's law.
        """
        from scipy.interpolate import PchipInterpolator  # takes long, and few need it

        grid = np.asarray(spectral_um, np.float64)
        self.kelvin = np.arange(KELVIN_MIN, KELVIN_MAX + KELVIN_STEP / 2, KELVIN_STEP)
        exitance = radiometry.exitance(grid, self.kelvin)
        weighted = exitance * np.asarray(response, np.float64)[:, None]
        self.radiance = np.trapezoid(weighted, grid, axis=0) / math.pi
        assert (np.diff(self.radiance) > 0).all(), "what is warmer radiates more"
        self._forth = PchipInterpolator(self.kelvin, np.log(self.radiance), extrapolate=False)
        self._back = PchipInterpolator(np.log(self.radiance), self.kelvin, extrapolate=False)

    def radiance_at(self, kelvin: ArrayLike) -> Floats:
        """Return the in-band radiance in W/(m² sr); NaN outside 150 to 1800 K."""
        return np.asarray(np.exp(self._forth(np.asarray(kelvin, np.float64))), np.float64)

    def kelvin_at(self, radiance: ArrayLike) -> Floats:
        """Return the temperature of a black body of this in-band radiance; NaN outside 150 to 1800 K."""
        given = np.asarray(radiance, np.float64)
        known = np.where(given > 0, given, np.nan)
        return np.asarray(self._back(np.log(known)), np.float64)


def radiometry(backend: Backend) -> Radiometry:
    """Return who reckons Planck's law.

    Raises:
        ConfigurationError: `pyradi` is wanted and cannot be imported.
    """
    return PyradiRadiometry() if backend == "pyradi" else OwnRadiometry()


@lru_cache(maxsize=8)
def flat_band(low_um: float, high_um: float, backend: Backend) -> BandTable:
    """Return the table of a camera that sees everything between two wavelengths alike.

    Raises:
        ConfigurationError: `pyradi` is wanted and cannot be imported.
    """
    grid = np.linspace(low_um, high_um, SAMPLES)
    return BandTable(grid, np.ones(SAMPLES), radiometry=radiometry(backend))
