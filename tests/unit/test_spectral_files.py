"""A watched folder knows which files make up a cube or a spectrum, and when they are whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.domain.errors import FormatError
from edge.formats.cube_files import read_cube
from edge.formats.spectral_files import bring, recognise
from edge.formats.spectrum_files import read_spectrum
from tests.builders.cubes import WAVELENGTHS_NM, fields_of, ramp, write_envi, write_header, write_tiff
from tests.builders.spectra import jcamp, spc


def test_header_and_binary_are_one_cube(tmp_path: Path) -> None:
    header = write_envi(tmp_path, "a", ramp())
    found = recognise(header, kind="cube")
    assert (found.lead, found.lacking, found.is_reference) == (header, "", False)
    assert found.own_files == (header, tmp_path / "a.raw")
    assert recognise(tmp_path / "a.raw", kind="cube").lead == header


def test_references_beside_it_come_with_a_cube_and_never_alone(tmp_path: Path) -> None:
    for name in ("a", "WHITEREF_a", "DARKREF_a"):
        write_envi(tmp_path, name, ramp())
    found = recognise(tmp_path / "a.hdr", kind="cube")
    assert len(found.files) == 6
    assert len(found.own_files) == 2
    assert recognise(tmp_path / "DARKREF_a.raw", kind="cube").is_reference


def test_a_cube_of_which_something_is_under_way_says_what_is_lacking(tmp_path: Path) -> None:
    values = ramp((2, 3, 4))
    (tmp_path / "b.raw").write_bytes(bytes(10))
    assert recognise(tmp_path / "b.raw", kind="cube").lacking == "its ENVI header is missing"
    header = write_header(tmp_path, "a", fields_of(values), None)
    assert "binary of the ENVI header is missing" in recognise(header, kind="cube").lacking
    (tmp_path / "a.raw").write_bytes(values.tobytes()[:-1])
    assert recognise(header, kind="cube").lacking == "47 bytes, its header announces 48"
    (tmp_path / "a.raw").write_bytes(values.tobytes())
    (tmp_path / "white.hdr").write_text("ENVI\n")
    assert recognise(header, kind="cube").lacking.startswith("white reference: ")
    header.write_text("ENV")
    assert "no ENVI header" in recognise(header, kind="cube").lacking


def test_archives_and_stacks_are_whole_when_they_have_an_end(tmp_path: Path) -> None:
    archive = tmp_path / "a.npz"
    np.savez(archive, values=ramp(), wavelengths_nm=WAVELENGTHS_NM)
    assert recognise(archive, kind="cube").lacking == ""
    archive.write_bytes(archive.read_bytes()[:-30])
    assert recognise(archive, kind="cube").lacking == "the archive has no end"
    stack = write_tiff(tmp_path / "a.tif", ramp())
    assert "no wavelengths" in recognise(stack, kind="cube").lacking
    (tmp_path / "a.wavelengths.txt").write_text(" ".join(map(str, WAVELENGTHS_NM)))
    assert recognise(stack, kind="cube").lacking == ""
    stack.write_bytes(stack.read_bytes()[:-30])
    assert "ends within its directory" in recognise(stack, kind="cube").lacking
    stack.write_bytes(b"")
    assert recognise(stack, kind="cube").lacking == "it is empty"


def test_a_spectrum_is_whole_when_it_passes_its_own_checks(tmp_path: Path) -> None:
    path = tmp_path / "a.jdx"
    path.write_text(jcamp([1, 2, 3, 4]))
    assert recognise(path, kind="spectrum").lacking == ""
    path.write_text(jcamp([1, 2, 3, 4])[:-10])
    assert "cut off" in recognise(path, kind="spectrum").lacking
    other = tmp_path / "a.spc"
    other.write_bytes(spc(np.ones(5), version=0x4C))
    assert recognise(other, kind="spectrum").lacking == ""  # whole, and refused when it is read


@pytest.mark.parametrize(
    ("name", "kind"), [("a.pdf", "cube"), ("wavelengths.txt", "cube"), ("a.pdf", "spectrum")]
)
def test_what_is_nothing_for_the_folder_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(FormatError, match=r"no cube by its name|comes with its cubes|no spectrum by"):
        recognise(tmp_path / name, kind=kind)  # type: ignore[arg-type]  # one of the two


def test_what_is_brought_in_is_one_file_that_reads_like_the_many(tmp_path: Path) -> None:
    write_envi(tmp_path, "white", np.full((1, 5, 26), 2000, np.uint16))
    write_envi(tmp_path, "dark", np.full((1, 5, 26), 0, np.uint16))
    header = write_envi(tmp_path, "a", ramp() + 1)
    found = recognise(header, kind="cube")
    first = bring(found, tmp_path / "one.part.cube")
    second = bring(found, tmp_path / "two.part.cube")
    assert first == second
    assert first[0] == (tmp_path / "one.part.cube").stat().st_size
    kept = read_cube(tmp_path / "one.part.cube")
    assert np.array_equal(kept.values, read_cube(header).values)
    assert kept.unit == "reflectance"


def test_a_single_file_is_kept_as_it_is_and_read_by_its_content(tmp_path: Path) -> None:
    archive = tmp_path / "a.npz"
    np.savez(archive, values=ramp(), wavelengths_nm=WAVELENGTHS_NM)
    bring(recognise(archive, kind="cube"), tmp_path / "kept.cube")
    assert (tmp_path / "kept.cube").read_bytes() == archive.read_bytes()
    assert read_cube(tmp_path / "kept.cube").values.shape == (4, 5, 26)
    text = tmp_path / "a.jdx"
    text.write_text(jcamp([1, 2, 3, 4]))
    bring(recognise(text, kind="spectrum"), tmp_path / "kept.spectrum")
    assert read_spectrum(tmp_path / "kept.spectrum").values.tolist() == [1, 2, 3, 4]


def test_a_stack_is_brought_in_with_its_wavelengths(tmp_path: Path) -> None:
    stack = write_tiff(tmp_path / "a.tif", ramp())
    (tmp_path / "wavelengths.txt").write_text(" ".join(map(str, WAVELENGTHS_NM)))
    bring(recognise(stack, kind="cube"), tmp_path / "kept.cube")
    assert np.array_equal(read_cube(tmp_path / "kept.cube").values, ramp())
