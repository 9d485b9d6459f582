"""What both ways of reckoning radiometry promise: our own, and pyradi where it is installed."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.domain.errors import ConfigurationError
from edge.preprocess.thermal_band import Backend, BandTable, radiometry
from edge.preprocess.thermal_planck import Axis, OwnRadiometry, Quantity, Radiometry
from edge.preprocess.thermal_pyradi import PyradiRadiometry, is_installed
from tests.fakes.pyradi import fake_pyradi

ABSENT = "pyradi is not installed (it is on no package index; its repository is github.com/NelisW/pyradi)"
AXES: tuple[Axis, ...] = ("wavelength_um", "wavenumber_per_cm", "frequency_hz")
QUANTITIES: tuple[Quantity, ...] = ("power", "photons")
PLACES = {
    "wavelength_um": [3.0, 8.0, 14.0],
    "wavenumber_per_cm": [700.0, 1250.0, 3000.0],
    "frequency_hz": [2e13, 4e13, 9e13],
}


def own() -> Iterator[Radiometry]:
    yield radiometry("own")


def installed_pyradi() -> Iterator[Radiometry]:
    yield radiometry("pyradi")


def pretended_pyradi() -> Iterator[Radiometry]:
    """The same calls, against a package that answers as pyradi's documentation says."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in fake_pyradi().items():
            patch.setitem(sys.modules, name, module)
        yield PyradiRadiometry()


BACKENDS = [
    own,
    pytest.param(installed_pyradi, marks=pytest.mark.skipif(not is_installed(), reason=ABSENT)),
    pretended_pyradi,
]


PRESENT = [own, pretended_pyradi, *([installed_pyradi] if is_installed() else [])]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Radiometry]:
    yield from request.param()


@pytest.mark.parametrize("of", QUANTITIES)
@pytest.mark.parametrize("axis", AXES)
def test_exitance_and_slope_are_the_same(backend: Radiometry, axis: Axis, of: Quantity) -> None:
    kelvin = [260.0, 300.0, 310.15, 900.0]
    wanted = OwnRadiometry()
    assert backend.exitance(PLACES[axis], kelvin, axis=axis, of=of) == pytest.approx(
        wanted.exitance(PLACES[axis], kelvin, axis=axis, of=of), rel=1e-6
    )
    assert backend.exitance_slope(PLACES[axis], kelvin, axis=axis, of=of) == pytest.approx(
        wanted.exitance_slope(PLACES[axis], kelvin, axis=axis, of=of), rel=1e-6
    )


@pytest.mark.parametrize(
    ("spectral", "kelvin", "shape"),
    [(10.0, 300.0, (1, 1)), ([9.0, 10.0], 300.0, (2, 1)), (10.0, [290.0, 300.0, 310.0], (1, 3))],
)
def test_an_answer_has_a_row_for_each_place_and_a_column_for_each_temperature(
    backend: Radiometry, spectral: float | list[float], kelvin: float | list[float], shape: tuple[int, int]
) -> None:
    assert backend.exitance(spectral, kelvin).shape == shape
    assert backend.exitance_slope(spectral, kelvin).shape == shape
    assert backend.exitance(spectral, kelvin)[0, 0] > 0


def test_the_value_of_a_filter_is_the_same(backend: Radiometry) -> None:
    grid = np.linspace(7.0, 14.0, 701)
    filtered = np.exp(-(((grid - 10.0) / 1.5) ** 2))
    warm = OwnRadiometry().exitance(grid, 310.0)[:, 0]
    assert backend.effective_value(grid, filtered, warm) == pytest.approx(
        OwnRadiometry().effective_value(grid, filtered, warm), rel=1e-9
    )


def test_a_band_has_the_same_table(backend: Radiometry) -> None:
    grid = np.linspace(7.5, 13.5, 601)
    table = BandTable(grid, np.ones(601), radiometry=backend)
    assert float(table.radiance_at(300.0)) * math.pi == pytest.approx(
        np.trapezoid(OwnRadiometry().exitance(grid, 300.0)[:, 0], grid), rel=1e-6
    )


@pytest.mark.corpus
@pytest.mark.parametrize("backend", PRESENT, indirect=True)  # what needs the corpus may not be skipped
def test_the_reference_values_of_pyradi_come_out(backend: Radiometry, corpus: Path) -> None:
    rows = np.genfromtxt(corpus / "pyradi-reference" / "planck.csv", delimiter=",", skip_header=1)
    for wavelength_um, kelvin, exitance, photons, slope in rows.tolist():
        assert backend.exitance(wavelength_um, kelvin)[0, 0] == pytest.approx(exitance, rel=1e-6)
        assert backend.exitance(wavelength_um, kelvin, of="photons")[0, 0] == pytest.approx(photons, rel=1e-6)
        assert backend.exitance_slope(wavelength_um, kelvin)[0, 0] == pytest.approx(slope, rel=1e-6)


def test_pyradi_that_is_wanted_and_absent_is_said_when_it_is_configured() -> None:
    wanted: Backend = "pyradi"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pyradi", None)
        patch.setitem(sys.modules, "pyradi.ryplanck", None)
        with pytest.raises(ConfigurationError, match=r"wanted pyradi 1\.1 or later"):
            radiometry(wanted)
