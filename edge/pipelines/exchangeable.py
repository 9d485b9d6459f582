"""An assessor that may be exchanged while series come in: who looks at one is never exchanged under it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from edge.domain.study import Series
from edge.pipelines.result import Assessing, Result

LOOK_S: Final = 0.1


class Exchangeable:
    """An `Assessing` whose inside changes between two series; the next one waits for as long as that takes.

    Args:
        assessor: Looks at series until another is put.
    """

    def __init__(self, assessor: Assessing) -> None:
        self._assessor = assessor
        self._changed = threading.Condition()
        self._looking = 0
        self._is_changing = False

    def assess(self, series: Series) -> Result:
        """Look at one series with the assessor of this moment."""
        with self.looking() as assessor:
            return assessor.assess(series)

    @contextmanager
    def looking(self) -> Iterator[Assessing]:
        """Hold the assessor of this moment: nothing is exchanged until the `with` ends."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_changing)
            self._looking += 1
            assessor = self._assessor
        try:
            yield assessor
        finally:
            with self._changed:
                self._looking -= 1
                self._changed.notify_all()

    def name(self, series: Series) -> str:
        """Name a series in the log."""
        return self._assessor.name(series)

    def give_up(self, series: Series, reason: str) -> Result:
        """Say that nobody could look at a series."""
        return self._assessor.give_up(series, reason)

    @contextmanager
    def between_series(self, *, within_s: float, go_on: Callable[[], None] = lambda: None) -> Iterator[bool]:
        """Let no series begin until the `with` ends.

        Args:
            within_s: Longest wait for the one that is looked at now.
            go_on: Asked while waiting; what it raises ends the wait, and leaves by here.

        Yields:
            Whether none is looked at; where one still is after that time, nothing must be exchanged.
        """
        with self._changed:
            assert not self._is_changing, "one exchange at a time"
            self._is_changing = True
        try:
            with self._changed:
                for _ in range(max(1, round(within_s / LOOK_S))):
                    go_on()
                    is_free = self._changed.wait_for(lambda: not self._looking, min(within_s, LOOK_S))
                    if is_free:
                        break
            yield is_free
        finally:
            with self._changed:
                self._is_changing = False
                self._changed.notify_all()

    def put(self, assessor: Assessing) -> None:
        """Look at series with this assessor from now on; inside of `between_series`."""
        assert self._is_changing, "assessors are exchanged between series"
        self._assessor = assessor
