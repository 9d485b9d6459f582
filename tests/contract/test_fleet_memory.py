"""What the state machine may rely on: a memory on disk, its twin for simulations, and the one of tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.domain.errors import JournalError
from edge.fleet.documents import RolloutRef
from edge.fleet.layers import merge, parse_desired
from edge.fleet.ledger import Attempt, Floor, Kept, Ledger, Offer, Refusal, Standing, Transition
from edge.fleet.memory import Memory, RamMemory, SqliteMemory
from edge.fleet.words import State
from tests.builders.fleet import DEVICE, Life, desired, document
from tests.fakes.clock import FakeClock
from tests.fakes.fleet_memory import CutMemory

Opening = Callable[[], Memory]


@pytest.fixture(params=["sqlite", "ram", "cut"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    if_asked: dict[str, Callable[[], Memory]] = {"ram": RamMemory, "cut": CutMemory}
    with SqliteMemory(tmp_path / "fleet") as on_disk:
        yield if_asked.get(request.param, lambda: on_disk)()


def entry(version: int, state: State = State.VERIFIED) -> Transition:
    return Transition(
        scope="device",
        version=version,
        state=state,
        code="timeout",
        message="ä, 日本, \u2028",
        path="a.b",
        at_utc_ns=7,
        rollout=RolloutRef(id="r-1", ring=0),
        deadline_utc_ns=9,
    )


def full() -> Ledger:
    """A ledger with something in every place."""
    bundle = {"version": "1", "digest": "sha256:" + 64 * "0", "url": "https://h/a", "size_bytes": 5}
    tree = document(3, bundles={"a": bundle}, config={"ä": [1, 2.5, None]})
    signature = {"alg": "ed25519", "key": "k", "value": ""}
    wanted = merge([], parse_desired({**tree, "signature": signature}, device=DEVICE))
    standing = Standing(wanted, {"device": Kept(3, b"\x00\xff payload")})
    attempt = Attempt(
        scope="device",
        version=4,
        payload=b"\xfe",
        state=State.PROBING,
        entered_utc_ns=1,
        deadline_utc_ns=2,
        rollout=RolloutRef(id="r-1", ring=3),
        wanted=wanted,
        finds=1,
        back=Refusal("probe", "no", "a"),
    )
    return Ledger(
        offers=(Offer("device", b"\x80"), Offer("group/a", b"{}")),
        floors={"device": Floor(4, "sha256:1", "2", is_open=True)},
        attempts=(attempt,),
        committed=standing,
        previous=standing,
        at_work="previous",
        starts=2,
        newest_issued_ns=5,
        latest={"device": entry(4)},
        refused={"group/a": entry(1, State.REJECTED)},
        untold=(entry(2),),
    )


def test_a_new_memory_holds_nothing(memory: Memory) -> None:
    assert memory.read() == Ledger()
    assert memory.journal(10) == []


def test_what_was_written_is_read(memory: Memory) -> None:
    memory.write(full(), [entry(1), entry(2)])
    assert memory.read() == full()
    assert memory.journal(10) == [entry(1), entry(2)]


def test_what_is_not_in_the_next_ledger_is_gone(memory: Memory) -> None:
    memory.write(full(), [entry(1)])
    memory.write(Ledger(starts=1))
    assert memory.read() == Ledger(starts=1)
    assert memory.journal(10) == [entry(1)]


def test_the_last_transitions_come_oldest_first(memory: Memory) -> None:
    for version in range(1, 10):
        memory.write(Ledger(starts=version), [entry(version)])
    assert [one.version for one in memory.journal(3)] == [7, 8, 9]


def test_a_version_is_brought_to_work_and_the_next_start_begins_with_it(
    memory: Memory, clock: FakeClock
) -> None:
    life = Life(memory, clock)
    life.offer(desired(1))
    life.run()
    assert life.last() == ("committed", 1, "ok")
    after = Life(memory, clock)
    assert after.device.config == {"device": 1}


# ── on disk ───────────────────────────────────────────────────────────────────────────────────────────────


def test_on_disk_it_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    with SqliteMemory(tmp_path) as memory:
        memory.write(full(), [entry(1)])
    with SqliteMemory(tmp_path) as again:
        assert again.read() == full()
        assert again.journal(10) == [entry(1)]


def test_a_journal_on_disk_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.fleet.memory.ENTRIES_MAX", 5)
    with SqliteMemory(tmp_path) as memory:
        for version in range(1, 10):
            memory.write(Ledger(), [entry(version)])
        assert [one.version for one in memory.journal(100)] == [5, 6, 7, 8, 9]


def test_a_write_that_changes_nothing_touches_no_disk(tmp_path: Path) -> None:
    with SqliteMemory(tmp_path) as memory:
        memory.write(full())
        before = (tmp_path / "fleet.db").stat().st_mtime_ns
        memory.write(full())
        assert (tmp_path / "fleet.db").stat().st_mtime_ns == before


def test_a_memory_that_is_closed_says_so(tmp_path: Path) -> None:
    with SqliteMemory(tmp_path) as memory:
        pass
    with pytest.raises(JournalError, match="closed"):
        memory.write(full())


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "fleet").write_text("a file where a folder is wanted")
    with pytest.raises(JournalError), SqliteMemory(tmp_path / "fleet"):
        pass
