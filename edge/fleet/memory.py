"""Where a device remembers its fleet across a power cut: a small SQLite file, and its twin for simulations.

Each `write` is one transaction with `synchronous=EXTRA`: after a crash the ledger is the one before it or the
one after it. Every fact carries a checksum, since SQLite notices damage to its own pages only. The floors are
written once more beside it, so that no old document comes back where the file was lost.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol, Self

from edge.domain.errors import FormatError, JournalError
from edge.fleet.ledger import Ledger, Transition
from edge.fleet.ledger_json import facts_of, floors_of, floors_tree, ledger_of, transition_of, transition_tree
from edge.kit.files import write_durably
from edge.kit.log import Log
from edge.kit.memory_file import is_damage, open_memory

FILE: Final = "fleet.db"
FLOORS: Final = "floors.json"
ENTRIES_MAX: Final = 2000
BUSY_S: Final = 5.0  # so long another process may hold the file
_FLOORS_BYTES_MAX: Final = 1 << 20
_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, fact BLOB NOT NULL, sum BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL);
"""


class Memory(Protocol):
    """What a ledger is kept in; safe to use from several threads."""

    def read(self) -> Ledger:
        """Return the ledger as it was written last.

        Raises:
            JournalError: It cannot be read.
        """

    def write(self, ledger: Ledger, entries: Sequence[Transition] = ()) -> None:
        """Keep a ledger and what led to it, both or neither; it is durable when this returns.

        Raises:
            JournalError: It could not be; the ledger is the one before.
        """

    def journal(self, count_max: int) -> list[Transition]:
        """Return the last transitions, oldest first."""


class DamagedError(JournalError):
    """The file is there and cannot be believed."""


