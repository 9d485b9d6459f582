"""A small file in which something is remembered: whole, durable, and told apart from one out of reach."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.kit.memory_file import is_damage, open_memory

TABLES = "CREATE TABLE IF NOT EXISTS notes (text TEXT);"


def pragma(rows: sqlite3.Connection, name: str) -> object:
    return rows.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(("journal", "synchronous"), [("WAL", 2), ("DELETE", 3)])
def test_what_is_written_is_on_the_medium_and_there_again(
    tmp_path: Path, journal: str, synchronous: int
) -> None:
    path = tmp_path / "new" / "notes.db"
    for times in (1, 2):
        with closing(open_memory(path, TABLES, journal=journal, busy_s=1)) as rows:  # type: ignore[arg-type]  # parametrized
            assert (pragma(rows, "journal_mode"), pragma(rows, "synchronous")) == (
                journal.lower(),
                synchronous,
            )
            rows.execute("INSERT INTO notes VALUES ('a')")
            assert rows.execute("SELECT count(*) FROM notes").fetchone() == (times,)


def test_a_broken_file_is_damage_and_one_out_of_reach_is_not(tmp_path: Path) -> None:
    broken, held = tmp_path / "broken.db", tmp_path / "held.db"
    broken.write_bytes(b"not a database" * 400)
    with pytest.raises(sqlite3.Error) as damage:
        open_memory(broken, TABLES, journal="DELETE", busy_s=1, is_checked=True)
    assert is_damage(damage.value)
    with closing(open_memory(held, TABLES, journal="DELETE", busy_s=1)) as rows:
        rows.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.Error) as locked:
            open_memory(held, TABLES, journal="DELETE", busy_s=0.01, is_checked=True)
    assert not is_damage(locked.value)
    assert not is_damage(OSError("no folder"))
