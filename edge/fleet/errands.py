"""Which commands were taken up, on disk before anything is done: each id is executed once, come what may."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from edge.domain.errors import JournalError
from edge.domain.ports import Clock
from edge.kit.log import Log
from edge.kit.memory_file import is_damage, open_memory

FILE: Final = "commands.db"
ERRANDS_MAX: Final = 4096
BUSY_S: Final = 5.0  # so long another process may hold the file
RESULTS_MAX: Final = 16  # of the newest; an answer has up to 200 kB

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS errands (
    cmd TEXT PRIMARY KEY, state TEXT NOT NULL, expires_ns INTEGER NOT NULL, document TEXT NOT NULL,
    is_told INTEGER NOT NULL, changed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A command that was taken up.

    Attributes:
        cmd: `<type>/<id>`.
        state: `executing`, `successful` or `failed`.
        expires_ns: Of the command (UTC); it is remembered until then.
        document: What the device says of it.
    """

    cmd: str
    state: str
    expires_ns: int
    document: Mapping[str, Any]


class Errands:
    """The memory of commands, open while the `with` lasts; for one thread, the one that opens it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Store where it is; it is made when it is opened first."""
        self._file = folder / FILE
        self._aside = self._file.with_name(f"{FILE}.damaged")
        self._clock = clock
        self._log = Log("fleet")
        self._rows: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Open it; one that is damaged is set aside under another name.

        Raises:
            JournalError: It can neither be opened nor made anew; or somebody holds it, or the disk is full.
        """
        try:
            try:
                self._rows = self._opened()
            except sqlite3.Error as trouble:
                if not is_damage(trouble):
                    raise
                self._set_aside(trouble)
                self._rows = self._opened()
            if self._aside.exists() and not self._marked("begun"):  # also where a crash came between
                self._mark("begun", self._clock.utc_ns())
        except (OSError, sqlite3.Error) as trouble:
            raise JournalError(f"{self._file}: {trouble}; wanted the memory of commands") from trouble
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────

    def now_ns(self) -> int:
        """Return the time (UTC), never before the newest command that was believed: clocks go back."""
        return max(self._clock.utc_ns(), self._marked("newest"))

    @property
    def begun_ns(self) -> int:
        """Commands from before this may have been executed without our knowing; 0 where we know of all."""
        return self._marked("begun")

    # ── what was taken up ─────────────────────────────────────────────────────────────────────────────────

    def known(self, cmd: str) -> Errand | None:
        """Return what became of a command, None for one that was never taken up."""
        row = self._one("SELECT cmd, state, expires_ns, document FROM errands WHERE cmd = ?", (cmd,))
        return None if row is None else _errand(row)

    def has_room(self) -> bool:
        """Return whether another one can be remembered, after forgetting what nobody can repeat any more."""
        if self._count() < ERRANDS_MAX:
            return True
        self._do("DELETE FROM errands WHERE expires_ns < ? AND state != 'executing'", (self.now_ns(),))
        return self._count() < ERRANDS_MAX

    def take_up(self, errand: Errand, *, issued_ns: int) -> None:
        """Remember, durably, that a command is being executed.

        Raises:
            JournalError: It is not remembered, and must not be executed.
        """
        with self._at_once():
            self._mark("newest", max(issued_ns, self._marked("newest")))
            self._write(errand)

    def settle(self, errand: Errand) -> None:
        """Remember how a command ended; of older ones only that they did.

        Raises:
            JournalError: It is not remembered: at the next start it counts as interrupted.
        """
        keep = "SELECT cmd FROM errands WHERE state != 'executing' ORDER BY changed DESC LIMIT ?"
        old = f"state != 'executing' AND is_told = 1 AND cmd NOT IN ({keep})"
        forget = f"UPDATE errands SET document = json_set(document, '$.result', NULL) WHERE {old}"  # noqa: S608
        with self._at_once():
            self._write(errand)
            self._do(forget, (RESULTS_MAX,))

    def told(self, cmd: str) -> None:
        """Remember that the broker has the last word on a command."""
        self._do("UPDATE errands SET is_told = 1 WHERE cmd = ?", (cmd,))

    def untold(self) -> list[Errand]:
        """Return what ended and the broker has not taken the word of, oldest first."""
        return self._all("state != 'executing' AND is_told = 0")

    def interrupted(self) -> list[Errand]:
        """Return what counts as being executed, oldest first."""
        return self._all("state = 'executing'")

    # ── rows ──────────────────────────────────────────────────────────────────────────────────────────────

    def _opened(self) -> sqlite3.Connection:
        return open_memory(self._file, _TABLES, journal="DELETE", busy_s=BUSY_S, is_checked=True)

    def _count(self) -> int:
        row = self._one("SELECT count(*) FROM errands", ())
        return 0 if row is None else int(row[0])

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Have all of it on the medium, or nothing.

        Raises:
            JournalError: It could not be; nothing changed.
        """
        self._do("BEGIN IMMEDIATE", ())
        try:
            yield
            self._do("COMMIT", ())
        except JournalError:
            with suppress(JournalError):  # some errors have ended it already
                self._do("ROLLBACK", ())
            raise

    def _set_aside(self, trouble: sqlite3.Error) -> None:
        aside = self._aside
        self._log.error("the memory of commands is damaged", file=self._file, aside=aside, because=trouble)
        self._file.replace(aside)
        for beside in ("-journal", "-wal", "-shm"):  # they belong to what was damaged
            self._file.with_name(self._file.name + beside).unlink(missing_ok=True)

    def _write(self, errand: Errand) -> None:
        row = self._one("SELECT coalesce(max(changed), 0) + 1 FROM errands", ())
        changed = 1 if row is None else row[0]
        document = json.dumps(errand.document, ensure_ascii=False, allow_nan=False)
        self._do(
            "INSERT OR REPLACE INTO errands VALUES (?, ?, ?, ?, 0, ?)",
            (errand.cmd, errand.state, errand.expires_ns, document, changed),
        )

    def _all(self, which: str) -> list[Errand]:
        order = f"SELECT cmd, state, expires_ns, document FROM errands WHERE {which} ORDER BY changed"  # noqa: S608
        with self._asking(order, ()) as found:
            return [_errand(row) for row in found.fetchall()]

    def _mark(self, name: str, value: int) -> None:
        self._do("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, value))

    def _marked(self, name: str) -> int:
        row = self._one("SELECT value FROM marks WHERE name = ?", (name,))
        return 0 if row is None else int(row[0])

    def _one(self, question: str, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        with self._asking(question, given) as found:
            row: tuple[Any, ...] | None = found.fetchone()
            return row

    def _do(self, order: str, given: tuple[Any, ...]) -> None:
        with self._asking(order, given):
            pass

    def _asking(self, question: str, given: tuple[Any, ...]) -> closing[sqlite3.Cursor]:
        assert self._rows is not None, "opened before"
        try:
            return closing(self._rows.execute(question, given))
        except sqlite3.Error as trouble:
            raise JournalError(f"{self._file}: {trouble}") from trouble


def _errand(row: tuple[Any, ...]) -> Errand:
    return Errand(cmd=row[0], state=row[1], expires_ns=row[2], document=json.loads(row[3]))
