"""From an address to a session that plays: redirects, who we are, the track, the transport."""

from __future__ import annotations

import re
import secrets
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from edge.domain.errors import ConfigurationError, FormatError, SourceLostError, UnsupportedError
from edge.domain.ports import Clock
from edge.sources.rtsp import sdp
from edge.sources.rtsp.address import Address
from edge.sources.rtsp.auth import Account
from edge.sources.rtsp.exchange import Exchange
from edge.sources.rtsp.line import Deadline, Line
from edge.sources.rtsp.wire import Answer

Transport = Literal["tcp", "udp"]

_REDIRECTS = frozenset({301, 302, 303, 305, 307, 308})
_REDIRECTS_MAX = 5
_OK, _UNSUPPORTED_TRANSPORT = 200, 461
_TIMEOUT_S = 60.0  # RFC 2326, 12.37: where the server names none
_RECEIVE_BYTES = 4 << 20
_PORT_PAIRS_TRIED = 32


@dataclass(frozen=True, slots=True)
class UdpPair:
    """Our two ports, and where the server sends from."""

    rtp: socket.socket
    rtcp: socket.socket
    server_host: str
    server_rtp_port: int
    server_rtcp_port: int

    def close(self) -> None:
        """Give both ports back."""
        self.rtp.close()
        self.rtcp.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Playing:
    """A session that plays.

    Attributes:
        exchange: Its control connection.
        address: Where it is, after redirects.
        description: What was described.
        udp: Our ports, or None over TCP.
        channels: Of RTP and RTCP over TCP.
        timeout_s: The server forgets us after this long without a word.
        methods: What the server says it can do.
    """

    exchange: Exchange
    address: Address
    description: sdp.Description
    udp: UdpPair | None
    channels: tuple[int, int]
    timeout_s: float
    methods: str


def play(
    address: Address,
    *,
    account: Account | None,
    transport: Transport,
    deadline: Deadline,
    clock: Clock,
    stopping: threading.Event,
) -> Playing:
    """Make a server play.

    Args:
        address: Where the stream is.
        account: Who we are, or None.
        transport: How packets come.
        deadline: For all of it.
        clock: Time.
        stopping: Ends every wait.

    Raises:
        SourceLostError: It does not, for the reason in the message.
    """
    configured_host = address.host
    for _ in range(_REDIRECTS_MAX + 1):
        line = Line(address.public, clock=clock, stopping=stopping)
        is_kept = False
        try:
            line.connect(address.host, address.port, deadline=deadline)
            is_home = address.host == configured_host
            exchange = Exchange(line, account=account, basic_is_allowed=is_home)
            options = exchange.ask("OPTIONS", address.url, deadline=deadline)
            answer = exchange.ask(
                "DESCRIBE", address.url, deadline=deadline, headers={"Accept": "application/sdp"}
            )
            if answer.status not in _REDIRECTS:
                playing = _begin(
                    exchange, address, answer, options.headers.get("public", ""), transport, deadline
                )
                is_kept = True
                return playing
            address = _redirected(address, answer)
        finally:
            if not is_kept:
                line.close()
    raise SourceLostError(f"{address.public}: more than {_REDIRECTS_MAX} redirects")


def _begin(
    exchange: Exchange,
    address: Address,
    answer: Answer,
    methods: str,
    transport: Transport,
    deadline: Deadline,
) -> Playing:
    description = _describe(address, answer)
    udp: UdpPair | None = None
    try:
        if transport == "udp":
            udp, answer = _set_up_udp(exchange, description, deadline)
            channels = (0, 1)
        else:
            channels, answer = _set_up_tcp(exchange, description, deadline)
        timeout_s = _session(exchange, answer)
        exchange.demand("PLAY", description.url, deadline=deadline, headers={"Range": "npt=0.000-"})
    except SourceLostError:
        if udp is not None:
            udp.close()
        raise
    if udp is not None:
        _knock(udp)
    return Playing(
        exchange=exchange,
        address=address,
        description=description,
        udp=udp,
        channels=channels,
        timeout_s=timeout_s,
        methods=methods,
    )


def _describe(address: Address, answer: Answer) -> sdp.Description:
    where = address.public
    if answer.status != _OK:
        raise SourceLostError(f"{where}: DESCRIBE answered {answer.status} {answer.reason}")
    base_url = answer.headers.get("content-base") or answer.headers.get("content-location") or address.url
    if not base_url.lower().startswith("rtsp://"):
        base_url = address.url
    try:
        return sdp.read(answer.body.decode("utf-8", "replace"), base_url=base_url.strip())
    except (FormatError, UnsupportedError) as trouble:
        raise SourceLostError(f"{where}: {trouble}") from trouble


