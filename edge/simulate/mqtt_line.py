"""One MQTT 5 connection of a device that is not there, in a loop it shares with thousands of others."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.domain.errors import FormatError
from edge.kit.mqtt import Message
from edge.simulate import mqtt_packets as packets


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a broker is.

    Attributes:
        host: Name or address.
        port: TCP.
        tls: How to encrypt, with the certificate of the device; or None.
        username: "" for none.
        password: "" for none.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    username: str = ""
    password: str = ""


class SimulatedLine(asyncio.Protocol):
    """Connects, subscribes, sends, answers; whoever owns it decides what to say, and when to come back.

    Attributes:
        is_up: The broker has accepted us, and our subscriptions.
        refused: Codes of what the broker did not take: a topic with each.
    """

    def __init__(
        self,
        hello: bytes,
        *,
        filters: Sequence[str],
        hear: Callable[[Message], None],
        is_open: Callable[[], None],
        is_over: Callable[[str], None],
    ) -> None:
        """Store what a connection needs.

        Args:
            hello: The CONNECT packet.
            filters: To subscribe to.
            hear: Is given each message; acknowledged afterwards.
            is_open: Called once the subscriptions are in order.
            is_over: Called once, with the reason.
        """
        self.is_up = False
        self.refused: list[tuple[str, int]] = []
        self._hello = hello
        self._filters = filters
        self._hear = hear
        self._is_open = is_open
        self._is_over = is_over
        self._reader = packets.Reader()
        self._transport: asyncio.Transport | None = None
        self._number = 0
        self._window = 65535
        self._unanswered: dict[int, str] = {}
        self._waiting: deque[Message] = deque()
        self._why = ""

    @property
    def unanswered(self) -> int:
        """How many messages the broker has not answered yet, those that wait included."""
        return len(self._unanswered) + len(self._waiting)

    def send(self, message: Message) -> None:
        """Send a message, as soon as the broker's window has room."""
        self._waiting.append(message)
        self._send_waiting()

    def ping(self) -> None:
        """Show that we live."""
        self._write(packets.PING)

    def say_goodbye(self) -> None:
        """Disconnect in order: the will is not published."""
        self._write(packets.GOODBYE)
        self.hang_up("we stopped")

    def hang_up(self, why: str = "we hung up") -> None:
        """Break the line as a power cut would: the broker will speak our will."""
        self._why = self._why or why
        if self._transport is not None:
            self._transport.abort() if why == "we hung up" else self._transport.close()

    # ── called by the loop ────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        assert isinstance(transport, asyncio.Transport)
        if self._why:  # we were told to hang up before there was a line
            transport.abort()
            return
        self._transport = transport
        self._write(self._hello)

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        try:
            for packet in self._reader.feed(data):
                self._take(packet)
        except FormatError as trouble:
            self.hang_up(str(trouble))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        self.is_up = False
        self._transport = None
        self._is_over(self._why or (f"{type(exc).__name__}: {exc}" if exc else "the broker hung up"))

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, packet: packets.Packet) -> None:
        match packet:
            case packets.Received(message, number):
                self._hear(message)
                if number:
                    self._write(packets.answer(number))
            case packets.Answered(number, codes):
                self._answered(number, codes)
            case packets.Accepted(code, _, window, _):
                self._accepted(code, window)
            case packets.Ended(code):
                self.hang_up(f"the broker says 0x{code:02x}")

    def _accepted(self, code: int, window: int) -> None:
        if code >= packets.FAILURE:
            self.hang_up(f"the broker refuses us: 0x{code:02x}")
            return
        self._window = window
        if not self._filters:
            self._open()
            return
        number = self._next()
        self._unanswered[number] = ""
        self._write(packets.subscribe(self._filters, number))

    def _answered(self, number: int, codes: tuple[int, ...]) -> None:
        topic = self._unanswered.pop(number, None)
        if topic == "":
            refused = zip(self._filters, codes, strict=False)
            self.refused += [(one, code) for one, code in refused if code >= packets.FAILURE]
            self._open()
        elif topic is not None and codes[0] >= packets.FAILURE:
            self.refused.append((topic, codes[0]))
        self._send_waiting()

    def _open(self) -> None:
        self.is_up = True
        self._is_open()

    def _send_waiting(self) -> None:
        while self._waiting and len(self._unanswered) < self._window and self._transport is not None:
            message = self._waiting.popleft()
            number = 0
            if message.qos:
                number = self._next()
                self._unanswered[number] = message.topic
            self._write(packets.publish(message, number))

    def _next(self) -> int:
        self._number = self._number % 65535 + 1
        while self._number in self._unanswered:
            self._number = self._number % 65535 + 1
        return self._number

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
