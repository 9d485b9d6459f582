"""A document made from the one before it, as a person edits it, and the text it is edited as."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cli.fleet_text import assigned, difference_lines, from_yaml, problems_of, to_yaml
from edge.domain.errors import ConfigurationError, DocumentRefusedError
from edge.fleet.operator.edit import content_of, differences, drafted
from edge.fleet.timing import moment_ns
from edge.kit.moments import told
from tests.builders.fleet_documents import bundle, desired

NOW = "2026-11-23T12:00:00Z"
NOW_NS = moment_ns(NOW)
LATER = told(NOW_NS + 10**12)
CONTENT: dict[str, Any] = {"config": {"pipelines": {"brain-mr": {"deadline_s": 60.0}}}, "bundles": {}}

TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufeff\x85"), max_size=12
)
LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS | st.floats(-1e9, 1e9)
TREES = st.recursive(
    LEAVES, lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXTS, part, max_size=3), max_leaves=8
)


@given(tree=st.dictionaries(TEXTS, TREES, max_size=4))
def test_what_is_written_as_yaml_is_read_back_as_the_same(tree: dict[str, Any]) -> None:
    assert from_yaml(to_yaml({"config": tree}), name="x") == {"config": tree or {}}


@pytest.mark.parametrize(
    "text", ["no", "1e5", "0o17", "2026-11-23", "null", "~", "1.3.0", "", "a: b", "- x", "# y"]
)
def test_a_text_stays_a_text(text: str) -> None:
    assert from_yaml(to_yaml({"version": text}), name="x") == {"version": text}


def test_a_file_that_is_no_mapping_or_says_a_thing_twice_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigurationError, match="f: is no mapping"):
        from_yaml("- a", name="f")
    with pytest.raises(ConfigurationError, match="line 2: config: given twice"):
        from_yaml("config: {}\nconfig: {}", name="f")
    assert from_yaml("config:\nbundles:\n", name="f") == {"config": {}, "bundles": {}}


def test_a_draft_is_the_next_version_of_what_it_was_made_from() -> None:
    document = drafted("anna/or-3", CONTENT, base=41, now_ns=NOW_NS)
    assert (document["schema"], document["device"]) == ("edge.desired/1", "or-3")
    assert (document["version"], document["base"], document["config"]) == (42, 41, CONTENT["config"])
    layer = drafted("anna/group/theatres", {**CONTENT, "priority": 3}, base=0, now_ns=NOW_NS)
    assert (layer["schema"], layer["group"], layer["priority"]) == ("edge.group/1", "theatres", 3)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"rollout": {"id": "r"}}, "rollout"),
        ({"priority": 3}, "priority"),
        ({"apply": {"mode": "now"}}, "apply.mode"),
        ({"bundles": {"x": {"version": "1"}}}, "bundles.x.digest"),
        ({"expires": "2026-11-23T11:59:59Z"}, "expires"),
        ({"apply": {"deadline": "2026-11-22T00:00:00Z"}}, "apply.deadline"),
        ({"config": {"x": float("nan")}}, "config.x"),
        ({"config": {"x": "y" * 65_400}}, ""),
    ],
)
def test_what_no_device_could_take_is_refused_before_it_is_signed(wrong: dict[str, Any], path: str) -> None:
    with pytest.raises(DocumentRefusedError) as caught:
        drafted("anna/or-3", {**CONTENT, **wrong}, base=0, now_ns=NOW_NS)
    assert caught.value.path == path


def test_what_has_run_out_and_what_was_for_once_is_not_taken_along() -> None:
    before = desired(
        version=4,
        expires="2026-11-23T11:00:00Z",
        not_before=LATER,
        apply={"mode": "validate", "deadline": "2026-11-23T11:00:00Z", "confirm_s": 30.0},
        rollout={"id": "r", "ring": 0},
        bundles={"brain-mr": bundle("b")},
    )
    content = content_of("anna/or-3", before, now_ns=NOW_NS)
    assert sorted(content) == ["apply", "bundles", "config", "not_before"]
    assert content["apply"] == {"confirm_s": 30.0}
    assert content_of("anna/or-3", None, now_ns=NOW_NS) == {"config": {}, "bundles": {}}
    assert content_of("anna/group/g", None, now_ns=NOW_NS)["priority"] == 0


def test_differences_name_what_comes_goes_and_changes() -> None:
    before = {"config": {"a": 1, "b": {"c": 2}}, "bundles": {}}
    after = {"config": {"a": 3, "d": [1, 2]}, "bundles": {}}
    lines = difference_lines(differences(before, after))
    assert [line for _, line in lines] == ["~ config.a: 1 → 3", "- config.b.c: 2", "+ config.d: [1, 2]"]
    assert differences(before, before) == differences({}, {"config": {}}) == []


def test_single_values_are_set_and_taken_out() -> None:
    one = assigned(CONTENT, ["log_level=DEBUG", "pipelines.brain-mr.deadline_s=30", "apply.confirm_s=60"])
    assert one["config"] == {"pipelines": {"brain-mr": {"deadline_s": 30}}, "log_level": "DEBUG"}
    assert one["apply"] == {"confirm_s": 60}
    assert assigned(one, ["log_level=", "pipelines.brain-mr.deadline_s=", "apply="]) == {
        "config": {},
        "bundles": {},
    }
    assert assigned(CONTENT, ["pipelines.brain-mr=null"])["config"] == {"pipelines": {"brain-mr": None}}
    assert assigned(CONTENT, ['pipelines."a.b".deadline_s=1'])["config"]["pipelines"]["a.b"] == {
        "deadline_s": 1
    }


@pytest.mark.parametrize("wrong", ["log_level", "=3", "a..b=1", "sources[0]=1", "gone=", "x=[1"])
def test_an_assignment_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError):
        assigned(CONTENT, [wrong])


def test_everything_that_is_wrong_is_said_at_once_with_its_path() -> None:
    config = {"log_level": "LOUD", "pipelines": {"a": {"deadline_x": 3}}, "site": {"id": "x"}}
    wrong = problems_of({"config": config})
    assert [problem.partition(":")[0] for problem in wrong] == [
        "config.log_level",
        "config.pipelines.a.deadline_x",
        "config.site.id",
    ]
    assert "only the file on the device" in wrong[-1]
    assert problems_of({"config": 3}) == ["config: wanted a mapping"]
    assert problems_of(CONTENT) == []
