"""Files of the simulated devices are read by the product as what they are."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from edge.domain.errors import ConfigurationError
from edge.domain.thermal import LinearScale, PlanckScale
from edge.formats.cube_files import read_cube
from edge.formats.spectrum_files import read_spectrum
from edge.formats.thermal_files import read
from edge.simulate.pace import Pace
from edge.simulate.spectral import (
    PATCH_OXYGENATION,
    TISSUE_OXYGENATION,
    WAVELENGTHS_NM,
    CubeKind,
    TissueScene,
    blood_absorption,
    reflectance,
    write_cube,
    write_raman,
)
from edge.simulate.thermal import (
    HOT_SPOT_CELSIUS,
    FileKind,
    ThermalCamera,
    WarmScene,
    record,
    to_counts,
)
from tests.waiting import until

PLANCK = PlanckScale(r1=21106.77, b_kelvin=1501.0, f=1.0, o=-7340.0, r2=0.012545258)


@pytest.mark.parametrize("kind", ["tiff", "png"])
def test_a_recorded_sequence_is_read_as_it_was_seen(tmp_path: Path, kind: FileKind) -> None:
    scene, twin = WarmScene(seed=3), WarmScene(seed=3)
    paths = record(tmp_path, scene, frames=4, kind=kind)
    seen = [next(read(path)).counts * 0.01 - 273.15 for path in sorted(tmp_path.iterdir())]
    wanted = [twin.celsius(number / 9.0) for number in range(4)]
    assert paths == sorted(tmp_path.iterdir())
    assert np.abs(np.array(seen) - np.array(wanted)).max() <= 0.0051


def test_counts_of_planck_constants_are_taken_back_by_the_formula() -> None:
    celsius = WarmScene().celsius(6.0)
    counts = to_counts(celsius, PLANCK, emissivity=0.98, reflected_celsius=22.0).astype(np.float64)
    mirrored = PLANCK.r1 / (PLANCK.r2 * (np.exp(PLANCK.b_kelvin / 295.15) - PLANCK.f))
    body = (counts + PLANCK.o - 0.02 * mirrored) / 0.98
    back = PLANCK.b_kelvin / np.log(PLANCK.r1 / (PLANCK.r2 * body) + PLANCK.f) - 273.15
    assert np.abs(back - celsius).max() < 0.02


def test_temperatures_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="another scale"):
        to_counts(WarmScene().celsius(0), LinearScale(kelvin_per_count=0.001))


def test_the_hot_spot_comes_and_goes() -> None:
    scene = WarmScene()
    row, column = scene.hot_spot_px
    cool, hot, cool_again = (float(scene.celsius(at_s)[row, column]) for at_s in (2.0, 7.0, 12.0))
    assert cool == pytest.approx(34, abs=1.2)
    assert hot == pytest.approx(HOT_SPOT_CELSIUS, abs=0.5)
    assert cool_again == pytest.approx(34, abs=1.2)


def test_a_thermal_camera_leaves_only_its_newest_pictures(tmp_path: Path) -> None:
    with ThermalCamera(tmp_path, scene=WarmScene(height_px=24, width_px=32), fps=60, files_kept=3) as camera:
        until(lambda: camera.pace.done > 8, within_s=10)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [f"thermal-{number:08d}.tiff" for number in range(camera.pace.done - 3, camera.pace.done)]
    assert camera.pace.trouble is None


def test_a_paused_camera_writes_nothing_and_a_frozen_one_the_same(tmp_path: Path) -> None:
    with ThermalCamera(tmp_path, scene=WarmScene(height_px=24, width_px=32), fps=60) as camera:
        camera.is_paused = True
        paused_at = camera.pace.done
        until(lambda: camera.pace.done > paused_at + 5, within_s=10)
        written = len(list(tmp_path.iterdir()))
        camera.is_paused, camera.is_frozen = False, True
        until(lambda: len(list(tmp_path.iterdir())) >= written + 2, within_s=10)
    assert written <= paused_at + 1
    last_two = sorted(tmp_path.iterdir())[-2:]
    still = [next(read(path)).counts.astype(int) for path in last_two]
    assert np.abs(still[0] - still[1]).mean() < 20  # the detector's noise goes on


def test_a_folder_that_goes_away_ends_the_camera_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "thermal"
    with ThermalCamera(folder, scene=WarmScene(height_px=24, width_px=32), fps=60) as camera:
        until(lambda: camera.pace.done > 1, within_s=10)
        folder.rename(tmp_path / "away")
        until(lambda: camera.pace.is_over, within_s=10)
    assert isinstance(camera.pace.trouble, FileNotFoundError)


def test_a_pace_leaves_out_what_comes_too_late() -> None:
    numbers: list[int] = []
    with Pace(numbers.append, period_s=0.001, name="quick", steps_max=30) as pace:
        assert pace.wait(10)
    assert numbers == list(range(30))
    assert pace.done == 30


@pytest.mark.parametrize("kind", ["envi", "npz"])
def test_a_cube_is_read_as_reflectance(tmp_path: Path, kind: CubeKind) -> None:
    values = TissueScene().cube()
    cube = read_cube(write_cube(tmp_path, "tissue", values, kind=kind))
    assert cube.unit == "reflectance"
    assert cube.wavelengths_nm.tolist() == list(WAVELENGTHS_NM)
    np.testing.assert_array_equal(cube.values, values)


def test_a_patch_of_the_tissue_lacks_oxygen() -> None:
    scene = TissueScene()
    assert scene.oxygenation.min() == pytest.approx(PATCH_OXYGENATION, abs=0.04)
    assert np.median(scene.oxygenation) == pytest.approx(TISSUE_OXYGENATION, abs=0.04)
    cube = scene.cube()
    darker = WAVELENGTHS_NM.index(660.0)
    ratio = cube[scene.oxygenation < 0.4, darker].mean() / cube[scene.oxygenation > 0.7, darker].mean()
    assert ratio < 0.9  # without oxygen, blood swallows more red light


def test_reflectance_is_between_nothing_and_all_and_falls_with_blood() -> None:
    nm = np.asarray(WAVELENGTHS_NM)
    seen = [reflectance(nm, 0.7, blood) for blood in (0.005, 0.02, 0.1)]
    assert all(values.min() > 0 and values.max() < 1 for values in seen)
    assert all(np.all(more < less) for less, more in itertools.pairwise(seen))


def test_both_kinds_of_blood_swallow_alike_near_800_nm_and_unlike_at_660() -> None:
    with_oxygen, without = (blood_absorption([660.0, 800.0], share) for share in (1.0, 0.0))
    assert without[0] / with_oxygen[0] > 5
    assert without[1] / with_oxygen[1] == pytest.approx(1, abs=0.25)


def test_a_raman_spectrum_is_read_as_one(tmp_path: Path) -> None:
    spectrum = read_spectrum(write_raman(tmp_path, "tissue", rng=np.random.default_rng(2)))
    assert (spectrum.kind, spectrum.axis_unit) == ("raman", "cm-1")
    peak = spectrum.axis[spectrum.axis > 1550][np.argmax(spectrum.values[spectrum.axis > 1550])]
    assert peak == pytest.approx(1656, abs=8)
