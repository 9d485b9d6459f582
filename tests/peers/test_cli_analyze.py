"""`edge analyze`: exit codes, one JSON array of the published schema, masks and pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import pydicom.data
import pytest

from edge.formats import nifti
from tests.builders.bundles import write_bundle
from tests.builders.volumes import volume
from tests.fulfils import assert_fulfils_schema
from tests.peers.command import edge

WHEEL = Path(pydicom.data.__file__).parent / "test_files"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, and a ball that it knows."""
    folder = tmp_path_factory.mktemp("analyze")
    write_bundle(folder / "bundles")
    away = np.indices((50, 60, 70)) - np.array([25, 30, 35])[:, None, None, None]
    ball = (1200 - np.sqrt((away**2).sum(axis=0)) * 50).clip(0, 1000).astype(np.int16)
    nifti.write(folder / "ball.nii.gz", volume(ball))
    return folder


def analyzed(place: Path, *words: object) -> tuple[int, list[dict[str, Any]], str]:
    """Run it with --json; return the exit code, the findings and what was said to people."""
    done = edge("analyze", *words, "--bundles", place / "bundles", "--json", home=place)
    findings: list[dict[str, Any]] = json.loads(done.stdout)
    for finding in findings:
        assert_fulfils_schema(finding)
    assert "Traceback" not in done.stderr
    return done.returncode, findings, done.stderr


def test_a_file_is_assessed_and_its_mask_lies_on_its_grid(place: Path, tmp_path: Path) -> None:
    code, findings, said = analyzed(
        place, place / "ball.nii.gz", "--modality", "MR", "--out", tmp_path / "out"
    )
    assert code == 0
    assert [finding["verdict"] for finding in findings] == ["PRESENT"]
    assert findings[0]["series"] == {
        "modality": "MR",
        "instances": 1,
        "closed_because": "asked",
        "roles": [],
        "roles_more": 0,
    }
    mask: Any = nibabel.load(tmp_path / "out" / "ball.tiny.nii.gz")
    scan: Any = nibabel.load(place / "ball.nii.gz")
    assert mask.shape == scan.shape
    assert np.allclose(mask.affine, scan.affine)
    assert set(np.unique(np.asarray(mask.dataobj))) == {0, 1, 2}
    picture = cv2.imread(str(tmp_path / "out" / "ball.tiny.png"))
    assert picture is not None
    assert picture.shape[0] > 400
    assert picture.shape[1] > 800
    assert said.count("written: ") == 2


def test_a_person_gets_a_table(place: Path) -> None:
    done = edge("analyze", place / "ball.nii.gz", "--bundles", place / "bundles", home=place)
    assert done.returncode == 0
    assert "PRESENT" in done.stdout
    assert "taken as MR; --modality says otherwise" in done.stderr


def test_what_no_model_is_meant_for_is_3_and_says_why(place: Path, tmp_path: Path) -> None:
    shutil.copy(WHEEL / "ExplVR_BigEnd.dcm", tmp_path)
    code, findings, _ = analyzed(place, tmp_path, "--out", tmp_path / "out")
    assert code == 3
    assert [finding["verdict"] for finding in findings] == ["NOT_ASSESSED"]
    assert findings[0]["reason"]


UNREADABLE = {
    "noise.dcm": b"nothing that anybody could read " * 40,
    "noise.nii.gz": b"nothing that anybody could read " * 40,
    "empty.dcm": b"",
    "empty.nii": b"",
    "cut.dcm": (WHEEL / "MR_small.dcm").read_bytes()[:5000],
    "cut-in-header.dcm": (WHEEL / "MR_small.dcm").read_bytes()[:700],
    "cut-compressed.dcm": (WHEEL / "MR_small_RLE.dcm").read_bytes()[:4000],
}


def test_what_is_unreadable_is_2_and_named(place: Path, tmp_path: Path) -> None:
    for name, content in UNREADABLE.items():
        (tmp_path / name).write_bytes(content)
    code, findings, said = analyzed(place, *(tmp_path / name for name in UNREADABLE), place / "ball.nii.gz")
    assert code == 2
    assert [name for name in UNREADABLE if f"unreadable: {tmp_path / name}: " not in said] == []
    assert "PRESENT" in [finding["verdict"] for finding in findings]


@pytest.mark.parametrize("name", ["cut.dcm", "noise.dcm"])
def test_one_unreadable_file_alone_is_2(place: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(UNREADABLE[name])
    code, _, _ = analyzed(place, tmp_path / name)
    assert code == 2


def test_a_file_that_was_cut_off_is_unreadable(place: Path, tmp_path: Path) -> None:
    whole = (place / "ball.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    code, findings, said = analyzed(place, tmp_path / "cut.nii.gz", tmp_path / "absent.dcm")
    assert code == 2
    assert findings == []
    for name in ("cut.nii.gz", "absent.dcm"):
        assert f"unreadable: {tmp_path / name}: " in said


def test_one_unreadable_file_does_not_keep_the_others_from_being_assessed(
    place: Path, tmp_path: Path
) -> None:
    shutil.copy(place / "ball.nii.gz", tmp_path)
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8bnothing")
    (tmp_path / "notes.txt").write_text("not a picture, and nobody says it is")
    code, findings, said = analyzed(place, tmp_path)
    assert code == 2
    assert [finding["verdict"] for finding in findings] == ["PRESENT"]
    assert "notes.txt" not in said


def test_the_same_bytes_twice_are_one_instance(place: Path, tmp_path: Path) -> None:
    for name in ("one.dcm", "two.dcm"):
        shutil.copy(WHEEL / "MR_small.dcm", tmp_path / name)
    _, findings, _ = analyzed(place, tmp_path)
    assert [finding["series"]["instances"] for finding in findings] == [1]


def test_a_bundle_that_is_not_there_is_named(place: Path) -> None:
    for words in (("--bundle", "brain-mr"), ()):
        roots = place / ("bundles" if words else "nowhere")
        done = edge("analyze", place / "ball.nii.gz", "--bundles", roots, *words, home=place)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("edge: ")


def test_a_folder_that_cannot_be_written_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file stands here")
    words = ("--bundles", place / "bundles", "--out", tmp_path / "out")
    done = edge("analyze", place / "ball.nii.gz", *words, home=place)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"edge: {tmp_path / 'out'}: cannot be written: File exists"
