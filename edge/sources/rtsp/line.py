"""One control connection to an RTSP server: every wait has an end, and a stop is noticed within 0.1 s."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Sequence
from socket import socket as Socket  # noqa: N812  # a class by the name of a class

from edge.domain.errors import FormatError, SourceLostError
from edge.domain.ports import Clock
from edge.sources.rtsp.wire import Answer, Interleaved, Request, Wire

SLICE_S = 0.1
_READ_BYTES = 256 << 10


class Deadline:
    """A moment until which something must have happened."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._at_ns = clock.monotonic_ns() + round(seconds * 1e9)

    def left_s(self) -> float:
        """Seconds that are left, 0 when it is over."""
        return max(0.0, (self._at_ns - self._clock.monotonic_ns()) / 1e9)

    @property
    def is_over(self) -> bool:
        """It has come."""
        return self.left_s() <= 0.0


class Line:
    """A TCP connection and what came over it so far."""

    def __init__(self, where: str, *, clock: Clock, stopping: threading.Event) -> None:
        """Store what errors and waits need.

        Args:
            where: Names the far side in errors; without secrets.
            clock: Time.
            stopping: Ends every wait.
        """
        self.where = where
        self.wire = Wire(channels=frozenset())
        self._clock = clock
        self._stopping = stopping
        self._socket: Socket | None = None

    def connect(self, host: str, port: int, *, deadline: Deadline) -> None:
        """Connect.

        Raises:
            SourceLostError: It cannot be reached before the deadline.
        """
        self._check_stop()
        try:
            self._socket = socket.create_connection((host, port), timeout=max(deadline.left_s(), 1e-3))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as trouble:
            raise SourceLostError(f"{self.where}: cannot be reached: {_words(trouble)}") from trouble

    @property
    def connection(self) -> Socket:
        """The connection; it is open."""
        assert self._socket is not None, "the line is open"
        return self._socket

    def send(self, message: bytes, *, deadline: Deadline) -> None:
        """Send all of a message.

        Raises:
            SourceLostError: The connection is gone, or takes nothing before the deadline.
        """
        try:
            self.connection.settimeout(max(deadline.left_s(), 1e-3))
            self.connection.sendall(message)
        except OSError as trouble:
            raise SourceLostError(f"{self.where}: takes nothing more: {_words(trouble)}") from trouble

    def wait(self, more: Sequence[Socket] = (), *, deadline: Deadline) -> list[Socket]:
        """Return which sockets have something, this one's among them; none after 0.1 s or at the deadline."""
        self._check_stop()
        timeout_s = min(SLICE_S, deadline.left_s())
        waiting = {one.fileno(): one for one in (self.connection, *more)}
        poll = select.poll()  # select() knows no more than 1024 files
        for number in waiting:
            poll.register(number, select.POLLIN)
        return [waiting[number] for number, _ in poll.poll(timeout_s * 1e3)]

    def read(self) -> list[Answer | Request | Interleaved]:
        """Read what is there and return what is whole.

        Raises:
            SourceLostError: The connection is gone, or what comes is not RTSP.
        """
        try:
            self.connection.settimeout(0.0)
            received = self.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as trouble:
            raise SourceLostError(f"{self.where}: the connection broke: {_words(trouble)}") from trouble
        if not received:
            raise SourceLostError(f"{self.where}: the server closed the connection")
        try:
            return list(self.wire.feed(received))
        except FormatError as trouble:
            raise SourceLostError(f"{self.where}: {trouble}") from trouble

    def close(self) -> None:
        """Let go of the connection."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise SourceLostError(f"{self.where}: we were told to stop")


def _words(trouble: OSError) -> str:
    return trouble.strerror or str(trouble) or type(trouble).__name__
