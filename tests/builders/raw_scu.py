"""A C-STORE sender made of bytes: it can say what no library would."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """One explicit little endian element."""
    value += (b" " if vr in (b"CS", b"LO", b"IS") else b"\0") * (len(value) % 2)
    if vr in (b"OW", b"OB", b"UN"):
        return struct.pack("<HH2sHI", group, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def data_set(
    sop_uid: str, *, series_uid: str = "2.25.7", pixels: bytes = b"\1\2\3\4", announced: int = 0
) -> bytes:
    """A small CT data set, explicit little endian."""
    counted = element(0x20, 0x1209, b"IS", str(announced).encode()) if announced else b""
    return (
        element(0x08, 0x16, b"UI", CT_STORAGE.encode())
        + element(0x08, 0x18, b"UI", sop_uid.encode())
        + element(0x08, 0x60, b"CS", b"CT")
        + element(0x20, 0x0D, b"UI", b"2.25.6")
        + element(0x20, 0x0E, b"UI", series_uid.encode())
        + counted
        + element(0x7FE0, 0x10, b"OW", pixels)
    )


def association_request(
    contexts: Sequence[tuple[str, str]], *, calling: str, called: str, pdu_bytes: int
) -> bytes:
    """An A-ASSOCIATE-RQ; each context is an abstract and a transfer syntax."""
    items = _item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, (abstract, transfer) in enumerate(contexts):
        proposed = _item(0x30, abstract.encode()) + _item(0x40, transfer.encode())
        items += _item(0x20, bytes([2 * number + 1, 0, 0, 0]) + proposed)
    user = _item(0x51, struct.pack(">I", pdu_bytes)) + _item(0x52, b"2.25.1")
    titles = called.encode("latin-1").ljust(16)[:16] + calling.encode("latin-1").ljust(16)[:16]
    body = b"\0\1\0\0" + titles + bytes(32) + items + _item(0x50, user)
    return b"\1\0" + struct.pack(">I", len(body)) + body


class RawScu:
    """One association; `with` opens the connection and closes it without a word."""

    def __init__(
        self,
        port: int,
        *,
        contexts: Sequence[tuple[str, str]] = ((CT_STORAGE, EXPLICIT),),
        calling: str = "SCU",
        called: str = "EDGE",
        pdu_bytes: int = 16384,
    ) -> None:
        self._port = port
        self._contexts = contexts
        self._calling, self._called = calling, called
        self._pdu_bytes = pdu_bytes
        self.reply = b""

    def __enter__(self) -> Self:
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def associate(self) -> int:
        """Ask for the association; return the type of the PDU that came back: 2 accepted, 3 rejected."""
        self.socket.sendall(
            association_request(
                self._contexts, calling=self._calling, called=self._called, pdu_bytes=self._pdu_bytes
            )
        )
        kind, self.reply = self.receive_pdu()
        return kind

    def is_accepted(self) -> bool:
        """Ask for an association of its own, release it, and tell whether it was accepted."""
        with self:
            return self.associate() == 2 and self.release() == 6

    def associate_or_hang_up(self) -> None:
        """Ask for the association and take whatever answer there is, a closed connection included."""
        with contextlib.suppress(ConnectionError):
            self.associate()

    def command(
        self, sop_uid: str, *, sop_class: str = CT_STORAGE, has_data_set: bool = True, context_id: int = 1
    ) -> None:
        """Send the command set of a C-STORE."""
        command = b"".join(
            struct.pack("<HHI", 0, number, len(value) + len(value) % 2) + value + b"\0" * (len(value) % 2)
            for number, value in (
                (0x0002, sop_class.encode("latin-1")),
                (0x0100, b"\1\0"),
                (0x0110, b"\7\0"),
                (0x0700, b"\0\0"),
                (0x0800, b"\0\0" if has_data_set else b"\1\1"),
                (0x1000, sop_uid.encode("latin-1")),
            )
        )
        self.send_pdv(command, control=3, context_id=context_id)

    def store(
        self,
        sop_uid: str,
        content: bytes | Iterable[bytes],
        *,
        sop_class: str = CT_STORAGE,
        context_id: int = 1,
    ) -> int:
        """Send an object and return the status of the answer."""
        self.command(sop_uid, sop_class=sop_class, context_id=context_id)
        pieces = [content] if isinstance(content, bytes) else content
        for piece in pieces:
            self.send_pdv(piece, control=0, context_id=context_id)
        self.send_pdv(b"", control=2, context_id=context_id)
        return self.status()

    def status(self) -> int:
        """Read a response and return its status; its bytes stay in `reply`."""
        kind, self.reply = self.receive_pdu()
        assert kind == 4, f"PDU {kind} instead of a response"
        at = self.reply.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8
        return int.from_bytes(self.reply[at : at + 2], "little")

    def release(self) -> int:
        """Release the association; return the type of the PDU that came back: 6."""
        self.send_pdu(5, bytes(4))
        return self.receive_pdu()[0]

    def abort(self) -> None:
        """Abort the association."""
        self.send_pdu(7, bytes(4))

    def send_pdv(self, piece: bytes, *, control: int, context_id: int = 1) -> None:
        """Send one PDV in a PDU of its own."""
        self.send_pdu(4, struct.pack(">IBB", len(piece) + 2, context_id, control) + piece)

    def send_pdu(self, kind: int, body: bytes) -> None:
        """Send a PDU."""
        self.socket.sendall(struct.pack(">BBI", kind, 0, len(body)) + body)

    def receive_pdu(self) -> tuple[int, bytes]:
        """Read a PDU: its type and its body."""
        head = self._receive(6)
        return head[0], self._receive(int.from_bytes(head[2:6], "big"))

    def _receive(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            piece = self.socket.recv(count - len(received))
            if not piece:
                raise ConnectionError(f"the door hung up after {len(received)} of {count} bytes")
            received += piece
        return received


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value
