"""Which role a series plays is told by what its header says, and by nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import DataElement, dcmread
from pydicom.dataset import Dataset

from edge.domain.errors import FormatError
from edge.domain.study import Series
from edge.pipelines import casting
from edge.pipelines.casting import Director
from edge.studies.role_rules import RoleRule, RolesWanted, header_of, roles_of
from edge.studies.select import Rule
from tests.builders.files import series_of_nifti
from tests.builders.series import pictures, stack, written, written_enhanced

FRAMES = 0x00280008
T1 = {"series_description": re.compile("(?i)t1")}


def head(folder: Path, *, slices: int = 3, **said: Any) -> Series:
    return written(stack(pictures(slices)), folder, **{"Modality": "MR", "StudyInstanceUID": "1.2", **said})


def wanted(*rules: RoleRule, slices_min: int = 1, pipeline: str = "tumour") -> RolesWanted:
    return RolesWanted(
        select=Rule(pipeline=pipeline, modalities=frozenset({"MR", "PT"}), slices_min=slices_min),
        roles=rules,
        wait_s=600.0,
    )


def fits(series: Series, **conditions: Any) -> bool:
    return roles_of(series, header_of(series), wanted(RoleRule(role="T1", **conditions))) == ("T1",)


@pytest.mark.parametrize(("vr", "value"), [("FD", float("inf")), ("SQ", [Dataset()]), ("DS", "1e999")])
def test_a_count_of_frames_that_is_no_number_ends_in_words(tmp_path: Path, vr: str, value: Any) -> None:
    series = head(tmp_path, SeriesDescription="T1")
    for instance in series.instances:
        header = dcmread(instance.path)
        header[FRAMES] = DataElement(FRAMES, vr, value)
        header.save_as(instance.path)
    said = Director([wanted(RoleRule(role="T1", texts=T1), slices_min=9)])(series)
    assert "plays no role of tumour" in said.misfit


def test_no_surprise_leaves_who_says_which_series_is_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(casting, "roles_of", _break)
    said = Director([wanted(RoleRule(role="T1", texts=T1))])(head(tmp_path))
    assert said.misfit.endswith("no other pipeline takes it: unexpected RuntimeError: surprise")


def _break(*_: Any) -> None:
    raise RuntimeError("surprise")


@pytest.mark.parametrize(
    ("said", "conditions", "is_fit"),
    [
        ({"SeriesDescription": "ax T1 mprage"}, {"texts": T1}, True),
        ({"SeriesDescription": "ax T2 tse"}, {"texts": T1}, False),
        ({}, {"texts": T1}, False),
        ({"ProtocolName": "HEAD^T1"}, {"texts": {"protocol_name": re.compile("T1$")}}, True),
        ({"SequenceName": "*tfl3d1"}, {"texts": {"sequence_name": re.compile("tfl3d")}}, True),
        ({"PulseSequenceName": "tfl3d"}, {"texts": {"sequence_name": re.compile("tfl3d")}}, True),
        ({"ContrastBolusAgent": "Gadovist"}, {"contrast_bolus": True}, True),
        ({"ContrastBolusAgent": "Gadovist"}, {"contrast_bolus": False}, False),
        ({"ContrastBolusAgentSequence": [Dataset()]}, {"contrast_bolus": True}, True),
        ({"ContrastBolusAgentSequence": [Dataset()]}, {"contrast_bolus": False}, False),
        ({"ContrastBolusAgent": ""}, {"contrast_bolus": True}, False),
        ({}, {"contrast_bolus": False}, True),
        ({"ImageType": ["DERIVED", "PRIMARY", "MPR"]}, {"image_type": frozenset({"ORIGINAL"})}, False),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M"]}, {"image_type": frozenset({"ORIGINAL", "M"})}, True),
        ({}, {"modalities": frozenset({"PT"})}, False),
        ({"Modality": "PT"}, {"modalities": frozenset({"PT"})}, True),
        ({"Modality": "CT", "SeriesDescription": "T1"}, {"texts": T1}, False),  # select leaves it out
    ],
)
def test_all_of_a_rule_must_hold(
    tmp_path: Path, said: dict[str, Any], conditions: dict[str, Any], is_fit: bool
) -> None:
    assert fits(head(tmp_path, **said), **conditions) is is_fit


def test_a_localizer_plays_no_role_and_an_enhanced_object_counts_its_frames(tmp_path: Path) -> None:
    both = wanted(RoleRule(role="T1", contrast_bolus=False), slices_min=4)
    for name, slices, played in (("few", 3, ()), ("many", 4, ("T1",))):
        (tmp_path / name).mkdir()
        series = head(tmp_path / name, slices=slices)
        assert roles_of(series, header_of(series), both) == played
    enhanced = written_enhanced(
        [((0.0, 0.0, 3.0 * k), np.ones((4, 4), "<i2"), {}) for k in range(4)], tmp_path
    )
    assert roles_of(enhanced, header_of(enhanced), both) == ("T1",)


def test_an_object_that_cannot_be_read_is_passed_over_for_the_next(tmp_path: Path) -> None:
    series = head(tmp_path, SeriesDescription="T1", SeriesNumber=12)
    series.instances[0].path.write_bytes(b"")
    assert header_of(series).number == 12
    for instance in series.instances:
        instance.path.write_bytes(b"")
    with pytest.raises(FormatError):
        header_of(series)


def test_a_series_that_fits_two_rules_plays_both_and_one_that_fits_none_says_so(tmp_path: Path) -> None:
    director = Director([wanted(RoleRule(role="T1", texts=T1), RoleRule(role="plain", contrast_bolus=False))])
    for name in ("both", "half", "none", "other", "torn"):
        (tmp_path / name).mkdir()
    (played,) = director(head(tmp_path / "both", SeriesDescription="T1", SeriesNumber=3)).played
    assert (played.roles, played.number, played.study_uid) == (("T1", "plain"), 3, "1.2")
    assert played.group == "tumour 1.2"
    both = Director([wanted(RoleRule(role="T1", texts=T1)), wanted(RoleRule(role="T2"), pipeline="t2")])
    half = both(head(tmp_path / "half"))
    assert [(one.pipeline, one.roles) for one in (*half.played, *half.bystanding)] == [
        ("t2", ("T2",)),
        ("tumour", ()),
    ]
    assert half.misfit == ""
    none = director(head(tmp_path / "none", ContrastBolusAgent="Gd"))
    assert none.played == ()
    assert "plays no role of tumour" in none.misfit
    assert director(head(tmp_path / "other", Modality="US")).misfit == ""
    torn = head(tmp_path / "torn")
    for instance in torn.instances:
        instance.path.write_bytes(b"")
    unread = director(torn)
    assert "the header cannot be parsed" in unread.misfit
    assert ["the header cannot be parsed" in one.refusal for one in unread.bystanding] == [True]
    assert "files other than DICOM" in director(series_of_nifti(torn.instances[0].path)).misfit
