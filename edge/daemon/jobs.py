"""Something that takes its time, in a thread of its own, while the fleet's agent looks how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from edge.domain.errors import DocumentRefusedError, EdgeError
from edge.kit.stage import contain

Refuse = Callable[[EdgeError], DocumentRefusedError]


class Work:
    """A `fleet.ports.Job`; its thread is started with it.

    Args:
        name: Of the thread.
        do: The work. It is given this, to say how far it is, and to look whether it should end.
        code: Of the contract: what trouble counts as that is no DocumentRefusedError.
    """

    def __init__(self, name: str, do: Callable[[Work], None], *, code: str) -> None:
        self._do = do
        self._code = code
        self._said: Mapping[str, Any] = {"doing": name, "done": 0, "of": 1}
        self._cancelled = threading.Event()
        self._over = threading.Event()
        self._refusal: DocumentRefusedError | None = None
        self._thread = threading.Thread(target=self._run, name=f"fleet-{name}", daemon=True)
        self._thread.start()

    def done(self) -> bool:
        """Return whether it is over, well or not."""
        return self._over.is_set()

    def result(self) -> None:
        """Return when it went well; only asked when it is done.

        Raises:
            DocumentRefusedError: It did not.
        """
        assert self._over.is_set(), "asked too early"
        if self._refusal is not None:
            raise self._refusal

    def progress(self) -> Mapping[str, Any]:
        """Return how far it is."""
        return self._said

    def cancel(self) -> None:
        """Ask it to end soon."""
        self._cancelled.set()

    def wait(self, timeout_s: float) -> bool:
        """Return whether it is over, after waiting for it."""
        return self._over.wait(timeout_s)

    # ── for the work itself ───────────────────────────────────────────────────────────────────────────────

    def say(self, said: Mapping[str, Any]) -> None:
        """Tell how far it is."""
        self._said = said

    def is_cancelled_within(self, seconds: float) -> bool:
        """Wait, and return whether it should end."""
        return self._cancelled.wait(seconds)

    def check(self) -> None:
        """Go on, unless it should end.

        Raises:
            DocumentRefusedError: It should.
        """
        if self._cancelled.is_set():
            raise DocumentRefusedError("superseded", "given up: it is not wanted any more")

    def _run(self) -> None:
        try:
            why = contain(self._work)
            if why and self._refusal is None:
                self._refusal = DocumentRefusedError(self._code, why)
        finally:
            self._over.set()

    def _work(self) -> None:
        try:
            self._do(self)
        except DocumentRefusedError as refusal:
            self._refusal = refusal
            raise
