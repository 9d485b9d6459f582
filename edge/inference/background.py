"""Where imaging networks run on the CPU: threads that give way to live ones, and are never starved."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from edge.inference.deadline import Deadline
from edge.inference.session import Answers, Session

# Of a core that a live network and an imaging network both want, the second gets about a tenth: Linux gives
# each level of niceness 1.25 times less. With 19 it would get 1.5 %.
NICENESS = 10
NICENESS_MAX = 19


class Background:
    """One thread of low priority that opens and runs networks; the threads that they start inherit it.

    Both runtimes start their threads from the one that opens the network, or from those: measured by
    `tests/contract/test_lanes.py`.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine-imaging", initializer=_give_way)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def open(self, opening: Callable[[], Session]) -> Session:
        """Open a session here.

        Raises:
            BundleRejectedError: The runtime does not take the network.
        """
        return BackgroundSession(self._thread.submit(opening).result(), self._thread)


class BackgroundSession:
    """A session that is only ever touched by the thread of its `Background`."""

    def __init__(self, session: Session, thread: ThreadPoolExecutor) -> None:
        self.runtime = session.runtime
        self.provider = session.provider
        self._session = session
        self._thread = thread

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Run once, after whatever runs there now.

        Raises:
            DeadlineExceededError: It was ended because the time was up.
            InferenceError: The runtime failed.
        """
        running = self._thread.submit(self._session.run, given, deadline)
        try:
            return running.result(deadline.remaining_s())
        except NotYetError:
            if running.cancel():
                raise deadline.exceeded("waiting for its turn") from None
            return running.result()  # it ends by itself now; its own error says what was not done

    def close(self) -> None:
        """Free the network."""
        self._thread.submit(self._session.close).result()


def _give_way() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)  # on Linux of this thread, and of those it starts
    os.setpriority(os.PRIO_PROCESS, 0, min(own + NICENESS, NICENESS_MAX))
