"""Documents are read strictly, and together they make one wish."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.errors import DocumentRefusedError
from edge.fleet.documents import Desired, GroupLayer
from edge.fleet.layers import merge, parse_desired, parse_layer
from edge.kit.trees import leaves, written
from tests.builders.fleet_documents import bundle, desired, layer

KEYS = st.sampled_from(["a", "b", "kind", "x.y"])
VALUES = st.none() | st.booleans() | st.integers(0, 5) | st.sampled_from(["", "one", "two"]) | st.just([1, 2])
CONFIGS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=3),
    lambda below: st.dictionaries(KEYS, VALUES | below, max_size=3),
    max_leaves=8,
)
BUNDLES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"]), max_size=2).map(
    lambda versions: {name: bundle(name, version=version) for name, version in versions.items()}
)


@st.composite
def groups(draw: st.DrawFn) -> list[GroupLayer]:
    names = draw(st.lists(st.sampled_from(["g1", "g2", "g3", "g4"]), unique=True))
    return [
        parse_layer(
            layer(group=name, priority=draw(st.integers(0, 2)), config=draw(CONFIGS), bundles=draw(BUNDLES)),
            group=name,
        )
        for name in names
    ]


OWN = st.none() | st.builds(
    lambda config, bundles: parse_desired(desired(config=config, bundles=bundles), device="or-3"),
    CONFIGS,
    BUNDLES,
)


def refusal(tree: Mapping[str, Any], *, device: str = "or-3") -> DocumentRefusedError:
    with pytest.raises(DocumentRefusedError) as caught:
        parse_desired(tree, device=device)
    return caught.value


def scoped(layers: list[GroupLayer], own: Desired | None) -> dict[str, Desired | GroupLayer]:
    """Return all documents by scope, the one that counts most last."""
    ordered: dict[str, Desired | GroupLayer] = {
        f"group/{one.group}": one for one in sorted(layers, key=lambda one: (one.priority, one.group))
    }
    return ordered | ({"device": own} if own else {})


@given(groups(), OWN)
def test_every_value_is_that_of_the_last_document_that_gives_it(
    layers: list[GroupLayer], own: Desired | None
) -> None:
    wanted = merge(layers, own)
    documents = scoped(layers, own)
    for path, value in leaves(wanted.config):
        giving = [scope for scope, one in documents.items() if path in dict(leaves(one.config))]
        assert wanted.origins[written(path)] == giving[-1]
        assert dict(leaves(documents[giving[-1]].config))[path] == value


@given(groups(), OWN)
def test_a_bundle_is_that_of_the_last_document_that_names_it(
    layers: list[GroupLayer], own: Desired | None
) -> None:
    wanted = merge(layers, own)
    for scope, one in scoped(layers, own).items():
        for name in one.bundles:
            assert wanted.bundles[name] == one.bundles[name] or wanted.origins[f"bundles.{name}"] != scope
    assert {path for path in wanted.origins if path.startswith("bundles.")} == {
        f"bundles.{name}" for name in wanted.bundles
    }


@given(groups(), OWN)
def test_the_digest_is_what_the_fleet_computes_from_what_it_wrote(
    layers: list[GroupLayer], own: Desired | None
) -> None:
    wanted = merge(layers, own)
    named = {name: json.loads(one.model_dump_json()) for name, one in wanted.bundles.items()}
    plain = json.dumps(  # with ASCII and whole numbers this is the form of RFC 8785
        {"bundles": named, "config": wanted.config}, sort_keys=True, separators=(",", ":")
    )
    assert wanted.digest == "sha256:" + hashlib.sha256(plain.encode()).hexdigest()


@given(groups(), OWN)
def test_the_order_in_which_documents_came_does_not_matter(
    layers: list[GroupLayer], own: Desired | None
) -> None:
    wishes = [merge(order, own) for order in itertools.islice(itertools.permutations(layers), 6)]
    assert all(one == wishes[0] for one in wishes)


@given(groups(), OWN)
def test_every_document_is_named_with_its_version(layers: list[GroupLayer], own: Desired | None) -> None:
    assert merge(layers, own).versions == dict.fromkeys(scoped(layers, own), 1)


def test_without_documents_nothing_is_wanted() -> None:
    wanted = merge([], None)
    assert (wanted.config, wanted.bundles, wanted.versions, wanted.origins) == ({}, {}, {}, {})


def test_a_higher_priority_counts_and_the_devices_own_document_counts_most() -> None:
    low = parse_layer(layer(group="z", priority=1, config={"a": 1, "b": 1, "c": 1}), group="z")
    high = parse_layer(layer(group="a", priority=2, config={"a": 2, "b": 2}), group="a")
    own = parse_desired(desired(config={"a": 3}), device="or-3")
    wanted = merge([high, low], own)
    assert wanted.config == {"a": 3, "b": 2, "c": 1}
    assert wanted.origins == {"a": "device", "b": "group/a", "c": "group/z"}


def test_of_equal_priorities_the_name_that_sorts_last_counts() -> None:
    layers = [
        parse_layer(layer(group=name, priority=5, config={"a": name}), group=name) for name in ("y", "x")
    ]
    assert merge(layers, None).config == {"a": "y"}


def test_what_one_group_takes_away_a_higher_document_brings_back() -> None:
    gone = parse_layer(layer(config={"pipelines": {"a": None}}), group="boxes")
    own = parse_desired(desired(config={"pipelines": {"a": {"deadline_s": 5}}}), device="or-3")
    wanted = merge([gone], own)
    assert wanted.config == {"pipelines": {"a": {"deadline_s": 5}}}
    assert wanted.origins == {"pipelines.a.deadline_s": "device"}


def test_a_name_with_a_dot_has_a_path_of_its_own() -> None:
    own = parse_desired(desired(config={"pipelines": {"a.b": {"deadline_s": 5}}}), device="or-3")
    assert merge([], own).origins == {'pipelines."a.b".deadline_s': "device"}


def test_a_full_document_is_read() -> None:
    document = parse_desired(
        desired(
            version=42,
            not_before="2026-11-22T15:00:00+01:00",
            expires="2026-11-23T14:00:00Z",
            apply={
                "mode": "safe_point",
                "window": "22:00-04:00",
                "deadline": "2026-11-23T06:00:00Z",
                "confirm_s": 60,
                "probe": ["engine", "mqtt"],
            },
            rollout={"id": "r-2026-11-22a", "ring": 1},
            bundles={"a": bundle("a")},
        ),
        device="or-3",
    )
    assert document.apply.probe == ("engine", "mqtt")
    assert document.rollout is not None
    assert document.rollout.ring == 1


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"versoin": 3}, "versoin", "unknown key (did you mean 'version'?); allowed: site, version, base"),
        ({"apply": {"mod": "validate"}}, "apply.mod", "unknown key (did you mean 'mode'?); allowed: mode, "),
        ({"rollout": {"id": "r", "ring": 1, "x": 1}}, "rollout.x", "unknown key; allowed: id, ring"),
        (
            {"bundles": {"a.b": {**bundle("a"), "size_byte": 1}}},
            'bundles."a.b".size_byte',
            "unknown key (did you mean 'size_bytes'?)",
        ),
        ({"bundles": {"a": {**bundle("a"), "digest": "sha256:ab"}}}, "bundles.a.digest", "is 'sha256:ab'"),
        ({"bundles": {"../a": bundle("a")}}, 'bundles."../a"', "wanted 1 to 63 letters, digits, "),
        (
            {"bundles": {"a": {**bundle("a"), "url": "https://me:hidden@host/a"}}},
            "bundles.a.url",
            "is 'https://host/a'; names a user or a password",
        ),
        (
            {"bundles": {"a": {**bundle("a"), "url": "ftp://host/a"}}},
            "bundles.a.url",
            "wanted one of https, http",
        ),
        ({"bundles": {"a": 3}}, "bundles.a", "is 3; wanted a mapping"),
        ({f"x{number}": 1 for number in range(30)}, "x0", "; and 10 more"),
        ({"version": 0}, "version", "is 0; wanted at least 1"),
        ({"version": 2**53}, "version", "is 9007199254740992; wanted below"),
        ({"version": 1.5}, "version", "is 1.5; wanted a whole number"),
        ({"version": "1"}, "version", "is '1'; wanted a whole number"),
        ({"version": True}, "version", "is true; wanted a whole number"),
        ({"base": -1}, "base", "is -1; wanted at least 0"),
        ({"issued": "yesterday"}, "issued", "is 'yesterday'; wanted a time with its zone"),
        ({"issued": "2026-11-22T14:00:00"}, "issued", "wanted a time with its zone"),
        ({"issued": None}, "issued", "is empty; wanted text"),
        ({"apply": {"mode": "window"}}, "apply", "mode is window and there is none"),
        ({"apply": {"window": "25:00-26:00"}}, "apply.window", "wanted a window"),
        ({"apply": {"confirm_s": float("nan")}}, "apply.confirm_s", "is nan"),
        ({"apply": {"probe": ["ping"]}}, "apply.probe[0]", "is 'ping'"),
        ({"apply": {"probe": []}}, "apply.probe", "wanted at least engine"),
        ({"apply": {"probe": ["mqtt", "ingest"]}}, "apply.probe", "wanted at least engine"),
        ({"config": []}, "config", "is a list of 0"),
        ({"config": None}, "config", "is empty"),
        ({"signature": None}, "signature", "is empty"),
        ({"device": "or-4"}, "device", "is 'or-4'; this device is 'or-3'"),
        ({"group": "boxes"}, "group", "unknown key"),
        ({"schema": "edge.group/1"}, "schema", "is 'edge.group/1'"),
        ({"schema": 1}, "schema", "is 1; wanted 'edge.desired/1'"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(change: dict[str, Any], path: str, said: str) -> None:
    refused = refusal({**desired(), **change})
    assert (refused.code, refused.path) == ("schema", path)
    assert said in str(refused)


def test_no_refusal_tells_a_password() -> None:
    for url in (
        "https://me:hidden@host/a",
        f"https://me:hidden@host/{'a' * 3000}",
        "https://me:hidden@[host/a",
    ):
        assert "hidden" not in str(refusal({**desired(), "bundles": {"a": {**bundle("a"), "url": url}}}))


def test_what_is_missing_is_said() -> None:
    document = desired()
    for key in ("schema", "device", "version", "base", "issued", "config", "signature"):
        refused = refusal({name: value for name, value in document.items() if name != key})
        assert (refused.path, str(refused)) == (key, f"{key}: missing")


def test_everything_wrong_is_said_at_once() -> None:
    said = str(refusal({**desired(), "version": 0, "base": -1, "x": 1}))
    assert [word in said for word in ("version: is 0", "base: is -1", "x: unknown key")] == [True] * 3


def test_a_form_of_a_later_day_is_unsupported_and_not_wrong() -> None:
    refused = refusal({**desired(), "schema": "edge.desired/2", "new": 1})
    assert (refused.code, refused.path) == ("unsupported", "schema")
    assert "'edge.desired/2'; this software reads edge.desired/1" in str(refused)


def test_the_document_of_another_group_is_refused() -> None:
    with pytest.raises(DocumentRefusedError, match="is 'boxes'; it came for the group 'theatres'") as caught:
        parse_layer(layer(), group="theatres")
    assert caught.value.path == "group"


@given(
    st.recursive(
        VALUES, lambda below: st.dictionaries(st.sampled_from([*desired(), "q"]), below), max_leaves=20
    )
)
def test_no_tree_gets_another_exception(tree: Any) -> None:
    given_tree = {**desired(), **(tree if isinstance(tree, dict) else {"config": tree})}
    for key in ("schema", "apply", "bundles"):
        with pytest.raises(DocumentRefusedError):
            parse_desired({**given_tree, key: 3}, device="or-3")
