"""What is alike goes to one side: agreement is not measured on near copies of what was calibrated on."""

from __future__ import annotations

from itertools import repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.workshop.held_out import HELD_OUT_MAX, ONE_IN, SHARE_MAX, SHARE_MIN, Split, splits
from edge.workshop.questions import Item


def inputs(count: int) -> list[Item]:
    return [np.array([place], np.float32) for place in range(count)]


def groups_of(sizes: list[int]) -> list[str]:
    return [f"group {number}" for number, size in enumerate(sizes) for _ in repeat(None, size)]


def places(items: tuple[Item, ...]) -> list[int]:
    return [int(item[0]) for item in items]


def parted(sizes: list[int]) -> list[Split]:
    return list(splits(inputs(sum(sizes)), groups_of(sizes)))


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30).filter(lambda sizes: sum(sizes) >= ONE_IN))
def test_a_group_is_on_one_side_or_every_fourth_is_held_out(sizes: list[int]) -> None:
    groups = groups_of(sizes)
    *whole, last = parted(sizes)
    assert places(last.held_out) == list(range(0, sum(sizes), ONE_IN))[:HELD_OUT_MAX]
    assert places(last.calibrating) == [place for place in range(sum(sizes)) if place % ONE_IN]
    for one in whole:
        calibrated = {groups[place] for place in places(one.calibrating)}
        held = {groups[place] for place in places(one.held_out)}
        assert not calibrated & held
        assert 0 < len(one.held_out) <= HELD_OUT_MAX
        assert SHARE_MIN <= 1 - len(one.calibrating) / sum(sizes) <= SHARE_MAX


@pytest.mark.parametrize(
    ("sizes", "held"),
    [
        ([4] * 8, ["group 3", "group 7"]),
        ([16, 16], ["group 0"]),
        ([48, 16], ["group 1"]),
        ([10, 30, 2], ["group 0"]),
        ([64, 30, 30], ["group 2"]),
    ],
)
def test_about_a_quarter_is_held_out_in_whole_groups(sizes: list[int], held: list[str]) -> None:
    first = parted(sizes)[0]
    groups = groups_of(sizes)
    assert list(dict.fromkeys(groups[place] for place in places(first.held_out))) == held
    assert first.how == (f"{len(held)} of {len(sizes)} groups, whole: a study, a video or a folder is one")


@pytest.mark.parametrize(
    ("sizes", "how"),
    [
        ([1] * 16, "every fourth"),
        ([16], "every fourth, for all are of one study, video or folder; what was held out may be near"),
        ([61, 1, 1, 1], "every fourth, for whole groups would be too many or too few of them; what was held"),
    ],
)
def test_where_no_groups_can_be_held_out_it_is_said(sizes: list[int], how: str) -> None:
    (only,) = parted(sizes)
    assert only.how.startswith(how)


def test_of_what_nobody_knows_the_groups_of_every_fourth_is_held_out() -> None:
    (only,) = splits(inputs(9), ())
    assert (places(only.held_out), only.how) == ([0, 4, 8], "every fourth")


def test_what_is_held_out_of_many_is_of_every_group() -> None:
    first = parted([10] * 40)[0]
    groups = groups_of([10] * 40)
    assert len({groups[place] for place in places(first.held_out)}) == 10
    assert len(first.held_out) <= HELD_OUT_MAX
