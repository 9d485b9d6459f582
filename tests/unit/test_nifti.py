"""NIfTI files come in with their place in the patient, and go out with it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.image import Segmentation
from edge.formats import nifti
from edge.studies.pixels import build
from tests.builders.files import series_of_nifti
from tests.builders.volumes import grids

RAS = np.array([[-2.0, 0, 0, 90.0], [0, 3.0, 0, -126.0], [0, 0, 4.0, -72.0], [0, 0, 0, 1.0]])
VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def saved(path: Path, voxels: NDArray[Any], affine: NDArray[Any] = RAS, **header: Any) -> Path:
    make: Any = nibabel.Nifti1Image
    image = make(voxels, affine)
    image.header.set_xyzt_units(header.pop("space", "mm"), header.pop("time", "sec"))
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_volume_comes_in_slice_by_slice_in_lps(name: str, tmp_path: Path) -> None:
    (volume,) = nifti.read(saved(tmp_path / name, VOXELS)).volumes
    assert np.array_equal(volume.voxels, VOXELS.transpose(2, 1, 0))
    assert volume.voxels.dtype == np.int16
    assert volume.spacing_mm == (4.0, 3.0, 2.0)
    assert volume.patient_from_voxel[:3, 3] == pytest.approx([-90.0, 126.0, -72.0])
    assert (volume.modality, volume.unit) == ("", "arbitrary")


def test_time_points_are_volumes(tmp_path: Path) -> None:
    four = np.stack([VOXELS, VOXELS + 1, VOXELS + 2], axis=-1)
    scan = nifti.read(saved(tmp_path / "a.nii", four, pixdim=[1, 2, 3, 4, 2.5, 0, 0, 0]))
    assert [int(volume.voxels[0, 0, 0]) for volume in scan.volumes] == [0, 1, 2]
    assert scan.times_ms == (0.0, 2500.0, 5000.0)


def test_scaled_numbers_are_what_they_mean(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", VOXELS)
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([0.5, -3.0], "<f4").tobytes()
    path.write_bytes(raw)
    (volume,) = nifti.read(path).volumes
    assert volume.voxels.dtype == np.float32
    assert np.array_equal(volume.voxels, VOXELS.transpose(2, 1, 0) * 0.5 - 3)


def test_numbers_that_are_none_become_zero_and_are_counted(tmp_path: Path) -> None:
    voxels = VOXELS.astype(np.float32)
    voxels[0, 0, 1] = np.nan
    scan = nifti.read(saved(tmp_path / "a.nii", voxels))
    assert scan.volumes[0].voxels[1, 0, 0] == 0
    assert scan.notes == ("1 voxels that are no number were set to 0",)


def test_an_unnamed_unit_of_length_is_noted(tmp_path: Path) -> None:
    assert "taken as mm" in nifti.read(saved(tmp_path / "a.nii", VOXELS, space="unknown")).notes[0]


def test_metres_become_millimetres(tmp_path: Path) -> None:
    scan = nifti.read(saved(tmp_path / "a.nii", VOXELS, RAS / [1000, 1000, 1000, 1000], space="meter"))
    assert scan.volumes[0].spacing_mm == pytest.approx((4.0, 3.0, 2.0))


@pytest.mark.parametrize(
    ("voxels", "words"),
    [
        (np.zeros((2, 3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "whole or real numbers"),
        (np.zeros((2, 3, 4), np.complex64), "whole or real numbers"),
        (np.zeros((2, 3), np.int16), "three or four dimensions"),
        (np.zeros((2, 3, 4, 1, 3), np.float32), "three or four dimensions"),
    ],
)
def test_what_is_no_scan_is_refused(voxels: NDArray[Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=words):
        nifti.read(saved(tmp_path / "a.nii", voxels))


def test_a_file_without_a_place_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", VOXELS)
    raw = bytearray(path.read_bytes())
    raw[252:256] = bytes(4)
    path.write_bytes(raw)
    with pytest.raises(FormatError, match="left and right are unknown"):
        nifti.read(path)


def test_sheared_axes_are_refused(tmp_path: Path) -> None:
    sheared = RAS.copy()
    sheared[0, 1] = 0.5
    with pytest.raises(FormatError, match="sheared"):
        nifti.read(saved(tmp_path / "a.nii", VOXELS, sheared))


def test_an_absurd_size_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", VOXELS)
    raw = bytearray(path.read_bytes())
    raw[40:56] = np.array([3, 30000, 30000, 30000, 1, 1, 1, 1], "<i2").tobytes()
    path.write_bytes(raw)
    with pytest.raises(FormatError, match="at most 4096 MiB"):
        nifti.read(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_that_was_cut_is_refused(name: str, tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 999, (20, 20, 20)).astype(np.int16)
    path = saved(tmp_path / name, voxels)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FormatError, match="no readable NIfTI file"):
        nifti.read(path)


@pytest.mark.parametrize("junk", [b"", b"junk" * 200, gzip.compress(b"junk" * 200, mtime=0)])
def test_what_is_no_nifti_is_refused(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(junk)
    with pytest.raises(FormatError):
        nifti.read(path)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grid=grids())
def test_what_goes_out_comes_in_again_at_the_same_place(grid: Any, tmp_path: Path) -> None:
    nifti.write(tmp_path / "out.nii", grid)
    (again,) = nifti.read(tmp_path / "out.nii").volumes
    assert np.array_equal(again.voxels, grid.voxels)
    assert np.allclose(again.patient_from_voxel, grid.patient_from_voxel, atol=1e-3)


def test_labels_lie_on_the_grid_of_their_volume(tmp_path: Path) -> None:
    (volume,) = nifti.read(saved(tmp_path / "a.nii", VOXELS)).volumes
    labels = (volume.voxels % 3).astype(np.uint8)
    segmentation = Segmentation(
        labels=labels,
        names=("one", "two"),
        volume=volume,
        raw_ml=0.0,
        largest_ml=0.0,
        touched_faces=frozenset(),
        extent_mm=(1.0, 1.0, 1.0),
    )
    nifti.write_labels(tmp_path / "labels.nii.gz", segmentation)
    written: Any = nibabel.load(tmp_path / "labels.nii.gz")
    assert written.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(written.dataobj), labels.transpose(2, 1, 0))
    assert np.allclose(written.affine, RAS)


def test_the_site_says_what_a_nifti_file_shows(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", VOXELS)
    (head,) = build(series_of_nifti(path, modality="MR"))
    (thorax,) = build(series_of_nifti(path, modality="CT"))
    assert (head.volumes[0].modality, head.volumes[0].unit) == ("MR", "arbitrary")
    assert (thorax.volumes[0].modality, thorax.volumes[0].unit) == ("CT", "hounsfield")
    assert "Hounsfield" in thorax.notes[0]
