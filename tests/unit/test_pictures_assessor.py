"""What is said of a series whose pictures are shown to models: of each picture, and never of none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundles.pictures import SINGLE
from edge.domain.answer import Detections, Keypoints, PictureMask, Scores
from edge.domain.finding import Finding, Verdict
from edge.domain.study import Series
from edge.findings.identity import KeyedHash
from edge.findings.picture_millimetres import HEIGHT, WIDTH
from edge.inference.engine import Engine
from edge.kit.clock import SystemClock
from edge.pipelines.imaging import Assessor
from edge.pipelines.result import Result
from edge.pipelines.square import SquarePicture, as_stored
from edge.pipelines.stations import Wanted, opened_engine, stations, viewers
from edge.sources.still_pictures import picture_of
from edge.studies.select import Rule
from tests.builders.dicom_pictures import lit, write_picture
from tests.builders.files import series_of_files, series_of_nifti
from tests.builders.heads import ball_series
from tests.builders.picture_tasks import Form, write_task_bundle

FINDER, MARKER = "picture-detection", "picture-segmentation"
SHOWN: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 4000, "bits": 12}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A finder of bright cells, and a marker of bright pixels."""
    folder = tmp_path_factory.mktemp("engine")
    for task in (FINDER, MARKER):
        write_task_bundle(folder / "bundles", task, Form(channels="GREY"), name=task)
    with opened_engine(
        [FINDER, MARKER],
        roots=[folder / "bundles"],
        threads=1,
        provider="cpu",
        state_folder=folder,
        clock=SystemClock(),
    ) as opened:
        yield opened


def assessed(
    engine: Engine, series: Series, *bundles: str, pictures_max: int = 64, modalities: Sequence[str] = SINGLE
) -> Result:
    wanted = [
        Wanted(name, name, 60.0, modalities=frozenset(modalities), pictures_max=pictures_max)
        for name in bundles or (FINDER,)
    ]
    assessor = Assessor(
        rules=[Rule(pipeline=one.pipeline, modalities=one.modalities) for one in wanted],
        stations=stations(engine, wanted),
        viewers=viewers(engine, wanted),
        identity=KeyedHash(bytes(16)),
        clock=SystemClock(),
    )
    return assessor.assess(series)


def things(findings: Sequence[Finding]) -> list[Finding]:
    return [one for one in findings if one.observation.box_px is not None]


def test_each_view_of_a_radiograph_is_told_by_itself_with_boxes_in_its_own_pixels(
    tmp_path: Path, engine: Engine
) -> None:
    spacing: dict[str, Any] = {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}
    front = lit((128, 128), (64, 32, 96, 64))
    side = np.where(lit((256, 256), (64, 128, 128, 192)) > 0, 0, 4000).astype(np.uint16)
    paths = [
        write_picture(
            tmp_path / "2.dcm", side, number=2, series_uid="1.2.3", photometric="MONOCHROME1", **SHOWN
        ),
        write_picture(tmp_path / "1.dcm", front, number=1, series_uid="1.2.3", **SHOWN, **spacing),
    ]
    result = assessed(engine, series_of_files(paths))
    assert result.refusal == ""
    first, second = things(result.findings)
    assert first.observation.box_px == pytest.approx((64, 32, 32, 32), abs=0.5)
    assert second.observation.box_px == pytest.approx((64, 128, 64, 64), abs=0.5)
    assert first.picture is not None
    assert second.picture is not None
    assert (first.picture.number, second.picture.number) == (1, 2)
    assert first.picture.object != second.picture.object
    assert (first.picture.shape_px, second.picture.shape_px) == ((128, 128), (256, 256))
    assert (first.picture.spacing_mm, second.picture.spacing_mm) == ((0.2, 0.2), None)
    sides = first.observation.measurements
    assert [(each.code, each.unit) for each in sides] == [(WIDTH, "mm"), (HEIGHT, "mm")]
    assert [each.value for each in sides] == pytest.approx([6.4, 6.4], abs=0.1)
    assert second.observation.measurements == ()
    assert [one.observation.verdict for one in result.findings] == [Verdict.PRESENT] * 4


def test_a_picture_that_cannot_be_decoded_is_not_assessed_beside_those_that_can(
    tmp_path: Path, engine: Engine
) -> None:
    stored = lit((128, 128), (64, 32, 96, 64))
    good = write_picture(tmp_path / "1.dcm", stored, number=1, series_uid="1.2.3", **SHOWN)
    bad = write_picture(tmp_path / "2.dcm", stored, number=2, series_uid="1.2.3", Rows=400, **SHOWN)
    result = assessed(engine, series_of_files([good, bad]), FINDER, MARKER)
    silent = [one for one in result.findings if one.observation.verdict is Verdict.NOT_ASSESSED]
    assert [one.pipeline for one in silent] == [FINDER, MARKER]
    assert [one.picture and one.picture.number for one in silent] == [2, 2]
    assert all("the header promises" in one.observation.reason for one in silent)
    assert len(things(result.findings)) == 2
    assert "the header promises" in result.refusal
    assert result.is_damaged


