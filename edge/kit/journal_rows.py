"""The rows of the journal and what may happen to them; all of it runs inside the writer's transaction."""

from __future__ import annotations

import enum
import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from edge.kit.files import Landing
from edge.kit.group_commit import Transaction

VERSION = 1
MARK_BYTES = 8
SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- the first twelve columns are the fields of Item
    queue TEXT NOT NULL,
    key TEXT NOT NULL,
    grp TEXT NOT NULL,
    digest TEXT NOT NULL,
    body BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created_ns INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'ready',
    reason TEXT NOT NULL DEFAULT '',
    beside BOOLEAN NOT NULL,
    closing INTEGER NOT NULL DEFAULT 0,
    changed_ns INTEGER NOT NULL,
    due_ns INTEGER NOT NULL DEFAULT 0  -- monotonic
);
CREATE UNIQUE INDEX IF NOT EXISTS items_by_key ON items (queue, key, digest);
CREATE INDEX IF NOT EXISTS items_by_state ON items (queue, state, id);
CREATE INDEX IF NOT EXISTS items_by_group ON items (queue, grp, id);
CREATE INDEX IF NOT EXISTS items_undone ON items (queue, grp, id)
    WHERE state IN ('ready', 'leased', 'interrupted');
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgotten (
    queue TEXT NOT NULL,
    grp TEXT NOT NULL,
    marks BLOB NOT NULL,  -- of each key that was forgotten: 8 bytes of its SHA-256
    PRIMARY KEY (queue, grp)
) WITHOUT ROWID;
"""


class Put(enum.Enum):
    """What became of an entry."""

    NEW = "new"
    SAME = "same"  # key and digest are here already
    BESIDE = "beside"  # the key is here with another digest; this one is kept as well


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to keep.

    Attributes:
        queue: `intake`, `together` or `outbox`.
        key: Identifies it in its queue: SOP Instance UID, dedupe id.
        group: What it is worked on with, or kept in order with: series key, study, subject.
        body: What its readers need.
        digest: Tells equal contents from others under the same key.
    """

    queue: str
    key: str
    group: str
    body: bytes
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """An entry as it stands in the journal.

    Attributes:
        attempts: How often work on it was begun.
        created_ns: UTC.
        state: `ready`, `leased`, `interrupted`, `done` or `set_aside`.
        reason: Of the last retry or of setting it aside, or "".
        beside: Another digest was there before it under the same key.
        closing: Which lease of its whole group it was last part of, counted from 1; 0 for none.
    """

    id: int
    queue: str
    key: str
    group: str
    digest: str
    body: bytes
    attempts: int
    created_ns: int
    state: str
    reason: str
    beside: bool = False
    closing: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """Items someone works on; that this attempt began was durable before the lease existed.

    Attributes:
        attempt: 1 for the first.
        closing: For a whole group: 1 and as many as were finished (done or set aside) before; else 0.
        let_go: How many items an earlier lease of the whole group had that were forgotten since, and have not
            come again.
    """

    queue: str
    group: str
    items: tuple[Item, ...]
    attempt: int
    closing: int = 0
    let_go: int = 0


def to_items(rows: Iterable[tuple[Any, ...]]) -> list[Item]:
    """Make items of whole rows; SQLite knows no booleans, so `beside` is 0 or 1."""
    return [Item(*row[:12]) for row in rows]


def insert(transaction: Transaction, entry: Entry, landing: Landing | None, *, now_ns: int) -> Put:
    """Add an entry and let its file land, unless both are here already."""
    rows = transaction.rows
    known = rows.execute(
        "SELECT id, digest, state FROM items WHERE queue = ? AND key = ?", (entry.queue, entry.key)
    ).fetchall()
    for item_id, digest, state in known:
        if digest == entry.digest:
            if landing is None or landing.final_path.exists():
                return Put.SAME
            if state == "leased":  # its reader may still find the file
                transaction.land(landing)
                return Put.SAME
            rows.execute("DELETE FROM items WHERE id = ?", (item_id,))
    beside = any(digest != entry.digest for _, digest, _ in known)
    rows.execute(
        "INSERT INTO items (queue, key, grp, digest, body, beside, created_ns, changed_ns) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (entry.queue, entry.key, entry.group, entry.digest, entry.body, beside, now_ns, now_ns),
    )
    if landing is not None:
        transaction.land(landing)
    return Put.BESIDE if beside else Put.NEW


def lease_group(
    transaction: Transaction, queue: str, group: str, *, unmissed: str, now_ns: int
) -> Lease | None:
    """Take every ready item of a group; nobody misses an item with the key `unmissed`."""
    query = "SELECT id FROM items WHERE queue = ? AND grp = ? AND state = 'ready' ORDER BY id"
    ids = [row[0] for row in transaction.rows.execute(query, (queue, group))]
    closing = 1 + _counted(transaction.rows, closings_of(queue, group))
    lease = _lease(transaction.rows, ids, closing=closing, now_ns=now_ns)
    forgotten = _forgotten(transaction.rows, queue, group)
    if lease is None or not forgotten:
        return lease
    query = "SELECT key FROM items WHERE queue = ? AND grp = ?"
    here = {_mark(row[0]) for row in transaction.rows.execute(query, (queue, group))} | {_mark(unmissed)}
    return replace(lease, let_go=len(forgotten - here))


