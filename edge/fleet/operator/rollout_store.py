"""Where a roll-out is written down: in a file of the operator's machine, and at the broker for all others.

It is written in pieces, each a signed document of its own, so that a change of one device repeats a few
kilobytes and not the whole: `<id>` with the conditions, `<id>.m<n>` with 100 devices each, `<id>.c<digest>`
with what devices had before, `<id>.o` with the last order, `<id>.h` with who runs it. Each says its own name,
so that it is worth nothing in another place, and has a number that grows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pydantic import TypeAdapter, ValidationError

from edge.domain.errors import FormatError, JournalError
from edge.fleet.operator.rollout_content import digest_of_content
from edge.fleet.operator.rollout_state import Content, Member, Rollout
from edge.kit.memory_file import open_memory

Document = Mapping[str, Any]

FILE: Final = "rollouts.db"
BUSY_S: Final = 5.0
HEAD_SCHEMA: Final = "edge.rollout/1"
MEMBERS_SCHEMA: Final = "edge.rollout-devices/1"
CONTENT_SCHEMA: Final = "edge.rollout-content/1"
MEMBERS_MAX: Final = 100
_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS pieces
    (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, document TEXT NOT NULL)
"""
_HEAD: Final = TypeAdapter(Rollout)
_MEMBERS: Final = TypeAdapter(dict[str, Member])
_CONTENT: Final = TypeAdapter(Content)
_USUAL: Final = asdict(Member(ring=-1))


