"""Pauses before trying again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.kit.backoff import Backoff
from edge.kit.recent import Recent


def test_the_ceiling_doubles_from_one_second_to_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.ceiling_s(failures) for failures in (1, 2, 3, 6, 7, 8, 10_000)] == [
        1,
        2,
        4,
        32,
        60,
        60,
        60,
    ]


@given(failures=st.integers(0, 10_000), min_s=st.floats(0.001, 10), max_s=st.floats(0.001, 100))
def test_a_pause_is_anything_below_its_ceiling(failures: int, min_s: float, max_s: float) -> None:
    backoff = Backoff(min_s=min_s, max_s=max_s)
    assert 0 <= backoff.pause_s(failures) <= backoff.ceiling_s(failures) <= max_s


def test_pauses_differ_so_that_a_fleet_does_not_come_back_at_once() -> None:
    assert len({Backoff().pause_s(10) for _ in range(50)}) == 50


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_a_percentile_is_one_of_the_recent_values(values: list[float]) -> None:
    recent = Recent(values_max=20)
    for value in values:
        recent.add(value)
    kept = sorted(values[-20:])
    assert recent.percentile(100) == kept[-1]
    assert recent.percentile(1) == kept[0]
    assert recent.percentile(50) == kept[(len(kept) - 1) // 2]


def test_without_values_there_is_no_percentile() -> None:
    assert Recent().percentile(50) is None
