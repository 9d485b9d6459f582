"""Whether a door answers: one C-ECHO, byte by byte as PS3.7 and PS3.8 have it, from the same process.

pynetdicom's requestor starts threads and leaves its socket to the garbage collector when a handshake fails.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import ExitStack
from typing import Final

from edge.domain.errors import SourceLostError

_APPLICATION: Final = b"1.2.840.10008.3.1.1.1"
_VERIFICATION: Final = b"1.2.840.10008.1.1"
_IMPLICIT: Final = b"1.2.840.10008.1.2"
_OURSELVES: Final = b"1.2.826.0.1.3680043.8.498.1"  # an implementation class UID
_ACCEPTED, _DATA, _RELEASED = 0x02, 0x04, 0x06
_ECHO_REQUEST, _NO_DATA_SET = 0x0030, 0x0101
_PDU_BYTES_MAX: Final = 1 << 16


def echo(host: str, port: int, *, calling: str, called: str, is_tls: bool, timeout_s: float) -> None:
    """Ask a door for an echo.

    Args:
        host: Where it listens, on this machine.
        port: Its TCP port.
        calling: Our AE title.
        called: Its AE title.
        is_tls: Whether it speaks TLS; whose certificate it shows is not looked at.
        timeout_s: For each step.

    Raises:
        SourceLostError: It gives none.
    """
    where = f"{host}:{port}"
    try:
        with ExitStack() as opened:
            line: socket.socket = opened.enter_context(
                socket.create_connection((host, port), timeout=timeout_s)
            )
            if is_tls:
                line = opened.enter_context(_context().wrap_socket(line))
            line.sendall(_association(calling, called))
            kind, said = _pdu(line)
            if kind != _ACCEPTED:
                raise SourceLostError(f"{where}: lets us not in (PDU {kind}); wanted an association")
            line.sendall(_request())
            kind, said = _pdu(line)
            if kind != _DATA or _element(0x0900, bytes(2)) not in said:
                raise SourceLostError(f"{where}: gives no echo (PDU {kind}); wanted one with status 0x0000")
            line.sendall(b"\x05\x00" + struct.pack(">I", 4) + bytes(4))
            kind, _ = _pdu(line)
    except OSError as trouble:  # ssl.SSLError is one
        raise SourceLostError(f"{where}: {trouble}; wanted an answer to C-ECHO") from trouble
    if kind != _RELEASED:
        raise SourceLostError(f"{where}: does not let go (PDU {kind}); wanted an end in order")


def greet(host: str, port: int, *, timeout_s: float) -> None:
    """Let a door show its certificate, and leave: it would ask for ours.

    Raises:
        SourceLostError: It shows none.
    """
    try:
        with (
            socket.create_connection((host, port), timeout=timeout_s) as plain,
            _context().wrap_socket(plain) as line,
        ):
            shown = line.getpeercert(binary_form=True)
    except OSError as trouble:
        raise SourceLostError(f"{host}:{port}: {trouble}; wanted the certificate of the door") from trouble
    if not shown:
        raise SourceLostError(f"{host}:{port}: shows no certificate")


def _context() -> ssl.SSLContext:
    """Return what trusts whoever answers: it is ourselves, on this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _association(calling: str, called: str) -> bytes:
    """Return an A-ASSOCIATE-RQ with the one context of Verification (PS3.8, 9.3.2)."""
    context = bytes((1, 0, 0, 0)) + _item(0x30, _VERIFICATION) + _item(0x40, _IMPLICIT)
    user = _item(0x51, struct.pack(">I", _PDU_BYTES_MAX)) + _item(0x52, _OURSELVES)
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    body += _item(0x10, _APPLICATION) + _item(0x20, context) + _item(0x50, user)
    return struct.pack(">BxI", 0x01, len(body)) + body


def _element(number: int, value: bytes) -> bytes:
    padded = value + b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(padded)) + padded


def _request() -> bytes:
    """Return a P-DATA-TF with a C-ECHO-RQ (PS3.7, 9.3.5)."""
    command = _element(0x0002, _VERIFICATION) + _element(0x0100, struct.pack("<H", _ECHO_REQUEST))
    command += _element(0x0110, struct.pack("<H", 1)) + _element(0x0800, struct.pack("<H", _NO_DATA_SET))
    command = _element(0x0000, struct.pack("<I", len(command))) + command
    value = struct.pack(">IBB", len(command) + 2, 1, 3) + command
    return struct.pack(">BxI", _DATA, len(value)) + value


def _pdu(line: socket.socket) -> tuple[int, bytes]:
    """Read one PDU.

    Raises:
        OSError: It does not come, or is none of ours.
    """
    kind, size_bytes = struct.unpack(">BxI", _read(line, 6))
    if size_bytes > _PDU_BYTES_MAX:
        raise OSError(f"a PDU of {size_bytes} bytes")
    return kind, _read(line, size_bytes)


def _read(line: socket.socket, size_bytes: int) -> bytes:
    read = b""
    while len(read) < size_bytes:
        more = line.recv(size_bytes - len(read))
        if not more:
            raise ConnectionError("the line ended")
        read += more
    return read
