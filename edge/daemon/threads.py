"""The threads of the appliance: each has a name and one owner, and ends when it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.kit.log import Log
from edge.ops.watchdog import Watchdog


class Threads:
    """Starts threads, and ends them.

    Args:
        watchdog: Is not fed while one of them is gone.
        drain_s: Asked at each end: how long a thread gets to finish, in s.
    """

    def __init__(self, watchdog: Watchdog, *, drain_s: Callable[[], float]) -> None:
        self._watchdog = watchdog
        self._drain_s = drain_s
        self._log = Log("daemon")
        self._enders: dict[str, Callable[[], None]] = {}

    @contextmanager
    def running(
        self,
        name: str,
        body: Callable[[], None],
        stop: Callable[[], None] = lambda: None,
        *,
        at_least_s: float = 0.0,
    ) -> Iterator[None]:
        """Run `body` in a thread of its own until the `with` ends and `stop` was called.

        Args:
            name: Of the thread.
            body: Ends soon after `stop` was called.
            stop: Tells it to.
            at_least_s: It gets so long to finish, whatever the configuration says: its successor must not
                begin before it has ended.
        """
        thread = threading.Thread(target=body, name=name, daemon=True)
        thread.start()
        self._watchdog.expect(name, thread.is_alive)

        is_ended = threading.Event()

        def end() -> None:
            if is_ended.is_set():
                return
            is_ended.set()
            stop()
            within_s = max(self._drain_s(), at_least_s)
            thread.join(within_s)
            if thread.is_alive():
                self._log.warning("left to the journal", thread=name, after_s=within_s)
            else:
                self._watchdog.release(name)

        self._enders[name] = end
        try:
            yield
        finally:
            end()
            if self._enders.get(name) is end:  # and not one of that name that has begun since
                del self._enders[name]

    def end(self, name: str) -> None:
        """End a thread before its turn, where there is one of that name, and give it its time."""
        end = self._enders.get(name)
        if end is not None:
            end()
