"""What operators did and saw, in a file that only grows: each entry is signed and names the one before.

Whoever changes, drops or inserts an entry breaks the chain, and has not the key to mend it. The end can be
cut off unseen; an export that lies elsewhere shows that.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

from edge.domain.errors import DocumentRefusedError, JournalError
from edge.domain.ports import Clock
from edge.fleet.operator.basis import UNKNOWN_KEY
from edge.fleet.operator.edit import signer_of
from edge.fleet.operator.inventory import Document, document_number, document_text
from edge.fleet.signing import KeyRing, digest_of
from edge.kit.memory_file import open_memory
from edge.kit.moments import told

FILE: Final = "history.db"
HISTORY_SCHEMA: Final = "edge.history/1"
BEGINNING: Final = "sha256:" + 64 * "0"
BUSY_S: Final = 10.0
COMMITTED: Final = "committed"
What = Literal["seen", "published", "put-back", "conflict", "outcome", "command", "rollout"]

_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS entries (
        seq INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL,
        digest TEXT NOT NULL, body TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS of_name ON entries (name, version);
    CREATE TRIGGER IF NOT EXISTS only_grows_1 BEFORE UPDATE ON entries
        BEGIN SELECT RAISE(ABORT, 'the history only grows'); END;
    CREATE TRIGGER IF NOT EXISTS only_grows_2 BEFORE DELETE ON entries
        BEGIN SELECT RAISE(ABORT, 'the history only grows'); END;
"""


