"""Where commands are executed: a thread of its own that does one at a time, so that nobody waits for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.domain.errors import DocumentRefusedError
from edge.fleet.words import CODES
from edge.kit.log import Log
from edge.kit.stage import contain

RESULT_BYTES_MAX: Final = 200_000
STOP_S: Final = 2.0

Work = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended.

    Attributes:
        state: `successful` or `failed`.
        code: `ok`, or why it failed.
        message: For people.
        result: As JSON can hold it, None where it failed.
    """

    state: str
    code: str
    message: str = ""
    result: Mapping[str, Any] | None = None


class Bench:
    """Does one piece of work at a time, in its own thread, from `open` to `close`."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Store whom to wake when something has ended."""
        self._wake = wake
        self._log = Log("fleet")
        self._changed = threading.Condition()
        self._work: Work | None = None
        self._outcome: Outcome | None = None
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="fleet-commands", daemon=True)

    def open(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; one that is in the middle of a command is left behind."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            self._log.warning("a command is left behind", after_s=STOP_S)

    def begin(self, work: Work) -> None:
        """Have something done; never waits. What was done before was taken."""
        with self._changed:
            assert self._work is None, "one at a time"
            self._work = work
            self._changed.notify_all()

    def take(self) -> Outcome | None:
        """Return how it ended, None while it has not; once."""
        with self._changed:
            outcome, self._outcome = self._outcome, None
            return outcome

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._work is not None or self._is_closing)
                if self._work is None or self._is_closing:
                    return
                work = self._work
            outcome = outcome_of(work)
            with self._changed:
                self._work, self._outcome = None, outcome
            self._wake()


def outcome_of(work: Work) -> Outcome:
    """Do something whose trouble, whatever it is, must not end the thread."""
    results: list[Mapping[str, Any]] = []
    codes: list[str] = []

    def step() -> None:
        try:
            results.append(work())
        except DocumentRefusedError as refused:
            codes.append(refused.code)
            raise

    why = contain(step)
    if why:
        code = codes[0] if codes and codes[0] in (*CODES, "busy") else "failed"
        return Outcome(state="failed", code=code, message=why)
    try:
        size_bytes = len(json.dumps(results[0], allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError) as trouble:
        return Outcome(state="failed", code="failed", message=f"its result is no JSON: {trouble}")
    if size_bytes > RESULT_BYTES_MAX:
        text = f"its result has {size_bytes} bytes; allowed: at most {RESULT_BYTES_MAX}"
        return Outcome(state="failed", code="failed", message=text)
    return Outcome(state="successful", code="ok", result=results[0])
