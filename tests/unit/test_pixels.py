"""Stored samples become the values they mean, in the smallest type that holds them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from edge.domain.errors import EdgeError, FormatError, SeriesRejectedError, UnsupportedError
from edge.domain.image import Volume
from edge.domain.study import Series
from edge.formats.dicom_pixels import PixelFormat, significant
from edge.studies import pixels
from edge.studies.pixels import build
from tests.builders.files import series_of_files
from tests.builders.series import Frame, pictures, stack, written, written_enhanced

PLAIN = PixelFormat(
    rows=1,
    columns=4,
    samples=1,
    bits_allocated=16,
    bits_stored=12,
    high_bit=11,
    is_signed=False,
    is_float=False,
    photometric="MONOCHROME2",
)


def the_volume(series: Series) -> Volume:
    (scan,) = build(series)
    (volume,) = scan.volumes
    return volume


def test_hounsfield_units_stay_whole_and_small(tmp_path: Path) -> None:
    series = written(stack(pictures(3, kind="<u2")), tmp_path, RescaleIntercept=-1024, RescaleType="HU")
    volume = the_volume(series)
    assert volume.voxels.dtype == np.int16
    assert volume.unit == "hounsfield"
    assert np.array_equal(volume.voxels, np.array(pictures(3), dtype=int) - 1024)


def test_a_voxel_is_read_only(tmp_path: Path) -> None:
    volume = the_volume(written(stack(pictures(3)), tmp_path))
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1


def test_a_broken_slope_makes_real_numbers_slice_by_slice(tmp_path: Path) -> None:
    shots = stack(pictures(3))
    for shot, slope in zip(shots, ("0.5", "1.25", "2"), strict=True):
        shot.also["RescaleSlope"] = slope
    volume = the_volume(written(shots, tmp_path))
    assert volume.voxels.dtype == np.float32
    assert np.allclose(volume.voxels, np.array(pictures(3)) * np.array([0.5, 1.25, 2.0])[:, None, None])


def test_whole_numbers_that_int16_cannot_hold_become_real_numbers(tmp_path: Path) -> None:
    shots = stack([picture.astype("<u2") for picture in pictures(3)])
    shots[1].stored[2, 3] = 65535
    volume = the_volume(written(shots, tmp_path))
    assert volume.voxels.dtype == np.float32
    assert volume.voxels[1, 2, 3] == 65535


@pytest.mark.parametrize("kind", ["u1", "<u2", "<i2", "<u4", "<i4"])
def test_every_width_of_sample_is_read(kind: str, tmp_path: Path) -> None:
    stored = [(picture % 200).astype(kind) for picture in pictures(3)]
    assert np.array_equal(the_volume(written(stack(stored), tmp_path)).voxels, stored)


def test_padding_is_left_alone(tmp_path: Path) -> None:
    shots = stack(pictures(3))
    shots[0].stored[0, 0] = -2000
    assert the_volume(written(shots, tmp_path, PixelPaddingValue=-2000)).voxels[0, 0, 0] == -2000


def test_inverted_pictures_are_noted(tmp_path: Path) -> None:
    (scan,) = build(written(stack(pictures(3)), tmp_path, PhotometricInterpretation="MONOCHROME1"))
    assert scan.notes == ("stored with low values bright (MONOCHROME1)",)


def test_loss_is_noted(tmp_path: Path) -> None:
    (scan,) = build(written(stack(pictures(3)), tmp_path, LossyImageCompression="01"))
    assert "loss" in scan.notes[0]


@pytest.mark.parametrize(
    ("unit", "change"),
    [
        ("hounsfield", {}),
        ("arbitrary", {"RescaleType": "US"}),
        ("arbitrary", {"RescaleSlope": None, "RescaleIntercept": None}),
        ("arbitrary", {"Modality": "MR"}),
        ("bq_ml", {"Modality": "PT", "Units": "BQML"}),
        ("arbitrary", {"Modality": "PT", "Units": "CNTS"}),
    ],
)
def test_the_unit_is_what_the_header_can_prove(unit: str, change: dict[str, Any], tmp_path: Path) -> None:
    assert the_volume(written(stack(pictures(2)), tmp_path, **change)).unit == unit


@given(st.lists(st.integers(-2048, 2047), min_size=4, max_size=4), st.integers(0, 15))
def test_bits_that_do_not_count_change_nothing(values: list[int], garbage: int) -> None:
    numbers = np.array([values])
    dirty = ((numbers & 0x0FFF) | (garbage << 12)).astype("<u2")
    form = replace(PLAIN, is_signed=True)
    assert np.array_equal(significant(dirty.view("<i2"), form), numbers)
    assert np.array_equal(significant(dirty, PLAIN), numbers & 0x0FFF)


@given(st.lists(st.integers(0, 4095), min_size=4, max_size=4))
def test_samples_may_sit_in_the_upper_bits(values: list[int]) -> None:
    stored = (np.array([values]) << 4).astype("<u2")
    assert np.array_equal(significant(stored, replace(PLAIN, high_bit=15)), [values])


def jpeg_lossless(picture: NDArray[Any]) -> bytes:
    return bytes(imagecodecs.ljpeg_encode(picture))


def jpeg_ls(picture: NDArray[Any]) -> bytes:
    return bytes(imagecodecs.jpegls_encode(picture))


def jpeg_2000(picture: NDArray[Any]) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(picture, level=0, reversible=True, codecformat="j2k"))


@pytest.mark.parametrize(
    ("syntax", "encode"), [("4.70", jpeg_lossless), ("4.80", jpeg_ls), ("4.90", jpeg_2000)]
)
def test_compressed_slices_decode_to_what_was_compressed(syntax: str, encode: Any, tmp_path: Path) -> None:
    whole = pictures(4, rows=16, columns=20, kind="<u2")
    series = written(stack(whole), tmp_path)
    for instance, picture in zip(series.instances, whole, strict=True):
        compress(instance.path, encode(picture), f"1.2.840.10008.1.2.{syntax}")
    assert np.array_equal(the_volume(again(series)).voxels, whole)


def test_a_codec_that_nobody_has_is_named(tmp_path: Path) -> None:
    series = written(stack(pictures(2, rows=16, columns=16, kind="<u2")), tmp_path)
    for instance in series.instances:
        compress(instance.path, b"\0" * 64, "1.2.840.10008.1.2.4.102")
    with pytest.raises(UnsupportedError, match=r"instance 1 .*MPEG-4.*1\.2\.840\.10008\.1\.2\.4\.102"):
        build(again(series))


def test_damaged_compressed_pixels_are_refused(tmp_path: Path) -> None:
    whole = pictures(2, rows=16, columns=16, kind="<u2")
    series = written(stack(whole), tmp_path)
    for instance, picture in zip(series.instances, whole, strict=True):
        compress(instance.path, jpeg_lossless(picture)[:40], "1.2.840.10008.1.2.4.70")
    with pytest.raises(FormatError, match="instance 1 "):
        build(again(series))


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    series = written(stack(pictures(3)), tmp_path)
    path = series.instances[1].path
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FormatError, match=r"instance 2 \(….*50 bytes of pixels, the header promises 60"):
        build(series)


def test_more_voxels_than_memory_allows_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "VOLUME_BYTES_MAX", 4 * 89)
    with pytest.raises(SeriesRejectedError, match=r"1 volumes of 3x6x5 voxels take"):
        build(written(stack(pictures(3)), tmp_path))


def test_the_same_picture_under_another_header_counts_once(tmp_path: Path) -> None:
    series = with_second_version(written(stack(pictures(3)), tmp_path), PatientName="Corrected")
    (scan,) = build(series)
    assert scan.volumes[0].voxels.shape == (3, 6, 5)
    assert scan.notes == ("1 instances came twice with other headers and the same picture",)


def test_another_picture_under_the_same_uid_is_refused(tmp_path: Path) -> None:
    series = with_second_version(written(stack(pictures(3)), tmp_path), PixelData=bytes(60))
    with pytest.raises(SeriesRejectedError, match=r"instance 2 .*same UID and another picture"):
        build(series)


def with_second_version(series: Series, **change: Any) -> Series:
    first = series.instances[1]
    dataset = pydicom.dcmread(first.path)
    for keyword, value in change.items():
        setattr(dataset, keyword, value)
    path = first.path.with_name("beside.dcm")
    dataset.save_as(path)
    return replace(series, instances=(*series.instances, replace(first, path=path, is_beside=True)))


def compress(path: Path, encoded: bytes, syntax: str) -> None:
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate([encoded])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)


def again(series: Series) -> Series:
    return series_of_files([instance.path for instance in series.instances])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    is_enhanced=st.booleans(),
    alterations=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    kept=st.floats(0.5, 1.0),
)
def test_no_altered_object_surprises_the_path(
    is_enhanced: bool, alterations: list[tuple[float, int]], kept: float, tmp_path: Path
) -> None:
    series = [a_classic_series, an_enhanced_series][is_enhanced](tmp_path)
    path = series.instances[0].path
    whole = bytearray(path.read_bytes())
    for place, byte in alterations:
        whole[132 + int(place * (len(whole) - 133))] = byte
    path.write_bytes(whole[: int(min(1.0, kept * 1.5) * len(whole))])
    with contextlib.suppress(EdgeError):
        build(series)


def a_classic_series(folder: Path) -> Series:
    return written(stack(pictures(3)), folder)


def an_enhanced_series(folder: Path) -> Series:
    frames: list[Frame] = [
        (shot.position_mm, shot.stored.astype("<u2"), {"MREchoSequence": {"EffectiveEchoTime": 3.0}})
        for shot in stack(pictures(3))
    ]
    return written_enhanced(frames, folder)