def _redirected(address: Address, answer: Answer) -> Address:
    target = answer.headers.get("location", "")
    try:
        return Address.of(target)
    except ConfigurationError as trouble:
        raise SourceLostError(f"{address.public}: redirects ({answer.status}) to {trouble}") from trouble


def _set_up_tcp(
    exchange: Exchange, description: sdp.Description, deadline: Deadline
) -> tuple[tuple[int, int], Answer]:
    exchange.line.wire.expect(frozenset({0, 1}))
    wanted = "RTP/AVP/TCP;unicast;interleaved=0-1"
    answer = _set_up(exchange, description, wanted, deadline)
    given = re.search(r"interleaved=(\d+)(?:-(\d+))?", answer.headers.get("transport", ""))
    first = int(given[1]) if given else 0
    channels = first, int(given[2]) if given and given[2] else first + 1
    exchange.line.wire.expect(frozenset(channels))
    return channels, answer


def _set_up_udp(
    exchange: Exchange, description: sdp.Description, deadline: Deadline
) -> tuple[UdpPair, Answer]:
    rtp, rtcp = _port_pair(exchange.line.connection)
    try:
        port = rtp.getsockname()[1]
        answer = _set_up(exchange, description, f"RTP/AVP;unicast;client_port={port}-{port + 1}", deadline)
    except SourceLostError:
        rtp.close()
        rtcp.close()
        raise
    said = answer.headers.get("transport", "")
    ports = re.search(r"server_port=(\d+)(?:-(\d+))?", said)
    named = re.search(r"source=([^;,\s]+)", said)
    host = exchange.line.connection.getpeername()[0]
    if named is not None:
        with suppress(OSError):
            host = socket.getaddrinfo(named[1], None, rtp.family)[0][4][0]
    first = int(ports[1]) if ports else 0
    return UdpPair(rtp, rtcp, str(host), first, int(ports[2]) if ports and ports[2] else first + 1), answer


def _set_up(exchange: Exchange, description: sdp.Description, transport: str, deadline: Deadline) -> Answer:
    answer = exchange.ask("SETUP", description.track.url, deadline=deadline, headers={"Transport": transport})
    if answer.status == _UNSUPPORTED_TRANSPORT:
        kind = "TCP" if "TCP" in transport else "UDP"
        raise SourceLostError(
            f"{exchange.line.where}: does not send over {kind} (461); try the other transport"
        )
    if answer.status != _OK:
        raise SourceLostError(f"{exchange.line.where}: SETUP answered {answer.status} {answer.reason}")
    return answer


def _session(exchange: Exchange, answer: Answer) -> float:
    """Remember the session and return after how long the server forgets it."""
    name, _, options = answer.headers.get("session", "").partition(";")
    if not name.strip():
        raise SourceLostError(f"{exchange.line.where}: SETUP gave no session")
    exchange.session = name.strip()
    seconds = re.search(r"timeout\s*=\s*(\d+)", options)
    return max(1.0, float(seconds[1])) if seconds else _TIMEOUT_S


def _port_pair(control: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Bind an even port and the one above, on the address the control connection goes out from."""
    here = control.getsockname()[0]
    for _ in range(_PORT_PAIRS_TRIED):
        port = 32768 + 2 * secrets.randbelow(14_000)
        bound: list[socket.socket] = []
        try:
            for number in (port, port + 1):
                one = socket.socket(control.family, socket.SOCK_DGRAM)
                bound.append(one)
                one.bind((here, number))
                one.setblocking(False)
        except OSError:
            for one in bound:
                one.close()
            continue
        bound[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        return bound[0], bound[1]
    raise SourceLostError(f"no two free UDP ports after {_PORT_PAIRS_TRIED} tries")


def _knock(udp: UdpPair) -> None:
    """Send a packet from each port: what stands between lets the answers through from now on."""
    if udp.server_rtp_port:
        with suppress(OSError):
            udp.rtp.sendto(b"\x80\x00" + bytes(10), (udp.server_host, udp.server_rtp_port))
        with suppress(OSError):
            udp.rtcp.sendto(b"\x80\xc9\x00\x01" + bytes(4), (udp.server_host, udp.server_rtcp_port))
