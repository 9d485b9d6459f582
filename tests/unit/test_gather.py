"""A study is looked at when every role is there, or when the wait is over; and it is never forgotten."""

from __future__ import annotations

import pytest

from edge.studies.gather import LONGEST_S, Awaited, Due, Gathering, Waiting
from tests.builders.arrivals import instance
from tests.fakes.clock import FakeClock

GROUP = "tumour study"


@pytest.fixture
def gathering(clock: FakeClock) -> Gathering:
    gathering = Gathering(clock)
    gathering.follow({"tumour": Awaited(frozenset({"T1", "FLAIR"}), 600.0)})
    return gathering


def came(gathering: Gathering, *roles: str, study: str = "study", pipeline: str = "tumour") -> frozenset[str]:
    return gathering.came(GROUP, pipeline=pipeline, study_uid=study, series=set(roles), roles=roles)


def test_it_is_due_when_the_last_role_is_there_and_once_only(gathering: Gathering) -> None:
    assert came(gathering, "T1") == {"FLAIR"}
    assert gathering.due({}) == []
    assert came(gathering, "T1", "FLAIR") == set()
    assert gathering.due({}) == [Due(GROUP, 0.0)]
    assert gathering.due({}) == []


def test_every_object_of_the_study_begins_the_wait_anew(gathering: Gathering, clock: FakeClock) -> None:
    of_study = instance("1")
    came(gathering, "T1", study=of_study.study_uid)
    clock.advance(599.0)
    gathering.kept(of_study)
    clock.advance(599.0)
    assert gathering.due({}) == []
    clock.advance(1.0)
    assert gathering.due({}) == [Due(GROUP, 600.0)]


def test_a_study_of_which_a_series_grows_waits_but_no_longer_than_a_day(
    gathering: Gathering, clock: FakeClock
) -> None:
    came(gathering, "T1")
    clock.advance(700.0)
    assert gathering.due({"another series": "study"}) == []
    assert gathering.due({"another series": "another study"}) == [Due(GROUP, 600.0)]
    came(gathering, "T1")
    clock.advance(LONGEST_S)
    assert gathering.due({"another series": "study"}) == [Due(GROUP, LONGEST_S)]


def test_a_whole_study_whose_series_never_ceases_to_grow_is_looked_at_after_a_day(
    gathering: Gathering, clock: FakeClock
) -> None:
    came(gathering, "T1", "FLAIR")
    clock.advance(LONGEST_S)
    came(gathering, "T1", "FLAIR")
    assert gathering.due({"T1": "study"}) == [Due(GROUP, 0.0)]


def test_a_whole_study_waits_for_its_own_series_that_grows_again_and_for_no_other(
    gathering: Gathering,
) -> None:
    came(gathering, "T1", "FLAIR")
    assert gathering.due({"T1": "study"}) == []
    assert gathering.due({"a scout": "study"}) == [Due(GROUP, 0.0)]


@pytest.mark.parametrize(("study", "pipeline"), [("", "tumour"), ("study", "gone")])
def test_where_nobody_can_be_waited_for_it_is_due_at_once(
    gathering: Gathering, study: str, pipeline: str
) -> None:
    assert came(gathering, "T1", study=study, pipeline=pipeline) == set()
    assert gathering.due({}) == [Due(GROUP, 0.0)]


def test_what_was_called_ambiguous_is_quiet_before_it_is_looked_at_again(
    gathering: Gathering, clock: FakeClock
) -> None:
    def late(number: int) -> None:
        gathering.came(
            GROUP,
            pipeline="tumour",
            study_uid="study",
            series=[str(number)],
            roles=["T1", "FLAIR"],
            is_ambiguous=number == 0,
        )

    late(0)
    for number in range(1, 60):
        clock.advance(599.0)
        late(number)
        assert gathering.due({}) == []
    clock.advance(600.0)
    ends_ns = clock.utc_ns()
    (due,) = gathering.due({})
    assert (due, due.last_ns) == (Due(GROUP, 600.0), ends_ns - 600 * 10**9)


def test_what_waits_is_told_of_and_what_is_due_waits_no_more(gathering: Gathering, clock: FakeClock) -> None:
    came(gathering, "T1")
    clock.advance(5.0)
    waiting = Waiting(pipeline="tumour", studies=1, oldest_s=5.0, lacks={"FLAIR": 1})
    assert gathering.waiting() == [waiting]
    came(gathering, "T1", "FLAIR")
    assert gathering.waiting() == []


def test_other_rules_count_for_what_waits_already(gathering: Gathering) -> None:
    came(gathering, "T1")
    gathering.follow({"tumour": Awaited(frozenset({"T1"}), 600.0)})
    assert gathering.due({}) == [Due(GROUP, 0.0)]
