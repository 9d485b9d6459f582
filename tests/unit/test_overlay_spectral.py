"""Pictures of cubes and spectra can be drawn whatever was measured of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import overlay_cube, overlay_spectrum
from edge.cli.overlay import save
from edge.domain.spectral import Cube
from edge.findings import cube_reading, spectrum_reading
from edge.findings.cube_policy import AnomalyRules, CubePolicy, Material, MaterialRules
from edge.findings.spectrum_policy import ExpectedPeak, SpectrumPolicy
from tests.builders.cubes import cube, scene
from tests.builders.spectra import raman, spectrum


def test_a_spectrum_is_drawn_with_its_peaks(tmp_path: Path) -> None:
    policy = SpectrumPolicy(expected=(ExpectedPeak(name="far", position=5000, window=5),))
    page = overlay_spectrum.draw(
        spectrum_reading.read(raman()[0], policy), policy, title="raman", lines=["what " * 60]
    )
    save(page, tmp_path / "a.png")
    written = cv2.imread(str(tmp_path / "a.png"))
    assert written is not None
    assert written.shape == page.shape
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize("values", [np.zeros(50), np.full(50, -3.0), np.arange(50.0)])
def test_a_spectrum_without_anything_is_drawn_too(values: np.ndarray) -> None:
    policy = SpectrumPolicy()
    page = overlay_spectrum.draw(spectrum_reading.read(spectrum(values), policy), policy, title="raman")
    assert page.ndim == 3


def materials(spectra: np.ndarray, axis: np.ndarray) -> MaterialRules:
    one = Material(name="one", wavelengths_nm=tuple(axis.tolist()), values=tuple(spectra[0].tolist()))
    return MaterialRules(materials=(one,))


@pytest.mark.parametrize("shape", [(60, 80), (7, 200), (900, 30)])
def test_a_cube_is_drawn_with_what_was_found(shape: tuple[int, int], tmp_path: Path) -> None:
    seen, _, spectra = scene(height=shape[0], width=shape[1])
    values = seen.values.copy()
    values[2:6, 10:14] = 3 * np.linspace(0, 1, 24) ** 2
    policy = CubePolicy(
        anomaly=AnomalyRules(area_min_px=3), materials=materials(spectra, seen.wavelengths_nm)
    )
    reading = cube_reading.read(cube(values, seen.wavelengths_nm), policy)
    page = overlay_cube.draw(reading, policy, title="cube", lines=["what was said"])
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 20
    assert (np.abs(page.astype(int) - overlay_cube.BOX).sum(axis=-1) < 30).any()


def test_a_cube_that_was_not_assessed_is_drawn_too() -> None:
    values = scene()[0].values.copy()
    values[:, :40] = np.nan
    values[..., 3] = np.nan
    raw = Cube(values=values, wavelengths_nm=np.linspace(900, 1700, 24), unit="counts")
    page = overlay_cube.draw(cube_reading.read(raw, CubePolicy()), CubePolicy(), title="cube")
    assert page.ndim == 3
