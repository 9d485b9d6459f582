"""A ledger as named facts in JSON, one for each thing that changes by itself, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import ValidationError

from edge.domain.errors import FormatError
from edge.fleet.documents import BundleWanted, RolloutRef
from edge.fleet.ledger import Attempt, Floor, Kept, Ledger, Offer, Refusal, Rung, Standing, Transition
from edge.fleet.ports import Wanted
from edge.fleet.words import State

FORM: Final = 1


def facts_of(ledger: Ledger) -> dict[str, bytes]:
    """Return a ledger as facts: name and bytes."""
    trees: dict[str, object] = {
        "form": FORM,
        "floors": floors_tree(ledger.floors),
        "at_work": ledger.at_work,
        "starts": ledger.starts,
        "newest_issued_ns": ledger.newest_issued_ns,
        "offers": [{"scope": offer.scope, "payload": _text(offer.payload)} for offer in ledger.offers],
        "committed": _standing_tree(ledger.committed),
        "previous": _standing_tree(ledger.previous),
        "order": [_name(attempt) for attempt in ledger.attempts],
        "latest": {scope: transition_tree(entry) for scope, entry in ledger.latest.items()},
        "refused": {scope: transition_tree(entry) for scope, entry in ledger.refused.items()},
        "untold": [transition_tree(entry) for entry in ledger.untold],
    }
    trees |= {_name(attempt): _attempt_tree(attempt) for attempt in ledger.attempts}
    return {name: json.dumps(tree, separators=(",", ":")).encode() for name, tree in trees.items()}


def ledger_of(facts: Mapping[str, bytes]) -> Ledger:
    """Return the ledger that facts speak of; an empty one where there are none.

    Raises:
        FormatError: They are not such facts.
    """
    if not facts:
        return Ledger()
    try:
        return _ledger({name: json.loads(fact) for name, fact in facts.items()})
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise FormatError(
            f"facts of the fleet: {type(error).__name__}: {error}; wanted form {FORM}"
        ) from error


def floors_tree(floors: Mapping[str, Floor]) -> dict[str, Any]:
    """Return floors as JSON has them."""
    return {scope: dataclasses.asdict(floor) for scope, floor in floors.items()}


def floors_of(tree: Any) -> dict[str, Floor]:
    """Return floors, out of JSON.

    Raises:
        FormatError: They are none.
    """
    try:
        floors = {str(scope): Floor(**given) for scope, given in tree.items()}
    except (TypeError, AttributeError) as error:
        raise FormatError(f"floors: {error}; wanted version, digest and is_open by scope") from error
    for scope, floor in floors.items():
        kinds = [type(given) for given in dataclasses.astuple(floor)]
        if kinds != [int, str, str, bool]:
            raise FormatError(f"floors: {scope}: is {floor}; wanted a number, two digests and a truth")
    return floors


def transition_tree(entry: Transition) -> dict[str, Any]:
    """Return a transition as JSON has it."""
    rollout = None if entry.rollout is None else entry.rollout.model_dump()
    return {
        "scope": entry.scope,
        "version": entry.version,
        "state": entry.state.value,
        "code": entry.code,
        "message": entry.message,
        "path": entry.path,
        "at_utc_ns": entry.at_utc_ns,
        "rollout": rollout,
        "deadline_utc_ns": entry.deadline_utc_ns,
    }


def transition_of(tree: Mapping[str, Any]) -> Transition:
    """Return a transition, out of JSON."""
    return Transition(**{**tree, "state": State(tree["state"]), "rollout": _rollout(tree["rollout"])})


def _ledger(trees: Mapping[str, Any]) -> Ledger:
    if trees["form"] != FORM:
        raise ValueError(f"form {trees['form']!r}")
    if trees["at_work"] not in get_args(Rung):
        raise ValueError(f"at_work {trees['at_work']!r}")
    return Ledger(
        offers=tuple(Offer(one["scope"], _bytes(one["payload"])) for one in trees["offers"]),
        floors=floors_of(trees["floors"]),
        attempts=tuple(_attempt(trees[name]) for name in trees["order"]),
        committed=_standing(trees["committed"]),
        previous=_standing(trees["previous"]),
        at_work=trees["at_work"],
        starts=int(trees["starts"]),
        newest_issued_ns=int(trees["newest_issued_ns"]),
        latest={scope: transition_of(tree) for scope, tree in trees["latest"].items()},
        refused={scope: transition_of(tree) for scope, tree in trees["refused"].items()},
        untold=tuple(transition_of(tree) for tree in trees["untold"]),
    )


def _name(attempt: Attempt) -> str:
    return f"attempt {attempt.scope} {attempt.version}"


def _attempt_tree(attempt: Attempt) -> dict[str, Any]:
    back = attempt.back
    return {
        "scope": attempt.scope,
        "version": attempt.version,
        "payload": _text(attempt.payload),
        "state": attempt.state.value,
        "entered_utc_ns": attempt.entered_utc_ns,
        "deadline_utc_ns": attempt.deadline_utc_ns,
        "rollout": None if attempt.rollout is None else attempt.rollout.model_dump(),
        "wanted": None if attempt.wanted is None else _wanted_tree(attempt.wanted),
        "finds": attempt.finds,
        "waits_until_utc_ns": attempt.waits_until_utc_ns,
        "back": None if back is None else {"code": back.code, "message": back.message, "path": back.path},
    }


def _attempt(tree: Mapping[str, Any]) -> Attempt:
    given = {
        **tree,
        "payload": _bytes(tree["payload"]),
        "state": State(tree["state"]),
        "rollout": _rollout(tree["rollout"]),
        "wanted": None if tree["wanted"] is None else _wanted(tree["wanted"]),
        "back": None if tree["back"] is None else Refusal(**tree["back"]),
    }
    return Attempt(**given)


def _standing_tree(standing: Standing | None) -> dict[str, Any] | None:
    if standing is None:
        return None
    kept = {
        scope: {"version": one.version, "payload": _text(one.payload)}
        for scope, one in standing.documents.items()
    }
    return {"wanted": _wanted_tree(standing.wanted), "documents": kept}


def _standing(tree: Mapping[str, Any] | None) -> Standing | None:
    if tree is None:
        return None
    documents = {
        scope: Kept(one["version"], _bytes(one["payload"])) for scope, one in tree["documents"].items()
    }
    return Standing(_wanted(tree["wanted"]), documents)


def _wanted_tree(wanted: Wanted) -> dict[str, Any]:
    return {
        "versions": dict(wanted.versions),
        "config": dict(wanted.config),
        "bundles": {name: bundle.model_dump() for name, bundle in wanted.bundles.items()},
        "origins": dict(wanted.origins),
        "digest": wanted.digest,
    }


def _wanted(tree: Mapping[str, Any]) -> Wanted:
    bundles = {name: BundleWanted.model_validate(bundle) for name, bundle in tree["bundles"].items()}
    return Wanted(**{**tree, "bundles": bundles})


def _rollout(tree: Mapping[str, Any] | None) -> RolloutRef | None:
    return None if tree is None else RolloutRef.model_validate(tree)


def _text(payload: bytes) -> str:
    """Payloads may be any bytes: as text, byte by byte."""
    return payload.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
