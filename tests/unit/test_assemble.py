"""When a series is complete: by count, by quiet, at a deadline, and again when instances come late."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.errors import StorageFullError
from edge.domain.study import ClosedBecause, Instance, Kept
from edge.kit.journal import Journal
from edge.studies.assemble import Assembler, series_of
from edge.studies.intake import QUEUE, JournaledIntake, instance_from_json, instance_of, instance_to_json
from tests.builders.arrivals import arrival, instance
from tests.fakes.clock import FakeClock

QUIET_S, DEADLINE_S = 10.0, 60.0


@pytest.fixture
def assembler(clock: FakeClock) -> Assembler:
    return Assembler(clock, quiet_s=QUIET_S, deadline_s=DEADLINE_S)


def test_a_series_is_complete_when_its_association_closed_and_it_is_quiet(
    assembler: Assembler, clock: FakeClock
) -> None:
    assembler.kept(instance("1"))
    clock.advance(QUIET_S)
    assert assembler.due() == []  # its association is still open
    assembler.association_closed("a")
    clock.advance(QUIET_S - 0.1)
    assert assembler.due() == []
    assert assembler.next_due_s() == pytest.approx(0.1)
    clock.advance(0.1)
    assert assembler.due() == [("series", ClosedBecause.QUIET)]
    assert assembler.due() == []
    assert assembler.next_due_s() == math.inf


def test_an_announced_count_closes_at_once_when_the_association_is_closed(assembler: Assembler) -> None:
    assembler.kept(instance("1", announced=2))
    assembler.kept(instance("2", announced=2))
    assert assembler.due() == []
    assembler.association_closed("a")
    assert assembler.due() == [("series", ClosedBecause.COUNT)]


def test_an_announced_count_closes_after_a_breath_while_the_association_is_open(
    assembler: Assembler, clock: FakeClock
) -> None:
    assembler.kept(instance("1", announced=1))
    assert assembler.due() == []
    clock.advance(1.0)
    assert assembler.due() == [("series", ClosedBecause.COUNT)]


def test_a_count_that_is_exceeded_is_believed_no_longer(assembler: Assembler, clock: FakeClock) -> None:
    for number in range(3):
        assembler.kept(instance(str(number), announced=2))
    assembler.association_closed("a")
    assert assembler.due() == []
    clock.advance(QUIET_S)
    assert assembler.due() == [("series", ClosedBecause.QUIET)]


def test_the_same_instance_again_counts_once(assembler: Assembler) -> None:
    for _ in range(2):
        assembler.kept(instance("1", announced=2))
    assembler.association_closed("a")
    assert assembler.due() == []


def test_every_association_that_delivered_has_to_be_closed(assembler: Assembler, clock: FakeClock) -> None:
    assembler.kept(instance("1", association="a"))
    assembler.kept(instance("2", association="b"))
    assembler.association_closed("a")
    clock.advance(QUIET_S)
    assert assembler.due() == []
    assembler.association_closed("b")
    clock.advance(QUIET_S)
    assert assembler.due() == [("series", ClosedBecause.QUIET)]


def test_an_association_that_never_closes_ends_with_the_deadline(
    assembler: Assembler, clock: FakeClock
) -> None:
    for number in range(60):
        assert assembler.due() == []
        assembler.kept(instance(str(number)))
        clock.advance(1.0)
    assert assembler.due() == [("series", ClosedBecause.DEADLINE)]


def test_a_jump_of_the_wall_clock_closes_nothing(assembler: Assembler, clock: FakeClock) -> None:
    assembler.kept(instance("1"))
    assembler.association_closed("a")
    clock.jump_utc(86_400.0)
    assert assembler.due() == []
    clock.jump_utc(-200_000.0)
    clock.advance(QUIET_S)
    assert assembler.due() == [("series", ClosedBecause.QUIET)]


def test_objects_without_a_series_stand_alone(assembler: Assembler, clock: FakeClock) -> None:
    for number in range(2):
        assembler.kept(instance(str(number), series_uid=""))
    assembler.association_closed("a")
    clock.advance(QUIET_S)
    assert {key for key, _ in assembler.due()} == {"object 0", "object 1"}


def test_an_instance_survives_the_journal() -> None:
    assert instance_from_json(instance_to_json(instance("1", announced=3))) == instance("1", announced=3)


class House:
    """A journal, an intake and an assembler, which a crash takes down together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self._open()

    def _open(self) -> None:
        self.journal = Journal(self.folder / "journal.db", self.clock).__enter__()
        self.assembler = Assembler(self.clock, quiet_s=QUIET_S, deadline_s=DEADLINE_S)
        self.intake = JournaledIntake(
            self.journal,
            folder=self.folder / "intake",
            reserve_bytes=0,
            clock=self.clock,
            on_kept=self.assembler.kept,
            on_closed=self.assembler.association_closed,
        )
        self.intake.recover()
        for lease in self.journal.interrupted(QUEUE):
            self.journal.retry(lease, after_s=0.0, reason="crash")
        self.assembler.restore(map(instance_of, self.journal.items(QUEUE)))

    def close(self) -> None:
        self.journal.__exit__(None, None, None)

    def crash(self) -> None:
        self.close()
        self._open()

    def keep(self, sop_uid: str, **options: object) -> Kept:
        return self.intake.keep(arrival(self.folder / "spool", sop_uid, **options))  # type: ignore[arg-type]  # passed on

    def conclude(self) -> list[tuple[int, list[str]]]:
        """Close what is due; return revision and instances of each closing."""
        closings = []
        for key, because in self.assembler.due():
            for lease in filter(None, [self.journal.lease_group(QUEUE, key)]):
                series = series_of(self.journal, lease, because)
                closings.append((series.revision, [each.sop_uid for each in series.instances]))
                self.journal.done(lease)
        return closings

    def let_go_after(self, sop_uid: str) -> int:
        """Keep an instance, close its series; return how many it knows to be gone."""
        self.keep(sop_uid, content=sop_uid.encode())
        lease = self.journal.lease_group(QUEUE, "series")
        assert lease is not None
        series = series_of(self.journal, lease, ClosedBecause.QUIET)
        self.journal.done(lease)
        return series.let_go


