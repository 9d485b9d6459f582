"""RTCP: what a sender says about its clock, and what we say about what arrived (RFC 3550, 6.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.sources.rtsp.rtp import InOrder

_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION, _GOODBYE = 200, 201, 202, 203
_SENDER = struct.Struct(">IQI")  # ssrc, NTP time (32.32 fixed point), RTP timestamp
_RECEIVED = struct.Struct(">II4sIIII")
_LOST_MAX = 0x7FFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderReport:
    """One moment on both clocks of a sender.

    Attributes:
        ssrc: Who sends.
        ntp: Its wall clock: seconds since 1900 in 32.32 fixed point.
        timestamp: The same moment in RTP units, 0 to 2**32 - 1.
    """

    ssrc: int
    ntp: int
    timestamp: int

    @property
    def seconds(self) -> float:
        """Its wall clock in seconds since 1900."""
        return self.ntp / 2**32


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The sender ends its stream."""


def parse(compound: bytes) -> list[SenderReport | Goodbye]:
    """Return what matters in a compound packet; what is damaged is passed over, it steers nothing."""
    found: list[SenderReport | Goodbye] = []
    at = 0
    while at + 4 <= len(compound) and compound[at] >> 6 == 2:
        kind = compound[at + 1]
        end = at + 4 + 4 * int.from_bytes(compound[at + 2 : at + 4], "big")
        if kind == _SENDER_REPORT and at + 4 + _SENDER.size <= min(end, len(compound)):
            ssrc, ntp, timestamp = _SENDER.unpack_from(compound, at + 4)
            found.append(SenderReport(ssrc=ssrc, ntp=ntp, timestamp=timestamp))
        elif kind == _GOODBYE:
            found.append(Goodbye())
        at = end
    return found


class Receiver:
    """Writes our reports about one sender."""

    def __init__(self, *, ssrc: int, clock_rate_hz: int) -> None:
        """Begin.

        Args:
            ssrc: Ours.
            clock_rate_hz: Of the sender's timestamps.
        """
        self._ssrc = ssrc
        self._rate_hz = clock_rate_hz
        self._jitter = 0.0
        self._transit: float | None = None
        self._expected_before = self._passed_before = 0
        self._heard: tuple[SenderReport, int] | None = None

    def note_packet(self, *, timestamp: int, arrival_ns: int) -> None:
        """Follow the jitter (RFC 3550, A.8)."""
        transit = arrival_ns * self._rate_hz / 1e9 - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < 2**31:  # not over the wrap of the timestamps
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    def note_report(self, report: SenderReport, *, arrival_ns: int) -> None:
        """Remember the last report of the sender: ours refers to it."""
        self._heard = report, arrival_ns

    def report(self, *, about_ssrc: int, order: InOrder, now_ns: int) -> bytes:
        """Write a receiver report and our name."""
        expected, passed = order.expected, order.passed
        interval = max(0, expected - self._expected_before)
        lost = max(0, interval - max(0, passed - self._passed_before))
        fraction = min(255, lost * 256 // interval) if interval else 0
        self._expected_before, self._passed_before = expected, passed
        missing = min(_LOST_MAX, max(0, expected - passed))
        last, delay = self._last_heard(now_ns)
        block = _RECEIVED.pack(
            self._ssrc,
            about_ssrc,
            bytes([fraction]) + missing.to_bytes(3, "big"),
            order.highest & 0xFFFFFFFF,
            min(0xFFFFFFFF, int(self._jitter)),
            last,
            delay,
        )
        name = b"\x01\x04edge\x00\x00"  # SDES item CNAME, the end of the list, padding to 32 bits
        described = struct.pack(">I", self._ssrc) + name
        return _packet(_RECEIVER_REPORT, 1, block) + _packet(_DESCRIPTION, 1, described)

    def _last_heard(self, now_ns: int) -> tuple[int, int]:
        """Return the middle of the last report's NTP time, and how long ago it came in 1/65536 s."""
        if self._heard is None:
            return 0, 0
        report, arrival_ns = self._heard
        return (report.ntp >> 16) & 0xFFFFFFFF, min(0xFFFFFFFF, (now_ns - arrival_ns) * 65536 // 10**9)


def _packet(kind: int, count: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0x80 | count, kind, len(content) // 4) + content
