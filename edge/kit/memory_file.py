"""A small SQLite file in which something is remembered: opened, made where it is missing, and whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, Literal

_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DURABLE: Final = {"WAL": "FULL", "DELETE": "EXTRA"}  # what makes a commit outlive a power cut


def open_memory(
    path: Path,
    tables: str,
    *,
    journal: Literal["WAL", "DELETE"],
    busy_s: float,
    is_checked: bool = False,
    has_one_thread: bool = True,
) -> sqlite3.Connection:
    """Open a file of which every commit is on the medium when it returns; whoever has it closes it.

    Args:
        path: Of the file; missing folders are made.
        tables: Makes what is not there yet.
        journal: `WAL` lets others read while one writes; `DELETE` can be read where the disk is full.
        busy_s: So long another process may hold the file.
        is_checked: Its pages are looked at first.
        has_one_thread: The one that opens it; where it is False, whoever shares it brings a lock.

    Raises:
        sqlite3.Error: It cannot be used; nothing is left open. `is_damage` says whether it is broken.
        OSError: There cannot be a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = sqlite3.connect(path, isolation_level=None, timeout=busy_s, check_same_thread=has_one_thread)
    try:
        rows.execute(f"PRAGMA journal_mode={journal}")
        rows.execute(f"PRAGMA synchronous={_DURABLE[journal]}")
        rows.executescript(tables)
        found = rows.execute("PRAGMA quick_check(1)").fetchone()[0] if is_checked else "ok"
        if found != "ok":
            raise sqlite3.DatabaseError(str(found))
    except sqlite3.Error:
        rows.close()
        raise
    return rows


def is_damage(trouble: Exception) -> bool:
    """Return whether a file is broken, rather than out of reach: locked, or on a disk that is full."""
    code = getattr(trouble, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return isinstance(trouble, sqlite3.Error) and code & 0xFF in _DAMAGE
