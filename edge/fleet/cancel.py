"""How somebody ends what waits for the network, from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancel:
    """Lets anybody end a transfer, also one that waits for the network."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._cut: Callable[[], None] | None = None

    def ask(self) -> None:
        """Ask it to end soon; never waits."""
        with self._lock:
            self._asked.set()
            if self._cut is not None:
                self._cut()

    @property
    def is_asked(self) -> bool:
        """Whether it was asked to end."""
        return self._asked.is_set()

    def wait(self, pause_s: float) -> bool:
        """Pause; return at once, and true, when it is asked to end."""
        return self._asked.wait(pause_s)

    @contextmanager
    def cutting(self, cut: Callable[[], None]) -> Iterator[None]:
        """Call `cut` when it is asked to end within the `with`, or was before."""
        with self._lock:
            self._cut = cut
            if self._asked.is_set():
                cut()
        try:
            yield
        finally:
            with self._lock:
                self._cut = None
