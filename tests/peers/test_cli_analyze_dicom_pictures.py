"""`edge analyze` on DICOM radiographs and photographs: who looks, what is drawn, what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.builders.dicom_pictures import PHOTOGRAPH, lit, write_picture
from tests.builders.heads import ball_series
from tests.builders.picture_tasks import Form, write_task_bundle
from tests.peers.analyzed import Analyzed, analyzed

FINDER, MARKER = "picture-detection", "picture-segmentation"
SHOWN: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 4000, "bits": 12}


def for_radiographs(document: dict[str, Any]) -> None:
    document["input"]["modalities"] = ["CR"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finder for radiographs, a marker for every picture, two views, a photograph."""
    folder = tmp_path_factory.mktemp("radiographs")
    write_task_bundle(folder / "bundles", FINDER, Form(channels="GREY"), name=FINDER, edit=for_radiographs)
    write_task_bundle(folder / "bundles", MARKER, Form(channels="GREY"), name=MARKER)
    (folder / "chest").mkdir()
    spacing: dict[str, Any] = {"ImagerPixelSpacing": [0.2, 0.2]}
    for number, box in {1: (64, 32, 96, 64), 2: (0, 96, 32, 128)}.items():
        path = folder / "chest" / f"{number}.dcm"
        write_picture(path, lit((128, 128), box), number=number, series_uid="1.2.3", **SHOWN, **spacing)
    rgb = np.zeros((2, 64, 64, 3), np.uint8)
    rgb[:, 16:32, 32:48] = 255
    write_picture(folder / "skin.dcm", rgb, modality="XC", sop_class=PHOTOGRAPH)
    return folder


def run(place: Path, *words: object) -> Analyzed:
    return analyzed(*words, bundles=place / "bundles")


def test_without_a_bundle_the_one_whose_manifest_names_the_modality_looks(place: Path) -> None:
    done = run(place, place / "chest", place / "skin.dcm")
    assert done.code == 0
    assert done.pipelines == {FINDER, "intake"}
    boxes = [one["box_px"] for one in done.findings if one["box_px"]]
    assert boxes == [pytest.approx([64, 32, 32, 32], abs=0.5), pytest.approx([0, 96, 32, 32], abs=0.5)]
    (nobody,) = (one for one in done.findings if one["pipeline"] == "intake")
    assert nobody["reason"].startswith("modality XC: no pipeline is configured for it")


def test_a_bundle_that_is_named_looks_at_every_picture_which_is_drawn_with_its_mask(
    place: Path, tmp_path: Path
) -> None:
    done = run(place, place / "chest", place / "skin.dcm", "--bundle", MARKER, "--out", tmp_path)
    assert done.code == 0
    views = [f"chest-{number}" for number in (1, 2)] + [f"skin-{frame}" for frame in (1, 2)]
    written = {f"{view}.{MARKER}{kind}.png" for view in views for kind in ("", ".labels", ".things")}
    assert {path.name for path in tmp_path.iterdir()} == written
    labels = cv2.imread(str(tmp_path / f"chest-2.{MARKER}.labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels is not None
    assert labels.shape == (128, 128)
    assert np.argwhere(labels).mean(axis=0) == pytest.approx([111.5, 15.5], abs=1)
    seen = [one["picture"] for one in done.findings if one["box_px"]]
    assert [(one["number"], one["frame"], one["frames"]) for one in seen] == [
        (1, 1, 1),
        (2, 1, 1),
        (1, 1, 2),
        (1, 2, 2),
    ]
    assert [one["spacing_mm"] for one in seen] == [[0.2, 0.2], [0.2, 0.2], None, None]
    areas = [each["value"] for each in done.findings[1]["measurements"] if each["unit"] == "mm2"]
    assert areas == [pytest.approx(6.4 * 6.4, rel=0.1)]


def test_slices_are_not_shown_to_a_bundle_for_pictures(place: Path, tmp_path: Path) -> None:
    ball_series(tmp_path / "head", name="head")
    done = run(place, tmp_path / "head", "--bundle", MARKER)
    assert done.code == 3
    (finding,) = done.findings
    assert finding["verdict"] == "NOT_ASSESSED"
    assert "looks at pictures, not at MR" in finding["reason"]


@pytest.mark.corpus
def test_a_real_radiograph_is_shown_as_a_person_sees_it(place: Path, corpus: Path, tmp_path: Path) -> None:
    chest = corpus / "orthanc-db/Database/Issue44/Monochrome1-Jpeg.dcm"
    done = run(place, chest, "--bundle", MARKER, "--out", tmp_path)
    assert done.code == 0
    assert done.findings[0]["picture"]["spacing_mm"] == [0.175, 0.175]
    labels = cv2.imread(str(tmp_path / f"Monochrome1-Jpeg.{MARKER}.labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels is not None
    assert labels.shape == (2446, 2010)
    assert labels[900:2200, 950:1050].mean() > 0.9  # the spine is bright
    assert labels[900:1400, 350:700].mean() < 0.1  # the lung is dark
    assert labels[:60].max() == labels[-60:].max() == 0  # outside it is black