class RamMemory:
    """Keeps a ledger as long as the object lives: for simulated devices, whose disks never die."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._journal: deque[Transition] = deque(maxlen=ENTRIES_MAX)

    def read(self) -> Ledger:
        """Return what was written last."""
        return self._ledger

    def write(self, ledger: Ledger, entries: Sequence[Transition] = ()) -> None:
        """Keep it."""
        self._ledger = ledger
        self._journal.extend(entries)

    def journal(self, count_max: int) -> list[Transition]:
        """Return the last transitions, oldest first."""
        return list(self._journal)[-count_max:]


class SqliteMemory:
    """Keeps a ledger in a folder, while its `with` lasts.

    Attributes:
        path: The file.
        was_lost: It is new, and something was kept here before.
    """

    def __init__(self, folder: Path) -> None:
        """Store where.

        Args:
            folder: Of the state of the fleet; made where it is missing.
        """
        self.path = folder / FILE
        self.was_lost = False
        self._floors_path = folder / FLOORS
        self._log = Log("fleet")
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._facts: dict[str, bytes] = {}
        self._mirrored: object = None

    def __enter__(self) -> Self:
        """Open, and read once, so that damage shows here.

        Raises:
            DamagedError: The file cannot be believed.
            JournalError: It cannot be opened.
        """
        try:
            self._connection = open_memory(
                self.path, _SCHEMA, journal="DELETE", busy_s=BUSY_S, is_checked=True, has_one_thread=False
            )
            ledger = self.read()
        except JournalError:
            self._close()
            raise
        except (sqlite3.Error, OSError) as trouble:
            self._close()
            kind = DamagedError if _is_damage(trouble) else JournalError
            raise kind(f"{self.path}: {trouble}; wanted the memory of the fleet") from trouble
        self._mirrored = _tree_in(self._floors_path)
        self._mirror(ledger)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._close()

    def read(self) -> Ledger:
        """Return the ledger as it is on the medium.

        Raises:
            DamagedError: It cannot be believed.
            JournalError: It cannot be read.
        """
        try:
            with self._lock:
                rows = self._opened().execute("SELECT name, fact, sum FROM facts").fetchall()
        except sqlite3.Error as trouble:
            kind = DamagedError if _is_damage(trouble) else JournalError
            raise kind(f"{self.path}: {trouble}; wanted facts") from trouble
        for name, fact, checksum in rows:
            if not isinstance(fact, bytes) or hashlib.sha256(fact).digest() != checksum:
                raise DamagedError(f"{self.path}: {name} is not what was written")
        self._facts = {name: fact for name, fact, _ in rows}
        try:
            ledger = ledger_of(self._facts) if rows else mirrored_floors(self.path.parent)
        except FormatError as error:
            raise DamagedError(f"{self.path}: {error}") from error
        self.was_lost = not rows and bool(ledger.floors)
        return ledger

    def write(self, ledger: Ledger, entries: Sequence[Transition] = ()) -> None:
        """Keep it, in one transaction; the mirror of the floors follows.

        Raises:
            JournalError: It could not be kept.
        """
        facts = facts_of(ledger)
        changed = [(name, fact) for name, fact in facts.items() if self._facts.get(name) != fact]
        gone = [(name,) for name in self._facts.keys() - facts.keys()]
        told = [(json.dumps(transition_tree(entry)),) for entry in entries]
        if not changed and not gone and not told:
            return
        with self._lock:
            rows = self._opened()
            try:
                rows.execute("BEGIN IMMEDIATE")
                _change(rows, changed, gone, told)
                rows.execute("COMMIT")
            except sqlite3.Error as trouble:
                _take_back(rows)
                raise JournalError(f"{self.path}: {trouble}; nothing was written down") from trouble
            self._facts = facts
        self._mirror(ledger)

    def journal(self, count_max: int) -> list[Transition]:
        """Return the last transitions, oldest first.

        Raises:
            JournalError: They cannot be read.
        """
        query = "SELECT entry FROM journal ORDER BY id DESC LIMIT ?"
        try:
            with self._lock:
                rows = self._opened().execute(query, (count_max,)).fetchall()
            return [transition_of(json.loads(entry)) for (entry,) in reversed(rows)]
        except (sqlite3.Error, ValueError, KeyError, TypeError) as trouble:
            raise JournalError(f"{self.path}: {trouble}; wanted the journal of transitions") from trouble

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise JournalError(f"{self.path}: closed, wanted an open memory")
        return self._connection

    def _mirror(self, ledger: Ledger) -> None:
        """Write the floors beside the file; without them a crash costs nothing, damage as well would."""
        tree = floors_tree(ledger.floors)
        if tree == (self._mirrored or {}):
            return
        try:
            write_durably(self._floors_path, json.dumps(tree, indent=1).encode())
        except OSError as trouble:
            self._log.error("floors not written down a second time", file=self._floors_path, because=trouble)
            return
        self._mirrored = tree

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def mirrored_floors(folder: Path) -> Ledger:
    """Return a ledger that holds nothing but the floors that were written beside the lost one.

    The documents are lost, so the newest of each scope may be taken once more.
    """
    path = folder / FLOORS
    try:
        content = path.read_bytes()
        floors = floors_of(json.loads(content)) if len(content) <= _FLOORS_BYTES_MAX else {}
    except FileNotFoundError:
        return Ledger()
    except (OSError, ValueError, FormatError) as trouble:
        Log("fleet").error("floors lost", file=path, because=trouble)
        return Ledger()
    opened = {scope: replace(floor, is_open=True) for scope, floor in floors.items()}
    return Ledger(floors=opened)


def _tree_in(path: Path) -> object:
    """Return what JSON a file holds, None where it holds none."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _change(
    rows: sqlite3.Connection,
    changed: Sequence[tuple[str, bytes]],
    gone: Sequence[tuple[str]],
    told: Sequence[tuple[str]],
) -> None:
    summed = [(name, fact, hashlib.sha256(fact).digest()) for name, fact in changed]
    rows.executemany("INSERT OR REPLACE INTO facts (name, fact, sum) VALUES (?, ?, ?)", summed)
    rows.executemany("DELETE FROM facts WHERE name = ?", gone)
    rows.executemany("INSERT INTO journal (entry) VALUES (?)", told)
    rows.execute("DELETE FROM journal WHERE id <= (SELECT max(id) FROM journal) - ?", (ENTRIES_MAX,))


def _take_back(rows: sqlite3.Connection) -> None:
    if rows.in_transaction:
        rows.execute("ROLLBACK")


def _is_damage(trouble: Exception) -> bool:
    """Whether a file cannot be believed: broken, or with other tables than ours; its floors are mirrored."""
    return is_damage(trouble) or getattr(trouble, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
