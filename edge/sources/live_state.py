"""How one live source is, and why: what is said is said once, and changes only when something changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

LinkState = Literal["online", "degraded", "offline", "disabled"]
Say = Callable[[LinkState, str], None]


class Standing:
    """Puts together what is known of a source from its own thread and from the watch."""

    def __init__(self, say: Say) -> None:
        """Begin; nothing has been said yet.

        Args:
            say: Is told each new state with its reason ("" for online); called from several threads, one at a
                time, and never waited for long.
        """
        self._say = say
        self._lock = threading.Lock()
        self._trouble = ""
        self._is_connected = False
        self._hangs = ""
        self._disabled = ""
        self._conditions: dict[str, str] = {}
        self._said: tuple[LinkState, str] | None = None

    def disabled(self, why: str) -> None:
        """It is not meant to run."""
        self._change(disabled=why)

    def lost(self, why: str) -> None:
        """It gives no frames."""
        self._change(trouble=why, is_connected=False)

    def connected(self) -> None:
        """It gives frames."""
        self._change(trouble="", is_connected=True)

    def hangs(self, why: str) -> None:
        """Nothing moves that should; "" when it moves again."""
        self._change(hangs=why)

    def condition(self, about: str, why: str) -> None:
        """Say what is wrong with its frames; "" takes it back."""
        with self._lock:
            if self._conditions.get(about, "") == why:
                return
            self._conditions[about] = why
            self._tell()

    def now(self) -> tuple[LinkState, str]:
        """Return the state and its reason."""
        with self._lock:
            return self._put_together()

    def _change(
        self,
        *,
        trouble: str | None = None,
        is_connected: bool | None = None,
        hangs: str | None = None,
        disabled: str | None = None,
    ) -> None:
        with self._lock:
            self._trouble = self._trouble if trouble is None else trouble
            self._is_connected = self._is_connected if is_connected is None else is_connected
            self._hangs = self._hangs if hangs is None else hangs
            self._disabled = self._disabled if disabled is None else disabled
            self._tell()

    def _put_together(self) -> tuple[LinkState, str]:
        if self._disabled:
            return "disabled", self._disabled
        if self._hangs:
            return "offline", self._hangs
        if not self._is_connected:
            return "offline", self._trouble or "not opened yet"
        wrong = "; ".join(why for why in self._conditions.values() if why)
        return ("degraded", wrong) if wrong else ("online", "")

    def _tell(self) -> None:
        now = self._put_together()
        if now != self._said:
            self._said = now
            self._say(*now)
