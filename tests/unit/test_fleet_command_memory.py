"""Each command is executed once, also where its memory is out of reach, or lost."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from edge.domain.errors import JournalError
from edge.fleet import errands
from edge.fleet.commands import Commands
from edge.fleet.errands import FILE, Errand, Errands
from tests.builders.fleet import DEVICE, key_ring, moment, signed
from tests.fakes.clock import FakeClock
from tests.waiting import until


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


def test_a_command_whose_end_could_not_be_remembered_is_not_said_to_be_executing_and_is_remembered_later(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    ended = threading.Event()
    payload = signed(
        {
            "schema": "edge.cmd/1",
            "state": "init",
            "device": DEVICE,
            "cmd": "selftest/a",
            "issued": moment(clock),
            "expires": moment(clock, in_s=3600),
            "args": {},
        }
    )

    def full(_: Errand) -> None:
        raise JournalError("disk full")

    with Errands(tmp_path, clock) as memory:
        commands = Commands(
            errands=memory,
            keys=key_ring(),
            device=DEVICE,
            executors={"selftest": lambda _: {}},
            is_frozen=False,
            say=lambda _cmd, document, *_: said.append(document["state"]),
            wake=ended.set,
            clock=clock,
        )
        with commands:
            commands.hear("selftest/a", payload)
            commands.turn()
            until(ended.is_set, within_s=10)
            with monkeypatch.context() as broken:
                broken.setattr(memory, "settle", full)
                with pytest.raises(JournalError, match="disk full"):
                    commands.turn()
                commands.say_again()
                commands.hear("selftest/a", payload)
            assert said == ["executing", "successful", "successful", "successful"]
            commands.turn()
            known = memory.known("selftest/a")
            assert known is not None
            assert known.state == "successful"