def test_late_instances_make_a_revision_with_all_of_them(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.keep("1")
    house.clock.advance(DEADLINE_S)
    assert house.conclude() == [(1, ["1"])]
    house.crash()
    house.keep("2")
    house.clock.advance(DEADLINE_S)
    assert house.conclude() == [(2, ["1", "2"])]
    house.close()


def test_a_crash_within_the_work_repeats_it_with_the_same_revision(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.keep("1")
    assert house.journal.lease_group(QUEUE, "series") is not None
    house.crash()
    house.clock.advance(QUIET_S)
    assert house.conclude() == [(1, ["1"])]
    house.close()


def test_what_arrives_while_a_series_is_worked_on_waits_for_the_next_revision(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.keep("1")
    house.clock.advance(DEADLINE_S)
    [(key, because)] = house.assembler.due()
    lease = house.journal.lease_group(QUEUE, key)
    assert lease is not None
    house.keep("2")
    assert [each.sop_uid for each in series_of(house.journal, lease, because).instances] == ["1"]
    house.journal.done(lease)
    house.clock.advance(DEADLINE_S)
    assert house.conclude() == [(2, ["1", "2"])]
    house.close()


def test_a_revision_knows_how_many_of_its_instances_were_let_go_before(tmp_path: Path) -> None:
    house = House(tmp_path)
    for sop_uid in ("1", "2", "3"):
        house.keep(sop_uid)
    house.clock.advance(DEADLINE_S)
    assert house.conclude() == [(1, ["1", "2", "3"])]
    house.journal.forget(QUEUE, state="done", older_than_ns=1 << 62, count_max=2)
    house.crash()
    assert house.let_go_after("4") == 2  # 3 and 4 are here, 1 and 2 are not
    assert house.let_go_after("1") == 1
    assert house.let_go_after("2") == 0
    house.journal.forget(QUEUE, state="done", older_than_ns=1 << 62)
    assert house.let_go_after("3") == 3
    house.close()


def test_below_the_reserve_the_intake_takes_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.intake._reserve_bytes = 1 << 62
    with pytest.raises(StorageFullError, match="nothing was taken"):
        house.keep("1")
    assert house.journal.items(QUEUE) == []
    house.close()


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(0, 9), st.sampled_from("ab")),
        st.tuples(st.just("close"), st.just(0), st.sampled_from("ab")),
        st.tuples(st.just("wait"), st.integers(1, 70), st.just("")),
        st.tuples(st.just("crash"), st.just(0), st.just("")),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(events=EVENTS, announced=st.sampled_from([None, 3, 10]))
def test_every_kept_instance_is_in_a_closing_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int, str]], announced: int | None
) -> None:
    house = House(tmp_path_factory.mktemp("house"))
    kept: set[str] = set()
    closings: list[tuple[int, list[str]]] = []

    def keep(number: int, association: str) -> None:
        outcome = house.keep(str(number), association=association, announced=announced)
        assert outcome is (Kept.SAME if str(number) in kept else Kept.NEW)
        kept.add(str(number))

    act: dict[str, Callable[[int, str], object]] = {
        "keep": keep,
        "close": lambda _, association: house.intake.association_closed(association),
        "wait": lambda seconds, _: house.clock.advance(seconds),
        "crash": lambda _, __: house.crash(),
    }
    for name, number, association in events:
        act[name](number, association)
        closings += house.conclude()
    house.clock.advance(DEADLINE_S)
    closings += house.conclude()
    house.close()
    assert {sop_uid for _, sop_uids in closings for sop_uid in sop_uids} == kept
    assert [revision for revision, _ in closings] == list(range(1, len(closings) + 1))
    assert all(set(earlier) < set(later) for (_, earlier), (_, later) in itertools.pairwise(closings))


@given(order=st.permutations(range(6)))
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    clock = FakeClock()
    assembler = Assembler(clock, quiet_s=QUIET_S, deadline_s=DEADLINE_S)
    instances: list[Instance] = [
        instance(str(number), series_uid="AB"[number % 2], announced=3) for number in range(6)
    ]
    for number in order:
        assembler.kept(instances[number])
    assembler.association_closed("a")
    assert sorted(assembler.due()) == [("A", ClosedBecause.COUNT), ("B", ClosedBecause.COUNT)]
