"""A device of the fleet in processes of its own, each of which can be killed at a chosen place.

`python -m tests.faults.fleet_process` reads one JSON object a line: `folder`, `offers` (versions), `cut`, and
`kill_after_ms`. A cut is `before`, `within`, `unmirrored` or `after` and a state: the write with which
version 2 enters it; `during` and a method of the device; `counting before` or `counting after` the write in
which a start counts a trial; or empty. For each line it forks a process, which is killed by SIGKILL there, or
then, and answers with what that process saw, or `{"killed": true}`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from edge.fleet import boot, memory
from edge.fleet.ledger import Ledger, Transition
from edge.fleet.memory import SqliteMemory
from tests.builders.fleet import Life, desired
from tests.fakes.clock import FakeClock
from tests.fakes.fleet_device import Faults, ProcessEnded

VERSION = 2


class MortalMemory(SqliteMemory):
    """Takes the process with it at one of its writes."""

    place = what = ""  # of the process

    def write(self, ledger: Ledger, entries: Sequence[Transition] = ()) -> None:
        is_counted = ledger.trial is not None and ledger.trial.finds > 0
        enters = [entry.state.value for entry in entries if entry.version == VERSION]
        moment = self.place if self.what in enters else ""
        moment = self.what if is_counted and self.place == "counting" else moment
        if moment == "before":
            kill()
        if moment in ("within", "unmirrored"):
            {"within": kill_before_commit, "unmirrored": kill_before_mirror}[moment]()
        super().write(ledger, entries)
        if moment == "after":
            kill()


def kill_before_commit() -> None:
    change = memory._change

    def last(*given: Any) -> None:
        change(*given)
        kill()

    vars(memory)["_change"] = last  # in a process of its own, which dies of it


def kill_before_mirror() -> None:
    vars(memory)["floors_tree"] = kill


def main() -> None:
    """Live one life for each line."""
    for line in sys.stdin:
        print(json.dumps(one_life(json.loads(line))), flush=True)


def one_life(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, json.dumps(live(asked)).encode())
        os._exit(0)
    os.close(writing)
    if asked["kill_after_ms"]:
        select.select([reading], [], [], asked["kill_after_ms"] / 1000)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    seen: Mapping[str, Any] = {"killed": True} if was_killed else json.loads(told)
    return seen


def live(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Begin, take versions, and say what is at work in the end."""
    place, _, what = asked["cut"].partition(" ")
    MortalMemory.place, MortalMemory.what = place, what
    vars(boot)["SqliteMemory"] = MortalMemory  # for `choose`
    folder, clock = Path(asked["folder"]), FakeClock()
    chosen = boot.choose(folder, clock=clock)
    with MortalMemory(folder) as opened:
        life = Life(opened, clock, boot=chosen, faults=Faults(ends_in=what if place == "during" else ""))
        try:
            life.run()
            for version in asked["offers"]:
                life.offer(desired(version))
                life.run()
        except ProcessEnded:
            kill()
        return {
            "is_trial": chosen.is_trial,
            "at_work": life.device.config,
            "applied": life.machine.snapshot().own.applied_version,
            "ends": [[entry.version, entry.state.value] for entry in life.told if entry.state.is_end],
        }


def kill(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


if __name__ == "__main__":
    main()
