"""A package that answers as pyradi does: the same names, and the shapes its documentation promises.

It reckons by another route than ours, photons first, so that a test with it is not empty.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.constants as const

_UM, _PER_CM = 1e-6, 100.0


def fake_pyradi() -> dict[str, types.ModuleType]:
    """Return what `sys.modules` holds after `import pyradi.ryplanck, pyradi.ryutils`."""
    package, planck, tools = (
        types.ModuleType(name) for name in ("pyradi", "pyradi.ryplanck", "pyradi.ryutils")
    )
    for quantity in "eq":
        for axis in "lnf":
            setattr(planck, f"planck{quantity}{axis}", _shaped(_planck(quantity, axis)))
            setattr(planck, f"dplnck{quantity}{axis}", _shaped(_slope(_planck(quantity, axis))))
    setattr(tools, "effectiveValue", _effective_value)  # noqa: B010  # mypy knows no attribute of a new module
    return {"pyradi": package, "pyradi.ryplanck": planck, "pyradi.ryutils": tools}


def _planck(quantity: str, axis: str) -> Callable[[Any, Any], Any]:
    def exitance(spectral: Any, kelvin: Any) -> Any:
        if axis == "l":
            wavelength_m = spectral * _UM
            photons = 2 * np.pi * const.c / wavelength_m**4 * _UM
        else:
            wavelength_m = 1 / (spectral * _PER_CM) if axis == "n" else const.c / spectral
            photons = 2 * np.pi * const.c / wavelength_m**2 * (_PER_CM if axis == "n" else 1 / const.c)
        photons = photons / np.expm1(const.h * const.c / (wavelength_m * const.k * kelvin))
        return photons * (const.h * const.c / wavelength_m if quantity == "e" else 1.0)

    return exitance


def _slope(exitance: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def slope(spectral: Any, kelvin: Any) -> Any:
        step = 1e-3
        return (exitance(spectral, kelvin + step) - exitance(spectral, kelvin - step)) / (2 * step)

    return slope


def _shaped(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Give a scalar for one and one, one axis where either is single, (spectral, kelvin) otherwise."""

    def answer(spectral: Any, kelvin: Any) -> Any:
        rows, columns = np.ravel(spectral).astype(float), np.ravel(kelvin).astype(float)
        found = function(rows[:, None], columns[None, :])
        if rows.size == columns.size == 1:
            return found[0, 0]
        return found[:, 0] if columns.size == 1 else found

    return answer


def _effective_value(domain: Any, values: Any, baseline: Any) -> Any:
    weighted = np.trapezoid(values.reshape(-1, 1) * baseline, domain, axis=0)
    return weighted / np.trapezoid(baseline, domain, axis=0)