def lease_oldest(transaction: Transaction, queue: str, *, monotonic_ns: int, now_ns: int) -> Lease | None:
    """Take the oldest due item before which nothing of its group is undone."""
    found = transaction.rows.execute(
        """
        SELECT id FROM items AS item WHERE queue = ? AND state = 'ready' AND due_ns <= ? AND NOT EXISTS (
            SELECT 1 FROM items AS older
            WHERE older.queue = item.queue AND older.grp = item.grp AND older.id < item.id
            AND older.state IN ('ready', 'leased', 'interrupted'))
        ORDER BY id LIMIT 1
        """,
        (queue, monotonic_ns),
    )
    return _lease(transaction.rows, [row[0] for row in found], closing=0, now_ns=now_ns)


def move(
    transaction: Transaction, lease: Lease, state: str, *, reason: str, now_ns: int, due_ns: int = 0
) -> None:
    """Change the state of everything a lease holds."""
    moved = transaction.rows.executemany(
        "UPDATE items SET state = ?, reason = ?, changed_ns = ?, due_ns = ? "
        "WHERE id = ? AND state IN ('leased', 'interrupted')",
        [(state, reason, now_ns, due_ns, item.id) for item in lease.items],
    ).rowcount
    assert moved == len(lease.items), f"{moved} of {len(lease.items)} items were still leased"


def finish(
    transaction: Transaction, lease: Lease, state: str, *, reason: str, then: Iterable[Entry], now_ns: int
) -> None:
    """Finish a lease for good and add what follows from it."""
    move(transaction, lease, state, reason=reason, now_ns=now_ns)
    if lease.closing:
        transaction.rows.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            (closings_of(lease.queue, lease.group), lease.closing),
        )
    for entry in then:
        insert(transaction, entry, None, now_ns=now_ns)


def forget(
    transaction: Transaction, queue: str, *, state: str, older_than_ns: int, count_max: int, needed_by: str
) -> list[Item]:
    """Remove finished items of groups in which nothing is undone, the oldest first.

    A group stays, too, where an item of the queue `needed_by` names it in the first line of its key and is
    not done: what was set aside there may be taken back.
    Of what was leased with its whole group a mark stays: a rest of a group must not pass for all of it.
    """
    found = transaction.rows.execute(
        """
        SELECT * FROM items AS item WHERE queue = ? AND state = ? AND changed_ns < ? AND NOT EXISTS (
            SELECT 1 FROM items AS other
            WHERE other.queue = item.queue AND other.grp = item.grp
            AND other.state IN ('ready', 'leased', 'interrupted'))
        AND NOT EXISTS (
            SELECT 1 FROM items AS user
            WHERE user.queue = ? AND user.key >= item.grp || char(10) AND user.key < item.grp || char(11)
            AND user.state <> 'done')
        ORDER BY changed_ns, id LIMIT ?
        """,
        (queue, state, older_than_ns, needed_by, count_max),
    )
    items = to_items(found)
    transaction.rows.executemany("DELETE FROM items WHERE id = ?", [(item.id,) for item in items])
    gone: defaultdict[str, set[bytes]] = defaultdict(set)
    for item in items:
        if item.closing:
            gone[item.group].add(_mark(item.key))
    for group, marks in gone.items():
        every = marks | _forgotten(transaction.rows, queue, group)
        transaction.rows.execute(
            "INSERT OR REPLACE INTO forgotten VALUES (?, ?, ?)", (queue, group, b"".join(sorted(every)))
        )
    return items


def take_back(transaction: Transaction, queue: str, group: str, *, now_ns: int) -> int:
    """Make what was set aside of a group ready again, as if never tried; return how many items that are."""
    return transaction.rows.execute(
        "UPDATE items SET state = 'ready', attempts = 0, reason = '', changed_ns = ?, due_ns = 0 "
        "WHERE queue = ? AND grp = ? AND state = 'set_aside'",
        (now_ns, queue, group),
    ).rowcount


def count_up(transaction: Transaction, name: str) -> int:
    """Add one to a counter and return it."""
    value = 1 + _counted(transaction.rows, name)
    transaction.rows.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, value))
    return value


def _lease(rows: sqlite3.Connection, ids: list[int], *, closing: int, now_ns: int) -> Lease | None:
    if not ids:
        return None
    rows.executemany(
        "UPDATE items SET state = 'leased', attempts = attempts + 1, closing = ?, changed_ns = ? "
        "WHERE id = ?",
        [(closing, now_ns, item_id) for item_id in ids],
    )
    one = "SELECT * FROM items WHERE id = ?"
    items = to_items(rows.execute(one, (item_id,)).fetchone() for item_id in ids)
    attempt = max(item.attempts for item in items)
    return Lease(items[0].queue, items[0].group, tuple(items), attempt, closing)


def _forgotten(rows: sqlite3.Connection, queue: str, group: str) -> set[bytes]:
    query = "SELECT marks FROM forgotten WHERE queue = ? AND grp = ?"
    found = rows.execute(query, (queue, group)).fetchone()
    marks: bytes = found[0] if found else b""
    return {marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES)}


def _mark(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()[:MARK_BYTES]


def closings_of(queue: str, group: str) -> str:
    """Return the name of the counter of finished leases of a whole group."""
    return f"closings of {queue} {group}"


def _counted(rows: sqlite3.Connection, name: str) -> int:
    found = rows.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0
