"""The socket of one association: it waits instead of polling, and reads ahead, not six bytes at a time."""

from __future__ import annotations

import select
import socket
import ssl

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

_AHEAD_BYTES = 1 << 17
_BACK_BYTES = 6  # room before what was read ahead, for the head of a PDU that is given back


class Wire(AssociationSocket):
    """A socket that reads ahead and can take bytes back.

    A PDU begins with two heads of six bytes. Each that is read from the socket costs two system calls and a
    turn at the interpreter lock, which all associations share.
    """

    def __init__(self, association: Association, connection: socket.socket) -> None:
        super().__init__(association, client_socket=connection)
        self._ahead = memoryview(bytearray(_BACK_BYTES + _AHEAD_BYTES))
        self._begin = self._end = _BACK_BYTES  # of what is still to be handed out

    @property
    def ready(self) -> bool:
        """Whether a read would not wait."""
        return self.wait(0.0)

    def wait(self, timeout_s: float, bell: int | None = None) -> bool:
        """Sleep until there is something to read, the bell rings, or time is up.

        Args:
            timeout_s: Longest sleep.
            bell: A file descriptor that also ends the sleep.

        Returns:
            Whether there is something to read.
        """
        connection = self.socket
        if connection is None or connection.fileno() < 0:
            _sleep_on(bell, timeout_s)
            return False
        if self._begin < self._end or (isinstance(connection, ssl.SSLSocket) and connection.pending()):
            return True
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if bell is not None:
            poll.register(bell, select.POLLIN)
        return any(ready == connection.fileno() for ready, _ in poll.poll(timeout_s * 1000))

    def recv(self, nr_bytes: int) -> bytearray:
        """Return `nr_bytes`, or fewer where the connection ends before."""
        received = bytearray()
        while len(received) < nr_bytes and self._has_some():
            received += self._next(nr_bytes - len(received))
        return received

    def read_into(self, piece: memoryview) -> int:
        """Read what is there into `piece`; 0 when the connection has ended."""
        some = self._next(len(piece)) if self._has_some() else b""
        piece[: len(some)] = some
        return len(some)

    def give_back(self, head: bytes) -> None:
        """Have the next `recv` begin with these bytes, the last that were read and at most six."""
        begin = self._begin - len(head)
        self._ahead[begin : self._begin] = head  # they may have come in two parts
        self._begin = begin

    def _has_some(self) -> bool:
        """Read ahead where everything was handed out; return whether there is anything."""
        if self._begin == self._end and self.socket is not None:
            count = self.socket.recv_into(self._ahead[_BACK_BYTES:])
            self._begin, self._end = _BACK_BYTES, _BACK_BYTES + count
        return self._begin < self._end

    def _next(self, most: int) -> memoryview:
        begin = self._begin
        self._begin = min(self._end, begin + most)
        return self._ahead[begin : self._begin]


def _sleep_on(bell: int | None, timeout_s: float) -> None:
    if bell is not None:
        select.select([bell], [], [], timeout_s)
