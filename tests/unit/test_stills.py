"""Still pictures on disk: how large they are before they are decoded, and which of them are looked at."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.cli.inputs import Inputs, Knowledge, read_inputs
from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.thermal import LinearScale
from edge.formats.spectrum_points import Hints
from edge.formats.still_headers import kind_of, read_header
from edge.formats.stills import read_still
from edge.preprocess.thermal_site import SiteCalibration
from tests.builders import thermal

TOPS = {"MaxSampleValue": 281, "SMaxSampleValue": 341}
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


def deep_png(path: Path, picture: NDArray[np.uint16], *, sbit: int | None = None) -> Path:
    """Write a grey PNG of 16 bits, and after its first chunk what it declares."""
    content = cv2.imencode(".png", picture)[1].tobytes()
    chunk = b"sBIT" + bytes([sbit or 0])
    said = b"" if sbit is None else struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(content[:33] + said + content[33:])
    return path


def deep_tiff(path: Path, picture: NDArray[np.uint16], *, bits: int = 16, **tops: int) -> Path:
    """Write a grey TIFF, of fewer bits packed, and the highest number that it declares."""
    rows = "".join(f"{number:0{bits}b}" for number in picture.ravel())
    pixels = picture.astype("<u2").tobytes() if bits == 16 else int(rows, 2).to_bytes(len(rows) // 8, "big")
    height_px, width_px = picture.shape
    short, long = 3, 4
    entries = [
        (256, short, width_px),
        (257, short, height_px),
        (258, short, bits),
        (259, short, 1),
        (262, short, 1),
        (273, long, 8),
        (277, short, 1),
        (278, short, height_px),
        (279, long, len(pixels)),
        *((TOPS[name], short, top) for name, top in tops.items()),
    ]
    written = b"".join(struct.pack("<HHII", tag, form, 1, number) for tag, form, number in sorted(entries))
    directory = struct.pack("<H", len(entries)) + written + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory)
    return path


def lit(top: int) -> NDArray[np.uint16]:
    return np.linspace(0, top, 64).reshape(8, 8).astype(np.uint16)


def test_two_pictures_of_one_source_are_equally_bright_where_the_bundle_states_its_range(
    tmp_path: Path,
) -> None:
    dark, bright = lit(2000), lit(2000)
    bright[-1, -1] = 4000
    paths = [deep_png(tmp_path / "dark.png", dark), deep_png(tmp_path / "bright.png", bright)]
    guessed = [read_still(path).rgb[0] for path in paths]
    stated = [read_still(path, stated=(0, 4095)) for path in paths]
    assert not np.array_equal(*guessed)
    assert np.array_equal(*(one.rgb[0] for one in stated))
    assert {one.notes for one in stated} == {("of 16 bits 0 to 4095 were looked at, as the bundle says",)}


def test_what_goes_beyond_the_stated_range_is_black_or_white_and_told(tmp_path: Path) -> None:
    still = read_still(deep_png(tmp_path / "deep.png", lit(4095)), stated=(1000, 3047))
    assert still.notes == (
        "of 16 bits 1000 to 3047 were looked at, as the bundle says; the picture goes beyond",
    )
    wanted = ((lit(4095).astype(int) - 1000) // 8).clip(0, 255)
    assert np.array_equal(still.rgb[:, :, 0], wanted)


@given(bits=st.integers(8, 16), seed=st.integers(0, 99))
def test_a_stated_range_of_whole_bits_keeps_the_upper_8(bits: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 1 << bits, (8, 8)).astype(np.uint16)
    with TemporaryDirectory() as folder:
        still = read_still(deep_png(Path(folder, "deep.png"), picture), stated=(0, (1 << bits) - 1))
    assert np.array_equal(still.rgb[:, :, 0], picture >> (bits - 8))


def test_what_a_png_declares_fills_all_16_bits(tmp_path: Path) -> None:
    still = read_still(deep_png(tmp_path / "deep.png", lit(20_000), sbit=12))
    assert still.notes == ("of 16 bits the file declares 16 (sBIT), of which the upper 8 were looked at",)
    assert int(still.rgb.max()) == 20_000 >> 8


@pytest.mark.parametrize(
    ("tops", "bits", "by"),
    [
        ({"SMaxSampleValue": 4095}, 12, "SMaxSampleValue"),
        ({"MaxSampleValue": 4095}, 12, "MaxSampleValue"),
        ({"MaxSampleValue": 900, "SMaxSampleValue": 16_383}, 14, "SMaxSampleValue"),
        ({"MaxSampleValue": 3711}, 12, "MaxSampleValue"),  # the highest of that picture
    ],
)
def test_what_a_tiff_declares_comes_before_what_the_picture_uses(
    tmp_path: Path, tops: dict[str, int], bits: int, by: str
) -> None:
    still = read_still(deep_tiff(tmp_path / "deep.tif", lit(900), **tops))
    assert still.notes == (
        f"of 16 bits the file declares {bits} ({by}), of which the upper 8 were looked at",
    )
    assert int(still.rgb.max()) == 900 >> (bits - 8)


@pytest.mark.parametrize(("top", "kind"), [(255, "less than it holds"), (0, "nothing")])
def test_a_tiff_that_declares_what_cannot_be_is_shown_by_the_bits_it_uses(
    tmp_path: Path, top: int, kind: str
) -> None:
    still = read_still(deep_tiff(tmp_path / "deep.tif", lit(900), MaxSampleValue=top))
    beside = {"less than it holds": ": more than the 8 of its MaxSampleValue", "nothing": ""}[kind]
    assert still.notes == (f"of 16 bits the picture uses 10, of which the upper 8 were looked at{beside}",)
    assert int(still.rgb.max()) == 900 >> 2


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_numbers_of_a_tiff_are_as_the_file_holds_them(tmp_path: Path, bits: int) -> None:
    picture = lit((1 << bits) - 1) // 2
    path = deep_tiff(tmp_path / "packed.tif", picture, bits=bits)
    still = read_still(path)
    assert still.notes == (
        f"of 16 bits the file declares {bits} (BitsPerSample), of which the upper 8 were looked at",
    )
    assert np.array_equal(still.rgb[:, :, 0], picture >> (bits - 8))
    assert np.array_equal(read_still(path, stated=(0, (1 << bits) - 1)).rgb, still.rgb)


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
