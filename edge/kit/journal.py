"""What must survive a crash: items in queues, on disk before anybody is told that they are taken.

A SQLite file in WAL mode with one writing thread (group_commit.py); what happens to rows is in
journal_rows.py. An item is `ready`, `leased`, `done` or `set_aside`; what a crash left leased is
`interrupted` until its owner decides. How long to wait is kept on the monotonic clock and forgotten at a
restart, so a jump of the wall clock delays nothing.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edge.domain.errors import JournalError
from edge.domain.ports import Clock
from edge.kit import journal_rows as rows
from edge.kit.files import Landing
from edge.kit.group_commit import GroupCommit, Transaction
from edge.kit.journal_rows import Entry, Item, Lease, Put

__all__ = ["Entry", "Item", "Journal", "Lease", "Put"]


class Journal:
    """Items in queues; every change is durable when its method returns."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._writer = GroupCommit(path)
        self._reading = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._changed = threading.Condition()
        self._changes: defaultdict[str, int] = defaultdict(int)
        self._seen = threading.local()

    def __enter__(self) -> Self:
        """Open; what was leased is from now on interrupted.

        Raises:
            JournalError: Another process has it, or the file cannot be used.
        """
        self._writer.open(self._prepare)
        self._reader = self._writer.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what waits and close."""
        with self._reading:
            assert self._reader is not None, "a journal is closed once"
            self._reader.close()
            self._reader = None
        self._writer.close()

    def is_usable(self) -> bool:
        """Whether it still takes anything; after the medium has failed only a restart helps."""
        return self._writer.is_usable()

    def put(self, entry: Entry, *, landing: Landing | None = None) -> Put:
        """Keep an entry, and the file that goes with it.

        Args:
            entry: What to keep.
            landing: Its file. Where the same entry is here already, the received file is removed; where only
                the file of the earlier one is gone, the new one takes its place.

        Returns:
            What became of it, once rows and file are on the medium.

        Raises:
            StorageFullError: There was no room; nothing was taken.
            JournalError: It could not be made durable; nothing was taken.
        """
        outcome = self._writer.do(
            lambda transaction: rows.insert(transaction, entry, landing, now_ns=self._clock.utc_ns()),
            lands=landing is not None,
        )
        if outcome is Put.SAME and landing is not None:
            landing.received_path.unlink(missing_ok=True)
        self._announce(entry.queue)
        return outcome

    def lease_group(self, queue: str, group: str, *, unmissed: str = "") -> Lease | None:
        """Take all ready items of a group, or None where there is none.

        Args:
            queue: Of the items.
            group: What is worked on together.
            unmissed: A key whose items `Lease.let_go` does not count.
        """
        self._note_seen(queue)
        return self._writer.do(
            lambda transaction: rows.lease_group(
                transaction, queue, group, unmissed=unmissed, now_ns=self._clock.utc_ns()
            )
        )

    def lease_oldest(self, queue: str) -> Lease | None:
        """Take the oldest due item before which nothing of its group is undone, or None."""
        self._note_seen(queue)
        return self._writer.do(
            lambda transaction: rows.lease_oldest(
                transaction, queue, monotonic_ns=self._clock.monotonic_ns(), now_ns=self._clock.utc_ns()
            )
        )

    def done(self, lease: Lease, *, then: Sequence[Entry] = ()) -> None:
        """Finish a lease and keep what follows from it, both or neither."""
        self._finish(lease, "done", reason="", then=then)

    def set_aside(self, lease: Lease, *, reason: str, then: Sequence[Entry] = ()) -> None:
        """Put a lease where a person can look at it and keep what follows from it, both or neither."""
        self._finish(lease, "set_aside", reason=reason, then=then)

    def retry(self, lease: Lease, *, after_s: float, reason: str) -> None:
        """Give a lease back; `lease_oldest` offers it again after `after_s` seconds."""
        due_ns = self._clock.monotonic_ns() + round(after_s * 1e9)
        self._writer.do(
            lambda transaction: rows.move(
                transaction, lease, "ready", reason=reason, now_ns=self._clock.utc_ns(), due_ns=due_ns
            )
        )
        self._announce(lease.queue)

    def interrupted(self, queue: str) -> list[Lease]:
        """Return what a crash left leased; the caller gives each back, or finishes it."""
        leases = defaultdict(list)
        for item in self.items(queue, states=("interrupted",)):
            leases[item.group, item.closing].append(item)
        return [
            Lease(queue, group, tuple(items), max(item.attempts for item in items), closing)
            for (group, closing), items in leases.items()
        ]

    def items(
        self, queue: str, *, group: str | None = None, states: Sequence[str] = ("ready",)
    ) -> list[Item]:
        """Return items in order of arrival."""
        wanted = json.dumps(list(states))
        if group is None:
            query = """
                SELECT * FROM items WHERE queue = ? AND state IN (SELECT value FROM json_each(?)) ORDER BY id
            """
            return rows.to_items(self._read(query, (queue, wanted)))
        query = """
            SELECT * FROM items WHERE queue = ? AND grp = ? AND state IN (SELECT value FROM json_each(?))
            ORDER BY id
        """
        return rows.to_items(self._read(query, (queue, group, wanted)))

    def count(self, queue: str, state: str) -> int:
        """Return how many items of a queue are in a state."""
        query = "SELECT count(*) FROM items WHERE queue = ? AND state = ?"
        return int(self._read(query, (queue, state))[0][0])

    def closings(self, queue: str, group: str) -> int:
        """Return how many leases of a whole group were finished, whether or not its items are here yet."""
        found = self._read("SELECT value FROM counters WHERE name = ?", (rows.closings_of(queue, group),))
        return int(found[0][0]) if found else 0

    def oldest_ns(self, queue: str) -> int | None:
        """Return when the oldest undone item of a queue came in (UTC), or None."""
        query = (
            "SELECT created_ns FROM items WHERE queue = ? AND state IN ('ready', 'leased', 'interrupted') "
            "ORDER BY id LIMIT 1"
        )
        found = self._read(query, (queue,))
        return int(found[0][0]) if found else None

    def forget(
        self,
        queue: str,
        *,
        state: str,
        older_than_ns: int,
        count_max: int = 1000,
        needed_by: str = "",
        let_go: Callable[[Item], None] = lambda _: None,
    ) -> list[Item]:
        """Remove items that have been in a state since before `older_than_ns` (UTC), oldest first.

        Groups with anything undone are left whole, since the undone may need the rest.

        Args:
            queue: Of the items.
            state: `done` or `set_aside`.
            older_than_ns: UTC.
            count_max: At most so many.
            needed_by: Queue whose items that are not done hold back the group in the first line of their key.
            let_go: Removes what belongs to an item; no `put` of the same item comes between that and the end
                of its row.

        Returns:
            What was removed.
        """
        assert state in ("done", "set_aside"), f"only finished items are forgotten, not {state}"

        def work(transaction: Transaction) -> list[Item]:
            items = rows.forget(
                transaction,
                queue,
                state=state,
                older_than_ns=older_than_ns,
                count_max=count_max,
                needed_by=needed_by,
            )
            for item in items:
                let_go(item)
            return items

        return self._writer.do(work)

    def take_back(self, queue: str, group: str) -> int:
        """Make what was set aside of a group ready again; return how many items that are."""
        taken = self._writer.do(
            lambda transaction: rows.take_back(transaction, queue, group, now_ns=self._clock.utc_ns())
        )
        self._announce(queue)
        return taken

    def counter(self, name: str) -> int:
        """Return 1, 2, 3 …, never the same number twice, across restarts."""
        return self._writer.do(lambda transaction: rows.count_up(transaction, name))

    def wait(self, queue: str, timeout_s: float) -> None:
        """Sleep until a queue changed since this thread last leased from it, an item is due, or time is up.

        A change between a lease that found nothing and this call is not missed.
        """
        with self._changed:
            seen = getattr(self._seen, "changes", {}).get(queue, self._changes[queue])
            if self._changes[queue] == seen:
                self._changed.wait_for(
                    lambda: self._changes[queue] != seen, min(timeout_s, self._next_due_s(queue))
                )

    def _finish(self, lease: Lease, state: str, *, reason: str, then: Sequence[Entry]) -> None:
        self._writer.do(
            lambda transaction: rows.finish(
                transaction, lease, state, reason=reason, then=then, now_ns=self._clock.utc_ns()
            )
        )
        for queue in {lease.queue, *(entry.queue for entry in then)}:
            self._announce(queue)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, rows.VERSION):
            raise JournalError(f"{self.path}: version {version}, wanted {rows.VERSION}")
        connection.executescript(rows.SCHEMA)
        connection.execute(f"PRAGMA user_version = {rows.VERSION}")
        connection.execute(f"PRAGMA journal_size_limit = {64 << 20}")
        connection.execute("UPDATE items SET state = 'interrupted' WHERE state = 'leased'")
        connection.execute("UPDATE items SET due_ns = 0 WHERE due_ns <> 0")

    def _read(self, query: str, values: tuple[str | int, ...]) -> list[tuple[Any, ...]]:
        with self._reading:
            if self._reader is None:
                raise JournalError(f"{self.path}: closed, wanted an open journal")
            return self._reader.execute(query, values).fetchall()

    def _announce(self, queue: str) -> None:
        with self._changed:
            self._changes[queue] += 1
            self._changed.notify_all()

    def _note_seen(self, queue: str) -> None:
        with self._changed:
            if not hasattr(self._seen, "changes"):
                self._seen.changes = {}
            self._seen.changes[queue] = self._changes[queue]

    def _next_due_s(self, queue: str) -> float:
        """Return how long until an item that waits for its time is due; infinite where none does."""
        now_ns = self._clock.monotonic_ns()
        query = "SELECT min(due_ns) FROM items WHERE queue = ? AND state = 'ready' AND due_ns > ?"
        due_ns = self._read(query, (queue, now_ns))[0][0]
        return float("inf") if due_ns is None else (due_ns - now_ns) / 1e9
