"""What was kept long enough goes; what is not finished never does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.domain.errors import StorageFullError
from edge.kit.journal import Entry, Item, Journal
from edge.ops import retention
from edge.ops.retention import sweep
from edge.studies.intake import QUEUE, JournaledIntake
from tests.builders.arrivals import arrival
from tests.fakes.clock import FakeClock

HOUR_S, DAY_S = 3600.0, 86_400.0


@dataclass
class Limits:
    done_h: float = 24.0
    set_aside_days: float = 30.0
    soft_free_mb: int = 0


@pytest.fixture
def journal(tmp_path: Path, clock: FakeClock) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db", clock) as journal:
        yield journal


@pytest.fixture
def intake(journal: Journal, tmp_path: Path, clock: FakeClock) -> JournaledIntake:
    return JournaledIntake(
        journal,
        folder=tmp_path / "intake",
        reserve_bytes=0,
        clock=clock,
        on_kept=lambda _: None,
        on_closed=lambda _: None,
    )


def files(tmp_path: Path) -> int:
    return len(list(tmp_path.glob("intake/*/*")))


def keep(intake: JournaledIntake, tmp_path: Path, sop_uid: str, series_uid: str) -> None:
    intake.keep(arrival(tmp_path / "spool", sop_uid, series_uid=series_uid))


def finish(journal: Journal, series_uid: str) -> None:
    lease = journal.lease_group(QUEUE, series_uid)
    assert lease is not None
    journal.done(lease, then=[Entry("outbox", f"finding of {series_uid}", series_uid, b"")])


def test_finished_series_go_after_their_time_and_not_before(
    journal: Journal, intake: JournaledIntake, tmp_path: Path, clock: FakeClock
) -> None:
    keep(intake, tmp_path, "1", "A")
    keep(intake, tmp_path, "2", "B")
    finish(journal, "A")
    clock.advance(23 * HOUR_S)
    assert sweep(journal, tmp_path / "intake", clock, Limits()) == 0
    clock.advance(2 * HOUR_S)
    assert sweep(journal, tmp_path / "intake", clock, Limits()) == 1
    assert files(tmp_path) == 1
    assert [item.key for item in journal.items(QUEUE, states=("ready", "done"))] == ["2"]
    assert len(list((tmp_path / "intake").iterdir())) == 1  # the folder of the series went as well


def test_what_is_not_finished_stays_however_full_the_disk_is(
    journal: Journal, intake: JournaledIntake, tmp_path: Path, clock: FakeClock
) -> None:
    keep(intake, tmp_path, "1", "A")
    keep(intake, tmp_path, "2", "B")
    assert journal.lease_group(QUEUE, "B") is not None
    clock.advance(400 * DAY_S)
    assert sweep(journal, tmp_path / "intake", clock, Limits(soft_free_mb=10**12)) == 0
    assert files(tmp_path) == 2


def test_a_series_with_late_instances_keeps_its_earlier_ones(
    journal: Journal, intake: JournaledIntake, tmp_path: Path, clock: FakeClock
) -> None:
    keep(intake, tmp_path, "1", "A")
    finish(journal, "A")
    keep(intake, tmp_path, "2", "A")
    clock.advance(25 * HOUR_S)
    assert sweep(journal, tmp_path / "intake", clock, Limits()) == 0
    assert files(tmp_path) == 2


def test_when_space_is_short_the_oldest_finished_go_first_and_no_more_than_needed(
    journal: Journal,
    intake: JournaledIntake,
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for series_uid in "ABC":
        keep(intake, tmp_path, series_uid, series_uid)
        clock.advance(1.0)
    for series_uid in "BAC":
        finish(journal, series_uid)
        clock.advance(1.0)
    monkeypatch.setattr(retention, "_BATCH", 1)
    monkeypatch.setattr(retention, "free_bytes", lambda _: (4 - files(tmp_path)) * 1_000_000)
    assert sweep(journal, tmp_path / "intake", clock, Limits(soft_free_mb=3)) == 2
    assert [item.key for item in journal.items(QUEUE, states=("done",))] == ["C"]


def test_what_was_set_aside_is_kept_longer_and_never_for_want_of_space(
    journal: Journal, intake: JournaledIntake, tmp_path: Path, clock: FakeClock
) -> None:
    keep(intake, tmp_path, "1", "A")
    lease = journal.lease_group(QUEUE, "A")
    assert lease is not None
    journal.set_aside(lease, reason="slices missing")
    clock.advance(29 * DAY_S)
    assert sweep(journal, tmp_path / "intake", clock, Limits(soft_free_mb=10**12)) == 0
    clock.advance(2 * DAY_S)
    assert sweep(journal, tmp_path / "intake", clock, Limits()) == 1
    assert files(tmp_path) == 0


def test_delivered_findings_are_compacted_and_waiting_ones_are_not(
    journal: Journal, intake: JournaledIntake, tmp_path: Path, clock: FakeClock
) -> None:
    for series_uid in "AB":
        keep(intake, tmp_path, series_uid, series_uid)
        finish(journal, series_uid)
    delivered = journal.lease_oldest("outbox")
    assert delivered is not None
    journal.done(delivered)
    clock.advance(400 * DAY_S)
    sweep(journal, tmp_path / "intake", clock, Limits())
    assert [item.key for item in journal.items("outbox", states=("ready", "done"))] == ["finding of B"]


def test_an_object_that_comes_again_after_its_time_is_kept_anew_in_a_higher_revision(
    journal: Journal, intake: JournaledIntake, tmp_path: Path, clock: FakeClock
) -> None:
    keep(intake, tmp_path, "1", "A")
    finish(journal, "A")
    clock.advance(25 * HOUR_S)
    sweep(journal, tmp_path / "intake", clock, Limits())
    keep(intake, tmp_path, "1", "A")
    assert files(tmp_path) == 1
    lease = journal.lease_group(QUEUE, "A")
    assert lease is not None
    assert lease.closing == 2


def test_files_go_even_when_there_is_no_room_left_to_compact_the_outbox(
    journal: Journal,
    intake: JournaledIntake,
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(queue: str, **_: object) -> list[Item]:
        raise StorageFullError(f"{queue}: no room")

    forget = journal.forget
    keep(intake, tmp_path, "1", "A")
    finish(journal, "A")
    clock.advance(25 * HOUR_S)
    monkeypatch.setattr(
        journal, "forget", lambda queue, **limits: {"outbox": full}.get(queue, forget)(queue, **limits)
    )
    with pytest.raises(StorageFullError):
        sweep(journal, tmp_path / "intake", clock, Limits())
    assert files(tmp_path) == 0


def test_before_anything_has_arrived_there_is_nothing_to_sweep(
    journal: Journal, tmp_path: Path, clock: FakeClock
) -> None:
    assert sweep(journal, tmp_path / "intake", clock, Limits(soft_free_mb=10**12)) == 0
