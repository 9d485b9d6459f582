"""Hyperspectral cubes come in as they were measured, or are refused with the numbers."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.domain.errors import FormatError, PictureRejectedError, UnsupportedError
from edge.formats import cube_pack
from edge.formats.cube_files import read_cube
from edge.formats.envi_header import parse_header
from tests.builders.cubes import (
    WAVELENGTHS_NM,
    fields_of,
    listed,
    ramp,
    write_envi,
    write_header,
    write_tiff,
)

DTYPES = ["u1", "i2", "i4", "f4", "f8", "u2", "u4", "i8", "u8"]


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("byteorder", [0, 1])
def test_every_interleave_type_and_byte_order(
    interleave: str, dtype: str, byteorder: int, tmp_path: Path
) -> None:
    values = (ramp() % 251).astype(dtype)
    header = write_envi(tmp_path, "a", values, interleave=interleave, byteorder=byteorder)
    cube = read_cube(header)
    assert np.array_equal(cube.values, values.astype(np.float32))
    assert np.allclose(cube.wavelengths_nm, WAVELENGTHS_NM)
    assert (cube.unit, cube.calibration) == ("counts", "")
    assert cube.values.flags.c_contiguous
    assert not cube.values.flags.writeable


def test_the_binary_leads_to_the_same_cube_as_the_header(tmp_path: Path) -> None:
    header = write_envi(tmp_path, "a", ramp())
    assert np.array_equal(read_cube(tmp_path / "a.raw").values, read_cube(header).values)


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_bad_bands_are_left_out_and_wavelengths_put_in_order(interleave: str, tmp_path: Path) -> None:
    values = ramp((3, 4, 6))
    axis = [900, 500, 600, 550, 600, 800]
    header = write_envi(
        tmp_path,
        "a",
        values,
        interleave=interleave,
        header={"wavelength": axis, "bbl": [1, 1, 1, 0, 1, 1]},
    )
    cube = read_cube(header)
    assert cube.wavelengths_nm.tolist() == [500, 600, 800, 900]
    assert np.array_equal(cube.values, values[..., [1, 2, 5, 0]].astype(np.float32))
    assert cube.notes == (
        "1 bad bands left out",
        "1 bands at a wavelength that another band has left out",
        "bands put in order of their wavelengths",
    )


@pytest.mark.parametrize(
    ("unit", "factor", "note"),
    [
        ("Nanometers", 1, None),
        ("nm", 1, None),
        ("Micrometers", 1000, None),
        ("um", 1000, None),
        ("µm", 1000, None),
        ("Unknown", 1, "taken as nm"),
        ("Unknown", 1000, "taken as µm"),
    ],
)
def test_wavelengths_become_nanometres(unit: str, factor: float, note: str | None, tmp_path: Path) -> None:
    values = ramp((2, 2, 5))
    fields = fields_of(values, wavelength=listed(WAVELENGTHS_NM[:5] / factor), wavelength_units=unit)
    cube = read_cube(write_header(tmp_path, "a", fields, values.tobytes()))
    assert np.allclose(cube.wavelengths_nm, WAVELENGTHS_NM[:5])
    assert bool(cube.notes) == bool(note)
    assert (note or "") in "".join(cube.notes)


def test_a_header_without_byte_order_is_read_and_the_guess_is_said(tmp_path: Path) -> None:
    values = ramp((2, 3, 5))
    path = write_header(tmp_path, "a", fields_of(values, byte_order=None), values.tobytes())
    before = path.read_bytes()
    cube = read_cube(path)
    assert np.array_equal(cube.values, values)
    assert cube.notes == ("byte order not said, taken as little-endian",)
    assert path.read_bytes() == before


def test_offset_scale_gains_and_missing_values_are_what_the_header_says(tmp_path: Path) -> None:
    values = ramp((2, 2, 3))
    scaled = fields_of(values, header_offset=7, reflectance_scale_factor=100, data_ignore_value=4)
    cube = read_cube(write_header(tmp_path, "a", scaled, b"x" * 7 + values.tobytes()))
    wanted = (values / 100).astype(np.float32)
    wanted[0, 1, 1] = np.nan
    assert np.allclose(cube.values, wanted, equal_nan=True)
    assert (cube.unit, cube.calibration) == ("reflectance", "scale factor of the header")
    assert cube.notes == ("1 pixels have no value in at least one band",)
    gained = fields_of(values, data_gain_values="{1, 2, 3}", data_offset_values="{0, 0, 5}")
    cube = read_cube(write_header(tmp_path, "b", gained, values.tobytes()))
    assert np.allclose(cube.values, values * np.array([1, 2, 3]) + np.array([0, 0, 5]))
    assert cube.unit == "radiance"


def test_what_is_at_the_ceiling_of_the_detector_is_no_measurement(tmp_path: Path) -> None:
    values = ramp((2, 2, 3))
    cube = read_cube(write_header(tmp_path, "a", fields_of(values, ceiling=10), values.tobytes()))
    assert np.isnan(cube.values).sum() == 2
    assert cube.notes[0] == "2 values at the detector's ceiling of 10 not used"


# ── refused ───────────────────────────────────────────────────────────────────────────────────────

VALUES = ramp((2, 3, 4))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"data_type": 6}, UnsupportedError, "complex numbers"),
        ({"data_type": 99}, FormatError, "data type is '99', wanted one of 1, 2"),
        ({"interleave": "bib"}, FormatError, "interleave is 'bib', wanted bsq, bil or bip"),
        ({"byte_order": 7}, FormatError, "byte order is '7', wanted 0 or 1"),
        ({"bands": None}, FormatError, "Mandatory parameter .bands. missing"),
        ({"lines": "many"}, FormatError, "no usable ENVI header: ValueError"),
        ({"lines": -2}, FormatError, r"are \(-2, 3, 4\)"),
        ({"file_compression": 1}, UnsupportedError, "compressed"),
        ({"file_type": "ENVI Spectral Library"}, UnsupportedError, "wanted a cube"),
        ({"major_frame_offsets": "{0, 4}"}, FormatError, "frame offsets are not supported"),
        ({"wavelength": None}, FormatError, "names no wavelengths"),
        ({"wavelength": "{500, 600}"}, FormatError, "'wavelength' has 2 entries, wanted one for each of 4"),
        ({"wavelength": "{a, b, c, d}"}, FormatError, "something other than numbers"),
        ({"wavelength": "{0, 1, 2, 3}"}, FormatError, "no positive numbers"),
        ({"wavelength": "{500, 600, 700, 800"}, FormatError, "has no end"),
        ({"wavelength_units": "GHz"}, UnsupportedError, "in 'GHz', wanted wavelengths in nm or µm"),
        ({"wavelength_units": "", "wavelength": "{50, 60, 70, 80}"}, FormatError, "without a unit"),
        ({"bbl": "{0, 0, 0, 0}"}, FormatError, "all 4 bands are marked bad"),
        ({"reflectance_scale_factor": 0}, FormatError, "wanted a positive number"),
        ({"lines": 3}, FormatError, "the binary has 48 bytes, its header announces 72"),
        ({"lines": 1}, FormatError, "the binary has 48 bytes, its header announces 24"),
    ],
)
def test_a_header_that_cannot_be_followed_is_refused(
    changes: dict[str, object], error: type[Exception], words: str, tmp_path: Path
) -> None:
    path = write_header(tmp_path, "a", fields_of(VALUES, **changes), VALUES.tobytes())
    with pytest.raises(error, match=words):
        read_cube(path)


def test_a_header_without_binary_and_a_binary_without_header_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="binary of the ENVI header is missing"):
        read_cube(write_header(tmp_path, "a", fields_of(VALUES), None))
    (tmp_path / "b.raw").write_bytes(bytes(100))
    with pytest.raises(FormatError, match="no cube"):
        read_cube(tmp_path / "b.raw")
    with pytest.raises(FormatError, match="no such file"):
        read_cube(tmp_path / "c.raw")


def test_a_cube_above_the_limit_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    fields = fields_of(VALUES, lines=40_000, samples=40_000)
    path = write_header(tmp_path, "a", fields, b"")
    with (tmp_path / "a.raw").open("wb") as sparse:
        sparse.truncate(40_000 * 40_000 * 4 * 2)
    words = r"a cube of 40000 × 40000 × 4 values takes 24414.1 MiB, at most 1024.0 MiB are allowed"
    with pytest.raises(FormatError, match=words):
        read_cube(path)


def test_reading_takes_little_more_memory_than_the_cube(tmp_path: Path) -> None:
    values = np.zeros((600, 500, 26), np.uint16)
    header = write_envi(tmp_path, "a", values, interleave="bsq")
    tracemalloc.start()
    cube = read_cube(header)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < cube.values.nbytes + (24 << 20)


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=300), cut=st.integers(0, 400), flip=st.integers(0, 399), by=st.integers(1, 255))
def test_any_header_is_read_or_refused(text: str, cut: int, flip: int, by: int) -> None:
    fields = "\n".join(f"{key} = {value}" for key, value in fields_of(VALUES).items())
    whole = bytearray(f"ENVI\n{fields}\n{text}".encode("utf-8", "replace"))
    whole[flip % len(whole)] ^= by
    for content in (bytes(whole), bytes(whole[:cut]), b"ENVI\n" + text.encode("utf-8", "replace")):
        with suppress(FormatError):
            assert min(parse_header(content).shape) >= 1


# ── references ────────────────────────────────────────────────────────────────────────────────────


def line_camera(folder: Path, **white_header: object) -> Path:
    """A cube whose reflectance is 0.25 everywhere, with a lamp that is uneven along the line."""
    lamp = np.linspace(1000, 4000, 5)[None, :, None] * np.ones((1, 1, 26))
    dark = np.full((3, 5, 26), 100.0)
    header = {"tint": 10, **white_header}
    write_envi(folder, "WHITEREF_a", (lamp.repeat(7, 0) + 100).astype(np.uint16), header=header)
    write_envi(folder, "DARKREF_a", dark.astype(np.uint16), header={"tint": 10})
    return write_envi(folder, "a", (lamp.repeat(4, 0) * 0.25 + 100).astype(np.uint16), header={"tint": 10})


def test_references_beside_a_cube_make_it_reflectance(tmp_path: Path) -> None:
    cube = read_cube(line_camera(tmp_path))
    assert np.allclose(cube.values, 0.25, atol=2e-3)
    assert (cube.unit, cube.calibration) == ("reflectance", "white and dark reference")


def test_references_can_be_given_and_the_panel_need_not_be_white(tmp_path: Path) -> None:
    line_camera(tmp_path)
    write_envi(tmp_path, "other", np.full((4, 5, 26), 1100, np.uint16))
    cube = read_cube(
        tmp_path / "other.hdr",
        white=tmp_path / "WHITEREF_a.hdr",
        dark=tmp_path / "DARKREF_a.hdr",
        panel_reflectance=0.5,
    )
    assert np.allclose(cube.values[:, 0], 0.5, atol=2e-3)
    assert np.allclose(cube.values[:, 4], 0.125, atol=2e-3)
    assert cube.calibration == "white and dark reference, panel 0.5"


def test_a_white_reference_alone_is_used_and_said(tmp_path: Path) -> None:
    write_envi(tmp_path, "white", np.full((1, 5, 26), 2000, np.uint16))
    cube = read_cube(write_envi(tmp_path, "a", np.full((4, 5, 26), 500, np.uint16)))
    assert np.allclose(cube.values, 0.25)
    assert cube.calibration == "white reference, dark taken as 0"


def test_a_reference_of_the_same_size_is_used_pixel_by_pixel(tmp_path: Path) -> None:
    white = (np.arange(4 * 5 * 26).reshape(4, 5, 26) + 1000).astype(np.uint16)
    write_envi(tmp_path, "a_white", white)
    cube = read_cube(write_envi(tmp_path, "a", white))
    assert np.allclose(cube.values, 1)


def test_where_the_panel_is_dark_there_is_no_reflectance(tmp_path: Path) -> None:
    white = np.full((1, 5, 26), 1000, np.uint16)
    white[..., 3] = 2  # a dead band
    white[0, 1, 7] = 0  # a dead pixel
    write_envi(tmp_path, "a_white", white)
    cube = read_cube(write_envi(tmp_path, "a", np.full((4, 5, 26), 500, np.uint16)))
    assert cube.values.shape == (4, 5, 25)
    assert WAVELENGTHS_NM[3] not in cube.wavelengths_nm
    assert np.isnan(cube.values).sum() == 4
    assert "1 bands in which the white panel is dark left out" in cube.notes


@pytest.mark.parametrize(
    ("white", "header", "words"),
    [
        (np.full((1, 4, 26), 9, np.uint16), {}, "is 4 pixels wide, the cube 5"),
        (np.full((1, 5, 25), 9, np.uint16), {}, "has other bands: 25 of them, the cube has 26"),
        (np.full((1, 5, 26), 0, np.uint16), {}, "no brighter than the dark one"),
        (np.full((1, 5, 26), 9, np.uint16), {"tint": 20}, "exposed for 20 ms, the cube for 10 ms"),
        (np.full((1, 5, 26), 9, np.uint16), {"reflectance scale factor": 2}, "in reflectance for a cube in"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(
    white: np.ndarray, header: dict[str, object], words: str, tmp_path: Path
) -> None:
    write_envi(tmp_path, "a_white", white, header=header)
    path = write_envi(tmp_path, "a", np.full((4, 5, 26), 5, np.uint16), header={"tint": 10})
    with pytest.raises(PictureRejectedError, match=words):
        read_cube(path)


def test_trouble_with_a_reference_says_which(tmp_path: Path) -> None:
    path = line_camera(tmp_path)
    (tmp_path / "WHITEREF_a.raw").write_bytes(b"cut")
    with pytest.raises(FormatError, match="white reference: the binary has 3 bytes"):
        read_cube(path)


# ── archives and stacks ───────────────────────────────────────────────────────────────────────────


def test_an_archive_is_a_cube(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(
        path, values=ramp(), wavelengths_nm=WAVELENGTHS_NM[::-1], unit="reflectance", calibration="by hand"
    )
    cube = read_cube(path)
    assert np.array_equal(cube.values, ramp()[..., ::-1])
    assert (cube.unit, cube.calibration) == ("reflectance", "by hand")


def test_an_archive_without_wavelengths_needs_them_given(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, cube=ramp(), gt=np.zeros((4, 5)))
    with pytest.raises(FormatError, match="names no wavelengths_nm"):
        read_cube(path)
    assert read_cube(path, wavelengths_nm=WAVELENGTHS_NM.tolist()).values.shape == (4, 5, 26)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": ramp(), "b": ramp()}, "2 arrays of three axes"),
        ({"values": ramp((4, 5, 6)).astype(complex)}, "complex128, wanted whole or real numbers"),
        ({"values": ramp(), "wavelengths_nm": WAVELENGTHS_NM[:3]}, "wanted one number for each of 26"),
        ({"values": ramp(), "wavelengths_nm": WAVELENGTHS_NM, "unit": "furlong"}, "unit is 'furlong'"),
        ({"values": ramp(), "wavelengths_nm": WAVELENGTHS_NM, "unit": np.arange(3)}, "wanted a short text"),
    ],
)
def test_an_archive_that_is_no_cube_is_refused(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FormatError, match=words):
        read_cube(tmp_path / "a.npz")


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused_by_its_header(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (100_000, 100_000, 100)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("values.npy", header.getvalue() + bytes(10_000_000))
    with pytest.raises(FormatError, match=r"at most 1024\.0 MiB are allowed"):
        read_cube(tmp_path / "a.npz")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), by=st.integers(1, 255), cut=st.integers(0, 4000))
def test_a_damaged_archive_is_read_or_refused(at: int, by: int, cut: int, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, values=ramp((2, 3, 5)), wavelengths_nm=WAVELENGTHS_NM[:5])
    whole = bytearray(path.read_bytes())
    whole[at % len(whole)] ^= by
    for content in (bytes(whole), bytes(whole[: cut % len(whole)])):
        path.write_bytes(content)
        refused_or_read(path)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "f8"])
def test_a_stack_of_pages_is_a_cube(dtype: str, tmp_path: Path) -> None:
    values = (ramp() % 200).astype(dtype)
    path = write_tiff(tmp_path / "a.tif", values)
    (tmp_path / "a.wavelengths.txt").write_text("# nm\n" + "\n".join(map(str, WAVELENGTHS_NM)))
    cube = read_cube(path)
    assert np.array_equal(cube.values, values)
    assert np.allclose(cube.wavelengths_nm, WAVELENGTHS_NM)


def test_a_stack_without_its_wavelengths_is_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", ramp())
    with pytest.raises(FormatError, match="no wavelengths for the pages"):
        read_cube(path)
    (tmp_path / "wavelengths.csv").write_text("500,600,700")
    with pytest.raises(FormatError, match="3 wavelengths for 26 pages"):
        read_cube(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), by=st.integers(1, 255), cut=st.integers(0, 4000))
def test_a_damaged_stack_is_read_or_refused(at: int, by: int, cut: int, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", ramp((2, 3, 5)))
    (tmp_path / "a.wavelengths.txt").write_text("500 510 520 530 540")
    whole = bytearray(path.read_bytes())
    whole[at % len(whole)] ^= by
    for content in (bytes(whole), bytes(whole[: cut % len(whole)])):
        path.write_bytes(content)
        refused_or_read(path)


def refused_or_read(path: Path) -> None:
    with suppress(FormatError):
        assert read_cube(path, bytes_max=1 << 20).values.ndim == 3


# ── packs ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_pack_holds_a_cube_with_its_references(tmp_path: Path) -> None:
    header = line_camera(tmp_path)
    alone = read_cube(header)
    parts = {
        role: (tmp_path / f"{name}.hdr", tmp_path / f"{name}.raw")
        for role, name in (("cube", "a"), ("white", "WHITEREF_a"), ("dark", "DARKREF_a"))
    }
    cube_pack.write(tmp_path / "kept.cube", parts)  # type: ignore[arg-type]  # the keys are roles
    cube_pack.write(tmp_path / "again.cube", parts)  # type: ignore[arg-type]  # likewise
    packed = read_cube(tmp_path / "kept.cube")
    assert np.array_equal(packed.values, alone.values)
    assert packed.calibration == "white and dark reference"
    assert (tmp_path / "kept.cube").read_bytes() == (tmp_path / "again.cube").read_bytes()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 20_000), by=st.integers(1, 255), cut=st.integers(0, 10_000))
def test_a_damaged_pack_is_read_or_refused(at: int, by: int, cut: int, tmp_path: Path) -> None:
    header = write_header(tmp_path, "a", fields_of(VALUES), VALUES.tobytes())
    path = tmp_path / "a.cube"
    path.unlink(missing_ok=True)
    cube_pack.write(path, {"cube": (header, tmp_path / "a.raw")})
    whole = bytearray(path.read_bytes())
    whole[at % len(whole)] ^= by
    for content in (bytes(whole), bytes(whole[: cut % len(whole)])):
        path.write_bytes(content)
        refused_or_read(path)
