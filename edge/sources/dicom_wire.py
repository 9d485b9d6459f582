"""The socket of one association: it waits instead of polling, and reads large pieces."""

from __future__ import annotations

import select
import socket
import ssl

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

PIECE_BYTES = 1 << 17


class Wire(AssociationSocket):
    """A socket that can take bytes back."""

    def __init__(self, association: Association, connection: socket.socket) -> None:
        super().__init__(association, client_socket=connection)
        self._ahead = b""

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
        if self._ahead or (isinstance(connection, ssl.SSLSocket) and connection.pending()):
            return True
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if bell is not None:
            poll.register(bell, select.POLLIN)
        return any(ready == connection.fileno() for ready, _ in poll.poll(timeout_s * 1000))

    def recv(self, nr_bytes: int) -> bytearray:
        """Return `nr_bytes`, or fewer where the connection ends before."""
        received = bytearray(self._ahead[:nr_bytes])
        self._ahead = self._ahead[nr_bytes:]
        piece = memoryview(bytearray(min(nr_bytes, PIECE_BYTES)))
        while len(received) < nr_bytes:
            count = self.read_into(piece[: nr_bytes - len(received)])
            if count == 0:
                break
            received += piece[:count]
        return received

    def read_into(self, piece: memoryview) -> int:
        """Read what is there into `piece`; 0 when the connection has ended."""
        if self.socket is None:
            return 0
        return self.socket.recv_into(piece)

    def give_back(self, head: bytes) -> None:
        """Have the next `recv` begin with these bytes."""
        self._ahead = head + self._ahead


def _sleep_on(bell: int | None, timeout_s: float) -> None:
    if bell is not None:
        select.select([bell], [], [], timeout_s)
