"""Ends a run in the middle when its time is up: a thread that sleeps until it is needed."""

from __future__ import annotations

import threading
import time
from typing import Protocol

NEVER_S = float("inf")


class Endable(Protocol):
    """A run that looks at this now and then."""

    terminate: bool


class Ender:
    """One run at a time, each with its time; a `threading.Timer` for each run costs 0.1 ms of 3.

    The thread starts with the first run and wakes only when a time may be up, not for each run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._run: Endable | None = None
        self._ends_s = NEVER_S
        self._wakes_s = NEVER_S
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def begin(self, run: Endable, *, after_s: float) -> None:
        """Set `run.terminate` if `end` is not called within `after_s`."""
        with self._lock:
            self._run, self._ends_s = run, time.monotonic() + after_s
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="engine-deadline", daemon=True)
                self._thread.start()
            elif self._ends_s < self._wakes_s:
                self._changed.notify()

    def end(self) -> None:
        """The run is done."""
        with self._lock:
            self._run = None

    def close(self) -> None:
        """Stop; no run is going on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_closed:
                if self._run is not None and self._ends_s <= time.monotonic():
                    self._run.terminate = True
                    self._run = None
                self._wakes_s = NEVER_S if self._run is None else self._ends_s
                left_s = self._wakes_s - time.monotonic()
                self._changed.wait(None if self._wakes_s == NEVER_S else min(left_s, threading.TIMEOUT_MAX))
