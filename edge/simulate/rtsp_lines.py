"""The ways from the RTSP server to a receiver: inside the connection, or as datagrams."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress

from edge.simulate.rtsp_words import REQUEST_BYTES_MAX

BACKLOG_BYTES_MAX = 1 << 20  # what waits for a slow receiver before pictures are left out
_CHUNK_BYTES = 65_536
_PORTS_TRIED_MAX = 100


class Connection:
    """One TCP connection: requests are read by one thread, answers and media are sent by others."""

    def __init__(self, line: socket.socket) -> None:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.setblocking(False)
        self._line = line
        self._lock = threading.Lock()
        self._waiting = bytearray()  # what the receiver has not yet taken
        self._read = bytearray()
        self.caller = str(line.getpeername()[0])

    def read(self, *, within_s: float) -> bytes:
        """Return the head of the next request, or b"" for an RTCP packet that came between them.

        Raises:
            TimeoutError: There is nothing yet.
            EOFError: The caller closed the connection, or sends no RTSP.
            OSError: The connection broke.
        """
        while True:
            found = self._next()
            if found is not None:
                return found
            if len(self._read) > REQUEST_BYTES_MAX:
                raise EOFError
            self._wait(within_s)
            with suppress(BlockingIOError):
                more = self._line.recv(_CHUNK_BYTES)
                if not more:
                    raise EOFError
                self._read += more

    def _wait(self, within_s: float) -> None:
        """Wait for something to read; send meanwhile what the receiver takes at last."""
        poll = select.poll()
        poll.register(self._line, select.POLLIN | (select.POLLOUT if self._waiting else 0))
        happened = poll.poll(round(within_s * 1000))
        if not happened:
            raise TimeoutError
        if happened[0][1] & select.POLLOUT:
            with self._lock:
                self._flush()

    def _next(self) -> bytes | None:
        """Take one whole item off what was read."""
        if self._read[:1] == b"$":
            if len(self._read) < 4:
                return None
            end = 4 + struct.unpack_from(">H", self._read, 2)[0]
            if len(self._read) < end:
                return None
            del self._read[:end]
            return b""
        head, gap, _ = bytes(self._read).partition(b"\r\n\r\n")
        if not gap:
            return None
        length = _content_length(head)
        end = len(head) + 4 + length
        if len(self._read) < end:
            return None
        del self._read[:end]
        return head.lstrip(b"\r\n")

    def send(self, content: bytes, *, may_be_dropped: bool = False) -> bool:
        """Send, or keep for later what the receiver does not take now; never waits.

        Returns:
            False where the receiver is so slow that what may be dropped was dropped, or is gone.
        """
        with self._lock:
            if len(self._waiting) > BACKLOG_BYTES_MAX:
                self._flush()
                if not may_be_dropped:
                    self.cut()  # somebody asks and asks, and takes no answer
                return False
            self._waiting += content
            return self._flush()

    def _flush(self) -> bool:
        try:
            while self._waiting:
                sent = self._line.send(self._waiting)
                del self._waiting[:sent]
        except BlockingIOError:
            return True
        except OSError:
            self._waiting.clear()  # the reading thread will find out, and end the visit
            return False
        return True

    def cut(self) -> None:
        """Break the connection; who reads or sends gets an error."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            self._line.close()


class Interleaved:
    """Media inside the RTSP connection (RFC 2326, 10.12)."""

    def __init__(self, connection: Connection, media: int, control: int) -> None:
        self._connection = connection
        self._media, self._control = media, control

    def send_media(self, packets: Sequence[bytes]) -> bool:
        """Send RTP packets; False where the receiver is too slow."""
        framed = b"".join(
            part
            for packet in packets
            for part in (struct.pack(">cBH", b"$", self._media, len(packet)), packet)
        )
        return self._connection.send(framed, may_be_dropped=True)

    def send_control(self, packet: bytes) -> None:
        """Send an RTCP packet."""
        self._connection.send(
            struct.pack(">cBH", b"$", self._control, len(packet)) + packet, may_be_dropped=True
        )


class Datagrams:
    """Media over UDP, from a pair of ports of our own."""

    def __init__(self, host: str, receiver: str, receiver_ports: tuple[int, int]) -> None:
        self._media, self._control = _pair(host)
        self._media_to = receiver, receiver_ports[0]
        self._control_to = receiver, receiver_ports[1]
        self.ports = self._media.getsockname()[1], self._control.getsockname()[1]

    def send_media(self, packets: Sequence[bytes]) -> bool:
        """Send RTP packets; what nobody takes is lost, as on any network."""
        for packet in packets:
            with suppress(OSError):  # BlockingIOError: full; ConnectionRefusedError: nobody listens there now
                self._media.sendto(packet, self._media_to)
        return True

    def send_control(self, packet: bytes) -> None:
        """Send an RTCP packet."""
        with suppress(OSError):
            self._control.sendto(packet, self._control_to)

    def heard(self) -> bool:
        """Whether the receiver has said something since the last time."""
        is_heard = False
        for line in (self._media, self._control):
            with suppress(OSError):
                while line.recv(2048):
                    is_heard = True
        return is_heard

    def close(self) -> None:
        """Give the ports back."""
        self._media.close()
        self._control.close()


def _pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Bind an even port for RTP and the odd one after it for RTCP."""
    for _ in range(_PORTS_TRIED_MAX):
        pair = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
        try:
            pair[0].bind((host, 0))
            port = pair[0].getsockname()[1]
            if port % 2 == 0:
                pair[1].bind((host, port + 1))
                for line in pair:
                    line.setblocking(False)
                return pair
        except OSError:
            pass
        for line in pair:
            line.close()
    raise OSError("no pair of UDP ports is free")


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return min(int(value), REQUEST_BYTES_MAX)
    return 0
