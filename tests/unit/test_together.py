"""Series in their roles wait in the journal for the others of their study; nothing that came is lost."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundles.store import read_manifest
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import PictureRejectedError
from edge.domain.finding import Finding, ModelStamp
from edge.domain.image import Segmentation, Volume
from edge.domain.study import ClosedBecause
from edge.findings.identity import KeyedHash
from edge.findings.mqtt_json import to_dict
from edge.kit.journal import Entry, Journal
from edge.kit.stage import Stage
from edge.ops.retention import sweep
from edge.pipelines import casting
from edge.pipelines.casting import Director
from edge.pipelines.imaging import Assessor, Imaging
from edge.pipelines.roles import RolesAssessor
from edge.pipelines.stations import A_SERIES, Station
from edge.pipelines.study_roles import StudyRoles
from edge.pipelines.together import Together
from edge.studies.assemble import Assembler
from edge.studies.gather import Awaited, Gathering
from edge.studies.intake import instance_of, instance_to_json
from edge.studies.role_played import RolePlayed, entry_of, played_of
from edge.studies.role_rules import RoleRule, RolesWanted
from edge.studies.select import Rule
from tests.builders.files import series_of_files
from tests.builders.pair import axial, coronal
from tests.builders.volume_bundles import write_pair
from tests.fakes.clock import FakeClock

QUIET_S, WAIT_S = 1.0, 600.0
LOOKED = "the model was asked"
RULES = [
    RoleRule(role=role, texts={"series_description": re.compile(text)})
    for role, text in (("T1", "T1"), ("FLAIR", "FLAIR|both"))
]
WANTED = RolesWanted(
    select=Rule(pipeline="pair", modalities=frozenset({"CT"}), slices_min=4),
    roles=tuple(RULES),
    wait_s=WAIT_S,
)
KEY = KeyedHash(bytes(16))
NO_MODEL = Station(model=None, refusal="altered", policy=None, subject=A_SERIES, deadline_s=1.0)
ALONE = Rule(pipeline="alone", modalities=frozenset({"CT"}))  # another pipeline, which takes every series
NOTHING_CAME = "roles T1 and FLAIR did not come within 600 s"
NONE_OF_ITS_ROLES = f"{NOTHING_CAME}: no series of the study plays a role here"


Opened = Callable[..., AbstractContextManager["Box"]]


class Killed(BaseException):
    """The process ends here."""


class Asked:
    """A model that refuses, so that its words say that it was reached."""

    @property
    def stamp(self) -> ModelStamp:
        return ModelStamp(
            model_id="pair", version="1", sha256="0" * 64, precision="fp32", runtime="none", provider="none"
        )

    def infer(
        self, volume: Volume, *, deadline_s: float, others: Mapping[str, Volume] = MappingProxyType({})
    ) -> Segmentation:
        shapes = [one.voxels.shape for one in (volume, *others.values())]
        raise PictureRejectedError(f"{LOOKED}: {shapes}")


class Box:
    """The study path on a journal, without threads."""

    def __init__(
        self,
        journal: Journal,
        manifest: VolumeSegmentation,
        clock: FakeClock,
        *,
        pipelines: Sequence[str],
        alone: Sequence[Rule] = (),
    ) -> None:
        self.journal, self.clock = journal, clock
        casts = [replace(WANTED, select=replace(WANTED.select, pipeline=name)) for name in pipelines]
        station = Station(
            model=Asked(),
            refusal="",
            policy=manifest.policy,
            subject=manifest.policy.looked_for.code(),
            deadline_s=1.0,
            given=manifest.input,
        )
        roles = StudyRoles(
            assessors={
                name: RolesAssessor(
                    rule=Rule(pipeline=name, modalities=frozenset()),
                    station=station,
                    identity=KEY,
                    clock=clock,
                )
                for name in pipelines
            },
            roles={name: ["T1", "FLAIR"] for name in pipelines},
            identity=KEY,
            clock=clock,
        )
        self.gathering = Gathering(clock)
        self.gathering.follow(dict.fromkeys(pipelines, Awaited(frozenset({"T1", "FLAIR"}), WAIT_S)))
        self.assembler = Assembler(clock, quiet_s=QUIET_S, deadline_s=60.0)
        stage = Stage("imaging", clock)
        self.together = Together(
            journal=journal,
            gathering=self.gathering,
            assessor=roles,
            envelope=_envelope,
            stage=stage,
        )
        self.imaging = Imaging(
            journal=journal,
            assembler=self.assembler,
            assessor=Assessor(
                rules=alone,
                stations={rule.pipeline: NO_MODEL for rule in alone},
                identity=KEY,
                clock=clock,
                cast=Director(casts),
            ),
            envelope=_envelope,
            stage=stage,
            beat=lambda: None,
            studies=self.together,
        )
        self.imaging.take_up()
        self.assembler.restore(instance_of(item) for item in journal.items("intake"))

    def keep(self, folder: Path, *, count: int = 1000) -> None:
        """Take the first `count` files of a folder."""
        for instance in series_of_files(folder.iterdir()).instances[:count]:
            body = instance_to_json(instance)
            self.journal.put(Entry("intake", instance.sop_uid, instance.series_uid, body, instance.sha256))
            self.assembler.kept(instance)
            self.gathering.kept(instance)
        self.assembler.association_closed("1")

    def work(self, after_s: float = QUIET_S) -> list[dict[str, Any]]:
        """Let time go by, look, and return all that was ever said."""
        self.clock.advance(after_s)
        self.imaging.work_once()
        return [json.loads(item.body) for item in self.journal.items("outbox")]


def _envelope(finding: Finding, _: int) -> Entry:
    said = to_dict(finding, site="s", device="d")
    return Entry("outbox", finding.finding_id, finding.subject, json.dumps(said).encode())


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> VolumeSegmentation:
    _, found = read_manifest(write_pair(tmp_path_factory.mktemp("bundles")))
    assert isinstance(found, VolumeSegmentation)
    return found


@pytest.fixture
def opened(tmp_path: Path, manifest: VolumeSegmentation, clock: FakeClock) -> Opened:
    @contextmanager
    def open_box(*pipelines: str, alone: Sequence[Rule] = ()) -> Iterator[Box]:
        with Journal(tmp_path / "journal.db", clock) as journal:
            yield Box(journal, manifest, clock, pipelines=pipelines, alone=alone)

    return open_box


@pytest.fixture
def box(opened: Opened) -> Iterator[Box]:
    with opened("pair") as box:
        yield box


def t1(folder: Path, **said: Any) -> Path:
    return axial(folder, **{"StudyInstanceUID": "1.2", "SeriesDescription": "T1", "SeriesNumber": 4, **said})


def flair(folder: Path, **said: Any) -> Path:
    said = {"StudyInstanceUID": "1.2", "SeriesDescription": "FLAIR", "SeriesNumber": 7, **said}
    return coronal(folder, **said)


def test_what_plays_no_role_is_said_by_the_intake_alone(tmp_path: Path, box: Box) -> None:
    box.keep(t1(tmp_path / "a", SeriesDescription="T2"))
    box.keep(t1(tmp_path / "b"), count=3)  # a localizer
    said = box.work()
    assert [one["pipeline"] for one in said] == ["intake"] * 2
    assert all("plays no role of pair" in one["reason"] for one in said)
    assert box.work(WAIT_S + 1) == said


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, LOOKED),
        ({"PatientID": "another"}, "series of roles T1 and FLAIR have another patient"),
        ({"FrameOfReferenceUID": "1.9"}, "T1 and FLAIR have another frame of reference"),
        ({"SeriesDescription": "T1 both"}, "series 7 fits the rules of T1 and FLAIR; wanted those of one"),
        ({"StudyInstanceUID": ""}, "series 7 names no study, so nobody knows what belongs to it"),
    ],
)
def test_a_study_is_looked_at_or_it_is_said_why_not(
    tmp_path: Path, box: Box, changes: dict[str, str], reason: str
) -> None:
    box.keep(t1(tmp_path / "a"))
    assert box.work() == []
    box.keep(flair(tmp_path / "b", **changes))
    (finding,) = box.work()
    assert reason in finding["reason"]
    assert (finding["verdict"], finding["revision"]) == ("NOT_ASSESSED", 1)


def test_two_pipelines_that_look_at_one_study_replace_no_finding_of_each_other(
    tmp_path: Path, opened: Opened
) -> None:
    with opened("pair", "other") as box:
        box.keep(t1(tmp_path / "a"))
        box.keep(flair(tmp_path / "b"))
        said = box.work()
    assert [one["pipeline"] for one in said] == ["pair", "other"]
    assert len({one["study"] for one in said}) == 1
    assert len({one["subject"] for one in said}) == 2


@pytest.mark.parametrize("first", [0, 1, 2])
def test_two_series_for_one_role_end_the_same_whichever_comes_last(
    tmp_path: Path, box: Box, first: int
) -> None:
    folders = [t1(tmp_path / "a"), flair(tmp_path / "b"), t1(tmp_path / "c", SeriesNumber=9)]
    for folder in folders[first:] + folders[:first]:
        box.keep(folder)
        said = box.work()
    last = said[-1]
    assert re.search("role T1 is ambiguous: series [49] and series [49] fit it; wanted one", last["reason"])
    assert [one["number"] for one in last["series"]["roles"] if one["role"] == "FLAIR"] == [7]
    assert len({one["subject"] for one in said}) == 1
    assert [one["revision"] for one in said] == list(range(1, len(said) + 1))


def t1_played(number: int) -> RolePlayed:
    return RolePlayed(
        pipeline="pair",
        roles=("T1",),
        series_uid=f"1.2.{number}",
        study_uid="1.2",
        modality="CT",
        number=number,
        revision=1,
        instances=12,
        closed_because=ClosedBecause.QUIET,
        received_at_ns=1,
    )


def play(box: Box, number: int) -> None:
    """Put one more T1 beside the others."""
    box.journal.put(entry_of(t1_played(number)))
    box.together.came(t1_played(number))


def test_of_a_great_many_series_for_one_role_the_first_are_named(box: Box) -> None:
    for number in range(20):
        play(box, number)
    (finding,) = box.work(WAIT_S)
    assert "series 6 and series 7 and 12 more fit it; wanted one" in finding["reason"]
    assert [one["number"] for one in finding["series"]["roles"]] == list(range(8))
    assert finding["series"]["roles_more"] == 12


def test_a_great_many_series_that_come_late_are_told_of_in_one_revision(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened("pair") as box:
        box.keep(t1(tmp_path / "a"))
        box.keep(flair(tmp_path / "b"))
        assert LOOKED in box.work()[-1]["reason"]
        play(box, 100)
        contested = box.work()[-1]  # at once: the answer that stands may be wrong
        assert "series 4 and series 100 fit it" in contested["reason"]
        for number in range(101, 130):
            play(box, number)
            box.work(WAIT_S / 2)
        assert len(box.work()) == 2
    with opened("pair") as box:
        play(box, 130)
        decoded = Counted(played_of)
        monkeypatch.setattr("edge.pipelines.together.played_of", decoded)
        for number in range(131, 160):
            play(box, number)
        assert decoded.calls == 0
        assert len(box.work(WAIT_S / 2)) == 2
        *_, last = said = box.work(WAIT_S / 2)
    assert [one["revision"] for one in said] == [1, 2, 3]
    assert "role T1 is ambiguous: series 4 and series 100 and" in last["reason"]
    assert (len(last["series"]["roles"]), last["series"]["roles_more"]) == (9, 53)
    assert last["series"]["instances"] == 20 + 61 * 12


def test_late_instances_of_a_role_make_a_new_revision_of_the_study(tmp_path: Path, box: Box) -> None:
    box.keep(flair(tmp_path / "b"))
    box.keep(t1(tmp_path / "a"), count=8)
    (first,) = box.work()
    assert "(8, 24, 24)" in first["reason"]
    box.keep(tmp_path / "a", count=8)  # the same again is nothing new
    assert box.work() == [first]
    box.keep(tmp_path / "a")
    _, second = box.work()
    assert "(12, 24, 24)" in second["reason"]
    assert (second["revision"], second["subject"]) == (2, first["subject"])
    assert [(one["role"], one["revision"]) for one in second["series"]["roles"]] == [("T1", 2), ("FLAIR", 1)]


def test_while_a_study_waits_its_files_are_kept_and_afterwards_not(tmp_path: Path, box: Box) -> None:
    class Short:
        done_h, set_aside_days, soft_free_mb = 0.0, 0.0, 10_000_000

    kept = t1(tmp_path / "intake" / "a")
    box.keep(kept)
    box.work()
    box.clock.advance(60.0)
    assert sweep(box.journal, tmp_path / "intake", box.clock, Short()) == 0
    assert len(list(kept.iterdir())) == 12
    box.keep(flair(tmp_path / "b"))
    assert LOOKED in box.work()[-1]["reason"]
    box.clock.advance(60.0)
    assert sweep(box.journal, tmp_path / "intake", box.clock, Short()) == 32
    assert box.journal.items("together", states=("done", "set_aside")) == []


def test_what_was_set_aside_is_looked_at_again_when_somebody_asks(tmp_path: Path, box: Box) -> None:
    box.keep(t1(tmp_path / "a"))
    box.keep(flair(tmp_path / "b", PatientID="another"))
    (first,) = box.work()
    assert box.journal.count("together", "set_aside") == 2
    assert box.together.take_back() == 2
    again = box.work()
    assert [one["revision"] for one in again] == [1, 2]
    assert again[1]["reason"] == first["reason"]


def test_what_comes_after_a_series_has_gone_never_takes_its_place_unsaid(tmp_path: Path, box: Box) -> None:
    class Short:
        done_h, set_aside_days, soft_free_mb = 0.0, 0.0, 10_000_000

    again = [copytree(t1(tmp_path / "a"), tmp_path / "c"), copytree(flair(tmp_path / "b"), tmp_path / "d")]
    box.keep(tmp_path / "a")
    box.keep(tmp_path / "b")
    box.work()
    box.clock.advance(60.0)
    sweep(box.journal, tmp_path, box.clock, Short())
    box.keep(t1(tmp_path / "another", SeriesNumber=9))
    box.keep(again[1])
    assert (
        box.work()[-1]["reason"] == "of its series in roles 1 is gone, its time has passed; wanted it again"
    )
    box.keep(again[0])
    last = box.work()[-1]
    assert (last["revision"], last["reason"]) == (
        3,
        "role T1 is ambiguous: series 9 and series 4 fit it; wanted one",
    )


def test_a_study_that_is_aside_is_there_to_be_looked_at_for_as_long_as_a_series_would_be(
    tmp_path: Path, box: Box
) -> None:
    class Ordinary:
        done_h, set_aside_days, soft_free_mb = 24.0, 30.0, 10_000_000

    box.keep(t1(tmp_path / "a"))
    box.keep(flair(tmp_path / "b"))
    assert LOOKED in box.work()[-1]["reason"]
    box.clock.advance(29 * 86_400)
    assert sweep(box.journal, tmp_path, box.clock, Ordinary()) == 0
    box.together.take_back()
    assert LOOKED in box.work()[-1]["reason"]


def test_a_box_that_starts_again_more_often_than_it_waits_speaks_after_a_day(
    tmp_path: Path, opened: Opened, clock: FakeClock
) -> None:
    with opened("pair") as box:
        box.keep(t1(tmp_path / "a"))
        assert box.work() == []
    for _ in range(2):
        with opened("pair") as box:
            assert box.work(WAIT_S / 2) == []
    clock.advance(86_400.0)
    with opened("pair") as box:
        (finding,) = box.work()
    assert finding["reason"] == "role FLAIR did not come within 86400 s"


def test_a_pipeline_that_is_gone_is_not_waited_for_in_silence(tmp_path: Path, opened: Opened) -> None:
    with opened("pair") as box:
        box.keep(t1(tmp_path / "a"))
        assert box.work() == []
    with opened() as box:
        (finding,) = box.work()
    assert finding["reason"] == "pipeline pair is not configured any more to look at several series"


@pytest.mark.parametrize(
    ("method", "call"),
    [("lease_group", 1), ("lease_group", 2), ("lease_group", 3), ("done", 1), ("done", 2), ("set_aside", 1)],
)
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_moment_loses_no_role_and_says_nothing_twice(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, method: str, call: int, is_after: bool
) -> None:
    first, second = t1(tmp_path / "a"), flair(tmp_path / "b")
    with opened("pair") as box:
        monkeypatch.setattr(
            box.journal, method, Deadly(getattr(box.journal, method), call, is_after=is_after)
        )
        box.keep(first)
        box.keep(second)
        with pytest.raises(Killed):
            box.work()
    with opened("pair") as box:
        (finding,) = box.work()
        assert box.work(WAIT_S + 1) == [finding]
    assert LOOKED in finding["reason"]
    assert (finding["revision"], finding["series"]["instances"]) == (1, 32)


def test_a_study_that_ends_the_process_three_times_is_given_up_and_said(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = t1(tmp_path / "a"), flair(tmp_path / "b")
    with opened("pair") as box:
        box.keep(first)
        box.work()
        box.keep(second)
        _killed(box, monkeypatch)
    for _ in range(2):
        with opened("pair") as box:
            _killed(box, monkeypatch)
    with opened("pair") as box:
        (finding,) = box.work()
    assert "the process ended 3 times while it looked at these series together" in finding["reason"]
    assert [one["role"] for one in finding["series"]["roles"]] == ["T1", "FLAIR"]


def test_a_series_whose_header_ends_the_process_three_times_is_given_up_unread(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(casting, "header_of", _kill)
    with opened("pair") as box:
        box.keep(t1(tmp_path / "a"))
        with pytest.raises(Killed):
            box.work()
    for _ in range(2):
        with opened("pair") as box, pytest.raises(Killed):
            box.work()
    with opened("pair") as box:
        (finding,) = box.work()
    assert finding["reason"] == "the process ended 3 times while it worked on this series"


def test_a_surprise_about_a_series_in_a_role_is_told_and_its_study_says_what_it_lacks(
    tmp_path: Path, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.keep(t1(tmp_path / "a"))
    box.work()
    monkeypatch.setattr(Assessor, "assess", _break)
    box.keep(flair(tmp_path / "b"))
    assert [one["reason"] for one in box.work()] == ["unexpected RuntimeError: surprise"]
    alone, together = box.work(WAIT_S)
    assert (alone["pipeline"], together["pipeline"]) == ("intake", "pair")
    assert together["reason"] == "role FLAIR did not come within 600 s"


def test_a_series_may_be_looked_at_by_itself_and_play_a_role_too(tmp_path: Path, clock: FakeClock) -> None:
    assessor = Assessor(
        rules=[ALONE],
        stations={"alone": NO_MODEL},
        identity=KEY,
        clock=clock,
        cast=Director([WANTED]),
    )
    result = assessor.assess(series_of_files(t1(tmp_path / "a").iterdir()))
    assert [one.pipeline for one in result.findings] == ["alone"]
    assert [(one.pipeline, one.roles) for one in result.roles] == [("pair", ("T1",))]


def of_pair(said: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in said if one["pipeline"] == "pair"]


def test_a_study_in_which_nobody_plays_a_role_is_spoken_of_once_though_another_pipeline_takes_its_series(
    tmp_path: Path, opened: Opened
) -> None:
    with opened("pair", alone=[ALONE]) as box:
        box.keep(t1(tmp_path / "a", SeriesDescription="3D sag"))
        box.keep(flair(tmp_path / "b", SeriesDescription="dark fluid"))
        assert of_pair(box.work()) == []
        (waiting,) = box.gathering.waiting()
        assert (waiting.studies, waiting.lacks) == (1, {"T1": 1, "FLAIR": 1})
        box.clock.advance(WAIT_S / 2)
        box.keep(t1(tmp_path / "c", SeriesDescription="3D cor"))
        assert of_pair(box.work()) == of_pair(box.work(WAIT_S - 2 * QUIET_S)) == []
        (finding,) = of_pair(box.work(2 * QUIET_S))
        box.keep(t1(tmp_path / "d", SeriesDescription="3D tra"))
        box.work()
        assert of_pair(box.work(WAIT_S + 1)) == [finding]
    with opened("pair", alone=[ALONE]) as box:
        assert of_pair(box.work(WAIT_S + 1)) == [finding]
    assert (finding["verdict"], finding["revision"], finding["reason"]) == (
        "NOT_ASSESSED",
        1,
        NONE_OF_ITS_ROLES,
    )
    assert finding["series"] == {**finding["series"], "modality": "CT", "instances": 0, "roles": []}


def test_who_plays_no_role_neither_holds_files_back_nor_is_missed_when_he_has_gone(
    tmp_path: Path, opened: Opened
) -> None:
    class Short:
        done_h, set_aside_days, soft_free_mb = 0.0, 0.0, 10_000_000

    with opened("pair", alone=[ALONE]) as box:
        kept = t1(tmp_path / "intake" / "a", SeriesDescription="3D sag")
        box.keep(kept)
        box.work()
        box.clock.advance(60.0)
        assert sweep(box.journal, tmp_path / "intake", box.clock, Short()) == 12
        (first,) = of_pair(box.work(WAIT_S))
        box.clock.advance(60.0)
        sweep(box.journal, tmp_path / "intake", box.clock, Short())
        assert box.journal.items("together", states=("ready", "done", "set_aside")) == []
        box.keep(t1(tmp_path / "b"))
        box.keep(flair(tmp_path / "c"))
        second = of_pair(box.work())[-1]
    assert first["reason"] == NONE_OF_ITS_ROLES
    assert LOOKED in second["reason"]
    assert (second["revision"], second["subject"]) == (2, first["subject"])


def test_a_series_that_grew_into_its_role_is_no_bystander_any_more(tmp_path: Path, opened: Opened) -> None:
    with opened("pair", alone=[ALONE]) as box:
        box.keep(flair(tmp_path / "b"))
        box.keep(t1(tmp_path / "a"), count=3)
        box.work()
        box.keep(tmp_path / "a")
        (finding,) = of_pair(box.work())
        box.keep(t1(tmp_path / "c", SeriesDescription="T2"))
        assert of_pair(box.work()) == of_pair(box.work(WAIT_S + 1)) == [finding]
    assert "(12, 24, 24), (20, 24, 30)" in finding["reason"]


def test_where_no_header_tells_a_role_the_study_says_so(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened("pair", alone=[ALONE]) as box:
        box.keep(t1(tmp_path / "a", SeriesDescription="T2"))
        box.work()
        monkeypatch.setattr(casting, "header_of", _break)
        box.keep(t1(tmp_path / "b"))
        box.keep(flair(tmp_path / "c"))
        box.work()
        (finding,) = of_pair(box.work(WAIT_S))
    why = "nobody could tell the role of a series: unexpected RuntimeError: surprise"
    assert finding["reason"] == f"{NOTHING_CAME}; {why}"


def test_who_plays_no_role_and_names_no_study_is_spoken_of_at_once(tmp_path: Path, opened: Opened) -> None:
    with opened("pair", alone=[ALONE]) as box:
        box.keep(t1(tmp_path / "a", StudyInstanceUID="", SeriesDescription="T2"))
        (finding,) = of_pair(box.work())
    assert finding["reason"] == "series 4 names no study, so nobody knows what belongs to it"


@pytest.mark.parametrize(("method", "call"), [("lease_group", 2), ("done", 1)])
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_kill_while_nobody_plays_a_role_neither_silences_nor_repeats_it(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, method: str, call: int, is_after: bool
) -> None:
    with opened("pair", alone=[ALONE]) as box:
        box.keep(t1(tmp_path / "a", SeriesDescription="T2"))
        monkeypatch.setattr(
            box.journal, method, Deadly(getattr(box.journal, method), call, is_after=is_after)
        )
        box.work()
        with pytest.raises(Killed):
            box.work(WAIT_S)
    with opened("pair", alone=[ALONE]) as box:
        box.work()
        (finding,) = of_pair(box.work(WAIT_S))
    assert (finding["revision"], finding["reason"]) == (1, NONE_OF_ITS_ROLES)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], Path]:
    """Series of two studies by study and name; what a name begins with is the role."""
    folder = tmp_path_factory.mktemp("pool")
    made = {}
    for study in ("1.2", "1.3"):
        for number, name in enumerate(("T1 first", "T1 again", "FLAIR", "T2")):
            build = {"FLAIR": flair}.get(name, t1)
            said = {"StudyInstanceUID": study, "SeriesDescription": name, "SeriesNumber": number}
            made[study, name] = build(folder / f"{study} {name}", **said)
    return made


DEATHS = st.tuples(
    st.just("die"),
    st.sampled_from(["lease_group", "done", "set_aside", "retry"]),
    st.integers(1, 3),
    st.booleans(),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("keep"),
            st.sampled_from(["1.2", "1.3"]),
            st.sampled_from(["T1 first", "T1 again", "FLAIR", "T2"]),
            st.sampled_from([6, 1000]),
        ),
        st.tuples(st.just("work"), st.sampled_from([QUIET_S, WAIT_S + QUIET_S])),
        DEATHS,
    ),
    max_size=12,
)


@given(steps=STEPS)
@settings(deadline=None, max_examples=12)
def test_whatever_comes_in_whatever_order_the_last_word_on_a_study_is_the_same(
    pool: Mapping[tuple[str, str], Path], manifest: VolumeSegmentation, steps: list[Any]
) -> None:
    last_word_is_right(pool, manifest, steps)


@pytest.mark.proof
@given(steps=STEPS)
@settings(deadline=None, max_examples=600)
@pytest.mark.timeout(900)
def test_the_last_word_is_the_same_six_hundred_times(
    pool: Mapping[tuple[str, str], Path], manifest: VolumeSegmentation, steps: list[Any]
) -> None:
    last_word_is_right(pool, manifest, steps)


def last_word_is_right(
    pool: Mapping[tuple[str, str], Path], manifest: VolumeSegmentation, steps: list[Any]
) -> None:
    """Let things come, be looked at and be cut short; then compare what was said last with what came."""
    clock, came = FakeClock(), dict[tuple[str, str], int]()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as lives:
        box = reborn(lives, Path(folder), manifest, clock)
        for step in steps:
            match step:
                case ("keep", study, name, count):
                    box.keep(pool[study, name], count=count)
                    came[study, name] = max(count, came.get((study, name), 0))
                case ("work", seconds):
                    box.work(seconds)
                case (_, method, call, is_after):
                    setattr(
                        box.journal, method, Deadly(getattr(box.journal, method), call, is_after=is_after)
                    )
                    with suppress(Killed):
                        box.work()
                    lives.close()
                    box = reborn(lives, Path(folder), manifest, clock)
        box.work()
        said = box.work(WAIT_S + QUIET_S)
    for study in ("1.2", "1.3"):
        names = sorted(name for of, name in came if of == study and not name.startswith("T2"))
        about = [one for one in said if (one["pipeline"], one["study"]) == ("pair", KEY.study(study))]
        assert bool(about) == any(of == study for of, _ in came)
        assert [one["revision"] for one in about] == list(range(1, len(about) + 1))
        for last in about[-1:]:
            assert re.search(EXPECTED[tuple(names)], last["reason"]), last["reason"]
            seen = sum(one["instances"] for one in last["series"]["roles"])
            assert seen == sum(min(came[study, name], LENGTHS[name]) for name in names)


LENGTHS = {"T1 first": 12, "T1 again": 12, "FLAIR": 20}
AMBIGUOUS, NO_FLAIR = "role T1 is ambiguous", "role FLAIR did not come within 600 s"
EXPECTED = {
    (): f"^{NONE_OF_ITS_ROLES}$",
    ("FLAIR",): "role T1 did not come within 600 s",
    ("FLAIR", "T1 again"): LOOKED,
    ("FLAIR", "T1 first"): LOOKED,
    ("FLAIR", "T1 again", "T1 first"): AMBIGUOUS,
    ("T1 again",): NO_FLAIR,
    ("T1 first",): NO_FLAIR,
    ("T1 again", "T1 first"): f"{AMBIGUOUS}.*{NO_FLAIR}",
}


def reborn(lives: ExitStack, folder: Path, manifest: VolumeSegmentation, clock: FakeClock) -> Box:
    """A process on what the one before it left."""
    journal = lives.enter_context(Journal(folder / "journal.db", clock))
    return Box(journal, manifest, clock, pipelines=["pair"], alone=[ALONE])


class Counted:
    """Counts its calls."""

    def __init__(self, act: Callable[..., Any]) -> None:
        self._act, self.calls = act, 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self._act(*args)


class Deadly:
    """Ends the process at one of its calls, before or after that has done what it does."""

    def __init__(self, act: Callable[..., Any], call: int, *, is_after: bool) -> None:
        self._act = act
        self._before = [Killed] * (not is_after)
        self._after = [Killed] * is_after
        self._left = call

    def __call__(self, *args: Any, **more: Any) -> Any:
        self._left -= 1
        for end in self._before * (self._left == 0):
            raise end
        answer = self._act(*args, **more)
        for end in self._after * (self._left == 0):
            raise end
        return answer


def _killed(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StudyRoles, "assess", _kill)
        with pytest.raises(Killed):
            box.work()


def _kill(*_: Any) -> None:
    raise Killed


def _break(*_: Any) -> None:
    raise RuntimeError("surprise")
