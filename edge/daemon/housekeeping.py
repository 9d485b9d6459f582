"""The thread that keeps house: writes the status, and lets go of what was kept long enough."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edge.config.schema import Config
from edge.domain.errors import StorageFullError
from edge.domain.ports import Clock
from edge.kit.journal import Journal
from edge.kit.log import Log
from edge.kit.memory import give_back
from edge.ops.retention import sweep
from edge.ops.status import StatusFile

SWEEP_S: Final = 60.0
PERIOD_SEEN_S: Final = 1.0


class Housekeeping:
    """Keeps house until it is stopped.

    Args:
        journal: Whose old rows go, and the files with them.
        folder: Of the state.
        status: Is written once a period.
        write_down: What else is written then; may grow.
        now: Returns the configuration at work, which may become another meanwhile.
        stopping: Ends it.
        clock: Time.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        folder: Path,
        status: StatusFile,
        write_down: Sequence[Callable[[], None]],
        now: Callable[[], Config],
        stopping: threading.Event,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._folder = folder
        self._status = status
        self._write_down = write_down
        self._now = now
        self._stopping = stopping
        self._clock = clock
        self._log = Log("daemon")

    def run(self) -> None:
        """Keep house; the body of the thread."""
        sweep_ns = self._clock.monotonic_ns()  # at once: we may have been started again for want of space
        while not self._stopping.is_set():
            if self._clock.monotonic_ns() >= sweep_ns:
                sweep_ns = self._clock.monotonic_ns() + round(SWEEP_S * 1e9)
                self._sweep()
                give_back()
            for write_down in list(self._write_down):
                write_down()
            self._status.write()
            self._pause()

    def _pause(self) -> None:
        """Wait for the period, which may become another meanwhile; never longer than a sweep may wait."""
        began_ns = self._clock.monotonic_ns()
        while True:
            period_s = min(self._now().health.period_s, SWEEP_S)
            left_s = period_s - (self._clock.monotonic_ns() - began_ns) / 1e9
            if left_s <= 0:
                return
            if self._stopping.wait(min(left_s, PERIOD_SEEN_S)):
                return

    def _sweep(self) -> None:
        try:
            sweep(self._journal, self._folder / "intake", self._clock, self._now().retention)
        except StorageFullError as full:  # some files may be gone by now, and next time there is room
            self._log.error("not all was swept", because=full)
