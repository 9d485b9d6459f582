"""The memory of the fleet is damaged, lost or out of reach: the device begins, and below no floor."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from edge.domain.errors import JournalError
from edge.fleet import boot
from edge.fleet.boot import Boot
from edge.fleet.memory import DamagedError, SqliteMemory
from tests.builders.fleet import Life, desired
from tests.fakes.clock import FakeClock


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a device that has committed two versions."""
    folder = tmp_path_factory.mktemp("left")
    with SqliteMemory(folder) as memory:
        life = Life(memory, FakeClock())
        for version in (1, 2):
            life.offer(desired(version))
            life.run()
        assert life.last() == ("committed", 2, "ok")
    return folder


@pytest.fixture
def folder(tmp_path: Path, left: Path) -> Path:
    return shutil.copytree(left, tmp_path / "fleet")


def begun(folder: Path, clock: FakeClock, version: int) -> tuple[str, int, str]:
    """Begin, offer a version, and say what became of it."""
    chosen = boot.choose(folder, clock=clock)
    with SqliteMemory(folder) as memory:
        life = Life(memory, clock, boot=chosen)
        life.offer(desired(version))
        life.run()
        assert life.told
        return life.last()


def test_a_device_without_a_fleet_leaves_nothing_behind(tmp_path: Path, clock: FakeClock) -> None:
    assert boot.choose(tmp_path / "fleet", clock=clock) == Boot()
    assert not (tmp_path / "fleet").exists()


def test_a_start_reads_what_another_process_wrote(folder: Path, clock: FakeClock) -> None:
    chosen = boot.choose(folder, clock=clock)
    assert chosen.wanted is not None
    assert (chosen.wanted.config, chosen.why) == ({"device": 2}, "")
    instead = boot.failed(folder, "not today", after=chosen, clock=clock)
    assert instead.wanted is not None
    assert instead.wanted.config == {"device": 1}


@pytest.mark.parametrize("kept_bytes", [0, 1, 100, 4096, 5000])
def test_half_a_file_is_not_believed_and_the_floors_hold(
    folder: Path, clock: FakeClock, kept_bytes: int
) -> None:
    os.truncate(folder / "fleet.db", kept_bytes)
    chosen = boot.choose(folder, clock=clock)
    assert chosen.wanted is None
    assert chosen.why.endswith("begun with the YAML alone")
    assert begun(folder, clock, 1) == ("rejected", 1, "superseded")
    assert begun(folder, clock, 2) == ("committed", 2, "ok")


def test_damage_is_told_and_what_is_left_can_be_looked_at(folder: Path, clock: FakeClock) -> None:
    damaged = b"no database" * 1000
    (folder / "fleet.db").write_bytes(damaged)
    chosen = boot.choose(folder, clock=clock)
    assert "set aside as fleet.db.damaged-" in chosen.why
    (aside,) = folder.glob("fleet.db.damaged-*")
    assert aside.read_bytes() == damaged


def test_a_fact_that_is_not_what_was_written_is_damage(folder: Path, clock: FakeClock) -> None:
    with sqlite3.connect(folder / "fleet.db") as rows:
        rows.execute("UPDATE facts SET fact = replace(fact, 'device', 'divice') WHERE name = 'committed'")
    rows.close()
    with pytest.raises(DamagedError, match="committed is not what was written"), SqliteMemory(folder):
        pass
    assert "committed" in boot.choose(folder, clock=clock).why


def test_a_table_of_somebody_else_is_damage(folder: Path, clock: FakeClock) -> None:
    with sqlite3.connect(folder / "fleet.db") as rows:
        rows.executescript("DROP TABLE facts; CREATE TABLE facts (something);")
    rows.close()
    assert "set aside" in boot.choose(folder, clock=clock).why


def test_a_file_that_somebody_removed_costs_no_floor(folder: Path, clock: FakeClock) -> None:
    (folder / "fleet.db").unlink()
    assert boot.choose(folder, clock=clock).why.endswith("is lost; begun with the YAML alone")
    assert begun(folder, clock, 1) == ("rejected", 1, "superseded")
    assert begun(folder, clock, 2) == ("committed", 2, "ok")


def test_a_cut_while_damage_is_set_aside_costs_no_floor(folder: Path, clock: FakeClock) -> None:
    (folder / "fleet.db").replace(folder / "fleet.db.damaged-1")
    (folder / "fleet.db-journal").write_bytes(b"what belonged to it")
    assert begun(folder, clock, 1) == ("rejected", 1, "superseded")


def test_a_mirror_that_is_behind_is_written_again(folder: Path, clock: FakeClock) -> None:
    (folder / "floors.json").unlink()
    boot.choose(folder, clock=clock)
    (folder / "fleet.db").write_bytes(b"damaged")
    assert begun(folder, clock, 1) == ("rejected", 1, "superseded")


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"device": 3}', b'{"device": {"version": "x"}}', b"\xff"])
def test_a_mirror_that_is_damaged_as_well_stops_nobody(
    folder: Path, clock: FakeClock, content: bytes
) -> None:
    (folder / "floors.json").write_bytes(content)
    (folder / "fleet.db").write_bytes(b"damaged")
    assert boot.choose(folder, clock=clock).wanted is None
    assert begun(folder, clock, 2) == ("committed", 2, "ok")


def test_only_the_last_few_that_were_damaged_are_kept(folder: Path, clock: FakeClock) -> None:
    for _ in range(6):
        (folder / "fleet.db").write_bytes(b"damaged")
        boot.choose(folder, clock=clock)
        clock.advance(1)
    assert len(list(folder.glob("fleet.db.damaged-*"))) == 3


def test_a_memory_that_another_process_holds_is_left_alone(folder: Path, clock: FakeClock) -> None:
    holder = sqlite3.connect(folder / "fleet.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.fleet.memory.BUSY_S", 0.05)
        chosen = boot.choose(folder, clock=clock)
    holder.close()
    assert "cannot be used" in chosen.why
    assert list(folder.glob("*damaged*")) == []


def test_a_write_that_fails_leaves_what_was_there(folder: Path, clock: FakeClock) -> None:
    with SqliteMemory(folder) as memory:
        before = memory.read()
        limit(folder / "fleet.db", memory)
        life = Life(memory, clock, boot=Boot())
        life.offer(desired(3, config={"device": "long " * 10_000}))
        life.run(for_s=1)
        assert memory.read() == before
        assert "full" in life.machine.snapshot().troubles["fleet-memory"]
    assert shutil.disk_usage(folder).free > 0


def limit(path: Path, memory: SqliteMemory) -> None:
    """Let the file grow no more, as a full disk would."""
    rows = memory._opened()
    pages = rows.execute("PRAGMA page_count").fetchone()[0]
    rows.execute(f"PRAGMA max_page_count = {pages}")


def test_a_disk_that_takes_nothing_can_still_be_read(folder: Path, clock: FakeClock) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteMemory, "write", refuse)
        chosen = boot.choose(folder, clock=clock)
    assert chosen.wanted is not None
    assert chosen.wanted.config == {"device": 2}


def refuse(*_: object) -> None:
    raise JournalError("fleet.db: disk full")