class Signs(Protocol):
    """What the history asks of a signer."""

    def sign(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return a document with its signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of it.

    Attributes:
        seq: Counted from 1, without a gap.
        at: When, as documents write times.
        by: Who.
        what: `published`: an operator wrote a document; `seen`: somebody else's was at the broker;
            `put-back`: one was left at the broker once more; `conflict`, `outcome`: what became of it;
            `command`, `rollout`.
        name: Of whom: `<site>/<device>`, `<site>/group/<group>`, `rollout/<id>`.
        version: Of the document, 0 where there is none.
        note: In words.
        status: `committed` where what was published is at work with all whom it concerns; else "".
        document: As it was signed, or None.
        key: That signed the entry.
        body: The entry itself, as it was signed.
    """

    seq: int
    at: str
    by: str
    what: str
    name: str
    version: int
    note: str
    status: str
    document: Document | None
    key: str
    body: Document


class History:
    """The file of one operator's machine, while its `with` lasts; an entry is durable when `add` returns."""

    def __init__(self, folder: Path, *, signer: Signs | None, by: str, clock: Clock) -> None:
        """Store where, and who writes.

        Args:
            folder: Made when it is missing.
            signer: Signs each entry; None: nothing can be added.
            by: Who is at work.
            clock: Of the machine.
        """
        self.path = folder / FILE
        self._signer = signer
        self._by = by
        self._clock = clock
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Open.

        Raises:
            JournalError: It cannot be used.
        """
        try:
            self._connection = open_memory(self.path, _TABLE, journal="WAL", busy_s=BUSY_S)
        except (sqlite3.Error, OSError) as trouble:
            raise JournalError(f"{self.path}: {trouble}; wanted the history of the fleet") from trouble
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def add(
        self,
        what: What,
        name: str,
        *,
        version: int = 0,
        note: str = "",
        status: str = "",
        document: Document | None = None,
    ) -> Entry:
        """Write down what was done or seen.

        Args:
            what: As `Entry` has it.
            name: Of whom.
            version: Of the document; left out, what the document says.
            note: In words.
            status: As `Entry` has it.
            document: As it was signed; one that cannot be signed once more is not kept, and the note says so.

        Raises:
            JournalError: It cannot be written.
            SecretError: The key cannot be used.
        """
        assert self._signer is not None, "whoever has no key changes nothing"
        number = version or document_number(document, "version")
        with self._writing():
            seq, previous = self._end()
            signed = self._signed(
                {
                    "schema": HISTORY_SCHEMA,
                    "seq": seq + 1,
                    "previous": previous,
                    "at": told(self._clock.utc_ns()),
                    "by": self._by,
                    "what": what,
                    "name": name,
                    "version": number,
                    "note": note,
                    **({"status": status} if status else {}),
                    "document": None if document is None else dict(document),
                }
            )
            row = (seq + 1, name, number, digest_of(signed), json.dumps(signed, ensure_ascii=False))
            self._do("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row)
        return entry_of(signed)

    def entries(self, name: str | None = None) -> Iterator[Entry]:
        """Yield what was written down, oldest first; of one name or of all.

        Raises:
            JournalError: It cannot be read.
        """
        where, given = ("WHERE name = ?", (name,)) if name else ("", ())
        for (body,) in self._do(f"SELECT body FROM entries {where} ORDER BY seq", given):  # noqa: S608  # constants
            yield entry_of(json.loads(body))

    def documents(self, name: str, version: int) -> list[Document]:
        """Return each different document of a version that was ever seen; two where two wrote at once.

        Raises:
            JournalError: It cannot be read.
        """
        rows = self._do(
            "SELECT body FROM entries WHERE name = ? AND version = ? ORDER BY seq", (name, version)
        )
        found: list[Document] = []
        for (body,) in rows:
            document = entry_of(json.loads(body)).document
            if document is not None and document not in found:
                found.append(document)
        return found

    def committed(self, name: str) -> int:
        """Return the version that was last seen to be at work with all whom it concerns, 0 for none.

        Raises:
            JournalError: It cannot be read.
        """
        rows = self._do("SELECT body FROM entries WHERE name = ? ORDER BY seq DESC", (name,))
        entries = (entry_of(json.loads(body)) for (body,) in rows)
        return next((one.version for one in entries if one.status == COMMITTED), 0)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keep other tools from writing; what is done within becomes durable as a whole, or not at all."""
        self._do("BEGIN IMMEDIATE")
        is_done = False
        try:
            yield
            self._do("COMMIT")
            is_done = True
        finally:
            if not is_done:
                with suppress(JournalError):
                    self._do("ROLLBACK")

    def _signed(self, entry: dict[str, Any]) -> dict[str, Any]:
        assert self._signer is not None, "asked before"
        try:
            return self._signer.sign(entry)
        except DocumentRefusedError as refused:
            if entry["document"] is None:
                raise
            note = "; ".join(part for part in (entry["note"], f"the document is not kept: {refused}") if part)
            return self._signed({**entry, "document": None, "note": ascii(note)})

    def _end(self) -> tuple[int, str]:
        """Return number and digest of the last entry."""
        rows = self._do("SELECT seq, digest FROM entries ORDER BY seq DESC LIMIT 1")
        return rows[0] if rows else (0, BEGINNING)

    def _do(self, statement: str, given: tuple[object, ...] = ()) -> list[Any]:
        assert self._connection is not None, "inside the with"
        try:
            return self._connection.execute(statement, given).fetchall()
        except sqlite3.Error as trouble:
            raise JournalError(f"{self.path}: {trouble}") from trouble

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def entry_of(body: Document) -> Entry:
    """Return the entry that a signed document is; parts that it lacks are empty."""
    document, signature = body.get("document"), body.get("signature")
    return Entry(
        seq=document_number(body, "seq"),
        at=document_text(body, "at"),
        by=document_text(body, "by"),
        what=document_text(body, "what"),
        name=document_text(body, "name"),
        version=document_number(body, "version"),
        note=document_text(body, "note"),
        status=document_text(body, "status"),
        document=document if isinstance(document, Mapping) else None,
        key=document_text(signature if isinstance(signature, Mapping) else None, "key"),
        body=body,
    )


def broken(bodies: Iterator[Document], keys: KeyRing) -> Iterator[str]:
    """Yield what is wrong with a history, or with an export of one: gaps, changes, signatures of nobody.

    Entries by keys that nobody lists are not among it: `by_others` counts them.

    Args:
        bodies: The entries as they were signed, oldest first, from the first one on.
        keys: Whose entries are believed.
    """
    seq, previous = 0, BEGINNING
    for body in bodies:
        place = f"entry {body.get('seq')}"
        if body.get("seq") != seq + 1:
            yield f"{place}: follows entry {seq}: something between them is missing, or was put there"
        elif body.get("previous") != previous:
            yield f"{place}: does not follow from entry {seq}: one of the two was changed"
        try:
            keys.check(body)
            previous = digest_of(body)
        except DocumentRefusedError as refused:
            if not _key_unlisted(body, refused):
                yield f"{place}: {refused}"
            with suppress(DocumentRefusedError):
                previous = digest_of(body)
        seq = document_number(body, "seq")


def by_others(bodies: Iterator[Document], keys: KeyRing) -> Counter[str]:
    """Return how many entries are by keys that are not listed, by their names: nobody can verify those."""
    counts: Counter[str] = Counter()
    for body in bodies:
        try:
            keys.check(body)
        except DocumentRefusedError as refused:
            counts.update([key] if (key := _key_unlisted(body, refused)) else [])
    return counts


def _key_unlisted(body: Document, refused: DocumentRefusedError) -> str:
    """Return the name of the key, where that it is not listed is all that was found; else ""."""
    return signer_of(body) if refused.path == UNKNOWN_KEY else ""
