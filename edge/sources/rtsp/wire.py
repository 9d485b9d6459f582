"""The bytes of an RTSP connection, taken apart: answers, requests, packets between (RFC 2326, 10.12)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from edge.domain.errors import FormatError

HEAD_BYTES_MAX = 16 << 10
BODY_BYTES_MAX = 256 << 10
STRAY_BYTES_MAX = 64 << 10
_DOLLAR = 0x24
_METHODS = (
    b"OPTIONS",
    b"ANNOUNCE",
    b"GET_PARAMETER",
    b"SET_PARAMETER",
    b"REDIRECT",
    b"TEARDOWN",
    b"PLAY_NOTIFY",
)
_BEGINNINGS = (b"RTSP/", *(method + b" " for method in _METHODS))
_BEGINNING_BYTES_MAX = max(len(beginning) for beginning in _BEGINNINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered.

    Attributes:
        status: `200` …
        reason: In the server's words.
        headers: By their names in lower case; a header given more than once is joined by newlines.
        body: As it came.
    """

    status: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a server asks of us."""

    method: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interleaved:
    """An RTP or RTCP packet on the control connection."""

    channel: int
    payload: bytes


class Wire:
    """Takes bytes as they come and gives whole things; what lies between them is skipped and counted."""

    def __init__(self, *, channels: frozenset[int] = frozenset(range(256))) -> None:
        """Begin.

        Args:
            channels: The channels that packets may come on; others are no beginning of a packet.
        """
        self.stray_bytes = 0
        self._buffer = bytearray()
        self.expect(channels)

    def expect(self, channels: frozenset[int]) -> None:
        """Take packets on these channels from now on."""
        packets = [b"\\$" + re.escape(bytes([channel])) for channel in channels]
        messages = [re.escape(beginning) for beginning in _BEGINNINGS]
        self._beginning = re.compile(b"|".join(packets + messages), re.DOTALL)

    def feed(self, received: bytes | memoryview) -> Iterator[Answer | Request | Interleaved]:
        """Take bytes in and yield what is whole.

        Raises:
            FormatError: A head or a body is too long, cannot be read, or nothing but garbage comes.
        """
        self._buffer += received
        at = 0
        try:
            while True:
                at = self._next_beginning(at)
                whole = self._packet(at) if self._begins_packet(at) else self._message(at)
                if whole is None:
                    return
                thing, at = whole
                yield thing
        finally:
            del self._buffer[:at]

    def _begins_packet(self, at: int) -> bool:
        return at < len(self._buffer) and self._buffer[at] == _DOLLAR

    def _packet(self, at: int) -> tuple[Interleaved, int] | None:
        if at + 4 > len(self._buffer):
            return None
        end = at + 4 + int.from_bytes(self._buffer[at + 2 : at + 4], "big")
        if end > len(self._buffer):
            return None
        return Interleaved(self._buffer[at + 1], bytes(self._buffer[at + 4 : end])), end

    def _next_beginning(self, at: int) -> int:
        """Skip what begins nothing we know."""
        found = self._beginning.search(self._buffer, at)
        begins = self._partial(at) if found is None else found.start()
        self.stray_bytes += begins - at
        if self.stray_bytes > STRAY_BYTES_MAX:
            raise FormatError(f"{self.stray_bytes} bytes that belong to no RTSP message and no packet")
        return begins

    def _partial(self, at: int) -> int:
        """Return where something may begin that is not whole yet; the end where nothing does."""
        for begins in range(max(at, len(self._buffer) - _BEGINNING_BYTES_MAX), len(self._buffer)):
            tail = bytes(self._buffer[begins:])
            if tail == b"$" or any(beginning.startswith(tail) for beginning in _BEGINNINGS):
                return begins
        return len(self._buffer)

    def _message(self, at: int) -> tuple[Answer | Request, int] | None:
        end = self._buffer.find(b"\r\n\r\n", at)
        if end < 0:
            if len(self._buffer) - at > HEAD_BYTES_MAX:
                raise FormatError(f"the head of an RTSP message is longer than {HEAD_BYTES_MAX} bytes")
            return None
        first, headers = _read_head(bytes(self._buffer[at:end]))
        length = headers.get("content-length", "0").split("\n")[0].strip()
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            raise FormatError(
                f"an RTSP message has Content-Length {length[:20]!r}, wanted at most {BODY_BYTES_MAX}"
            )
        body_at, after = end + 4, end + 4 + int(length)
        if after > len(self._buffer):
            return None
        if not first.startswith("RTSP/"):
            return Request(method=first.split(" ")[0], headers=headers), after
        status, reason = _read_status(first)
        body = bytes(self._buffer[body_at:after])
        return Answer(status=status, reason=reason, headers=headers, body=body), after


def _read_head(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("utf-8", "replace").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers[key] = f"{headers[key]}\n{value.strip()}" if key in headers else value.strip()
    return first, headers


def _read_status(line: str) -> tuple[int, str]:
    parts = line.split(" ", 2)
    if len(parts) < 2 or not parts[1].isdecimal():
        raise FormatError(f"an RTSP answer begins {line[:40]!r}, wanted a status")
    return int(parts[1]), parts[2] if len(parts) > 2 else ""
