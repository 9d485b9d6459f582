"""A session that knows when it was last used, and may doze: closed while idle, opened on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from numpy.typing import NDArray

from edge.domain.errors import BundleRejectedError, InferenceError
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.memory import Budget
from edge.inference.session import Answers, Session


class KeptSession:
    """A session of an admitted form.

    Args:
        session: Open and proved.
        name: Of its bundle.
        memory_mb: What it holds.
        reopen: Opens it again; the bytes are checked on the way.
        may_reopen: Whether its file is still there; without it the network stays open whatever it holds.
        budget: Where it may have to make room for others, and others for it; None for one that never dozes.
        clock: Says when it was used.
    """

    def __init__(
        self,
        session: Session,
        *,
        name: str,
        memory_mb: float,
        reopen: Callable[[], Session],
        may_reopen: Callable[[], bool] = lambda: True,
        budget: Budget | None,
        clock: Clock,
    ) -> None:
        self.name = name
        self.memory_mb = memory_mb
        self.runtime = session.runtime
        self.provider = session.provider
        self.used_ns = clock.monotonic_ns()
        self._session: Session | None = session
        self._reopen = reopen
        self._may_reopen = may_reopen
        self._budget = budget
        self._clock = clock
        self._lock = threading.Lock()
        if budget:
            budget.enter(self)

    @property
    def is_open(self) -> bool:
        """Return whether it holds its memory now."""
        return self._session is not None

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Run once; it is opened first where it dozes.

        Raises:
            DeadlineExceededError: It was ended because the time was up.
            InferenceError: The runtime failed, or it cannot be opened any more.
        """
        with self._lock:
            self.used_ns = self._clock.monotonic_ns()
            session = self._session or self._wake()
            answers = session.run(given, deadline)
            self.used_ns = self._clock.monotonic_ns()
            return answers

    def doze(self) -> bool:
        """Free the memory if nobody uses it now and it can come back; return whether it was freed."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._session is not None and not self._may_reopen():
                return False
            if self._session is not None:
                self._session.close()
                self._session = None
            return True
        finally:
            self._lock.release()

    def close(self) -> None:
        """Free the network for good; nobody asks any more."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None
        if self._budget:
            self._budget.leave(self)

    def _wake(self) -> Session:
        with ExitStack() as entered:
            if self._budget:
                self._budget.enter(self)
                entered.callback(self._budget.leave, self)
            try:
                self._session = self._reopen()
            except BundleRejectedError as error:
                raise InferenceError(
                    f"{self.name}: was closed to make room, and opens no more: {error}"
                ) from error
            entered.pop_all()
        return self._session
