"""A time is written in one way everywhere, and cut off, not rounded."""

from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from edge.kit.moments import told

S_NS = 1_000_000_000
BEFORE_A_SECOND_NS = 1_763_820_000 * S_NS - 1


def test_a_time_is_cut_off_and_never_says_a_second_that_has_not_come() -> None:
    assert told(BEFORE_A_SECOND_NS) == "2025-11-22T13:59:59.999Z"
    assert told(BEFORE_A_SECOND_NS, to="seconds") == "2025-11-22T13:59:59Z"
    assert told(BEFORE_A_SECOND_NS + 1) == "2025-11-22T14:00:00.000Z"
    assert told(0, to="seconds") == "1970-01-01T00:00:00Z"


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_a_time_in_ms_is_the_same_when_it_is_read_again(utc_ms: int) -> None:
    read = datetime.datetime.fromisoformat(told(utc_ms * 1_000_000))
    since = read - datetime.datetime.fromtimestamp(0, tz=datetime.UTC)
    assert since == datetime.timedelta(milliseconds=utc_ms)
