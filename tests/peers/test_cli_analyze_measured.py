"""`edge analyze` on thermal pictures, cubes and spectra: told apart, measured, drawn, or refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.simulate.spectral import TissueScene, write_cube, write_raman
from tests.builders import cubes, spectra, thermal
from tests.builders.picture_bundles import write_picture_bundle
from tests.builders.spectra_bundles import write_spectra_bundle
from tests.builders.videos import write_video
from tests.peers.analyzed import Analyzed, analyzed
from tests.peers.command import edge

CENTIKELVIN = np.full((12, 16), 30_815, np.uint16)  # 35 °C


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles for spectra and pictures."""
    folder = tmp_path_factory.mktemp("measured")
    write_spectra_bundle(folder / "bundles")
    write_picture_bundle(folder / "bundles")
    return folder


def run(place: Path, *words: object) -> Analyzed:
    return analyzed(*words, bundles=place / "bundles")


def test_a_thermal_still_is_one_set_and_a_sequence_is_events(place: Path, tmp_path: Path) -> None:
    frames = [
        thermal.flir_file(thermal.ramp(high=high), time_s=1000 + n) for n, high in enumerate((19_000, 21_000))
    ]
    (tmp_path / "still.fff").write_bytes(frames[0])
    (tmp_path / "still.jpg").write_bytes(thermal.radiometric_jpeg(frames[0]))
    (tmp_path / "two.seq").write_bytes(b"".join(frames))
    done = run(place, tmp_path, "--out", tmp_path / "out")
    assert done.code == 0
    assert done.told("thermal") == [("begin", "PRESENT")] * 3 + [("end", "PRESENT")]
    assert [one["stream"]["source"] for one in done.findings] == ["still", "still-2", "two", "two"]
    assert [one["notes"] for one in done.findings[:2]] == [[], []]
    assert done.findings[3]["notes"] == ["1.00 s into the recording"]
    assert all(one["stream"]["calibration"]["state"] == "factory" for one in done.findings)
    for name in ("still.thermal", "still-2.thermal", "two.thermal"):
        picture = cv2.imread(str(tmp_path / "out" / f"{name}.png"))
        assert picture is not None
        assert picture.shape[0] > 500