def test_more_pictures_than_allowed_are_none_looked_at_instead_of_the_first(
    tmp_path: Path, engine: Engine
) -> None:
    loop = np.stack([lit((64, 64), (16, 16, 32, 32))] * 5)
    path = write_picture(tmp_path / "loop.dcm", loop, modality="XA", **SHOWN)
    (finding,) = assessed(engine, series_of_files([path]), pictures_max=4).findings
    assert finding.observation.verdict is Verdict.NOT_ASSESSED
    assert finding.picture is None
    assert finding.observation.reason == ("the series has 5 pictures, at most 4 are looked at (pictures_max)")
    seen = things(assessed(engine, series_of_files([path]), pictures_max=5).findings)
    assert [one.picture and one.picture.frame for one in seen] == [1, 2, 3, 4, 5]


def test_slices_are_no_pictures_unless_a_manifest_says_so(tmp_path: Path, engine: Engine) -> None:
    for series in (series_of_files(ball_series(tmp_path, name="head")), series_of_nifti(tmp_path)):
        (finding,) = assessed(engine, series, modalities=["MR", "CR"]).findings
        assert finding.observation.verdict is Verdict.NOT_ASSESSED
        assert "looks at pictures, not at MR" in finding.observation.reason


def test_pixels_that_are_no_squares_are_seen_as_squares_and_told_as_they_are_stored(
    tmp_path: Path, engine: Engine
) -> None:
    stored = lit((64, 128), (64, 16, 96, 32))  # a pixel is twice as high as wide: a square of 32 by 32
    path = write_picture(tmp_path / "one.dcm", stored, PixelSpacing=[0.4, 0.2], **SHOWN)
    result = assessed(engine, series_of_files([path]), FINDER, MARKER)
    found, marked = things(result.findings)
    assert found.observation.box_px == pytest.approx((64, 16, 32, 16), abs=0.5)
    assert marked.observation.box_px == pytest.approx((64, 16, 32, 16), abs=1)
    sides = [each.value for each in found.observation.measurements]
    assert sides == pytest.approx([6.4, 6.4], abs=0.2)
    area = next(one for one in marked.observation.measurements if one.unit == "mm2")
    assert area.value == pytest.approx(6.4 * 6.4, rel=0.1)
    assert any("2 times as high as wide" in note for note in found.notes)


def test_answers_are_carried_back_to_stored_pixels() -> None:
    picture = SquarePicture(picture_of(np.zeros((10, 40, 3), np.uint8)), aspect=2.0)
    assert picture.shape_px == (20, 40)
    assert picture.rgb().shape == (20, 40, 3)
    sides = {"seen_px": (20, 40), "stored_px": (10, 40)}
    things = Detections(
        names=("one",),
        boxes_px=np.array([[4, 8, 12, 16]], np.float32),
        classes=np.zeros(1, np.int64),
        scores=np.ones(1, np.float32),
        points_px=np.zeros((1, 0, 2), np.float32),
    )
    boxes = as_stored(things, **sides)
    assert isinstance(boxes, Detections)
    assert boxes.boxes_px.tolist() == [[4, 4, 12, 8]]
    points = Keypoints(
        names=("tip",), points_px=np.array([[4, 8]], np.float32), scores=np.ones(1, np.float32)
    )
    tip = as_stored(points, **sides)
    assert isinstance(tip, Keypoints)
    assert tip.points_px.tolist() == [[4, 4]]
    labels = np.zeros((20, 40), np.uint8)
    labels[8:16, 4:12] = 1
    mask = as_stored(
        PictureMask(names=("one",), labels=labels, things=labels.astype(np.int32) * 70_000), **sides
    )
    assert isinstance(mask, PictureMask)
    assert np.argwhere(mask.labels).min(axis=0).tolist() == [4, 4]
    assert (int(mask.labels.sum()), int(mask.things.max())) == (4 * 8, 70_000)
    scores = Scores(names=("one",), values=np.ones(1, np.float32))
    assert as_stored(scores, **sides) is scores


def test_a_bundle_that_is_not_in_use_is_told_once_for_the_series(tmp_path: Path, engine: Engine) -> None:
    path = write_picture(tmp_path / "one.dcm", lit((64, 64), (0, 0, 9, 9)), **SHOWN)
    (finding,) = assessed(engine, series_of_files([path]), "unheard-of").findings
    assert finding.observation.verdict is Verdict.NOT_ASSESSED
    assert "no slice" not in finding.observation.reason
    assert "unheard-of" in finding.observation.reason


def test_no_object_of_a_series_is_left_out_without_a_word(tmp_path: Path, engine: Engine) -> None:
    stored = lit((64, 64), (16, 16, 32, 32))
    files = [
        write_picture(tmp_path / f"{n}.dcm", stored, number=n, series_uid="1.2.3", modality=modality, **SHOWN)
        for n, modality in ((1, "CR"), (2, "MR"), (3, ""))
    ]
    result = assessed(engine, series_of_files(files), modalities=["CR"])
    assert {one.picture and one.picture.number for one in result.findings} == {1, 3}
    assert all("1 objects of other modalities were not assessed" in one.notes for one in result.findings)
