"""The operators' history: it only grows, and shows whoever changed it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.domain.errors import JournalError
from edge.fleet.operator.history import FILE, History, broken, by_others
from edge.fleet.signing import KeyRing, Signer
from tests.builders.fleet_documents import desired, new_key
from tests.fakes.clock import FakeClock


@dataclass(frozen=True)
class Office:
    """A history that has begun, the key that signs it, and the ring that knows that key."""

    history: History
    signer: Signer
    ring: KeyRing


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    signer, root = new_key(tmp_path)
    with History(tmp_path / "state", signer=signer, by="jane", clock=FakeClock()) as history:
        for version in (1, 2, 3):
            history.add("published", "anna/or-3", document=desired(version=version))
        yield Office(history, signer, KeyRing([root]))


@pytest.fixture
def history(office: Office) -> History:
    return office.history


def test_what_was_written_is_there_in_its_order(history: History) -> None:
    history.add("seen", "anna/or-4", version=7, note="of somebody")
    entries = list(history.entries())
    assert [(one.seq, one.what, one.name, one.version) for one in entries] == [
        (1, "published", "anna/or-3", 1),
        (2, "published", "anna/or-3", 2),
        (3, "published", "anna/or-3", 3),
        (4, "seen", "anna/or-4", 7),
    ]
    assert (entries[3].by, entries[3].note, entries[3].document) == ("jane", "of somebody", None)
    assert [one.seq for one in history.entries("anna/or-4")] == [4]
    assert history.documents("anna/or-3", 2) == [desired(version=2)]


def test_two_documents_of_one_version_are_both_kept(history: History) -> None:
    history.add("seen", "anna/or-3", document=desired(version=2, config={"log_level": "DEBUG"}))
    history.add("seen", "anna/or-3", document=desired(version=2))
    assert [one["config"] for one in history.documents("anna/or-3", 2)] == [{}, {"log_level": "DEBUG"}]


def test_nothing_in_it_can_be_changed_or_taken_out(history: History) -> None:
    with sqlite3.connect(history.path) as other:
        for statement in ("UPDATE entries SET body = '{}'", "DELETE FROM entries"):
            with pytest.raises(sqlite3.IntegrityError, match="only grows"):
                other.execute(statement)
    other.close()


def test_who_changes_the_file_itself_is_found_out(office: Office) -> None:
    bodies = [dict(one.body) for one in office.history.entries()]
    keys = office.ring
    assert list(broken(iter(bodies), keys)) == []
    changed = [bodies[0], {**bodies[1], "note": "never happened"}, bodies[2]]
    assert [text.partition(":")[0] for text in broken(iter(changed), keys)] == ["entry 2", "entry 3"]
    assert list(broken(iter([bodies[0], bodies[2]]), keys)) != []
    assert list(broken(iter(bodies[1:]), keys)) != [], "the beginning is missing"
    assert by_others(iter(bodies), keys) == {}
    swapped = [{**bodies[0], "previous": bodies[1]["previous"]}, *bodies[1:]]
    assert list(broken(iter(swapped), keys)) != []


def test_entries_by_a_key_that_is_not_listed_are_told_apart_from_changed_ones(office: Office) -> None:
    bodies = [dict(one.body) for one in office.history.entries()]
    assert list(broken(iter(bodies), KeyRing([]))) == []
    assert by_others(iter(bodies), KeyRing([])) == {"fleet-2026": 3}
    changed = [bodies[0], {**bodies[1], "note": "never happened"}, bodies[2]]
    assert [text.partition(":")[0] for text in broken(iter(changed), KeyRing([]))] == ["entry 3"]
    unsigned = [{**bodies[0], "signature": None}, *bodies[1:]]
    assert list(broken(iter(unsigned), KeyRing([]))) != []


def test_a_document_that_cannot_be_signed_once_more_is_noted_and_not_kept(history: History) -> None:
    deep: dict[str, object] = {}
    inner = deep
    for _ in range(40):
        inner["x"] = {}
        inner = inner["x"]  # type: ignore[assignment]  # a mapping in a mapping
    entry = history.add("seen", "anna/or-3", version=4, document=deep)
    assert (entry.document, "not kept" in entry.note) == (None, True)


def test_two_tools_write_into_it_at_once(office: Office) -> None:
    folder = office.history.path.parent
    with History(folder, signer=office.signer, by="joe", clock=FakeClock()) as other:
        other.add("outcome", "anna/or-3", version=3, note="committed", status="committed")
        other.add("outcome", "anna/or-3", version=4, note="rejected")
        assert (other.committed("anna/or-3"), other.committed("anna/or-4")) == (3, 0)
        office.history.add("command", "anna/or-3", note="selftest/1")
        bodies = [json.loads(json.dumps(dict(one.body))) for one in other.entries()]
    assert [one["by"] for one in bodies] == ["jane", "jane", "jane", "joe", "joe", "jane"]
    assert list(broken(iter(bodies), office.ring)) == []


def test_a_file_that_is_no_history_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalError, match=FILE), History(tmp_path, signer=None, by="x", clock=FakeClock()):
        raise AssertionError("it was opened")
