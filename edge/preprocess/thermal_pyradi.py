"""Radiometry through pyradi, where it is installed; the only home of that package.

It is imported when it is first asked for, and it needs the old name of NumPy's trapezoid rule.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from edge.domain.errors import ConfigurationError
from edge.preprocess.thermal_planck import Axis, Floats, Quantity

_AXES = {"wavelength_um": "l", "wavenumber_per_cm": "n", "frequency_hz": "f"}
_QUANTITIES = {"power": "e", "photons": "q"}


def is_installed() -> bool:
    """Whether there is a pyradi to import."""
    return importlib.util.find_spec("pyradi") is not None


class PyradiRadiometry:
    """Planck's law by `pyradi.ryplanck`, effective values by `pyradi.ryutils`."""

    def __init__(self) -> None:
        """Import pyradi.

        Raises:
            ConfigurationError: It is not installed, or cannot be imported.
        """
        if not hasattr(np, "trapz"):
            setattr(np, "trapz", np.trapezoid)  # noqa: B010  # mypy knows no attribute of that name
        try:
            self._planck: Any = importlib.import_module("pyradi.ryplanck")
            self._tools: Any = importlib.import_module("pyradi.ryutils")
        except (ImportError, AttributeError, SystemExit) as trouble:  # its older versions exit
            raise ConfigurationError(
                f"radiometry: pyradi cannot be imported ({type(trouble).__name__}: {trouble}); "
                "wanted pyradi 1.1 or later from its repository, or `radiometry: own`"
            ) from trouble

    def exitance(
        self, spectral: ArrayLike, kelvin: ArrayLike, *, axis: Axis = "wavelength_um", of: Quantity = "power"
    ) -> Floats:
        """Return `planckel` and its five relatives; see `Radiometry`."""
        return self._ask(f"planck{_QUANTITIES[of]}{_AXES[axis]}", spectral, kelvin)

    def exitance_slope(
        self, spectral: ArrayLike, kelvin: ArrayLike, *, axis: Axis = "wavelength_um", of: Quantity = "power"
    ) -> Floats:
        """Return `dplnckel` and its five relatives; see `Radiometry`."""
        return self._ask(f"dplnck{_QUANTITIES[of]}{_AXES[axis]}", spectral, kelvin)

    def effective_value(self, spectral: ArrayLike, values: ArrayLike, weights: ArrayLike) -> float:
        """Return `effectiveValue`; see `Radiometry`."""
        columns = [np.asarray(given, np.float64).reshape(-1, 1) for given in (spectral, values, weights)]
        found = np.asarray(self._tools.effectiveValue(*columns), np.float64)
        assert found.size == 1, "one filter has one value"
        return float(found.ravel()[0])

    def _ask(self, function: str, spectral: ArrayLike, kelvin: ArrayLike) -> Floats:
        """Call a Planck function; its answer loses axes of length 1, which are put back."""
        rows = np.atleast_1d(np.asarray(spectral, np.float64))
        columns = np.atleast_1d(np.asarray(kelvin, np.float64))
        answer = np.asarray(getattr(self._planck, function)(rows, columns), np.float64)
        assert answer.size == math.prod((rows.size, columns.size)), f"{function} answers for each pair"
        return answer.reshape(rows.size, columns.size)