class RolloutStore:
    """The file of one operator's machine, while its `with` lasts; each write is durable when it returns."""

    def __init__(self, folder: Path) -> None:
        """Store where; the folder is made."""
        self.path = folder / FILE
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Open.

        Raises:
            JournalError: It cannot be used.
        """
        try:
            self._connection = open_memory(self.path, _TABLE, journal="WAL", busy_s=BUSY_S)
        except (sqlite3.Error, OSError) as trouble:
            raise JournalError(f"{self.path}: {trouble}; wanted the file of roll-outs") from trouble
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def write(self, pieces: Mapping[str, Document]) -> None:
        """Keep pieces, all or none.

        Raises:
            JournalError: They could not be kept.
        """
        rows = [
            (name, piece["revision"], json.dumps(piece, ensure_ascii=False)) for name, piece in pieces.items()
        ]
        assert self._connection is not None, "inside the with"
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                self._connection.executemany("INSERT OR REPLACE INTO pieces VALUES (?, ?, ?)", rows)
        except sqlite3.Error as trouble:
            raise JournalError(f"{self.path}: {trouble}") from trouble

    def pieces(self) -> Mapping[str, Document]:
        """Return all that is kept, by name.

        Raises:
            JournalError: It cannot be read.
        """
        assert self._connection is not None, "inside the with"
        try:
            rows = self._connection.execute("SELECT name, document FROM pieces").fetchall()
            return {name: json.loads(document) for name, document in rows}
        except (sqlite3.Error, ValueError) as trouble:
            raise JournalError(f"{self.path}: {trouble}") from trouble


def pieces_of(rollout: Rollout, before: Rollout | None = None) -> dict[str, dict[str, Any]]:
    """Return the pieces of a roll-out that differ from those of an earlier moment.

    They come in the order in which they are to be kept, so that what is there of them makes sense at any
    moment: what devices had, the conditions, the devices; an end is told last. What only words have changed
    in is left out: whoever looks hears those from the devices.

    Args:
        rollout: As it is now.
        before: As it was written down last, or None.
    """
    contents: dict[str, dict[str, Any]] = {}
    for digest, content in rollout.contents.items():
        if before is None or digest not in before.contents:
            name = f"{rollout.id}.c{digest.removeprefix('sha256:')[:32]}"
            contents[name] = {
                "schema": CONTENT_SCHEMA,
                "name": name,
                "revision": 1,
                "digest": digest,
                **asdict(content),
            }
    known = {} if before is None else dict(enumerate(_groups(before)))
    members = {
        f"{rollout.id}.m{number}": {
            "schema": MEMBERS_SCHEMA,
            "name": f"{rollout.id}.m{number}",
            "revision": rollout.revision,
            "members": {name: _told(member) for name, member in group.items()},
        }
        for number, group in enumerate(_groups(rollout))
        if not _is_alike(group, known.get(number))
    }
    head = _head(rollout)
    if before is not None and {**head, "revision": 0} == {**_head(before), "revision": 0}:
        return contents | members
    return contents | (members | {rollout.id: head} if rollout.phase.is_end else {rollout.id: head} | members)


def _is_alike(members: Mapping[str, Member], before: Mapping[str, Member] | None) -> bool:
    """Whether nothing but words differs, of those that are on their way."""
    return before is not None and all(
        member is (earlier := before[name])
        or (not member.step.is_end and replace(member, why=earlier.why) == earlier)
        or member == earlier
        for name, member in members.items()
    )


def rollout_of(rollout_id: str, *sources: Mapping[str, Document]) -> Rollout:
    """Put a roll-out together from its pieces, each the newest that any source has.

    Args:
        rollout_id: Names it.
        sources: Pieces by name: those of the file, those at the broker.

    Raises:
        FormatError: There is none of that id, or it is not whole; which piece is missing.
    """
    newest: dict[str, Document] = {}
    for name, piece in (item for source in sources for item in source.items()):
        if name.partition(".")[0] == rollout_id and _number(piece) > _number(newest.get(name)):
            newest[name] = piece
    head = newest.get(rollout_id)
    if head is None:
        raise FormatError(f"{rollout_id}: there is no such roll-out, neither here nor at the broker")
    try:
        members: dict[str, Member] = {}
        groups = [f"{rollout_id}.m{number}" for number in range(-(-int(head["devices"]) // MEMBERS_MAX))]
        for name in groups:
            members |= _MEMBERS.validate_python(_piece(newest, name)["members"])
        digests = {member.before for member in members.values() if member.before}
        contents = {digest: _content(newest, rollout_id, digest) for digest in sorted(digests)}
        revision = max(_number(newest[name]) for name in (rollout_id, *groups))
        bare = {
            key: value for key, value in head.items() if key not in ("schema", "name", "devices", "signature")
        }
        rollout = _HEAD.validate_python({**bare, "members": {}, "contents": {}})
    except (ValidationError, KeyError, TypeError, ValueError) as trouble:
        raise FormatError(f"{rollout_id}: what is written down of it is no roll-out: {trouble}") from trouble
    return replace(rollout, members=members, contents=contents, revision=revision)


def known_ids(*sources: Mapping[str, Document]) -> Sequence[str]:
    """Return the ids of all roll-outs that any source knows, sorted."""
    return sorted(
        {name for source in sources for name, piece in source.items() if piece.get("schema") == HEAD_SCHEMA}
    )


def _piece(pieces: Mapping[str, Document], name: str) -> Document:
    if name not in pieces:
        raise FormatError(f"{name}: this piece is missing, here and at the broker; resume where it was begun")
    return pieces[name]


def _content(pieces: Mapping[str, Document], rollout_id: str, digest: str) -> Content:
    piece = _piece(pieces, f"{rollout_id}.c{digest.removeprefix('sha256:')[:32]}")
    content = _CONTENT.validate_python({"config": piece["config"], "bundles": piece["bundles"]})
    if digest_of_content(content) != digest:
        raise FormatError(f"{piece.get('name')}: is not the content that it says it is")
    return content


def _head(rollout: Rollout) -> dict[str, Any]:
    bare = asdict(replace(rollout, members={}, contents={}))
    kept = {key: value for key, value in bare.items() if key not in ("members", "contents")}
    plain: dict[str, Any] = json.loads(json.dumps(kept))
    return {"schema": HEAD_SCHEMA, "name": rollout.id, **plain, "devices": len(rollout.members)}


def _groups(rollout: Rollout) -> Iterator[dict[str, Member]]:
    """Yield the members in groups; their order never changes."""
    items = list(rollout.members.items())
    for start in range(0, len(items), MEMBERS_MAX):
        yield dict(items[start : start + MEMBERS_MAX])


def _told(member: Member) -> dict[str, Any]:
    """Return a member in plain values, without what is as it was in the beginning."""
    values = ((name, getattr(member, name), usual) for name, usual in _USUAL.items())
    return {name: _plain(value) for name, value, usual in values if value != usual}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, str) else value  # a word of ours is a text


def _number(piece: Document | None) -> int:
    revision = None if piece is None else piece.get("revision")
    return revision if isinstance(revision, int) else 0
