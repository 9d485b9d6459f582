"""What is said of a series that nobody can look at as it is, and when it cannot be written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.domain.errors import StorageFullError
from edge.domain.finding import Verdict
from edge.domain.study import ClosedBecause, Series
from edge.findings.identity import KeyedHash
from edge.kit import room
from edge.kit.journal import Entry, Journal
from edge.kit.stage import Stage
from edge.pipelines.imaging import Assessor, Imaging
from edge.pipelines.stations import A_SERIES, Station
from edge.studies.assemble import Assembler
from edge.studies.intake import instance_to_json
from edge.studies.select import Rule
from tests.builders.arrivals import instance
from tests.builders.files import series_of_files
from tests.builders.heads import ball_series
from tests.fakes.clock import FakeClock
from tests.fakes.full import Full


def test_a_rest_of_a_series_is_never_taken_for_the_whole(clock: FakeClock) -> None:
    rule = Rule(pipeline="brain", modalities=frozenset({"CT"}))
    assessor = Assessor(rules=[rule], stations={}, identity=KeyedHash(bytes(16)), clock=clock)
    series = Series(
        series_uid="series",
        study_uid="study",
        modality="CT",
        instances=(instance("4"),),
        closed_because=ClosedBecause.QUIET,
        revision=2,
        let_go=3,
    )
    result = assessor.assess(series)
    [finding] = result.findings
    assert (finding.pipeline, finding.revision) == ("brain", 2)
    assert finding.observation.verdict is Verdict.NOT_ASSESSED
    assert "3 more" in finding.observation.reason
    assert result.refusal == finding.observation.reason
    assert not result.is_damaged


def test_every_pipeline_that_is_meant_for_a_series_says_something(tmp_path: Path, clock: FakeClock) -> None:
    files = ball_series(tmp_path, name="head")
    wanted = {"fits": 2, "wants more slices": 1000}
    rules = [
        Rule(pipeline=name, modalities=frozenset({"MR"}), slices_min=least) for name, least in wanted.items()
    ]
    no_model = Station(model=None, refusal="altered", policy=None, subject=A_SERIES, deadline_s=1.0)
    assessor = Assessor(
        rules=rules, stations=dict.fromkeys(wanted, no_model), identity=KeyedHash(bytes(16)), clock=clock
    )
    first, second = assessor.assess(series_of_files(files)).findings
    assert (first.pipeline, second.pipeline) == ("fits", "wants more slices")
    assert "altered" in first.observation.reason
    assert "10 slices, wanted at least 1000" in second.observation.reason


@pytest.mark.parametrize("step", ["lease_group", "done"])
def test_on_a_full_disk_a_series_waits_and_is_not_given_up(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(room, "PAUSE_S", 0.01)
    beats: list[int] = []
    assembler = Assembler(clock, quiet_s=1.0, deadline_s=2.0)
    with Journal(tmp_path / "journal.db", clock) as journal:
        imaging = Imaging(
            journal=journal,
            assembler=assembler,
            assessor=Assessor(rules=[], stations={}, identity=KeyedHash(bytes(16)), clock=clock),
            envelope=lambda finding, _: Entry("outbox", finding.finding_id, finding.subject, b""),
            stage=Stage("imaging", clock),
            beat=lambda: beats.append(1),
        )
        one = instance("1")
        journal.put(Entry("intake", one.sop_uid, one.series_uid, instance_to_json(one)))
        assembler.kept(one)
        clock.advance(2.0)
        monkeypatch.setattr(journal, step, Full(getattr(journal, step), times=2))
        assert imaging.work_once()
        assert journal.count("intake", "done") == 1
        assert journal.count("outbox", "ready") == 1
        assert len(beats) == 3  # it waits, and the watchdog knows


def test_a_stop_on_a_full_disk_leaves_the_series_to_the_next_start(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PAUSE_S", 0.01)
    assembler = Assembler(clock, quiet_s=1.0, deadline_s=2.0)
    with Journal(tmp_path / "journal.db", clock) as journal:
        imaging = Imaging(
            journal=journal,
            assembler=assembler,
            assessor=Assessor(rules=[], stations={}, identity=KeyedHash(bytes(16)), clock=clock),
            envelope=lambda finding, _: Entry("outbox", finding.finding_id, finding.subject, b""),
            stage=Stage("imaging", clock),
            beat=lambda: None,
        )
        one = instance("1")
        journal.put(Entry("intake", one.sop_uid, one.series_uid, instance_to_json(one)))
        assembler.kept(one)
        clock.advance(2.0)

        def full(*_: object, **__: object) -> None:
            imaging.stop()
            raise StorageFullError("no room")

        monkeypatch.setattr(journal, "done", full)
        monkeypatch.setattr(journal, "set_aside", full)
        imaging.run()
    with Journal(tmp_path / "journal.db", clock) as journal:
        assert [lease.group for lease in journal.interrupted("intake")] == [one.series_uid]
