"""Whose document stands where several wrote at once; every tool must come to the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fleet.operator.contest import Decision, Rival, Scene, Standing, decide
from edge.fleet.operator.edit import digest_of_signed


def document(who: str, *, version: int = 2, base: int = 1) -> dict[str, Any]:
    return {"version": version, "base": base, "config": {"by": who}, "signature": {"key": who, "value": who}}


OURS = document("ours")
THEIRS = Rival(document("theirs"), is_believed=True)
STRANGERS = Rival(document("stranger"), is_believed=False)
NEXT = Rival(document("next", version=3, base=2), is_believed=True)
AHEAD = Rival(document("ahead", version=9, base=1), is_believed=True)


def scene(**given: Any) -> Scene:
    usual = {"ours": OURS, "before": [], "after": [], "held": OURS}
    return Scene(**{**usual, "taken_version": 0, "taken_digest": "", "may_still_say": False, **given})


def taken(document: Mapping[str, Any]) -> dict[str, Any]:
    return {"taken_version": document["version"], "taken_digest": digest_of_signed(document)}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, Decision(Standing.HELD)),
        ({"held": None}, Decision(Standing.CLEARED)),
        ({"after": [NEXT], "held": NEXT.document}, Decision(Standing.FOLLOWED, NEXT)),
        ({"after": [THEIRS], "held": THEIRS.document}, Decision(Standing.OVERWRITTEN, THEIRS, OURS)),
        ({"after": [AHEAD], "held": AHEAD.document}, Decision(Standing.OVERWRITTEN, AHEAD, OURS)),
        ({"before": [THEIRS]}, Decision(Standing.SECOND, THEIRS, THEIRS.document)),
        ({"before": [THEIRS], "held": THEIRS.document}, Decision(Standing.SECOND, THEIRS)),
        ({"before": [STRANGERS]}, Decision(Standing.HELD, STRANGERS)),
        ({"after": [STRANGERS], "held": STRANGERS.document}, Decision(Standing.OVERWRITTEN, STRANGERS, OURS)),
        ({"before": [THEIRS], "may_still_say": True}, Decision(Standing.OPEN, THEIRS)),
        ({"before": [THEIRS], "may_still_say": True, **taken(OURS)}, Decision(Standing.HELD, THEIRS)),
        ({"before": [THEIRS], **taken(THEIRS.document)}, Decision(Standing.SECOND, THEIRS, THEIRS.document)),
        ({"after": [THEIRS], **taken(THEIRS.document)}, Decision(Standing.SECOND, THEIRS, THEIRS.document)),
        ({"after": [STRANGERS], **taken(STRANGERS.document)}, Decision(Standing.SECOND, STRANGERS)),
        ({"after": [THEIRS], **taken(document("nobody saw"))}, Decision(Standing.SECOND, THEIRS)),
        (
            {"before": [THEIRS], **taken(document("old", version=1))},
            Decision(Standing.SECOND, THEIRS, THEIRS.document),
        ),
    ],
)
def test_what_stands(given: dict[str, Any], wanted: Decision) -> None:
    assert decide(scene(**given)) == wanted


@given(
    order=st.permutations(["a", "b", "c"]),
    held=st.sampled_from(["a", "b", "c"]),
    takes=st.sampled_from(["a", "b", "c", ""]),
)
def test_everybody_comes_to_the_same_answer(order: list[str], held: str, takes: str) -> None:
    """Three write at once, and each sees the others in the order of the broker."""
    documents = {name: document(name) for name in order}
    said = taken(documents[takes]) if takes else {}
    decisions = {
        name: decide(
            scene(
                ours=documents[name],
                before=[Rival(documents[each], is_believed=True) for each in order[: order.index(name)]],
                after=[Rival(documents[each], is_believed=True) for each in order[order.index(name) + 1 :]],
                held=documents[held],
                **said,
            )
        )
        for name in order
    }
    winner = takes or order[0]
    assert [name for name in order if decisions[name].standing is not Standing.SECOND] == [winner]
    put_back = [one.put_back for one in decisions.values() if one.put_back is not None]
    assert all(one == documents[winner] for one in put_back)
    assert bool(put_back) == (held != winner), (
        "the winner puts it back, or whose document is there in its place"
    )