def test_counts_without_a_scale_are_refused_by_naming_the_option_that_gives_it(
    place: Path, tmp_path: Path
) -> None:
    (tmp_path / "one.png").write_bytes(thermal.png(CENTIKELVIN))
    (tmp_path / "two.tiff").write_bytes(thermal.tiff([CENTIKELVIN] * 2))
    (tmp_path / "jade.ptw").write_bytes(thermal.ptw([CENTIKELVIN // 4] * 2, times_s=[1.0, 1.1]))
    refused = run(place, tmp_path)
    assert refused.code == 2
    assert refused.findings == []
    assert len(refused.unreadable) == 3
    assert all("--kelvin-per-count" in line for line in refused.unreadable)
    done = run(place, tmp_path / "one.png", tmp_path / "two.tiff", "--kelvin-per-count", "0.01")
    assert done.code == 0
    maximum = {one["stream"]["source"]: one["measurements"][0]["value"] for one in done.findings}
    assert maximum == pytest.approx({"one": 35.0, "two": 35.0}, abs=0.01)
    warmer = run(place, tmp_path / "one.png", "--kelvin-per-count", 0.01, "--emissivity", 0.9)
    assert warmer.findings[0]["measurements"][0]["value"] > 36
    assert warmer.findings[0]["stream"]["calibration"]["emissivity"] == 0.9
    assert run(place, tmp_path / "one.png", "--kelvin-per-count", 0.01, "--distance-m", 2).code == 0


def test_a_scale_that_cannot_be_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(thermal.png(CENTIKELVIN))
    done = edge("analyze", tmp_path / "one.png", "--emissivity", "7", home=place)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["edge: calibration: emissivity 7, wanted 0.01 to 1"]


def test_cubes_are_measured_and_asked_about_and_drawn(place: Path, tmp_path: Path) -> None:
    scene = TissueScene(height_px=40, width_px=50)
    write_cube(tmp_path / "in", "liver", scene.cube())
    write_cube(tmp_path / "in", "packed", scene.cube(), kind="npz")
    out = tmp_path / "out"
    done = run(place, tmp_path / "in", "--out", out)
    assert done.code == 0
    assert done.pipelines == {"hyperspectral", "levels"}
    assert {one["series"]["modality"] for one in done.findings} == {"HSI"}
    written = {path.name for path in out.iterdir()}
    ends = ("hyperspectral", "levels.level", "levels.tilt")
    assert written == {f"{name}.{end}.png" for name in ("liver", "packed") for end in ends}
    alone = run(place, tmp_path / "in" / "liver.hdr", "--bundle", "levels")
    assert alone.pipelines == {"levels"}
    measured = run(place, tmp_path / "in" / "packed.npz", "--bundle", "brightness")
    assert measured.pipelines == {"hyperspectral"}


def test_a_text_in_a_folder_is_a_spectrum_only_where_it_says_so(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_raman(folder, "tissue", rng=np.random.default_rng(1))
    measured, _ = spectra.raman()
    (folder / "readme.txt").write_text("Taken on a Monday.\nLaser 785 nm, 10 s.\n")
    (folder / "table.csv").write_text("a,b,c\n1,2,3\n4,5,6\n7,8,9\n")
    (folder / "clock.csv").write_text("".join(f"{n},{n * n}\n" for n in range(50)))
    done = run(place, folder, "--out", tmp_path / "out")
    assert done.code == 0
    assert {one["series"]["modality"] for one in done.findings} == {"SPECTRUM"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tissue.spectrum.png"]
    assert "1 files of two columns do not say what was measured, skipped; --measures" in done.said
    assert "3 files in folders are no pictures, skipped" in done.said
    (folder / "plain.txt").write_text(
        "".join(f"{x} {y}\n" for x, y in zip(measured.axis, measured.values, strict=True))
    )
    named = run(place, folder / "plain.txt", folder / "readme.txt", folder / "clock.csv")
    assert named.code == 2
    assert len(named.unreadable) == 3
    assert run(place, folder / "plain.txt", "--measures", "raman").code == 0


def test_garbage_of_every_kind_is_2_with_one_line_each(place: Path, tmp_path: Path) -> None:
    values = cubes.ramp((6, 7, 26))
    cubes.write_header(tmp_path, "cut-envi", cubes.fields_of(values), values.tobytes()[:-40])
    cubes.write_header(tmp_path, "lonely", cubes.fields_of(values), None)
    np.savez(tmp_path / "cube.npz", values=values, wavelengths_nm=cubes.WAVELENGTHS_NM)
    whole = (tmp_path / "cube.npz").read_bytes()
    (tmp_path / "cube.npz").unlink()
    frames = b"".join(thermal.flir_file(thermal.ramp(), time_s=n) for n in range(3))
    jpeg = thermal.radiometric_jpeg(thermal.flir_file(thermal.ramp()), part_bytes=500)
    broken = {
        "cut.npz": whole[: len(whole) // 2],
        "noise.npz": os.urandom(700),
        "cut.seq": frames[:-600],
        "cut.fff": frames[:400],
        "noise.csq": os.urandom(3000),
        "cut.jpg": jpeg[:1500],
        "cut.png": thermal.png(thermal.ramp())[:-20],
        "cut.tif": thermal.tiff([thermal.ramp()])[:250],
        "noise.spc": os.urandom(900),
        "noise.jdx": b"nothing of this kind\n",
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    done = run(place, tmp_path)
    assert done.code == 2
    names = [Path(line.partition(": ")[0]).name for line in done.unreadable]
    assert sorted(names) == sorted([*broken, "cut-envi.hdr", "lonely.hdr"])
    assert done.told("thermal") == [("begin", "PRESENT"), ("end", "PRESENT")]  # the whole frames of cut.seq


def test_a_mixed_folder_is_looked_at_by_everybody_it_is_for(place: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "bars.mp4", frames=10, kind="mp4")
    (tmp_path / "hand.fff").write_bytes(thermal.flir_file(thermal.ramp()))
    write_cube(tmp_path, "liver", TissueScene(height_px=20, width_px=30).cube())
    write_raman(tmp_path, "tissue", rng=np.random.default_rng(1))
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.zeros((20, 20, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((20, 20, 3), np.uint8))
    np.savez(tmp_path / "weights.npz", kernel=np.zeros((3, 4, 5)))
    done = run(place, tmp_path)
    assert done.code == 0
    assert done.pipelines == {"brightness", "thermal", "hyperspectral", "levels", "spectrum"}
    assert "1 files in folders are no pictures, skipped" in done.said
    assert "2 still pictures in folders, skipped; --bundle NAME says who looks at them" in done.said


@pytest.mark.corpus
def test_files_of_real_cameras_are_measured(place: Path, tmp_path: Path, corpus: Path) -> None:
    flir = corpus / "thermimage-flir"
    done = run(place, flir / "inst" / "extdata", corpus / "flirpy", "--out", tmp_path)
    assert done.code == 0
    maximum = {one["stream"]["source"]: one["measurements"][0]["value"] for one in done.findings[::-1]}
    jpeg = np.fromfile(flir / "Uploads" / "FLIRjpg_W640_H480_F1_I.raw", np.float32)
    seq = np.fromfile(flir / "Uploads" / "SampleSEQ_W640_H480_F2_I3.97.raw", np.float32)
    assert maximum["IR_2412"] == pytest.approx(float(jpeg.max()), abs=0.1)
    assert maximum["SampleSEQ"] == pytest.approx(float(seq[: seq.size // 2].max()), abs=0.1)
    assert {"SampleCSQ", "frame_000000", "frame_000000_le"} < set(maximum)
    ends = {
        one["stream"]["source"]: one["stream"] for one in done.findings if one["stream"]["phase"] == "end"
    }
    assert {name: end["frames"] for name, end in ends.items()} == {"SampleCSQ": 8, "SampleSEQ": 2}
    assert len(list(tmp_path.glob("*.thermal.png"))) == 5


@pytest.mark.corpus
def test_real_spectra_are_measured_and_real_files_that_lack_something_are_refused(
    place: Path, tmp_path: Path, corpus: Path
) -> None:
    shutil.copy(corpus / "rampy-spectra" / "docs" / "notebooks" / "data" / "LS4.txt", tmp_path)
    done = run(place, tmp_path / "LS4.txt", "--measures", "raman", "--out", tmp_path / "out")
    assert done.code == 0
    assert done.pipelines == {"spectrum"}
    assert (tmp_path / "out" / "LS4.spectrum.png").is_file()
    ptw = corpus / "pyradi-ptw" / "pyradi" / "data" / "PyradiSampleLWIR.ptw"
    pines = corpus / "indian-pines" / "indian_pines.npz"
    refused = run(place, ptw, pines)
    assert refused.code == 2
    assert "--kelvin-per-count" in refused.unreadable[0]
    assert "wavelengths_nm" in refused.unreadable[1]
