"""A bundle is built from samples that are seen as `edge analyze` and the daemon see them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.manifest import Manifest
from edge.bundles.pictures import PictureBundle
from edge.bundles.store import load
from edge.cli.instances import dicom_instance
from edge.cli.samples import read_samples
from edge.domain.errors import ConfigurationError
from edge.formats.stills import read_still
from edge.studies.pictures import SeriesPicture, read_pictures, sheets_of
from edge.workshop.questions import Sample
from tests.builders.dicom_pictures import write_picture
from tests.builders.picture_bundles import write_picture_bundle

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
    assert (rgb(sample) == shown.rgb).all()


def test_of_16_bits_samples_have_those_that_are_looked_at_and_say_so(
    tmp_path: Path, manifest: Manifest
) -> None:
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), RAMP)
    (sample,), notes = read_samples([path], manifest, most=4)
    assert (rgb(sample) == read_still(path).rgb).all()
    assert notes == ["film.png: of 16 bits the picture uses 15, of which the upper 8 were looked at"]


def test_samples_of_16_bits_are_shown_by_the_range_that_the_bundle_states(
    tmp_path: Path, manifest: Manifest
) -> None:
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), RAMP)
    assert isinstance(manifest, PictureBundle)
    given = manifest.input.model_copy(update={"range_16_bits": (0, 65535)})
    (sample,), notes = read_samples([path], manifest.model_copy(update={"input": given}), most=4)
    assert (rgb(sample)[:, :, 0] == RAMP >> 8).all()
    assert notes == ["film.png: of 16 bits 0 to 65535 were looked at, as the bundle says"]


def test_a_dicom_object_that_cannot_be_shown_is_named(tmp_path: Path, manifest: Manifest) -> None:
    path = write_picture(tmp_path / "film.dcm", RAMP, PixelData=bytes(2))
    with pytest.raises(ConfigurationError, match=r"not a picture: film\.dcm"):
        read_samples([path], manifest, most=4)
