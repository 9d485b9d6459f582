"""Each command is executed once, also where its memory is out of reach, or lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge.domain.errors import JournalError
from edge.fleet import errands
from edge.fleet.errands import FILE, Errand, Errands
from tests.fakes.clock import FakeClock


def take_up(folder: Path, clock: FakeClock) -> None:
    with Errands(folder, clock) as memory:
        errand = Errand(cmd="selftest/a", state="executing", expires_ns=clock.utc_ns() + 10**12, document={})
        memory.take_up(errand, issued_ns=clock.utc_ns())


def test_a_memory_that_somebody_else_holds_is_waited_for_and_not_thrown_away(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_up(tmp_path, clock)
    monkeypatch.setattr(errands, "BUSY_S", 0.01)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="locked"), Errands(tmp_path, clock):
        pass
    other.close()
    with Errands(tmp_path, clock) as memory:
        assert memory.known("selftest/a") is not None
        assert memory.begun_ns == 0


def test_what_may_have_been_forgotten_is_known_also_after_a_crash_while_the_memory_was_made_anew(
    tmp_path: Path, clock: FakeClock
) -> None:
    (tmp_path / f"{FILE}.damaged").write_bytes(b"set aside, and then the power was cut")
    with Errands(tmp_path, clock) as memory:
        assert memory.begun_ns == clock.utc_ns()


def test_a_memory_that_is_damaged_is_set_aside(tmp_path: Path, clock: FakeClock) -> None:
    take_up(tmp_path, clock)
    (tmp_path / FILE).write_bytes(b"nothing of ours" * 100)
    with Errands(tmp_path, clock) as memory:
        assert memory.known("selftest/a") is None
        assert memory.begun_ns == clock.utc_ns()
