"""What was set aside, read from a journal that another process may be writing."""

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
    try:
        reader = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return to_items(reader.execute("SELECT * FROM items WHERE state = 'set_aside' ORDER BY id"))
        finally:
            reader.close()
    except sqlite3.Error as trouble:
        raise JournalError(f"{path}: {trouble}; wanted the journal of a daemon") from trouble
