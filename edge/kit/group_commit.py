"""One writer at a time brings whatever waits for a SQLite file to the medium in one go.

A sync costs milliseconds and a row microseconds, so everything that arrived during the last sync shares the
next one: whoever gets the lock first commits for all who wait by then, and the others find their work done.
Rows alone are committed with `synchronous=FULL`. Files that land together with rows are covered by one sync
for both: rename, commit without a sync of its own, `syncfs`; docs/decisions/one-sync-for-a-group.md has the
measurements.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edge.domain.errors import EdgeError, JournalError, StorageFullError
from edge.kit.files import Landing, sync_file_system

GROUP_MAX = 256  # beyond that a sync costs less than the rows it covers
_EXPECTED = (sqlite3.Error, OSError)

_Answer = TypeVar("_Answer")


class Transaction:
    """What one piece of work may do: change rows, and let files land."""

    __slots__ = ("landed", "rows")

    def __init__(self, rows: sqlite3.Connection) -> None:
        self.rows = rows
        self.landed: list[Path] = []

    def land(self, landing: Landing) -> None:
        """Move a file to where it stays; it is durable when the work is answered."""
        landing.final_path.parent.mkdir(parents=True, exist_ok=True)
        landing.received_path.replace(landing.final_path)
        self.landed.append(landing.final_path)


@dataclass(frozen=True, slots=True)
class _Piece:
    work: Callable[[Transaction], Any]
    lands: bool
    answer: Future[Any]


class GroupCommit:
    """Owns a SQLite file for one process; whoever holds the lock commits for all who wait."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock_descriptor = -1
        self._connection: sqlite3.Connection | None = None
        self._committing = threading.Lock()
        self._arrival = threading.Lock()
        self._waiting: list[_Piece] = []
        self._closed = "not opened yet"

    def open(self, prepare: Callable[[sqlite3.Connection], None]) -> None:
        """Take the file for this process alone and prepare it.

        Raises:
            JournalError: Another process has it, or it cannot be used.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._connection = self.connect()
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            prepare(self._connection)
        except _EXPECTED as trouble:
            self._let_go()
            raise JournalError(f"{self._path}: {trouble}; wanted a journal to write to") from trouble
        except JournalError:
            self._let_go()
            raise
        self._closed = ""

    def close(self) -> None:
        """Let what is under way finish, then let go of the file."""
        with self._arrival:
            self._closed = self._closed or "closed"
        with self._committing:
            while self._waiting:
                self._lead()
            self._let_go()

    def is_usable(self) -> bool:
        """Whether work is still taken: not after the medium has failed."""
        return not self._closed

    def connect(self) -> sqlite3.Connection:
        """Open a connection; whoever shares it between threads brings a lock."""
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)

    def do(self, work: Callable[[Transaction], _Answer], *, lands: bool = False) -> _Answer:
        """Run `work` in a transaction and return its answer when all it did is durable.

        Args:
            work: Raises to have what it did taken back.
            lands: Whether it lets files land.

        Raises:
            StorageFullError: There was no room; nothing of it happened.
            JournalError: It could not be made durable; nothing of it happened.
        """
        piece = _Piece(work, lands, Future())
        with self._arrival:
            if self._closed:
                raise JournalError(f"{self._path}: {self._closed}, wanted an open journal")
            self._waiting.append(piece)
        while not piece.answer.done():
            with self._committing:
                if not piece.answer.done():
                    self._lead()
        answer: _Answer = piece.answer.result()
        return answer

    def _lead(self) -> None:
        with self._arrival:
            group, self._waiting = self._waiting[:GROUP_MAX], self._waiting[GROUP_MAX:]
        try:
            self._commit(group)
        finally:  # even after a broken invariant nobody may wait for ever
            _fail(group, lambda: JournalError(f"{self._path}: the writer failed; nothing was taken"))

    def _commit(self, group: list[_Piece]) -> None:
        rows = self._connection
        assert rows is not None, "work is taken only while the journal is open"
        transaction = Transaction(rows)
        lands = any(piece.lands for piece in group)
        try:
            rows.execute(f"PRAGMA synchronous={'NORMAL' if lands else 'FULL'}")
            rows.execute("BEGIN IMMEDIATE")
            answered = [(piece, _attempt(transaction, piece.work, self._path)) for piece in group]
            rows.execute("COMMIT")
        except _EXPECTED as trouble:
            if rows.in_transaction:
                rows.execute("ROLLBACK")
            _remove(transaction.landed)
            cause = trouble
            _fail(group, lambda: _as_ours(self._path, cause))
            return
        if lands and not self._synced(transaction, group):
            return
        for piece, (answer, failure) in answered:
            if failure is None:
                piece.answer.set_result(answer)
            else:
                piece.answer.set_exception(failure)

    def _synced(self, transaction: Transaction, group: list[_Piece]) -> bool:
        """Bring the files and the rows to the medium; where that fails, nothing more is taken."""
        try:
            for place in _one_each_file_system([self._path, *transaction.landed]):
                sync_file_system(place)
        except OSError as trouble:
            _remove(transaction.landed)  # a row without its file gives way when the object comes again
            with self._arrival:
                self._closed = f"the medium failed: {trouble}"
            _fail(group, lambda: JournalError(f"{self._path}: {self._closed}"))
            return False
        return True

    def _take_lock(self) -> None:
        lock = self._path.with_name(self._path.name + ".lock")
        self._lock_descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            owner = os.read(self._lock_descriptor, 20).decode(errors="replace") or "?"
            raise JournalError(f"{self._path}: in use by process {owner}, wanted it for this one") from taken
        os.ftruncate(self._lock_descriptor, 0)
        os.pwrite(self._lock_descriptor, str(os.getpid()).encode(), 0)

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1


def _attempt(
    transaction: Transaction, work: Callable[[Transaction], _Answer], path: Path
) -> tuple[_Answer | None, Exception | None]:
    """Do one piece of work; where it fails, take back that piece alone."""
    landed_before = len(transaction.landed)
    transaction.rows.execute("SAVEPOINT piece")
    try:
        answer = work(transaction)
    except (*_EXPECTED, AssertionError, EdgeError) as trouble:
        transaction.rows.execute("ROLLBACK TO piece")
        transaction.rows.execute("RELEASE piece")
        _remove(transaction.landed[landed_before:])
        del transaction.landed[landed_before:]
        return None, _as_ours(path, trouble)
    transaction.rows.execute("RELEASE piece")
    return answer, None


def _as_ours(path: Path, trouble: Exception) -> Exception:
    if isinstance(trouble, AssertionError | EdgeError):
        return trouble
    full = (isinstance(trouble, OSError) and trouble.errno in (errno.ENOSPC, errno.EDQUOT)) or (
        isinstance(trouble, sqlite3.Error) and getattr(trouble, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
    )
    kind = StorageFullError if full else JournalError
    return kind(f"{path}: {trouble}; nothing was taken")


def _fail(group: Iterable[_Piece], error: Callable[[], Exception]) -> None:
    for piece in group:
        if not piece.answer.done():
            piece.answer.set_exception(error())


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _one_each_file_system(paths: Iterable[Path]) -> list[Path]:
    return list({path.stat().st_dev: path for path in paths}.values())
