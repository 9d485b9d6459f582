"""FFF, SEQ, CSQ and radiometric JPEG: built ones in every form, and the real ones of the corpus."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.thermal import PlanckScale, RawThermogram
from edge.formats.thermal_files import read
from edge.preprocess.thermal import thermogram
from edge.preprocess.thermal_site import SiteCalibration
from tests.builders.thermal import (
    camera_record,
    fff,
    flir_file,
    jpeg_ls,
    pixel_record,
    png,
    radiometric_jpeg,
    ramp,
)

NO_SITE = SiteCalibration()


def reading(folder: Path, content: bytes, *, name: str = "picture.fff") -> list[RawThermogram]:
    path = folder / name
    path.write_bytes(content)
    return list(read(path))


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_give_the_same(tmp_path: Path, order: str) -> None:
    [picture] = reading(tmp_path, flir_file(ramp(), order=order))
    assert (picture.counts == ramp()).all()
    assert not picture.counts.flags.writeable
    assert picture.camera == "FLIR SC660"
    assert picture.saturated_counts == (8812, 57240)
    assert isinstance(picture.scale, PlanckScale)
    assert picture.scale.o == -7340
    assert picture.surroundings is not None
    assert picture.surroundings.emissivity == pytest.approx(0.95)
    assert picture.surroundings.air_celsius == pytest.approx(20.0, abs=1e-4)


@pytest.mark.parametrize("packed", [png(ramp()), png(ramp(), is_swapped=True), jpeg_ls(ramp())])
def test_packed_pixels_give_the_same_swapped_or_not(tmp_path: Path, packed: bytes) -> None:
    [picture] = reading(tmp_path, flir_file(ramp(), packed=packed))
    assert (picture.counts == ramp()).all()


def test_a_jpeg_carries_its_thermogram_in_parts_of_any_size(tmp_path: Path) -> None:
    content = flir_file(ramp(), order=">")
    for part_bytes in (40, 1000, 60_000):
        [picture] = reading(tmp_path, radiometric_jpeg(content, part_bytes=part_bytes), name="picture.jpg")
        assert (picture.counts == ramp()).all()


def test_a_sequence_is_file_after_file_with_padding_between(tmp_path: Path) -> None:
    first = flir_file(ramp(), time_ms=0)
    second = flir_file(ramp(low=18_000), time_ms=33)
    for between in (b"", b"\0" * 100):
        pictures = reading(tmp_path, first + between + second + between, name="seq.seq")
        assert [int(picture.counts[0, 0]) for picture in pictures] == [17_000, 18_000]
        times_s = [picture.recorded_at_s for picture in pictures]
        assert times_s[1] is not None
        assert times_s[0] is not None
        assert times_s[1] - times_s[0] == pytest.approx(0.033, abs=1e-6)


def test_what_is_whole_comes_before_the_trouble(tmp_path: Path) -> None:
    path = tmp_path / "cut.seq"
    path.write_bytes(flir_file(ramp()) + flir_file(ramp())[:-40])
    pictures = read(path)
    assert (next(pictures).counts == ramp()).all()
    with pytest.raises(FormatError, match=r"cut\.seq: a FLIR pixel record of 16 × 12 pixels in 344 bytes"):
        next(pictures)


def test_missing_padding_of_the_last_picture_is_no_trouble(tmp_path: Path) -> None:
    whole = flir_file(ramp(), packed=jpeg_ls(ramp()) + b"\0\0\0\0\0\0")
    [picture] = reading(tmp_path, whole[:-5])
    assert (picture.counts == ramp()).all()
    with pytest.raises(FormatError, match=r"a JPEG-LS picture of .* bytes without its end"):
        reading(tmp_path, whole[:-20])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with b''"),
        (b"FFF\0" + bytes(60), "an FFF of version 00000000, wanted 100 to 199"),
        (flir_file(ramp())[:50], "an FFF header at byte 0 ends after 50 bytes, wanted 64"),
        (flir_file(ramp())[:90], "an FFF table ends after 26 bytes"),
        (flir_file(ramp()) + b"garbage", "b'garb' at byte 3020 after a picture"),
        (flir_file(ramp(), emissivity=0.0), "emissivity 0, wanted 0.01 to 1"),
        (flir_file(ramp(), r1=float("nan")), "Planck constant r1 nan"),
        (fff([(0x20, camera_record()[:200]), (0x01, pixel_record(ramp()))]), "of 200 bytes, wanted at least"),
        (fff([(0x20, bytes(2476)), (0x01, pixel_record(ramp()))]), "begins with 0000, wanted 0002"),
        (fff([(0x20, camera_record()), (0x01, b"\2\0\0\0\0\0")]), "of 0 × 0 pixels"),
        (flir_file(ramp(), packed=jpeg_ls(ramp(13, 16))), "of 16 × 13 pixels, wanted 16 × 12"),
        (radiometric_jpeg(b""), "a JPEG without a radiometric part"),
        (radiometric_jpeg(flir_file(ramp()))[:3000], "ends after"),
        (radiometric_jpeg(b"nothing"), "b'noth' at byte 0|an FFF header at byte 0 ends after 7 bytes"),
    ],
)
def test_what_is_damaged_says_what_was_seen_and_wanted(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said) as caught:
        reading(tmp_path, content)
    assert str(caught.value).startswith("picture.fff: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (fff([(0x05, b"gain"), (0x20, camera_record())]), "without pixels; its records are gain maps, 0x20"),
        (fff([(0x01, pixel_record(ramp()))]), "without a camera record"),
        (
            flir_file(ramp(), packed=b"\xff\xd8\xff\xc0" + bytes(400)),
            "a JPEG of kind ffc0, wanted fff7",
        ),
        (b"AFF\0" + bytes(60), "an AFF sequence, wanted FFF, SEQ or CSQ"),
        (b"FPF Public Image Format\0" + bytes(900), "a FLIR public format file"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said):
        reading(tmp_path, content)


def test_a_part_of_a_jpeg_that_is_missing_is_named(tmp_path: Path) -> None:
    content = radiometric_jpeg(flir_file(ramp()), part_bytes=1100)
    second = content.index(b"FLIR\0\x01\x01") - 4
    third = content.index(b"FLIR\0\x01\x02") - 4
    with pytest.raises(FormatError, match=r"parts \[0, 2\] of a radiometric JPEG, wanted 0 to 2"):
        reading(tmp_path, content[:second] + content[third:])


# ── the corpus: Thermimage (GPL-3.0, github.com/gtatters/Thermimage) and flirpy (MIT) ───────────────────────
# Thermimage made its °C frames by `raw2temp` with the parameters of the files themselves: emissivity 0.95,
# 1 m, 20 °C all round, 50 % humidity, no window.


def celsius(picture: RawThermogram) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return thermogram(picture, NO_SITE).celsius


@pytest.mark.corpus
def test_the_jpeg_equals_the_degrees_beside_it(corpus: Path) -> None:
    folder = corpus / "thermimage-flir"
    [picture] = read(folder / "inst" / "extdata" / "IR_2412.jpg")
    wanted = np.fromfile(folder / "Uploads" / "FLIRjpg_W640_H480_F1_I.raw", "<f4").reshape(480, 640)
    found = celsius(picture)
    assert float(np.abs(found - wanted).max()) < 1e-4  # 3.8e-6 was seen; 0.1 is asked for
    assert float(found.min()) == pytest.approx(22.7359, abs=1e-3)
    assert float(found.max()) == pytest.approx(35.2505, abs=1e-3)
    assert thermogram(picture, NO_SITE).calibration.state == "factory"


@pytest.mark.corpus
def test_the_seq_equals_the_degrees_beside_it(corpus: Path) -> None:
    folder = corpus / "thermimage-flir"
    pictures = list(read(folder / "inst" / "extdata" / "SampleSEQ.seq"))
    wanted = np.fromfile(folder / "Uploads" / "SampleSEQ_W640_H480_F2_I3.97.raw", "<f4").reshape(2, 480, 640)
    assert len(pictures) == 2
    assert float(np.abs(np.stack([celsius(one) for one in pictures]) - wanted).max()) < 1e-4
    times_s = [picture.recorded_at_s or 0.0 for picture in pictures]
    assert times_s[1] - times_s[0] == pytest.approx(3.967, abs=1e-3)  # the 3.97 in the name of the reference
    assert times_s[0] == pytest.approx(1_339_617_128.699, abs=1e-3)  # 2012-06-13 19:52:08 UTC


@pytest.mark.corpus
def test_the_csq_is_decoded_as_ffmpeg_decodes_it(corpus: Path) -> None:
    """There are no °C frames for it: its counts are those of another decoder, its degrees are plausible."""
    pictures = list(read(corpus / "thermimage-flir" / "inst" / "extdata" / "SampleCSQ.csq"))
    content = (corpus / "thermimage-flir" / "inst" / "extdata" / "SampleCSQ.csq").read_bytes()
    assert [picture.counts.shape for picture in pictures] == [(768, 1024)] * 8
    begins = [at for at in range(len(content) - 4) if content[at : at + 4] == b"\xff\xd8\xff\xf7"]
    for at, picture in zip(begins, pictures, strict=True):
        decoder = av.CodecContext.create("jpegls", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        [decoded] = decoder.decode(av.Packet(content[at : at + 250_000]))
        assert (decoded.to_ndarray() == picture.counts).all()
    times_s = np.array([picture.recorded_at_s for picture in pictures], np.float64)
    assert np.diff(times_s) == pytest.approx(1 / 30, abs=1.1e-3)  # the camera says 30 Hz
    first = celsius(pictures[0])
    assert pictures[0].camera.startswith("FLIR T1030sc")
    assert (float(first.min()), float(np.median(first)), float(first.max())) == pytest.approx(
        (16.693, 19.440, 35.293), abs=2e-3
    )


@pytest.mark.corpus
def test_the_fff_says_what_exiftool_says_of_it(corpus: Path) -> None:
    """The text beside frame_000000.fff is ExifTool's; what it rounds, we round."""
    folder = corpus / "flirpy" / "test" / "test_data"
    [picture] = read(folder / "frame_000000.fff")
    said = {
        name.strip(): value.strip()
        for name, _, value in (
            line.partition(" : ") for line in (folder / "frame_000000.txt").read_text().splitlines()
        )
    }
    scale, around, air = picture.scale, picture.surroundings, picture.atmosphere
    assert isinstance(scale, PlanckScale)
    assert around is not None
    assert f"{scale.r1:g}" == said["Planck R1"]
    assert f"{scale.b_kelvin:g}" == said["Planck B"]
    assert f"{scale.f:g}" == said["Planck F"]
    assert f"{scale.o:g}" == said["Planck O"]
    assert f"{scale.r2:g}" == said["Planck R2"]
    assert f"{around.emissivity:.2f}" == said["Emissivity"]
    assert f"{around.distance_m:.2f} m" == said["Object Distance"]
    assert f"{around.reflected_celsius:.1f} C" == said["Reflected Apparent Temperature"]
    assert f"{around.air_celsius:.1f} C" == said["Atmospheric Temperature"]
    assert f"{around.window_celsius:.1f} C" == said["IR Window Temperature"]
    assert f"{around.window_transmission:.2f}" == said["IR Window Transmission"]
    assert f"{around.humidity * 100:.1f} %" == said["Relative Humidity"]
    assert f"{air.alpha1:.6f}" == said["Atmospheric Trans Alpha 1"]
    assert f"{air.alpha2:.6f}" == said["Atmospheric Trans Alpha 2"]
    assert f"{air.beta1:.6f}" == said["Atmospheric Trans Beta 1"]
    assert f"{air.beta2:.6f}" == said["Atmospheric Trans Beta 2"]
    assert f"{air.x:.6f}" == said["Atmospheric Trans X"]
    assert picture.camera == said["Camera Model"]
    assert picture.counts.shape == (512, 640)
    assert picture.recorded_at_s == pytest.approx(1_541_416_483.084, abs=1e-3)  # 2018-11-05 11:14:43.084 UTC
    found = celsius(picture)
    assert (float(found.min()), float(np.median(found)), float(found.max())) == pytest.approx(
        (9.557, 11.550, 12.582), abs=2e-3
    )


@pytest.mark.corpus
def test_the_little_endian_fff_is_a_room(corpus: Path) -> None:
    [picture] = read(corpus / "flirpy" / "test" / "test_data" / "frame_000000_le.fff")
    assert picture.counts.shape == (240, 320)
    assert (int(picture.counts.min()), int(picture.counts.max())) == (17_899, 19_192)
    found = celsius(picture)
    assert (float(found.min()), float(np.median(found)), float(found.max())) == pytest.approx(
        (22.943, 23.542, 29.497), abs=2e-3
    )
