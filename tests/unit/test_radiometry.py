"""Planck's law against constants of nature, tables of others, and the reference values of pyradi."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.preprocess.thermal_band import KELVIN_MAX, KELVIN_MIN, BandTable, flat_band
from edge.preprocess.thermal_planck import Axis, OwnRadiometry, Quantity, total_exitance

OWN = OwnRadiometry()
# Wavelength in µm, temperature in K, exitance in W/(m² µm), photons in 1/(s m² µm), slope in W/(m² µm K):
# planckel, planckql and dplnckel of pyradi 1.1.4, commit 61dc954.
PYRADI = (
    (1.0, 273.15, 4.9803897847136e-15, 25071.862728047206, 9.604049143344559e-16),
    (3.0, 273.15, 0.03649217232270692, 5.511175478260873e17, 0.0023456840380660727),
    (4.0, 273.15, 0.6979505985632296, 1.4054258686214021e19, 0.0336477913447358),
    (5.0, 273.15, 3.1847550810849836, 8.016214158627871e19, 0.1228311805739535),
)


@pytest.mark.parametrize("row", PYRADI)
def test_the_three_numbers_of_pyradi_at_one_wavelength(row: tuple[float, ...]) -> None:
    wavelength_um, kelvin, exitance, photons, slope = row
    assert OWN.exitance(wavelength_um, kelvin)[0, 0] == pytest.approx(exitance, rel=1e-9)
    assert OWN.exitance(wavelength_um, kelvin, of="photons")[0, 0] == pytest.approx(photons, rel=1e-9)
    assert OWN.exitance_slope(wavelength_um, kelvin)[0, 0] == pytest.approx(slope, rel=1e-9)


@pytest.mark.corpus
def test_every_reference_value_of_pyradi_within_a_millionth(corpus: Path) -> None:
    rows = np.genfromtxt(corpus / "pyradi-reference" / "planck.csv", delimiter=",", skip_header=1)
    assert len(rows) > 20
    for wavelength_um, kelvin, exitance, photons, slope in rows.tolist():
        assert OWN.exitance(wavelength_um, kelvin)[0, 0] == pytest.approx(exitance, rel=1e-6)
        assert OWN.exitance(wavelength_um, kelvin, of="photons")[0, 0] == pytest.approx(photons, rel=1e-6)
        assert OWN.exitance_slope(wavelength_um, kelvin)[0, 0] == pytest.approx(slope, rel=1e-6)


@pytest.mark.corpus
def test_the_band_of_a_long_wave_camera_is_that_of_pyradi_within_a_millionth(corpus: Path) -> None:
    rows = np.genfromtxt(corpus / "pyradi-reference" / "inband_7.5-13.5um.csv", delimiter=",", skip_header=1)
    table = flat_band(7.5, 13.5, "own")
    assert len(rows) > 20
    assert table.radiance_at(rows[:, 0]) == pytest.approx(rows[:, 1], rel=1e-6)
    assert table.kelvin_at(rows[:, 1]) == pytest.approx(rows[:, 0], abs=1e-5)


def test_the_whole_spectrum_adds_up_to_stefan_and_boltzmann() -> None:
    """σ is 5.670374419e-8 W/(m² K⁴) (CODATA 2018)."""
    wavenumbers = np.logspace(-1, 5, 20_001)
    total = np.trapezoid(OWN.exitance(wavenumbers, [300.0], axis="wavenumber_per_cm")[:, 0], wavenumbers)
    assert total == pytest.approx(5.670374419e-8 * 300.0**4, rel=1e-6)
    assert float(total_exitance(300.0)) == pytest.approx(5.670374419e-8 * 300.0**4, rel=1e-9)


def test_the_peak_stands_where_wien_says() -> None:
    """The wavelength of the peak times the temperature is 2897.771955 µm K (CODATA 2018)."""
    wavelengths_um = np.linspace(9.0, 10.5, 150_001)
    peak = wavelengths_um[np.argmax(OWN.exitance(wavelengths_um, 300.0)[:, 0])]
    assert peak * 300.0 == pytest.approx(2897.771955, rel=2e-5)


def test_a_quarter_radiates_below_the_peak() -> None:
    """The band table of Incropera and DeWitt gives 0.250108 of a black body below λT = 2898 µm K."""
    wavelengths_um = np.linspace(0.3, 2898.0 / 300.0, 40_001)
    below = np.trapezoid(OWN.exitance(wavelengths_um, 300.0)[:, 0], wavelengths_um)
    assert below / float(total_exitance(300.0)) == pytest.approx(0.250108, abs=5e-6)


@pytest.mark.parametrize("of", ["power", "photons"])
@pytest.mark.parametrize(
    ("axis", "per_um"),
    [("wavenumber_per_cm", 1e4 / 10.0**2), ("frequency_hz", 2.99792458e14 / 10.0**2)],
)
def test_all_forms_speak_of_the_same_radiation(axis: Axis, per_um: float, of: Quantity) -> None:
    """At 10 µm a width of 1 µm is 100 1/cm wide, and 2.998 THz."""
    place = {"wavenumber_per_cm": 1000.0, "frequency_hz": 2.99792458e13}[axis]
    by_wavelength = OWN.exitance(10.0, [250.0, 310.0, 900.0], of=of)
    assert OWN.exitance(place, [250.0, 310.0, 900.0], axis=axis, of=of) * per_um == pytest.approx(
        by_wavelength, rel=1e-9
    )


@given(st.floats(0.3, 100.0), st.floats(150.0, 3000.0))
def test_a_photon_carries_its_energy(wavelength_um: float, kelvin: float) -> None:
    energy_j = 6.62607015e-34 * 299792458.0 / (wavelength_um * 1e-6)
    photons = OWN.exitance(wavelength_um, kelvin, of="photons")
    assert photons * energy_j == pytest.approx(OWN.exitance(wavelength_um, kelvin), rel=1e-12)


@pytest.mark.parametrize("axis", ["wavelength_um", "wavenumber_per_cm", "frequency_hz"])
@pytest.mark.parametrize("of", ["power", "photons"])
def test_the_slope_is_the_slope(axis: Axis, of: Quantity) -> None:
    places = {
        "wavelength_um": [4.0, 10.0],
        "wavenumber_per_cm": [2500.0, 1000.0],
        "frequency_hz": [7e13, 3e13],
    }
    around = OWN.exitance(places[axis], [299.99, 300.01], axis=axis, of=of)
    slope = OWN.exitance_slope(places[axis], 300.0, axis=axis, of=of)[:, 0]
    assert (around[:, 1] - around[:, 0]) / 0.02 == pytest.approx(slope, rel=1e-6)


def test_what_hardly_radiates_is_zero_and_no_warning() -> None:
    assert OWN.exitance(0.2, 50.0)[0, 0] == 0.0
    assert OWN.exitance_slope(0.2, 50.0)[0, 0] == 0.0


@given(st.floats(KELVIN_MIN + 0.5, KELVIN_MAX - 0.5))
def test_the_way_back_from_a_band_ends_where_it_began(kelvin: float) -> None:
    table = flat_band(3.7, 4.8, "own")
    assert float(table.kelvin_at(table.radiance_at(kelvin))) == pytest.approx(kelvin, abs=1e-4)


def test_outside_its_table_a_band_knows_nothing() -> None:
    table = flat_band(7.5, 13.5, "own")
    assert np.isnan(table.radiance_at([100.0, 2000.0])).all()
    assert np.isnan(table.kelvin_at([-1.0, 0.0, 1e9])).all()


def test_a_response_of_one_half_sees_half() -> None:
    grid = np.linspace(8.0, 12.0, 101)
    whole = BandTable(grid, np.ones(101), radiometry=OWN)
    half = BandTable(grid, np.full(101, 0.5), radiometry=OWN)
    assert half.radiance_at(300.0) == pytest.approx(whole.radiance_at(300.0) / 2, rel=1e-12)


def test_the_value_of_a_filter_is_weighted_by_the_source() -> None:
    grid = np.linspace(3.0, 5.0, 2001)
    warm = OWN.exitance(grid, 310.0)[:, 0]
    assert OWN.effective_value(grid, np.full(2001, 0.7), warm) == pytest.approx(0.7, rel=1e-12)
    opens_late = (grid > 4.0).astype(float)
    assert OWN.effective_value(grid, opens_late, warm) > 0.8  # a body at 37 °C radiates mostly above 4 µm
    assert OWN.effective_value(grid, opens_late, np.ones(2001)) == pytest.approx(0.5, abs=1e-3)


def test_the_radiance_of_skin_in_the_long_wave() -> None:
    """Between 7.5 and 13.5 µm a black body at 300 K sends π times less than its exitance (Lambert)."""
    grid = np.linspace(7.5, 13.5, 601)
    exitance = np.trapezoid(OWN.exitance(grid, 300.0)[:, 0], grid)
    assert float(flat_band(7.5, 13.5, "own").radiance_at(300.0)) == pytest.approx(
        exitance / math.pi, rel=1e-9
    )
