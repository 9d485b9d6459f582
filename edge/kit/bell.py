"""A bell: a thread that waits for a socket is woken by others."""

from __future__ import annotations

import contextlib
import socket
from typing import Final

_HEARD_BYTES: Final = 4096


class Bell:
    """Rung from any thread; whoever waits polls its `fileno` beside its own socket."""

    def __init__(self) -> None:
        self._ear, self._hand = socket.socketpair()
        self._ear.setblocking(False)
        self._hand.setblocking(False)

    def fileno(self) -> int:
        """Return what becomes readable when it is rung; -1 once it is closed."""
        return self._ear.fileno()

    def ring(self) -> None:
        """Wake whoever waits; never waits itself, and does nothing once it is closed."""
        with contextlib.suppress(OSError):  # closed, or rung so often already that nothing more goes in
            self._hand.send(b"\0")

    def be_quiet(self) -> None:
        """Forget that it was rung."""
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(_HEARD_BYTES):
                pass

    def close(self) -> None:
        """Give it back."""
        self._ear.close()
        self._hand.close()
