"""From the objects of a series to pictures as a person is shown them, held against what pydicom shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from edge.domain.errors import FormatError, UnsupportedError
from edge.preprocess.radiograph import Lookup, Showing, Window, grey_of
from edge.studies.pictures import SeriesPicture, Unreadable, read_pictures, sheets_of
from edge.studies.rulers import AT_THE_DETECTOR, OF_THE_FILM, UNCERTAIN
from tests.builders.dicom_pictures import (
    ANGIOGRAM,
    PHOTOGRAPH,
    SLIDE,
    ULTRASOUND,
    item,
    region,
    table,
    write_picture,
)
from tests.builders.files import dicom_instance
from tests.builders.series import groups

RAMP = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)


def pictures(path: Path) -> list[SeriesPicture | Unreadable]:
    (sheet,) = sheets_of([dicom_instance(path)])
    return list(read_pictures(sheet))


def only(path: Path) -> SeriesPicture:
    (picture,) = pictures(path)
    assert isinstance(picture, SeriesPicture), picture
    return picture


def refused(path: Path) -> str:
    (picture,) = pictures(path)
    assert isinstance(picture, Unreadable), picture
    return str(picture.trouble)


def grey(picture: SeriesPicture) -> NDArray[np.uint8]:
    assert np.ptp(picture.rgb, axis=2).max() == 0
    return picture.rgb[..., 0]


def by_pydicom(path: Path) -> NDArray[np.float64]:
    """Grey as pydicom shows it, from 0 to 255."""
    dataset = pydicom.dcmread(path, force=True)
    shown = np.asarray(
        apply_voi_lut(apply_modality_lut(pixel_array(dataset, index=0), dataset), dataset), float
    )
    return np.asarray((shown - shown.min()) / np.ptp(shown) * 255)


@pytest.mark.parametrize(
    "also",
    [
        {"WindowCenter": 2000, "WindowWidth": 1500},
        {"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": [1000, 3000], "WindowWidth": [1500, 200]},
        {"WindowCenter": 900, "WindowWidth": 800, "RescaleSlope": 0.5, "RescaleIntercept": -100},
        {
            "ModalityLUTSequence": [table([k * k // 64 for k in range(512)], first=1000, bits=16)],
            "WindowCenter": 1500,
            "WindowWidth": 3000,
        },
        {"VOILUTSequence": [table([k * 4 for k in range(1024)], first=1500, bits=12)]},
    ],
    ids=["window", "exact", "first of two", "rescaled", "modality table", "table of interest"],
)
def test_grey_is_what_pydicom_shows(tmp_path: Path, also: dict[str, Any]) -> None:
    path = write_picture(tmp_path / "one.dcm", RAMP, bits=12, **also)
    assert np.abs(grey(only(path)) - by_pydicom(path)).max() <= 1.0


def test_a_sigmoid_is_that_of_the_standard(tmp_path: Path) -> None:
    window: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "SIGMOID"}
    path = write_picture(tmp_path / "one.dcm", RAMP, bits=12, **window)
    wanted = 255 / (1 + np.exp(-4 * (RAMP.astype(float) - 2000) / 1500))
    assert np.abs(grey(only(path)) - wanted).max() <= 0.51


def test_low_values_that_are_bright_are_turned_and_padding_is_black(tmp_path: Path) -> None:
    also: dict[str, Any] = {"WindowCenter": 2047.5, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    low_bright: dict[str, Any] = {"photometric": "MONOCHROME1"}
    padding: dict[str, Any] = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 9}
    plain, turned, padded = (
        grey(only(write_picture(tmp_path / f"{number}.dcm", RAMP, bits=12, **also, **more)))
        for number, more in enumerate(({}, low_bright, low_bright | padding))
    )
    assert np.abs(255.0 - plain - turned).max() <= 1
    assert padded.ravel()[:10].tolist() == [0] * 10
    assert padded.ravel()[10] == turned.ravel()[10] > 250


def test_without_a_window_deep_pictures_are_spread_and_those_of_8_bits_are_shown_as_they_are(
    tmp_path: Path,
) -> None:
    deep = only(write_picture(tmp_path / "deep.dcm", RAMP // 4 + 300, bits=12, PixelPaddingValue=300))
    eight = only(write_picture(tmp_path / "eight.dcm", (RAMP // 64 + 40).astype(np.uint8)))
    assert (grey(deep).min(), grey(deep).max()) == (0, 255)
    assert any("names no window" in note for note in deep.notes)
    assert (grey(eight) == RAMP // 64 + 40).all()
    assert eight.notes == ()


def test_signed_samples_and_high_bits_that_do_not_count(tmp_path: Path) -> None:
    signed = RAMP.astype(np.int16) - 2048
    window: dict[str, Any] = {"WindowCenter": 0, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    one = only(write_picture(tmp_path / "one.dcm", signed, bits=13, **window))
    dirty = RAMP | np.uint16(0xA000)
    two = only(write_picture(tmp_path / "two.dcm", dirty, bits=12, **{**window, "WindowCenter": 2048}))
    assert (grey(one) == grey(two)).all()


def test_the_table_of_a_logarithmic_angiogram_is_not_for_the_screen(tmp_path: Path) -> None:
    also: dict[str, Any] = {"ModalityLUTSequence": [table(list(range(4095, -1, -1)), first=0, bits=12)]}
    window: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096}
    shown = [
        grey(
            only(
                write_picture(
                    tmp_path / f"{kind}.dcm",
                    RAMP,
                    bits=12,
                    modality="XA",
                    sop_class=ANGIOGRAM,
                    PixelIntensityRelationship=kind,
                    **also,
                    **window,
                )
            )
        )
        for kind in ("LIN", "LOG")
    ]
    assert shown[0][0, 0] > 250 > 5 > shown[1][0, 0]


def test_colours_become_rgb_whatever_they_are_stored_as(tmp_path: Path) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    kinds: dict[str, Path] = {
        "RGB": write_picture(tmp_path / "rgb.dcm", rgb, modality="XC", sop_class=PHOTOGRAPH)
    }
    planes = np.ascontiguousarray(np.moveaxis(rgb, -1, 0)).reshape(6, 8, 3)
    kinds["planes"] = write_picture(tmp_path / "planes.dcm", planes, PlanarConfiguration=1)
    kinds["deep"] = write_picture(tmp_path / "deep.dcm", rgb.astype(np.uint16) << 8)
    for name, path in kinds.items():
        assert (only(path).rgb == rgb).all(), name
    halved = write_picture(tmp_path / "ybr.dcm", rgb, photometric="YBR_FULL")
    wanted = np.asarray(pixel_array(pydicom.dcmread(halved)), int)
    assert np.abs(only(halved).rgb - wanted).max() <= 1


def test_frames_are_pictures_each_with_its_own_window_and_spacing(tmp_path: Path) -> None:
    frames = np.stack([RAMP, RAMP])
    per_frame = [
        groups(
            {
                "FrameVOILUTSequence": {"WindowCenter": centre, "WindowWidth": 2},
                "PixelMeasuresSequence": {"PixelSpacing": [0.2, 0.2]},
            }
        )
        for centre in (1000, 3000)
    ]
    path = write_picture(tmp_path / "loop.dcm", frames, bits=12, PerFrameFunctionalGroupsSequence=per_frame)
    first, second = pictures(path)
    assert isinstance(first, SeriesPicture)
    assert isinstance(second, SeriesPicture)
    assert [one.frame for one in (first, second)] == [1, 2]
    assert [int((grey(one) > 127).sum()) for one in (first, second)] == pytest.approx([3096, 1096], abs=2)
    assert first.rulers[0].spacing_mm == (0.2, 0.2)


def test_a_frame_that_is_damaged_does_not_hide_the_others(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "loop.dcm", np.stack([RAMP // 16] * 3).astype(np.uint8))
    dataset = pydicom.dcmread(path)
    dataset.compress(pydicom.uid.RLELossless)
    fragments = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=3))
    dataset.PixelData = pydicom.encaps.encapsulate([fragments[0], b"\1\0", fragments[2]])
    dataset.save_as(path)
    first, broken, third = pictures(path)
    assert isinstance(broken, Unreadable)
    assert (broken.frame, broken.frames) == (2, 3)
    assert isinstance(first, SeriesPicture)
    assert isinstance(third, SeriesPicture)
    assert third.frame == 3


@pytest.mark.parametrize(
    ("also", "spacing", "note"),
    [
        ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), AT_THE_DETECTOR),
        ({"ImagerPixelSpacing": [0.1, 0.1]}, (0.1, 0.1), AT_THE_DETECTOR),
        ({"PixelSpacing": [0.18, 0.18], "ImagerPixelSpacing": [0.2, 0.2]}, (0.18, 0.18), UNCERTAIN),
        ({"PixelSpacing": [0.3, 0.3], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.3, 0.3), "corrected"),
        ({"NominalScannedPixelSpacing": [0.3, 0.3]}, (0.3, 0.3), OF_THE_FILM),
        ({"PixelSpacing": [0, 0]}, None, ""),
        ({}, None, ""),
    ],
)
def test_millimetres_are_told_as_far_as_they_may_be_believed(
    tmp_path: Path, also: dict[str, Any], spacing: tuple[float, float] | None, note: str
) -> None:
    picture = only(write_picture(tmp_path / "one.dcm", RAMP.astype(np.uint8), **also))
    assert [ruler.spacing_mm for ruler in picture.rulers] == [spacing] * (spacing is not None)
    assert note in " ".join(picture.notes)


def test_an_ultrasound_region_measures_what_lies_within_it(tmp_path: Path) -> None:
    regions = [
        region((0, 0, 31, 63), row_cm=0.02, column_cm=0.01),
        region((32, 0, 63, 63), row_cm=1, column_cm=1, units=4),
    ]
    path = write_picture(
        tmp_path / "us.dcm",
        RAMP.astype(np.uint8),
        modality="US",
        sop_class=ULTRASOUND,
        SequenceOfUltrasoundRegions=regions,
    )
    picture = only(path)
    (ruler,) = picture.rulers
    assert ruler.spacing_mm == pytest.approx((0.2, 0.1))
    assert picture.aspect == pytest.approx(2.0)
    assert ruler.holds((0, 0, 32, 64))
    assert not ruler.holds((20, 0, 20, 10))


def test_pixels_that_are_no_squares_are_told(tmp_path: Path) -> None:
    stored = RAMP.astype(np.uint8)
    assert only(write_picture(tmp_path / "1.dcm", stored, PixelAspectRatio=[3, 2])).aspect == 1.5
    assert only(write_picture(tmp_path / "2.dcm", stored, PixelSpacing=[0.2, 0.4])).aspect == 0.5
    assert only(write_picture(tmp_path / "3.dcm", stored, PixelSpacing=[1.2, 1.2012])).aspect == 1.0


@pytest.mark.parametrize(
    ("stored", "also", "why"),
    [
        (RAMP, {"TotalPixelMatrixColumns": 640, "modality": "SM", "sop_class": SLIDE}, "tiles of a slide"),
        (RAMP, {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL"], "modality": "SM"}, "the label of a slide"),
        (RAMP, {"photometric": "HSV"}, "wanted one of MONOCHROME1"),
        (RAMP, {"photometric": "PALETTE COLOR"}, "palette"),
        (RAMP, {"Rows": 65}, "the header promises"),
        (RAMP, {"PixelData": None}, "holds no picture"),
        (RAMP.astype(np.uint32), {"bits": 33}, "33 bits stored"),
        (RAMP, {"VOILUTSequence": [item(LUTExplanation="none")]}, "tables cannot be read"),
    ],
)
def test_what_cannot_be_shown_says_why_without_naming_anybody(
    tmp_path: Path, stored: NDArray[Any], also: dict[str, Any], why: str
) -> None:
    said = refused(write_picture(tmp_path / "one.dcm", stored, **also))
    assert why in said
    assert "SECRET" not in said
    assert "instance 1" in said


def test_objects_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    stored = RAMP.astype(np.uint8)
    paths = [write_picture(tmp_path / f"{n}.dcm", stored, number=n, series_uid="1.2.3") for n in (3, 1, 2)]
    assert [sheet.number for sheet in sheets_of([dicom_instance(path) for path in paths])] == [1, 2, 3]


@given(
    centre=st.floats(-3000, 3000),
    width=st.floats(1, 5000),
    slope=st.sampled_from([1.0, -1.0, 0.25, 3.5]),
    is_inverted=st.booleans(),
)
def test_a_table_gives_what_reckoning_each_sample_gives(
    centre: float, width: float, slope: float, is_inverted: bool
) -> None:
    showing = Showing(
        slope=slope, intercept=-10, interest=Window(centre=centre, width=width), is_inverted=is_inverted
    )
    samples = np.linspace(0, 4095, 120).astype(np.uint16).reshape(10, 12)
    by_table = grey_of(samples, showing, ends=(0, 4095))
    assert (by_table == grey_of(samples, showing, ends=None)).all()
    rising = np.diff(by_table.ravel().astype(int)) * (-1 if is_inverted else 1) * np.sign(slope)
    assert (rising >= 0).all()


def test_beyond_a_table_its_ends_hold() -> None:
    lookup = Lookup(first=10, entries=np.array([1.0, 2.0, 3.0]), top=3)
    assert lookup.of(np.array([-5.0, 10.0, 11.4, 12.0, 99.0])).tolist() == [1, 1, 2, 3, 3]


GREY_FILES: Sequence[str] = (
    "pydicom-data/data_store/data/RG1_J2KI.dcm",  # CR, Philips
    "pydicom-data/data_store/data/RG3_J2KR.dcm",  # CR, Fuji
    "orthanc-db/Database/Issue44/Monochrome1-Jpeg.dcm",  # CR, Konica
    "highdicom/data/test_files/dx_image.dcm",  # DX
    "orthanc-db/Database/KarstenHilbertRF.dcm",  # RF, Siemens
    "pydicom-data/data_store/data/vlut_04.dcm",
    "pydicom-data/data_store/data/JPGLosslessP14SV1_1s_1f_8b.dcm",  # US, Philips
)


@pytest.mark.corpus
@pytest.mark.parametrize("name", GREY_FILES)
def test_radiographs_of_every_maker_are_grey_as_pydicom_shows_them(corpus: Path, name: str) -> None:
    picture = only(corpus / name)
    dataset = pydicom.dcmread(corpus / name)
    shown = np.asarray(apply_voi_lut(apply_modality_lut(pixel_array(dataset), dataset), dataset), float)
    is_low_bright = dataset.PhotometricInterpretation == "MONOCHROME1"
    mine = np.abs(255.0 * is_low_bright - grey(picture))
    line = np.polyfit(shown.ravel(), mine.ravel(), 1)
    assert line[0] > 0
    assert np.abs(np.polyval(line, shown) - mine).max() < 0.6


COLOUR_FILES: Sequence[str] = (
    "pydicom-data/data_store/data/OBXXXX1A.dcm",
    "pydicom-data/data_store/data/OBXXXX1A_expb.dcm",
    "pydicom-data/data_store/data/gdcm-US-ALOKA-16.dcm",
    "pydicom-data/data_store/data/US1_J2KI.dcm",
    "pydicom-data/data_store/data/SC_rgb_16bit_2frame.dcm",
    "pydicom-data/data_store/data/SC_ybr_full_uncompressed.dcm",
    "pydicom-test-files/src/pydicom/data/test_files/SC_ybr_full_422_uncompressed.dcm",
    "pydicom-test-files/src/pydicom/data/test_files/SC_rgb_small_odd_big_endian.dcm",
    "pydicom-test-files/src/pydicom/data/test_files/SC_rgb_jpeg.dcm",
    "pydicom-test-files/src/pydicom/data/test_files/SC_rgb_rle_16bit.dcm",
    "pydicom-test-files/src/pydicom/data/test_files/SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "wado-transfer-syntaxes/testImages/US-YBR_FULL_422-EVRLE.dcm",
    "orthanc-db/Database/2023-04-21-RLEPlanarConfigurationYBR_FULL.dcm",
    "orthanc-db/Database/2022-11-14-RLEPlanarConfiguration.dcm",
)


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's own, of what these files get wrong
@pytest.mark.parametrize("name", COLOUR_FILES)
def test_pictures_in_colour_are_as_pydicom_shows_them(corpus: Path, name: str) -> None:
    picture = pictures(corpus / name)[0]
    assert isinstance(picture, SeriesPicture)
    dataset = pydicom.dcmread(corpus / name)
    wanted = pixel_array(dataset, index=0)
    colours = {"PALETTE COLOR": lambda: apply_color_lut(wanted, dataset)}
    shown = colours.get(dataset.PhotometricInterpretation, lambda: wanted)()
    eight = shown.astype(int) >> 8 * int(shown.max() > 255)
    assert np.abs(picture.rgb - eight).max() <= 1


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pydicom-test-files/src/pydicom/data/test_files/JPEG-lossy.dcm", UnsupportedError),
        ("pydicom-test-files/src/pydicom/data/test_files/liver_1frame.dcm", UnsupportedError),
        ("pydicom-test-files/src/pydicom/data/test_files/rtplan.dcm", FormatError),
        ("pydicom-test-files/src/pydicom/data/test_files/SC_rgb_rle_32bit.dcm", UnsupportedError),
        ("pydicom-test-files/src/pydicom/data/test_files/MR_truncated.dcm", FormatError),
        ("highdicom/data/test_files/sm_image_jpegls.dcm", UnsupportedError),
    ],
)
def test_what_of_the_corpus_is_no_picture_says_why(corpus: Path, name: str, kind: type[FormatError]) -> None:
    assert all(
        isinstance(one, Unreadable) and isinstance(one.trouble, kind) for one in pictures(corpus / name)
    )


@pytest.mark.corpus
def test_a_jpeg_that_is_cut_off_is_no_picture_with_a_grey_rest(corpus: Path, tmp_path: Path) -> None:
    whole = pydicom.dcmread(corpus / "orthanc-db/Database/Issue44/Monochrome1-Jpeg.dcm")
    (encoded,) = pydicom.encaps.generate_frames(whole.PixelData, number_of_frames=1)
    whole.PixelData = pydicom.encaps.encapsulate([encoded[: len(encoded) // 4 * 2]])
    whole.save_as(tmp_path / "cut.dcm")
    assert "a JPEG without its end" in refused(tmp_path / "cut.dcm")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.dictionaries(st.integers(132, 3000), st.integers(0, 255), max_size=8), cut=st.integers(0, 3000)
)
def test_whatever_happened_to_a_file_it_is_a_picture_or_says_why_it_is_none(
    tmp_path: Path, changes: dict[int, int], cut: int
) -> None:
    also: dict[str, Any] = {
        "VOILUTSequence": [table(list(range(64)), first=0, bits=8)],
        "ModalityLUTSequence": [table(list(range(64)), first=0, bits=8)],
        "SequenceOfUltrasoundRegions": [region((0, 0, 9, 9), row_cm=1, column_cm=1)],
        "PixelPaddingValue": 3,
    }
    path = write_picture(tmp_path / "one.dcm", RAMP[:16, :16].astype(np.uint8), **also)
    content = bytearray(path.read_bytes())
    for place, value in changes.items():
        content[place % (len(content) - 132) + 132] = value
    path.write_bytes(content[: len(content) - cut % 200 * (cut % 3 == 0)])
    try:
        instance = dicom_instance(path)
    except FormatError:
        return
    (sheet,) = sheets_of([instance])
    assert list(islice(read_pictures(sheet), 3))
