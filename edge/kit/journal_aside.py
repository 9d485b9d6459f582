"""What was set aside, and the rest of its groups, read from a journal that another process may be writing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edge.domain.errors import JournalError
from edge.kit.journal_rows import Item, to_items


def set_aside(path: Path) -> list[Item]:
    """Return every item that was set aside, in order of arrival; changes nothing.

    Args:
        path: The journal; its process may be running.

    Raises:
        JournalError: There is none, or it cannot be read.
    """
    return _read(path, "SELECT * FROM items WHERE state = 'set_aside' ORDER BY id")


def group(path: Path, queue: str, name: str) -> list[Item]:
    """Return every item of a group, whatever became of it, in order of arrival; changes nothing.

    Args:
        path: The journal; its process may be running.
        queue: Of the items.
        name: Of the group.

    Raises:
        JournalError: There is none, or it cannot be read.
    """
    return _read(path, "SELECT * FROM items WHERE queue = ? AND grp = ? ORDER BY id", queue, name)


def _read(path: Path, query: str, *values: str) -> list[Item]:
    try:
        reader = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return to_items(reader.execute(query, values))
        finally:
            reader.close()
    except sqlite3.Error as trouble:
        raise JournalError(f"{path}: {trouble}; wanted the journal of a daemon") from trouble
