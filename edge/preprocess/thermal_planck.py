"""Planck's law in its spectral forms, its derivative with temperature, and the value of a filter: our own.

Conventions follow C. J. Willers, "Electro-Optical System Analysis and Design: A Radiometry Perspective", SPIE
Press 2013, as pyradi does, so that both give the same numbers. The constants are the exact ones of SI.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

PLANCK_J_S = 6.62607015e-34
LIGHT_M_PER_S = 299_792_458.0
BOLTZMANN_J_PER_K = 1.380649e-23

Axis = Literal["wavelength_um", "wavenumber_per_cm", "frequency_hz"]
Quantity = Literal["power", "photons"]
Floats = NDArray[np.float64]

_EXPONENT_MAX = 700.0  # exp of more is no double; what radiates so little radiates nothing
_HZ_PER_WAVENUMBER = 100.0 * LIGHT_M_PER_S
_UM_HZ = 1e6 * LIGHT_M_PER_S


class Radiometry(Protocol):
    """Planck's law and what is integrated over it; `own` and `pyradi` are interchangeable."""

    def exitance(
        self, spectral: ArrayLike, kelvin: ArrayLike, *, axis: Axis = "wavelength_um", of: Quantity = "power"
    ) -> Floats:
        """Return the spectral exitance of a black body.

        Args:
            spectral: (n,) wavelengths in µm, wavenumbers in 1/cm or frequencies in Hz, above 0.
            kelvin: (m,) temperatures, above 0.
            axis: Which of the three `spectral` is.
            of: `power` in W/(m² unit), or `photons` in 1/(s m² unit), unit being µm, 1/cm or Hz.

        Returns:
            (n, m).
        """

    def exitance_slope(
        self, spectral: ArrayLike, kelvin: ArrayLike, *, axis: Axis = "wavelength_um", of: Quantity = "power"
    ) -> Floats:
        """Return the derivative of `exitance` with temperature, (n, m), per K."""

    def effective_value(self, spectral: ArrayLike, values: ArrayLike, weights: ArrayLike) -> float:
        """Return ∫ values · weights / ∫ weights over `spectral`: what a filter is worth in front of a source.

        Args:
            spectral: (n,) strictly increasing.
            values: (n,) a transmission, an emissivity, a response.
            weights: (n,) the source's spectrum; its integral is above 0.
        """


class OwnRadiometry:
    """Planck's law in NumPy."""

    def exitance(
        self, spectral: ArrayLike, kelvin: ArrayLike, *, axis: Axis = "wavelength_um", of: Quantity = "power"
    ) -> Floats:
        """Return M = 2π h ν³ / c² / (exp(hν/kT) - 1) · |dν/dx|; see `Radiometry`."""
        hertz, exponent = _exponent(spectral, kelvin, axis)
        return _density(hertz, axis, of) * _occupation(exponent)

    def exitance_slope(
        self, spectral: ArrayLike, kelvin: ArrayLike, *, axis: Axis = "wavelength_um", of: Quantity = "power"
    ) -> Floats:
        """Return dM/dT = M · x/T · exp(x) / (exp(x) - 1) with x = hν/kT; see `Radiometry`."""
        hertz, exponent = _exponent(spectral, kelvin, axis)
        slope = exponent / np.atleast_1d(np.asarray(kelvin, np.float64)) / -np.expm1(-exponent)
        return _density(hertz, axis, of) * _occupation(exponent) * slope

    def effective_value(self, spectral: ArrayLike, values: ArrayLike, weights: ArrayLike) -> float:
        """Return ∫ values · weights / ∫ weights by the trapezoid rule; see `Radiometry`."""
        grid, heights = np.asarray(spectral, np.float64), np.asarray(weights, np.float64)
        weighted = np.trapezoid(heights * np.asarray(values, np.float64), grid)
        return float(weighted / np.trapezoid(heights, grid))


def total_exitance(kelvin: ArrayLike) -> Floats:
    """Return what a black body radiates in all, σ T⁴, in W/m² (Stefan and Boltzmann)."""
    sigma = 2 * math.pi**5 * BOLTZMANN_J_PER_K**4 / (15 * PLANCK_J_S**3 * LIGHT_M_PER_S**2)
    return np.asarray(sigma * np.asarray(kelvin, np.float64) ** 4)


def _exponent(spectral: ArrayLike, kelvin: ArrayLike, axis: Axis) -> tuple[Floats, Floats]:
    """Return the frequencies as a column, and hν/kT for each frequency and temperature."""
    given = np.atleast_1d(np.asarray(spectral, np.float64))[:, None]
    if axis == "wavelength_um":
        hertz = _UM_HZ / given
    elif axis == "wavenumber_per_cm":
        hertz = _HZ_PER_WAVENUMBER * given
    else:
        hertz = given
    exponent = PLANCK_J_S / BOLTZMANN_J_PER_K * hertz / np.atleast_1d(np.asarray(kelvin, np.float64))
    return hertz, exponent


def _density(hertz: Floats, axis: Axis, of: Quantity) -> Floats:
    """Return what one occupied state radiates per unit of the axis: 2π ν² / c², times hν for power."""
    density = 2 * math.pi * hertz**2 / LIGHT_M_PER_S**2
    if of == "power":
        density = density * PLANCK_J_S * hertz
    if axis == "wavelength_um":
        return density * hertz**2 / _UM_HZ  # |dν/dλ| = ν² / c
    return density * _HZ_PER_WAVENUMBER if axis == "wavenumber_per_cm" else density


def _occupation(exponent: Floats) -> Floats:
    return np.where(exponent < _EXPONENT_MAX, 1 / np.expm1(np.minimum(exponent, _EXPONENT_MAX)), 0.0)
