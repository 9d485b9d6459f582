"""The journal keeps what it promised, whatever is put, leased, finished, interrupted and forgotten."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.domain.errors import JournalError, StorageFullError
from edge.kit import group_commit
from edge.kit.files import Landing, free_bytes, write_durably
from edge.kit.journal import Entry, Journal, Put
from tests.fakes.clock import FakeClock
from tests.waiting import until


@pytest.fixture
def journal(tmp_path: Path, clock: FakeClock) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db", clock) as journal:
        yield journal


def entry(key: str, group: str = "g", *, digest: str = "", queue: str = "intake") -> Entry:
    return Entry(queue=queue, key=key, group=group, body=key.encode(), digest=digest)


def landing(folder: Path, name: str, content: bytes = b"x", *, final: str = "") -> Landing:
    received = folder / f"{name}.part"
    received.write_bytes(content)
    return Landing(received, folder / "kept" / (final or name))


def test_an_entry_and_its_file_are_there_after_put(journal: Journal, tmp_path: Path) -> None:
    assert journal.put(entry("a"), landing=landing(tmp_path, "a")) is Put.NEW
    assert (tmp_path / "kept" / "a").read_bytes() == b"x"
    assert [item.key for item in journal.items("intake")] == ["a"]


def test_the_same_entry_again_adds_nothing_and_its_file_goes(journal: Journal, tmp_path: Path) -> None:
    journal.put(entry("a", digest="1"), landing=landing(tmp_path, "a"))
    again = landing(tmp_path, "again", final="a")
    assert journal.put(entry("a", digest="1"), landing=again) is Put.SAME
    assert not again.received_path.exists()
    assert journal.count("intake", "ready") == 1


def test_other_content_under_the_same_key_is_kept_beside(journal: Journal, tmp_path: Path) -> None:
    journal.put(entry("a", digest="1"), landing=landing(tmp_path, "a1", b"one"))
    assert journal.put(entry("a", digest="2"), landing=landing(tmp_path, "a2", b"two")) is Put.BESIDE
    assert [item.beside for item in journal.items("intake")] == [False, True]
    assert {path.read_bytes() for path in (tmp_path / "kept").iterdir()} == {b"one", b"two"}


def test_an_entry_whose_file_went_missing_takes_its_place_again(journal: Journal, tmp_path: Path) -> None:
    journal.put(entry("a", digest="1"), landing=landing(tmp_path, "a"))
    lease = journal.lease_group("intake", "g")
    assert lease is not None
    journal.done(lease)
    (tmp_path / "kept" / "a").unlink()
    assert journal.put(entry("a", digest="1"), landing=landing(tmp_path, "new", final="a")) is Put.NEW
    assert (tmp_path / "kept" / "a").exists()
    assert journal.count("intake", "ready") == 1


def test_a_file_that_cannot_land_takes_nothing_and_spoils_no_neighbour(
    journal: Journal, tmp_path: Path
) -> None:
    with pytest.raises(JournalError, match="nothing was taken"):
        journal.put(entry("a"), landing=Landing(tmp_path / "absent", tmp_path / "kept" / "a"))
    assert journal.put(entry("b"), landing=landing(tmp_path, "b")) is Put.NEW
    assert [item.key for item in journal.items("intake")] == ["b"]


def test_a_full_disk_is_told_apart_and_leaves_no_row(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageFullError):
        journal.put(entry("a"), landing=landing(tmp_path, "a"))
    assert journal.items("intake") == []


def test_a_failed_sync_answers_with_an_error_and_stops_the_journal(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(group_commit, "sync_file_system", broken)
    with pytest.raises(JournalError, match="the medium failed"):
        journal.put(entry("a"), landing=landing(tmp_path, "a"))
    with pytest.raises(JournalError, match="the medium failed"):
        journal.put(entry("b"))


def test_what_waits_during_a_sync_shares_the_next_one(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = 0
    may_go = threading.Event()

    def slow(path: Path) -> None:
        nonlocal syncs
        syncs += 1
        may_go.wait(5)

    monkeypatch.setattr(group_commit, "sync_file_system", slow)
    landings = [landing(tmp_path, f"f{number}") for number in range(20)]
    threads = [
        threading.Thread(target=journal.put, args=(entry(f"k{number}"),), kwargs={"landing": each})
        for number, each in enumerate(landings)
    ]
    for thread in threads:
        thread.start()
    until(lambda: len(journal._writer._waiting) >= 20 - 1, within_s=5)
    may_go.set()
    for thread in threads:
        thread.join()
    assert journal.count("intake", "ready") == 20
    assert syncs <= 4


def test_the_same_entry_from_many_threads_is_kept_once(journal: Journal, tmp_path: Path) -> None:
    outcomes: list[Put] = []
    landings = [landing(tmp_path, f"r{number}", final="one") for number in range(8)]
    threads = [
        threading.Thread(target=lambda each=each: outcomes.append(journal.put(entry("a"), landing=each)))
        for each in landings
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.value for outcome in outcomes) == ["new"] + ["same"] * 7


def test_a_group_is_leased_whole_and_counts_how_often_it_was_finished(journal: Journal) -> None:
    journal.put(entry("a"))
    journal.put(entry("b"))
    journal.put(entry("c", "other"))
    first = journal.lease_group("intake", "g")
    assert first is not None
    assert [item.key for item in first.items] == ["a", "b"]
    assert (first.attempt, first.closing) == (1, 1)
    assert journal.lease_group("intake", "g") is None
    journal.done(first)
    journal.put(entry("late"))
    second = journal.lease_group("intake", "g")
    assert second is not None
    assert second.closing == 2


def test_what_follows_is_kept_with_done_or_not_at_all(journal: Journal) -> None:
    journal.put(entry("a"))
    lease = journal.lease_group("intake", "g")
    assert lease is not None
    journal.done(lease, then=[entry("finding", "s", queue="outbox")])
    assert journal.count("outbox", "ready") == 1
    with pytest.raises(AssertionError):
        journal.done(lease, then=[entry("another", "s", queue="outbox")])
    assert journal.count("outbox", "ready") == 1


def test_the_oldest_of_a_group_goes_first_and_others_do_not_wait_for_it(
    journal: Journal, clock: FakeClock
) -> None:
    for key, group in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        journal.put(entry(key, group, queue="outbox"))
    first = journal.lease_oldest("outbox")
    second = journal.lease_oldest("outbox")
    assert first is not None
    assert second is not None
    assert (first.items[0].key, second.items[0].key) == ("a1", "b1")
    assert journal.lease_oldest("outbox") is None
    journal.retry(first, after_s=5.0, reason="broker away")
    assert journal.lease_oldest("outbox") is None
    clock.advance(5.0)
    again = journal.lease_oldest("outbox")
    assert again is not None
    assert (again.items[0].key, again.attempt, again.items[0].reason) == ("a1", 2, "broker away")
    journal.set_aside(again, reason="refused")
    follower = journal.lease_oldest("outbox")
    assert follower is not None
    assert follower.items[0].key == "a2"


def test_what_a_crash_left_leased_is_interrupted_with_its_attempt(tmp_path: Path, clock: FakeClock) -> None:
    with Journal(tmp_path / "journal.db", clock) as journal:
        journal.put(entry("a"))
    for attempt in (1, 2, 3):
        with Journal(tmp_path / "journal.db", clock) as journal:
            lease = journal.lease_group("intake", "g")
            assert lease is not None
            assert lease.attempt == attempt
        with Journal(tmp_path / "journal.db", clock) as journal:
            [interrupted] = journal.interrupted("intake")
            assert (interrupted.attempt, interrupted.closing) == (attempt, 1)
            assert journal.lease_group("intake", "g") is None
            journal.retry(interrupted, after_s=0.0, reason="interrupted")


def test_a_restart_forgets_how_long_to_wait(tmp_path: Path, clock: FakeClock) -> None:
    with Journal(tmp_path / "journal.db", clock) as journal:
        journal.put(entry("a", queue="outbox"))
        lease = journal.lease_oldest("outbox")
        assert lease is not None
        journal.retry(lease, after_s=3600.0, reason="")
    with Journal(tmp_path / "journal.db", clock) as journal:
        assert journal.lease_oldest("outbox") is not None


def test_two_processes_do_not_share_a_journal(journal: Journal, tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(JournalError, match="in use by process"), Journal(tmp_path / "journal.db", clock):
        pass


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "journal.db").write_bytes(b"something else entirely" * 100)
    with (
        pytest.raises(JournalError, match="wanted a journal to write to"),
        Journal(tmp_path / "journal.db", clock),
    ):
        pass


def test_a_closed_journal_says_so(tmp_path: Path, clock: FakeClock) -> None:
    with Journal(tmp_path / "journal.db", clock) as journal:
        pass
    with pytest.raises(JournalError, match="closed"):
        journal.put(entry("a"))
    with pytest.raises(JournalError, match="closed"):
        journal.items("intake")


def test_a_counter_goes_on_after_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    with Journal(tmp_path / "journal.db", clock) as journal:
        assert [journal.counter("session"), journal.counter("session")] == [1, 2]
    with Journal(tmp_path / "journal.db", clock) as journal:
        assert journal.counter("session") == 3


def test_only_what_is_finished_for_long_enough_is_forgotten(journal: Journal, clock: FakeClock) -> None:
    journal.put(entry("old"))
    journal.put(entry("half", "h"))
    for group in ("g", "h"):
        lease = journal.lease_group("intake", group)
        assert lease is not None
        journal.done(lease)
    journal.put(entry("late", "h"))
    clock.advance(10.0)
    assert journal.forget("intake", state="done", older_than_ns=clock.utc_ns() - 11 * 10**9) == []
    forgotten = journal.forget("intake", state="done", older_than_ns=clock.utc_ns())
    assert [item.key for item in forgotten] == ["old"]


def test_a_sleeper_wakes_when_something_is_put(journal: Journal) -> None:
    woken = threading.Event()

    def sleep() -> None:
        journal.wait("outbox", 30.0)
        woken.set()

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    journal.put(entry("other", queue="intake"))
    until(lambda: not woken.is_set(), within_s=1)
    journal.put(entry("a", queue="outbox"))
    until(woken.is_set, within_s=5)
    sleeper.join()


def test_a_put_between_looking_and_sleeping_is_not_slept_over(journal: Journal) -> None:
    assert journal.lease_oldest("outbox") is None
    journal.put(entry("a", queue="outbox"))
    journal.wait("outbox", 30.0)  # returns at once, or the test times out
    assert journal.lease_oldest("outbox") is not None


def test_a_durable_write_replaces_and_sets_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_durably(path, b"old")
    write_durably(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_write_that_cannot_be_finished_leaves_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_durably(tmp_path / "folder", b"a folder is in the way")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_free_space_is_a_plain_number(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0


class Books(RuleBasedStateMachine):
    """Whatever is put, leased, retried, finished and restarted: nothing is lost and nothing is doubled."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.journal = Journal(self.folder / "journal.db", self.clock).__enter__()
        self.put: dict[str, str] = {}
        self.leases: list[object] = []

    @rule(number=st.integers(0, 30), group=st.sampled_from("ab"))
    def put_one(self, number: int, group: str) -> None:
        key = f"{group}{number}"
        outcome = self.journal.put(entry(key, group, queue="outbox"))
        assert outcome is (Put.SAME if key in self.put else Put.NEW)
        self.put.setdefault(key, "undone")

    @rule()
    def lease_and_finish(self) -> None:
        for lease in filter(None, [self.journal.lease_oldest("outbox")]):
            self.journal.done(lease)
            self.put[lease.items[0].key] = "done"

    @rule()
    def lease_and_crash(self) -> None:
        self.journal.lease_oldest("outbox")
        self.journal.__exit__(None, None, None)
        self.journal = Journal(self.folder / "journal.db", self.clock).__enter__()
        for lease in self.journal.interrupted("outbox"):
            self.journal.retry(lease, after_s=0.0, reason="crash")

    @precondition(lambda self: self.put)
    @invariant()
    def everything_is_accounted_for(self) -> None:
        states = {item.key: item.state for item in self.journal.items("outbox", states=("ready", "done"))}
        assert states == {key: "done" if fate == "done" else "ready" for key, fate in self.put.items()}

    def teardown(self) -> None:
        self.journal.__exit__(None, None, None)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12))
def test_order_is_kept_within_a_group(
    tmp_path_factory: pytest.TempPathFactory, puts: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with Journal(folder / "journal.db", FakeClock()) as journal:
        for number, (group, _) in enumerate(puts):
            journal.put(entry(f"{number:03}", group, queue="outbox"))
        seen: dict[str, list[str]] = {}
        for lease in iter(lambda: journal.lease_oldest("outbox"), None):
            seen.setdefault(lease.group, []).append(lease.items[0].key)
            journal.done(lease)
    assert all(keys == sorted(keys) for keys in seen.values())
    assert sum(len(keys) for keys in seen.values()) == len(puts)
