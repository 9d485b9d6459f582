"""Doing something again and again, each time when it is due, on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

from edge.domain.errors import EdgeError


class Pace:
    """Calls `step(number)` for 0, 1, 2 … while its `with` lasts.

    A step that comes too late is not made up for; the next one comes when it is due.

    Attributes:
        done: How many steps were made.
        missed: How many were left out because one before took too long.
        trouble: What ended it before its time, or None.
    """

    def __init__(
        self, step: Callable[[int], None], *, period_s: float, name: str, steps_max: int | None = None
    ) -> None:
        """Choose what is done.

        Args:
            step: What is done; OSError or EdgeError ends it.
            period_s: Time from the beginning of one step to the next; above 0.
            name: Of the thread.
            steps_max: How often; None for no end.
        """
        assert period_s > 0, f"a period of {period_s} s"
        self.done = self.missed = 0
        self.trouble: EdgeError | OSError | None = None
        self._step = step
        self._period_s = period_s
        self._steps_max = steps_max
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def is_over(self) -> bool:
        """Whether it has done what it was asked for, or failed."""
        return not self._thread.is_alive()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return when it is over, or the time is."""
        self._thread.join(timeout_s)
        return self.is_over

    def _run(self) -> None:
        due_s = time.monotonic()
        while self._steps_max is None or self.done < self._steps_max:
            if self._stopping.wait(max(due_s - time.monotonic(), 0)):
                return
            try:
                self._step(self.done)
            except (OSError, EdgeError) as trouble:
                self.trouble = trouble
                return
            self.done += 1
            late = int(max(time.monotonic() - due_s - self._period_s, 0) / self._period_s)
            self.missed += late
            due_s += self._period_s * (1 + late)
