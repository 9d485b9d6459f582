"""A bundle is built from samples that are seen as `edge analyze` and the daemon see them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.manifest import Manifest
from edge.bundles.pictures import PictureBundle
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.store import load
from edge.cli.instances import dicom_instance
from edge.cli.samples import read_samples
from edge.domain.errors import ConfigurationError
from edge.formats import nifti
from edge.formats.stills import read_still
from edge.studies.pictures import SeriesPicture, read_pictures, sheets_of
from edge.workshop.questions import Sample, groups_of_items
from tests.builders.bundles import write_bundle
from tests.builders.dicom_pictures import write_picture
from tests.builders.grey_video import write_grey_video
from tests.builders.picture_bundles import write_picture_bundle
from tests.builders.spectra_bundles import write_spectra_bundle
from tests.builders.volumes import volume

RAMP = np.linspace(0, 20_000, 64 * 64).reshape(64, 64).astype(np.uint16)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return load(write_picture_bundle(tmp_path / "bundles")).manifest


def rgb(sample: Sample) -> NDArray[np.uint8]:
    assert not isinstance(sample, np.ndarray)
    assert hasattr(sample, "rgb")
    return np.asarray(sample.rgb(), np.uint8)


def test_dicom_pictures_are_samples_as_they_are_shown(tmp_path: Path, manifest: Manifest) -> None:
    path = write_picture(tmp_path / "film.dcm", (RAMP // 8).astype(np.uint16), bits=12)
    (sample,), notes = read_samples([path], manifest, most=4)
    (shown,) = read_pictures(sheets_of([dicom_instance(path)])[0])
    assert isinstance(shown, SeriesPicture)
    assert notes == []
    assert (rgb(sample.sample) == shown.rgb).all()


def test_of_16_bits_samples_have_those_that_are_looked_at_and_say_so(
    tmp_path: Path, manifest: Manifest
) -> None:
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), RAMP)
    (sample,), notes = read_samples([path], manifest, most=4)
    assert (rgb(sample.sample) == read_still(path).rgb).all()
    assert notes == ["film.png: of 16 bits the picture uses 15, of which the upper 8 were looked at"]


def test_samples_of_16_bits_are_shown_by_the_range_that_the_bundle_states(
    tmp_path: Path, manifest: Manifest
) -> None:
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), RAMP)
    assert isinstance(manifest, PictureBundle)
    given = manifest.input.model_copy(update={"range_16_bits": (0, 65535)})
    (sample,), notes = read_samples([path], manifest.model_copy(update={"input": given}), most=4)
    assert (rgb(sample.sample)[:, :, 0] == RAMP >> 8).all()
    assert notes == ["film.png: of 16 bits 0 to 65535 were looked at, as the bundle says"]


def test_a_dicom_object_that_cannot_be_shown_is_named(tmp_path: Path, manifest: Manifest) -> None:
    path = write_picture(tmp_path / "film.dcm", RAMP, PixelData=bytes(2))
    with pytest.raises(ConfigurationError, match=r"not a picture: film\.dcm"):
        read_samples([path], manifest, most=4)


def test_samples_know_what_they_are_taken_of_and_one_video_is_not_all_of_them(
    tmp_path: Path, manifest: Manifest
) -> None:
    for name in ("a.avi", "b.avi"):
        write_grey_video(tmp_path / name, [100] * 12, fps=1)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for number in (1, 2):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.zeros((64, 64, 3), np.uint8))
    for number in (1, 2):
        path, series_uid = tmp_path / f"x{number}.dcm", f"1.2.{number}"
        write_picture(path, RAMP, number=number, series_uid=series_uid, StudyInstanceUID="1.2")
    write_picture(tmp_path / "z.dcm", RAMP, number=3, series_uid="1.3", StudyInstanceUID="")
    taken, _ = read_samples([tmp_path], manifest, most=20)
    assert Counter(one.group for one in taken) == {
        f"file {tmp_path / 'a.avi'}": 4,
        f"file {tmp_path / 'b.avi'}": 4,
        f"folder {tmp_path / 'one'}": 2,
        f"folder {tmp_path / 'two'}": 2,
        "1.2": 2,
        "1.3": 1,
    }


def test_a_long_video_leaves_room_for_the_stills_after_it(tmp_path: Path, manifest: Manifest) -> None:
    write_grey_video(tmp_path / "a.avi", [100] * 12, fps=1)
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((64, 64, 3), np.uint8))
    taken, _ = read_samples([tmp_path / "a.avi", *sorted(tmp_path.glob("*.png"))], manifest, most=8)
    assert Counter(one.group for one in taken) == {f"file {tmp_path / 'a.avi'}": 3, f"folder {tmp_path}": 5}


def test_spectra_of_a_cube_and_volumes_of_a_study_are_of_one_group(tmp_path: Path) -> None:
    spectra = load(write_spectra_bundle(tmp_path / "bundles")).manifest
    assert isinstance(spectra, SpectraRegression)
    rows = np.zeros((3, len(spectra.input.wavelengths_nm)), np.float32)
    np.save(tmp_path / "rows.npy", rows)
    (taken,), _ = read_samples([tmp_path / "rows.npy"], spectra, most=4)
    assert taken.group == f"file {tmp_path / 'rows.npy'}"
    assert groups_of_items([taken.sample], [taken.group]) == [taken.group] * 3
    (tmp_path / "sub-01").mkdir()
    nifti.write(tmp_path / "sub-01" / "t1.nii.gz", volume(np.zeros((8, 8, 8), np.int16)))
    tiny = load(write_bundle(tmp_path / "bundles", name="tiny")).manifest
    (scan,), _ = read_samples([tmp_path / "sub-01"], tiny, most=4)
    assert scan.group == f"folder {tmp_path / 'sub-01'}"
    assert groups_of_items([scan.sample], [scan.group]) == [scan.group]
