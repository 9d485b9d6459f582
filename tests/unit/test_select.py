"""A series meets the pipelines that are meant for it, and nobody else; a refusal says why in words."""

from __future__ import annotations

import numpy as np
import pytest

from edge.domain.errors import NotSelectedError
from edge.domain.image import Scan
from edge.domain.study import ClosedBecause, Series
from edge.studies.select import Rule, preselect, select
from tests.builders.volumes import volume

BRAIN = Rule(pipeline="brain-mr", modalities=frozenset({"MR", "CT"}), slices_min=20, spacing_max_mm=7.0)
LUNG = Rule(pipeline="lung", modalities=frozenset({"CT"}))


def series(modality: str) -> Series:
    return Series(
        series_uid="1.2",
        study_uid="1",
        modality=modality,
        instances=(),
        closed_because=ClosedBecause.QUIET,
    )


def scan(*, slices: int = 30, spacing_mm: float = 3.0, modality: str = "MR", name: str = "") -> Scan:
    voxels = np.zeros((slices, 4, 4), np.int16)
    one = volume(voxels, spacing_mm=(spacing_mm, 1.0, 1.0), modality=modality)
    return Scan(volumes=(one,), name=name)


def test_pipelines_of_the_same_modality_may_all_want_a_series() -> None:
    assert preselect(series("CT"), [BRAIN, LUNG]) == ("brain-mr", "lung")
    assert preselect(series("MR"), [BRAIN, LUNG]) == ("brain-mr",)


def test_one_of_several_modalities_is_enough_to_look() -> None:
    assert preselect(series("MR+SR"), [BRAIN, LUNG]) == ("brain-mr",)


def test_a_modality_that_nobody_wants_is_named_before_pixels_are_read() -> None:
    words = r"modality US: no pipeline is configured for it \(configured: CT, MR\)"
    with pytest.raises(NotSelectedError, match=words):
        preselect(series("US"), [BRAIN, LUNG])


def test_a_series_without_a_modality_is_not_guessed_at() -> None:
    with pytest.raises(NotSelectedError, match="no modality is named"):
        preselect(series(""), [BRAIN])


def test_each_pipeline_gets_the_first_scan_that_fits() -> None:
    scans = [scan(slices=3, name="scout"), scan(name="e1"), scan(name="e2")]
    (chosen,) = select(series("MR"), scans, [BRAIN])
    assert (chosen[0], chosen[1].name) == ("brain-mr", "e1")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (scan(slices=19), "brain-mr: 19 slices, wanted at least 20"),
        (scan(spacing_mm=8.0), "brain-mr: voxels of 8.00 mm, wanted at most 7 mm"),
        (scan(modality=""), "brain-mr: modality unknown, wanted CT or MR"),
    ],
)
def test_a_scan_that_does_not_fit_is_refused_with_what_it_lacks(seen: Scan, words: str) -> None:
    with pytest.raises(NotSelectedError, match=words):
        select(series("MR"), [seen], [BRAIN])


def test_a_scan_that_fits_one_pipeline_is_not_refused_for_the_other() -> None:
    assert [name for name, _ in select(series("CT"), [scan(slices=5, modality="CT")], [BRAIN, LUNG])] == [
        "lung"
    ]
