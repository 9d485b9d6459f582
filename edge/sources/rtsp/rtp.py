"""RTP packets (RFC 3550): taken apart, put in order, each gap between them known."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.domain.errors import FormatError

_HEAD = struct.Struct(">BBHII")
_VERSION = 2
_RESTART = 3000  # RFC 3550, A.1: MAX_DROPOUT; further away a sender counts anew
_HALF, _FULL = 1 << 15, 1 << 16


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet.

    Attributes:
        payload_type: 0 to 127.
        marker: Set on the last packet of a picture.
        sequence: 0 to 65535, one more than that of the packet before.
        timestamp: 0 to 2**32 - 1, in units of the clock rate.
        ssrc: Who sends; another one is another stream.
        payload: What it carries.
        arrival_ns: Monotonic time at which it came.
        follows_gap: Packets before it are missing; set by `InOrder`.
    """

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    arrival_ns: int
    follows_gap: bool = False


def parse(packet: bytes, *, arrival_ns: int) -> RtpPacket:
    """Take a packet apart.

    Raises:
        FormatError: It is no RTP packet.
    """
    if len(packet) < _HEAD.size or packet[0] >> 6 != _VERSION:
        raise FormatError(f"{len(packet)} bytes that are no RTP packet")
    flags, kind, sequence, timestamp, ssrc = _HEAD.unpack_from(packet)
    begin = _HEAD.size + 4 * (flags & 0x0F)
    if flags & 0x10:
        if begin + 4 > len(packet):
            raise FormatError("an RTP packet ends within its header extension")
        begin += 4 + 4 * int.from_bytes(packet[begin + 2 : begin + 4], "big")
    end = len(packet) - (packet[-1] if flags & 0x20 else 0)
    if begin > end:
        raise FormatError("an RTP packet ends within its header")
    return RtpPacket(kind & 0x7F, bool(kind & 0x80), sequence, timestamp, ssrc, packet[begin:end], arrival_ns)


def is_rtcp(packet: bytes) -> bool:
    """Whether a packet on a shared port is a report (RFC 5761, 4)."""
    return len(packet) >= 2 and 192 <= packet[1] <= 223


class InOrder:
    """Puts packets in order, as long as that is worth waiting for, and keeps the counts of a receiver.

    Over TCP nothing comes out of order: with `held_max` 0 every packet goes through at once.
    """

    def __init__(self, *, held_max: int, held_ms: float) -> None:
        """Begin.

        Args:
            held_max: Packets that may wait for one that is missing.
            held_ms: How long they wait.
        """
        self.missing = 0
        self.doubled = 0
        self._held_max = held_max
        self._held_ns = held_ms * 1e6
        self._waiting: dict[int, RtpPacket] = {}
        self._next: int | None = None  # extended: counts on over 65535
        self._first = 0
        self._passed = 0

    def put(self, packet: RtpPacket) -> list[RtpPacket]:
        """Take a packet in and return what can go on, in order."""
        if self._next is None:
            self._next = self._first = packet.sequence
        distance = (packet.sequence - self._next + _HALF) % _FULL - _HALF
        if abs(distance) > _RESTART:
            ready = self._flush()
            self._next = self._first = packet.sequence
            self._passed = 1
            self._next += 1
            return [*ready, after_gap(packet)]
        if distance < 0 or self._next + distance in self._waiting:
            self.doubled += 1  # or too late: it was given up
            return []
        self._waiting[self._next + distance] = packet
        return self._ready(packet.arrival_ns)

    def _ready(self, now_ns: int) -> list[RtpPacket]:
        assert self._next is not None, "a packet came"
        ready: list[RtpPacket] = []
        has_gap = False
        while self._waiting:
            packet = self._waiting.pop(self._next, None)
            if packet is None:
                if not self._is_given_up(now_ns):
                    break
                following = min(self._waiting)
                self.missing += following - self._next
                self._next, has_gap = following, True
                continue
            ready.append(after_gap(packet) if has_gap else packet)
            self._next, has_gap = self._next + 1, False
        self._passed += len(ready)
        return ready

    def _is_given_up(self, now_ns: int) -> bool:
        waits_ns = now_ns - min(packet.arrival_ns for packet in self._waiting.values())
        return len(self._waiting) > self._held_max or waits_ns > self._held_ns

    def _flush(self) -> list[RtpPacket]:
        """Let go of what waits: the sender counts anew."""
        ready = [packet for _, packet in sorted(self._waiting.items())]
        self._waiting.clear()
        return [after_gap(packet) for packet in ready]

    @property
    def highest(self) -> int:
        """Extended highest sequence number, as a receiver report gives it."""
        return 0 if self._next is None else self._next - 1

    @property
    def expected(self) -> int:
        """Packets that should have come since the sender began to count."""
        return 0 if self._next is None else self._next - self._first

    @property
    def passed(self) -> int:
        """Packets that went on since the sender began to count."""
        return self._passed


def after_gap(packet: RtpPacket) -> RtpPacket:
    """Return the packet as one that follows a gap."""
    return RtpPacket(
        packet.payload_type,
        packet.marker,
        packet.sequence,
        packet.timestamp,
        packet.ssrc,
        packet.payload,
        packet.arrival_ns,
        follows_gap=True,
    )
