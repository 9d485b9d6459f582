"""Still pictures on disk: how large they are before they are decoded, and which of them are looked at."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cli.inputs import Inputs, Knowledge, read_inputs
from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.thermal import LinearScale
from edge.formats.spectrum_points import Hints
from edge.formats.still_headers import kind_of, read_header
from edge.formats.stills import read_still
from edge.preprocess.thermal_site import SiteCalibration
from tests.builders import thermal

ENDS = [".png", ".jpg", ".tif", ".bmp", ".webp"]


def packed(end: str, *, height_px: int = 30, width_px: int = 50, options: list[int] | None = None) -> bytes:
    picture = np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3)).astype(np.uint8)
    return cv2.imencode(end, picture, options or [])[1].tobytes()


@pytest.mark.parametrize("end", ENDS)
@given(height_px=st.integers(1, 300), width_px=st.integers(1, 300))
def test_the_header_says_how_large_a_picture_is(end: str, height_px: int, width_px: int) -> None:
    header = read_header(packed(end, height_px=height_px, width_px=width_px))
    assert (header.height_px, header.width_px, header.pages) == (height_px, width_px, 1)


def test_a_lossy_webp_and_one_with_a_canvas_say_it_too() -> None:
    lossy = packed(".webp", options=[cv2.IMWRITE_WEBP_QUALITY, 50])
    assert read_header(lossy)[1:3] == (50, 30)
    canvas = (
        b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + (49).to_bytes(3, "little") + (29).to_bytes(3, "little")
    )
    assert read_header(canvas)[1:3] == (50, 30)
    with pytest.raises(UnsupportedError, match="a WebP that moves"):
        read_header(canvas[:20] + b"\x02" + canvas[21:])


@pytest.mark.parametrize("end", ENDS)
@given(cut=st.integers(0, 200), noise=st.binary(max_size=40))
def test_what_is_cut_off_or_garbled_is_an_error_and_nothing_else(end: str, cut: int, noise: bytes) -> None:
    whole = packed(end, height_px=4, width_px=4)
    with suppress(FormatError):
        assert read_header(whole[:cut] + noise).kind


def test_other_files_are_no_pictures() -> None:
    assert kind_of(b"BM, said the text") is None
    with pytest.raises(FormatError, match="wanted a PNG, JPEG, TIFF, BMP or WebP"):
        read_header(b"%PDF-1.7 and more")
    with pytest.raises(FormatError, match="segments are out of step"):
        read_header(b"\xff\xd8\xff\xe0\0\x04\0\0" + bytes(40))
    with pytest.raises(FormatError, match="does not say how large"):
        read_header(b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + bytes(4))


def test_a_picture_is_read_only_and_has_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    picture = np.random.default_rng(0).integers(0, 256, (30, 50, 3)).astype(np.uint8)
    cv2.imwrite(str(path), picture)
    still = read_still(path)
    assert np.array_equal(still.rgb, picture[:, :, ::-1])
    assert still.notes == ()
    assert not still.rgb.flags.writeable


@pytest.mark.parametrize(("top", "used"), [(200, 8), (1023, 10), (4095, 12), (65535, 16)])
def test_of_16_bits_those_are_kept_that_are_used(tmp_path: Path, top: int, used: int) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.linspace(0, top, 1500).reshape(30, 50).astype(np.uint16))
    still = read_still(path)
    assert still.notes == (f"of 16 bits the picture uses {used}, of which the upper 8 were looked at",)
    assert int(still.rgb.max()) == top >> (used - 8)


def test_what_is_no_picture_of_bytes_is_refused(tmp_path: Path) -> None:
    floats = tmp_path / "floats.tif"
    cv2.imwrite(str(floats), np.zeros((30, 50), np.float32))
    (tmp_path / "cut.png").write_bytes(packed(".png")[:50])
    for name in ("floats.tif", "cut.png"):
        with pytest.raises(
            FormatError, match=f"{name}: (a TIFF that cannot|a PNG that cannot|its pixels are)"
        ):
            read_still(tmp_path / name)
    with pytest.raises(FormatError, match=r"absent\.png: No such file"):
        read_still(tmp_path / "absent.png")


# ── what the command line makes of them ────────────────────────────────────────────────────────────────────


def found(*paths: Path, bundle: bool = False, scale: LinearScale | None = None) -> Inputs:
    return read_inputs(
        paths,
        Knowledge(modality=None, site=SiteCalibration(scale=scale), hints=Hints(), names_a_bundle=bundle),
    )


@pytest.mark.parametrize("end", ENDS)
def test_a_picture_that_is_named_is_one(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"no-ending-{end[1:]}"
    path.write_bytes(packed(end))
    (tmp_path / f"named{end}").write_bytes(packed(end))
    assert found(tmp_path / f"named{end}").pictures == [tmp_path / f"named{end}"]
    assert found(path, path, bundle=True).pictures == [path]


def test_degrees_that_come_late_in_a_jpeg_are_still_degrees(tmp_path: Path) -> None:
    warm = thermal.radiometric_jpeg(thermal.flir_file(thermal.ramp()))
    beside_the_point = b"\xff\xe5\x9c\x42" + bytes(40_000)
    late = warm[:2] + 2 * beside_the_point + warm[2:]
    (tmp_path / "late.jpg").write_bytes(late)
    assert found(tmp_path / "late.jpg").thermal == [tmp_path / "late.jpg"]


def test_in_a_folder_pictures_count_where_a_bundle_is_named(tmp_path: Path) -> None:
    for name in ("one.png", "two.jpg"):
        (tmp_path / name).write_bytes(packed(name[-4:]))
    left = found(tmp_path)
    assert left.pictures == []
    assert left.unreadable == [f"{tmp_path}: only still pictures, and no --bundle says who looks at them"]
    assert "2 still pictures in folders, skipped" in left.notes[0]
    assert len(found(tmp_path, bundle=True).pictures) == 2


def test_grey_of_16_bits_is_for_whoever_is_named_and_a_radiometric_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "grey.png").write_bytes(thermal.png(thermal.ramp()))
    (tmp_path / "grey.tif").write_bytes(thermal.tiff([thermal.ramp()]))
    (tmp_path / "warm.jpg").write_bytes(thermal.radiometric_jpeg(thermal.flir_file(thermal.ramp())))
    names = sorted(tmp_path.iterdir())
    assert found(*names, bundle=True).pictures == names[:2]
    assert found(*names, bundle=True).thermal == names[2:]
    measured = found(*names, bundle=True, scale=LinearScale(kelvin_per_count=0.01))
    assert (measured.thermal, measured.pictures) == (names, [])
    unnamed = found(*names)
    assert [line.endswith("--bundle NAME looks at it as a picture") for line in unnamed.unreadable] == [
        True
    ] * 2
