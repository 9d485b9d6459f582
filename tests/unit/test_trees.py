"""Plain trees: leaves, one laid over another, paths as text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.kit.trees import is_path, laid_over, leaves, steps_of, without, written

VALUES = (
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
)
KEYS = st.sampled_from(["a", "b", "c", "kind", "a.b", "ö"])
TREES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=3),
    lambda below: st.dictionaries(KEYS, VALUES | below, max_size=3),
    max_leaves=8,
)


def of_one_shape(depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Trees in which a key is a mapping in all of them, or in none."""
    tree: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from(["v", "w"]), VALUES)
    for _ in range(depth):
        below = tree
        tree = st.fixed_dictionaries({}, optional={"m": below, "n": below, "v": VALUES, "w": VALUES})
    return tree


@given(st.lists(st.text(max_size=4) | st.integers(0, 10**6), min_size=1, max_size=5))
def test_a_path_comes_back_from_its_text(steps: list[str | int]) -> None:
    path = ("top", *steps)
    assert steps_of(written(path)) == path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("sources", 0, "port"), "sources[0].port"),
        (("pipelines", "brain-mr", "deadline_s"), "pipelines.brain-mr.deadline_s"),
        (("pipelines", "brain.mr", "deadline_s"), 'pipelines."brain.mr".deadline_s'),
        (("a", ""), 'a.""'),
        ((), ""),
    ],
)
def test_a_path_is_written_as_a_person_writes_it(path: tuple[str | int, ...], text: str) -> None:
    assert written(path) == text


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a b", 'a."b', "a[x]", "a[0", "a]", 'a"b"', '"\\q"']
)
def test_what_is_no_path_is_refused(text: str) -> None:
    assert not is_path(text)
    with pytest.raises(ValueError, match="wanted a path"):
        steps_of(text)


@given(TREES)
def test_a_tree_over_nothing_and_nothing_over_a_tree_are_that_tree(tree: dict[str, Any]) -> None:
    assert laid_over({}, tree) == tree
    assert laid_over(tree, {}) == tree
    assert laid_over(tree, tree) == tree


@given(of_one_shape(), of_one_shape(), of_one_shape())
def test_it_does_not_matter_which_of_three_are_joined_first(
    low: dict[str, Any], middle: dict[str, Any], high: dict[str, Any]
) -> None:
    assert laid_over(laid_over(low, middle), high) == laid_over(low, laid_over(middle, high))


@given(TREES, TREES)
def test_every_value_of_the_upper_tree_is_in_the_joined_one(
    lower: dict[str, Any], upper: dict[str, Any]
) -> None:
    joined = dict(leaves(laid_over(lower, upper)))
    assert all(joined[path] == value for path, value in leaves(upper) if value != {})


@given(TREES, TREES)
def test_joining_changes_neither(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    before = repr(lower), repr(upper)
    laid_over(lower, upper)
    assert (repr(lower), repr(upper)) == before


def test_a_list_is_replaced_as_a_whole_and_null_stands_for_itself() -> None:
    lower = {"a": [1, 2, 3], "b": {"c": 1, "d": 2}, "e": {"f": 1}}
    assert laid_over(lower, {"a": [4], "b": {"c": None}, "e": None}) == {
        "a": [4],
        "b": {"c": None, "d": 2},
        "e": None,
    }


def test_a_section_of_another_kind_replaces_what_was_there() -> None:
    linear = {"scale": {"kind": "linear", "kelvin_per_count": 0.01}}
    planck = {"scale": {"kind": "planck", "r1": 1.0}}
    assert laid_over(linear, planck) == planck
    assert (
        laid_over(linear, {"scale": {"kind": "linear", "zero_kelvin": 1}})["scale"]["kelvin_per_count"]
        == 0.01
    )


@given(TREES)
def test_a_tree_without_all_its_leaves_is_empty(tree: dict[str, Any]) -> None:
    paths = [path for path, _ in leaves(tree)]
    assert without(tree, paths) == {}
    assert without(tree, []) == tree


def test_what_is_left_empty_by_taking_something_out_goes_too() -> None:
    tree = {"a": {"b": {"c": 1}}, "d": {}, "e": {"f": 1, "g": {}}}
    assert without(tree, [("a", "b", "c"), ("e", "f")]) == {"d": {}, "e": {"g": {}}}
