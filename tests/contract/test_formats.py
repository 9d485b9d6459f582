"""What every format owes: a whole file becomes its type; anything else is a clear error, never a crash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from edge.domain.errors import EdgeError
from edge.domain.image import Scan
from edge.domain.spectral import Cube, Spectrum
from edge.domain.thermal import RawThermogram
from edge.formats import nifti
from edge.formats.cube_files import read_cube
from edge.formats.spectrum_files import read_spectrum
from edge.formats.spectrum_points import Hints
from edge.formats.thermal_files import read as read_thermal
from tests.builders import cubes, spectra, thermal

RAMAN = Hints(kind="raman")
COUNTS = thermal.ramp()


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return write


def npz(folder: Path) -> Path:
    path = folder / "cube.npz"
    np.savez(path, values=cubes.ramp().astype(np.float32), wavelengths_nm=cubes.WAVELENGTHS_NM)
    return path


def tiff_stack(folder: Path) -> Path:
    (folder / "cube.wavelengths.txt").write_text("\n".join(map(str, cubes.WAVELENGTHS_NM)))
    return cubes.write_tiff(folder / "cube.tif", cubes.ramp())


def nifti_file(folder: Path) -> Path:
    path = folder / "head.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 9, 10), np.int16), np.eye(4)), path)  # type: ignore[no-untyped-call]  # nibabel's own
    return path


TEXT = "\n".join(f"{600 + n}\t{n * n % 97}" for n in range(200)).encode()

Make = Callable[[Path], Path]
Read = Callable[[Path], Any]

FORMATS: Mapping[str, tuple[Make, Read, type]] = {
    "NIfTI": (nifti_file, nifti.read, Scan),
    "ENVI": (lambda folder: cubes.write_envi(folder, "cube", cubes.ramp()), read_cube, Cube),
    "npz": (npz, read_cube, Cube),
    "TIFF stack": (tiff_stack, read_cube, Cube),
    "text": (written("s.txt", TEXT), lambda path: read_spectrum(path, hints=RAMAN), Spectrum),
    "JCAMP-DX": (
        written("s.jdx", spectra.jcamp([n * n % 97 for n in range(200)], form="DIFDUP").encode()),
        read_spectrum,
        Spectrum,
    ),
    "SPC": (
        written("s.spc", spectra.spc(np.sin(np.arange(200.0)))),
        lambda path: read_spectrum(path, hints=RAMAN),
        Spectrum,
    ),
    "FFF": (
        written("a.fff", thermal.flir_file(COUNTS)),
        lambda path: next(read_thermal(path)),
        RawThermogram,
    ),
    "SEQ": (
        written("a.seq", thermal.flir_file(COUNTS) * 2),
        lambda path: list(read_thermal(path))[1],
        RawThermogram,
    ),
    "radiometric JPEG": (
        written("a.jpg", thermal.radiometric_jpeg(thermal.flir_file(COUNTS))),
        lambda path: next(read_thermal(path)),
        RawThermogram,
    ),
    "PTW": (
        written("a.ptw", thermal.ptw([COUNTS % 16384] * 2, times_s=[0.0, 0.1])),
        lambda path: list(read_thermal(path))[1],
        RawThermogram,
    ),
    "16-bit PNG": (
        written("a.png", thermal.png(COUNTS)),
        lambda path: next(read_thermal(path)),
        RawThermogram,
    ),
}

every_format = pytest.mark.parametrize(("make", "read", "kind"), FORMATS.values(), ids=FORMATS.keys())


@every_format
def test_a_whole_file_becomes_its_type(tmp_path: Path, make: Make, read: Read, kind: type) -> None:
    assert isinstance(read(make(tmp_path)), kind)


@every_format
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.97])
def test_a_file_that_is_cut_off_is_refused_in_words(
    tmp_path: Path, make: Make, read: Read, kind: type, share: float
) -> None:
    path = make(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert ends_well(read, path)


@every_format
@pytest.mark.parametrize("seed", range(5))
def test_garbage_is_refused_in_words(tmp_path: Path, make: Make, read: Read, kind: type, seed: int) -> None:
    path = make(tmp_path)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    random = np.random.default_rng(seed)
    places = random.integers(0, len(content), max(1, len(content) // 50))
    content[places] = random.integers(0, 256, len(places), dtype=np.uint8)
    path.write_bytes(content.tobytes())
    assert ends_well(read, path)


@every_format
def test_a_file_that_is_not_there_is_said(tmp_path: Path, make: Make, read: Read, kind: type) -> None:
    path = make(tmp_path)
    path.unlink()
    with pytest.raises((EdgeError, OSError)):
        read(path)


def ends_well(read: Read, path: Path) -> bool:
    """Whether a reader answers or refuses in words, and nothing else; garbage may still be a whole file."""
    try:
        read(path)
    except EdgeError as trouble:
        return bool(str(trouble))
    return True
