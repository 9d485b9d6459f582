"""What is being staged, as whoever asked for it sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from edge.fleet.cancel import Cancel


class StagingJob:
    """Staging under way, in a thread of its own; a `ports.Job`."""

    def __init__(self) -> None:
        self.cancelled = Cancel()
        self._said: Mapping[str, Any] = {"doing": "waiting", "done": 0, "of": 0}
        self._future: Future[None] = Future()

    def done(self) -> bool:
        """Return whether it is over, well or not."""
        return self._future.done()

    def wait(self, timeout_s: float) -> bool:
        """Return whether it is over, after waiting for it."""
        return not wait([self._future], timeout_s).not_done

    def result(self) -> None:
        """Return when it went well; only asked when it is done.

        Raises:
            DocumentRefusedError: It did not; with code, path and reason.
        """
        assert self._future.done(), "asked too early"
        self._future.result()

    def progress(self) -> Mapping[str, Any]:
        """Return how far it is: `{"doing": …, "done": …, "of": …}`, the last two in bytes."""
        return self._said

    def cancel(self) -> None:
        """Ask it to end soon; never waits."""
        self.cancelled.ask()

    def say(self, doing: str, done_bytes: int = 0, of_bytes: int = 0) -> None:
        """Tell how far it is."""
        self._said = {"doing": doing, "done": done_bytes, "of": of_bytes}

    def begin(self, worker: ThreadPoolExecutor, work: Callable[[StagingJob], None]) -> None:
        """Do the work in another thread."""
        self._future = worker.submit(work, self)
