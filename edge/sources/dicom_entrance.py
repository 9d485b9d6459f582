"""The entrance of a door: a thread that accepts callers, and can stop without turning anybody away."""

from __future__ import annotations

import errno
import select
import socket
import threading
from collections.abc import Callable
from typing import Final, Self

from edge.domain.ports import Clock
from edge.kit.bell import Bell
from edge.kit.log import Log

RUSH_S: Final = 5.0  # so long those who waited come in one after the other; who tries the door waits for 10 s
_LOOK_S: Final = 0.01
_ACCEPT_AGAIN_S: Final = 0.1
_GONE: Final = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)

LetIn = Callable[[socket.socket, tuple[str, int], str], None]


class Entrance:
    """Accepts callers while its `with` lasts, or until it is shut.

    The listening socket is never shut down: it may be kept for another, and whoever was not accepted by then
    waits there. Where somebody waits already when it opens, nobody is accepted whom there is no room for.

    Args:
        listener: Listens; who gave it closes it.
        name: Of the door.
        let_in: Is given each connection, its peer, and a name for it.
        has_room: Whether one more would be served and not turned away.
        clock: Time.
    """

    def __init__(
        self, listener: socket.socket, *, name: str, let_in: LetIn, has_room: Callable[[], bool], clock: Clock
    ) -> None:
        self._listener = listener
        self._name = name
        self._let_in = let_in
        self._has_room = has_room
        self._clock = clock
        self._log = Log(name)
        self._bell: Bell | None = None
        self._is_rush = False
        self._is_shut = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{name} door", daemon=True)

    def __enter__(self) -> Self:
        self._listener.setblocking(False)  # who called may be gone again before we accept
        calls = select.poll()
        calls.register(self._listener, select.POLLIN)
        self._is_rush = bool(calls.poll(0))  # not in the thread: who calls from now on has not waited
        self._bell = Bell()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()
        assert self._bell is not None, "opened before"
        self._bell.close()

    def shut(self) -> None:
        """Accept nobody any more; returns when whoever was accepted was let in."""
        assert self._bell is not None, "opened before"
        self._is_shut.set()
        self._bell.ring()
        self._thread.join()

    def _run(self) -> None:
        assert self._bell is not None, "opened before"
        calls = select.poll()
        calls.register(self._listener, select.POLLIN)
        calls.register(self._bell.fileno(), select.POLLIN)
        rush_until_ns = self._clock.monotonic_ns() + round(RUSH_S * 1e9) * self._is_rush
        number = 0
        while not self._is_shut.is_set():
            if self._clock.monotonic_ns() < rush_until_ns and not self._has_room():
                self._is_shut.wait(_LOOK_S)
                continue
            try:
                connection, address = self._listener.accept()
            except BlockingIOError:
                calls.poll()
            except OSError as trouble:
                if trouble.errno in _GONE:
                    raise  # a door that hears nobody ends the process
                self._log.error("connection not accepted", because=trouble)
                self._is_shut.wait(_ACCEPT_AGAIN_S)
            else:
                number += 1
                self._let_in(connection, address, f"{self._name} {number}")
