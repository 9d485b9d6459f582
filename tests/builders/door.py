"""A door with its intake and journal, in this process or in one that a test may kill; and dcmtk's beside it.

usage: python -m tests.builders.door FOLDER [RESERVE_BYTES]     prints the port, then serves until stdin ends
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.domain.study import Instance
from edge.kit.clock import SystemClock
from edge.kit.journal import Journal
from edge.kit.stage import Stage
from edge.sources.dicom import Caller, DicomDoor
from edge.studies.intake import EVERY_STATE, QUEUE, JournaledIntake, instance_of
from tests.ports import free_port
from tests.waiting import until

AE_TITLE = "EDGE"
NO_DELAY = {**os.environ, "TCP_NODELAY": "1"}  # without it dcmtk waits 40 ms for each acknowledgement


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """A door that listens."""

    door: DicomDoor
    journal: Journal
    folder: Path
    kept: list[Instance] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.door.port

    def instances(self) -> list[Instance]:
        """What the journal answers for."""
        return [instance_of(item) for item in self.journal.items(QUEUE, states=EVERY_STATE)]


@contextmanager
def open_door(folder: Path, *, reserve_bytes: int = 0, **options: Any) -> Iterator[OpenDoor]:
    """Open a door on a free port of the loopback; `options` go to the door."""
    clock = SystemClock()
    with Journal(folder / "journal.db", clock) as journal:
        door = DicomDoor(
            "door",
            **{
                "host": "127.0.0.1",
                "port": 0,
                "ae_title": AE_TITLE,
                "allowed": [Caller()],
                "associations_max": 16,
                "spool": folder / "spool",
                "reserve_bytes": reserve_bytes,
                "clock": clock,
                "stage": Stage("door", clock),
                **options,
            },
        )
        opened = OpenDoor(door, journal, folder)
        intake = JournaledIntake(
            journal,
            folder=folder / "intake",
            reserve_bytes=reserve_bytes,
            clock=clock,
            on_kept=opened.kept.append,
            on_closed=opened.closed.append,
        )
        intake.recover()
        with door.serve(intake):
            yield opened


@contextmanager
def door_process(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a door in a process of its own; it is killed at the end, if it still lives."""
    command = [sys.executable, "-m", "tests.builders.door", str(folder), *arguments]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield child, int(child.stdout.readline())
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """Run dcmtk's receiver into `folder`; yields its port."""
    folder.mkdir()
    port = free_port()
    receiver = subprocess.Popen(["/usr/bin/storescp", *options, "-od", str(folder), str(port)], env=NO_DELAY)
    try:
        until(lambda: _listens(port), within_s=5, what=f"storescp on {port}")
        yield port
    finally:
        receiver.kill()
        receiver.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    folder = Path(sys.argv[1])
    reserve_bytes = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with open_door(folder, reserve_bytes=reserve_bytes) as door:
        print(door.port, flush=True)  # whoever started it reads this
        sys.stdin.read()


if __name__ == "__main__":
    main()
