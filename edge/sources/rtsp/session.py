"""A session that plays: its packets in order, and everything that keeps it playing."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable
from typing import Self

from edge.domain.errors import FormatError, SourceLostError
from edge.domain.ports import Clock
from edge.sources.rtsp import rtcp, rtp
from edge.sources.rtsp.exchange import UNAUTHORIZED
from edge.sources.rtsp.line import SLICE_S, Deadline
from edge.sources.rtsp.setup import Playing
from edge.sources.rtsp.wire import Answer, Interleaved, Request

_REPORT_EVERY_S = 5.0
_SEND_S = 1.0
_GOODBYE_S = 0.2
_DATAGRAMS_MAX = 512  # read in one go, so that one sender never keeps us from the clock
_DATAGRAM_BYTES = 65536
_REORDER_PACKETS, _REORDER_MS = 128, 30.0
_SESSION_NOT_FOUND = 454
_CANNOT = (405, 501, 551)

HearsReport = Callable[[rtcp.SenderReport], None]


class Session:
    """Receives until it is closed; `with` it, and the server is told that we go."""

    def __init__(
        self, playing: Playing, *, hears: HearsReport, clock: Clock, stopping: threading.Event
    ) -> None:
        """Take over a session that plays.

        Args:
            playing: As `setup.play` returned it.
            hears: Is given each report of the sender.
            clock: Time.
            stopping: Ends every wait.
        """
        self.packets = 0
        self.strays = 0
        self.missing = 0
        self._playing = playing
        self._exchange = playing.exchange
        self._line = playing.exchange.line
        self._hears = hears
        self._clock = clock
        self._stopping = stopping
        self._ssrc: int | None = None
        self._candidate: rtp.RtpPacket | None = None
        self._begin()
        self._keep_alive = Deadline(clock, playing.timeout_s / 2)
        self._next_report = Deadline(clock, _REPORT_EVERY_S)
        self._alive_method = "GET_PARAMETER" if "GET_PARAMETER" in playing.methods.upper() else "OPTIONS"

    def _begin(self) -> None:
        """Count anew: another sender."""
        is_udp = self._playing.udp is not None
        self._order = rtp.InOrder(held_max=_REORDER_PACKETS if is_udp else 0, held_ms=_REORDER_MS)
        rate_hz = self._playing.description.track.clock_rate_hz
        self._receiver = rtcp.Receiver(ssrc=secrets.randbits(32), clock_rate_hz=rate_hz)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Tell the server that we go, if it still listens, and let go of everything."""
        with contextlib.suppress(SourceLostError):
            url = self._playing.description.url
            self._exchange.post("TEARDOWN", url, deadline=Deadline(self._clock, _GOODBYE_S))
        self._line.close()
        if self._playing.udp is not None:
            self._playing.udp.close()

    def receive(self) -> list[rtp.RtpPacket]:
        """Return the packets that came, in order; none after 0.1 s without any.

        Raises:
            SourceLostError: The connection is gone, the server ended the session, or we were told to stop.
        """
        packets: list[rtp.RtpPacket] = []
        while self._exchange.early:
            self._take(self._exchange.early.popleft(), packets)
        if packets:
            return packets
        udp = self._playing.udp
        more = (udp.rtp, udp.rtcp) if udp is not None else ()
        for ready in self._line.wait(more, deadline=Deadline(self._clock, SLICE_S)):
            if udp is not None and ready is udp.rtp:
                self._read_udp(ready, packets, is_control=False)
            elif udp is not None and ready is udp.rtcp:
                self._read_udp(ready, packets, is_control=True)
            else:
                for thing in self._line.read():
                    self._take(thing, packets)
        self._keep_going()
        return packets

    # ── what comes ────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, thing: Answer | Request | Interleaved, packets: list[rtp.RtpPacket]) -> None:
        if isinstance(thing, Interleaved):
            if thing.channel in self._playing.channels:
                self._packet(thing.payload, packets, is_control=thing.channel == self._playing.channels[1])
        elif isinstance(thing, Request):
            self._exchange.reply(thing, deadline=Deadline(self._clock, _SEND_S))
            if thing.method in ("TEARDOWN", "REDIRECT"):
                raise SourceLostError(f"{self._line.where}: the server ended the session ({thing.method})")
        else:
            self._judge(thing)

    def _judge(self, answer: Answer) -> None:
        """Read the answer to a sign of life."""
        if answer.status == UNAUTHORIZED:
            self._exchange.renew(answer)
            self._keep_alive = Deadline(self._clock, 0)
        elif answer.status == _SESSION_NOT_FOUND:
            raise SourceLostError(f"{self._line.where}: the server has forgotten the session (454)")
        elif answer.status in _CANNOT:
            self._alive_method = "OPTIONS"

    def _read_udp(self, port: socket.socket, packets: list[rtp.RtpPacket], *, is_control: bool) -> None:
        udp = self._playing.udp
        assert udp is not None, "packets come over UDP"
        for _ in range(_DATAGRAMS_MAX):
            try:
                datagram, sender = port.recvfrom(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # an earlier packet of ours was not wanted; nothing of theirs is lost
            if sender[0] == udp.server_host:
                self._packet(datagram, packets, is_control=is_control)

    def _packet(self, content: bytes, packets: list[rtp.RtpPacket], *, is_control: bool) -> None:
        now_ns = self._clock.monotonic_ns()
        if is_control or rtp.is_rtcp(content):
            self._control(content, now_ns)
            return
        try:
            packet = rtp.parse(content, arrival_ns=now_ns)
        except FormatError:
            self.strays += 1
            return
        if packet.payload_type != self._playing.description.track.payload_type:
            self.strays += 1
            return
        self.packets += 1
        for known in self._of_sender(packet):
            self._receiver.note_packet(timestamp=known.timestamp, arrival_ns=now_ns)
            missing = self._order.missing
            packets += self._order.put(known)
            self.missing += self._order.missing - missing

    def _of_sender(self, packet: rtp.RtpPacket) -> list[rtp.RtpPacket]:
        """Pass on what our sender sends; another is believed with its second packet (RFC 3550, A.1)."""
        if self._ssrc is None:
            self._ssrc = packet.ssrc
        if packet.ssrc == self._ssrc:
            return [packet]
        first, self._candidate = self._candidate, packet
        if first is None or first.ssrc != packet.ssrc or (first.sequence + 1) % 65536 != packet.sequence:
            return []
        self._ssrc, self._candidate = packet.ssrc, None
        self._begin()
        return [rtp.after_gap(first), packet]

    def _control(self, content: bytes, now_ns: int) -> None:
        for said in rtcp.parse(content):
            if isinstance(said, rtcp.Goodbye):
                raise SourceLostError(f"{self._line.where}: the sender said goodbye (RTCP BYE)")
            if said.ssrc == self._ssrc:
                self._receiver.note_report(said, arrival_ns=now_ns)
                self._hears(said)

    # ── what we say ───────────────────────────────────────────────────────────────────────────────────────

    def _keep_going(self) -> None:
        """Say that we are here, and what arrived."""
        if self._keep_alive.is_over:
            self._keep_alive = Deadline(self._clock, self._playing.timeout_s / 2)
            url = self._playing.description.url
            self._exchange.post(self._alive_method, url, deadline=Deadline(self._clock, _SEND_S))
        if self._next_report.is_over:
            self._next_report = Deadline(self._clock, _REPORT_EVERY_S)
            self._report()

    def _report(self) -> None:
        if self._ssrc is None:
            return
        now_ns = self._clock.monotonic_ns()
        report = self._receiver.report(about_ssrc=self._ssrc, order=self._order, now_ns=now_ns)
        udp = self._playing.udp
        if udp is None:
            head = b"$" + bytes([self._playing.channels[1]]) + len(report).to_bytes(2, "big")
            self._line.send(head + report, deadline=Deadline(self._clock, _SEND_S))
        elif udp.server_rtcp_port:
            with contextlib.suppress(OSError):
                udp.rtcp.sendto(report, (udp.server_host, udp.server_rtcp_port))
