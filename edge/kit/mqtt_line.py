"""One connection to an MQTT 5 broker, from CONNECT to its end; the only home of paho."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.client import Client, DisconnectFlags, MQTTMessage, MQTTv5, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.domain.errors import ConfigurationError
from edge.kit.bell import Bell
from edge.kit.log import Log

CONNECT_S = 5.0
IN_FLIGHT_MAX = 32
PACKET_BYTES_MAX = 268_435_455
INCOMING_BYTES_MAX = 262_144
SESSION_TAKEN_OVER = 0x8E
UNKNOWN_ISSUERS = (18, 19, 20, 21)  # of OpenSSL's `X509_V_ERR_`: nobody we know has signed it
REFUSED = "refused after TLS: is our certificate revoked, expired, or of another authority?"
FAILURE = 0x80

# mosquitto answers 0x95 to what exceeds its `message_size_limit`, a code MQTT 5 does not foresee in PUBACK.
# paho would call that malformed and hang up, again and again; so we tell it that there is such an answer.
PACKET_TOO_LARGE = 0x95
ReasonCode.names = {
    **ReasonCode.names,
    PACKET_TOO_LARGE: {
        name: [*packets, PacketTypes.PUBACK] for name, packets in ReasonCode.names[PACKET_TOO_LARGE].items()
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is published, or was received.

    Attributes:
        topic: In full.
        payload: UTF-8 text.
        qos: 0 or 1.
        retain: Whether the broker keeps it for those who subscribe later.
        content_type: MIME type of the payload.
        expiry_s: The broker throws it away when it could not be handed on within so many seconds; of one that
            was received: the seconds that are left.
        user_properties: Pairs of name and value.
        response_topic: Where the answer to a question is wanted, "" where none is.
        correlation_data: By which whoever asked knows the answer; given back as it came.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    content_type: str = "application/json"
    expiry_s: int | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    response_topic: str = ""
    correlation_data: bytes = b""

    def packet_bytes(self) -> int:
        """Return the size of its PUBLISH packet on the wire."""
        rest = 2 + len(self.topic.encode()) + 2 * (self.qos > 0) + len(self.payload)
        rest += len(_properties(self, PacketTypes.PUBLISH).pack())  # type: ignore[no-untyped-call]  # paho's own
        return 1 + max(1, (rest.bit_length() + 6) // 7) + rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to encrypt: TLS 1.2 or newer, the broker's name checked against its certificate.

    Attributes:
        ca_file: PEM file with the authorities that vouch for the broker; None: the system's.
        certificate_file: PEM file with our client certificate, or None.
        key_file: PEM file with its private key.
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Read the files; done for every connection, so that a renewed certificate is taken up.

        Raises:
            ConfigurationError: One of them cannot be used.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            context.sslsocket_class = _TidySocket
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except OSError as trouble:
            files = ", ".join(str(f) for f in (self.ca_file, self.certificate_file, self.key_file) if f)
            raise ConfigurationError(f"TLS for MQTT: {files}: {trouble}; wanted PEM files") from trouble
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """With whom, as whom and on which terms; times in seconds."""

    host: str
    port: int
    client_id: str
    tls: Tls | None
    username: str | None
    password: str | None
    keep_alive_s: int
    session_expiry_s: int
    will_delay_s: int
    incoming_bytes_max: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """What we want to hear.

    Attributes:
        topic_filter: With `+` and `#`, perhaps `$share/<group>/` before it.
        handler: Is called with each message that matches.
        no_local: Whether the broker shall keep from us what we publish there ourselves.
    """

    topic_filter: str
    handler: Callable[[Message], None]
    no_local: bool = False

    def concerns(self, topic: str) -> bool:
        """Return whether a message on this topic was meant."""
        is_shared = self.topic_filter.startswith("$share/")
        return topic_matches_sub(
            self.topic_filter.split("/", 2)[2] if is_shared else self.topic_filter, topic
        )


class Line:
    """One connection; its thread calls `turn` until `ended`, any thread may `send` and `say_goodbye`.

    Attributes:
        is_accepted: The broker has accepted us.
        is_up: It has answered each of our subscriptions as well.
        refused: Why it will not tell us what we subscribed to, by filter.
        ended: Why the connection is over, "" while it is not.
        is_taken_over: It is over because another client came with our id.
        is_refused: It is over because the broker does not want our certificate, as far as one can tell.
        window: Messages with QoS 1 that may be unanswered at once.
        packet_bytes_max: Largest packet the broker takes.
    """

    def __init__(
        self,
        terms: Terms,
        *,
        will: Message | None,
        subscriptions: Sequence[Subscription],
    ) -> None:
        self.is_accepted = False
        self.is_up = False
        self.refused: dict[str, str] = {}
        self.ended = ""
        self.is_taken_over = False
        self.is_refused = False
        self.window = IN_FLIGHT_MAX
        self.packet_bytes_max = PACKET_BYTES_MAX
        self._terms = terms
        self._subscriptions = subscriptions
        self._asked: dict[int | None, str] = {}
        self._log = Log("mqtt")
        self._answers: list[tuple[int, int]] = []
        self._bell = Bell()
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=terms.client_id,
            protocol=MQTTv5,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages = IN_FLIGHT_MAX
        client.connect_timeout = CONNECT_S
        client.on_connect = self._accepted_or_not
        client.on_disconnect = self._over
        client.on_publish = self._answered
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_socket_register_write = _leave_writing_to_the_loop
        if terms.username is not None:
            client.username_pw_set(terms.username, terms.password)
        if will is not None:
            properties = _properties(will, PacketTypes.WILLMESSAGE)
            properties.WillDelayInterval = terms.will_delay_s
            client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain, properties=properties)

    def open(self) -> None:
        """Connect and ask to be accepted.

        Raises:
            OSError: Nobody answers, or not in the way TLS wants.
            ConfigurationError: A certificate or key cannot be used.
        """
        if self._terms.tls is not None:
            self._client.tls_set_context(self._terms.tls.context())
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own
        properties.SessionExpiryInterval = self._terms.session_expiry_s
        properties.ReceiveMaximum = IN_FLIGHT_MAX
        properties.MaximumPacketSize = self._terms.incoming_bytes_max
        self._client.connect(
            self._terms.host,
            self._terms.port,
            keepalive=self._terms.keep_alive_s,
            clean_start=False,
            properties=properties,
        )
        opened = self._client.socket()
        assert isinstance(opened, socket.socket), "paho was asked for TCP"
        # Findings are small and awaited one by one: Nagle's algorithm would hold them back.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def turn(self, wait_s: float) -> list[tuple[int, int]]:
        """Do what is to be done on the socket, waiting for it at most `wait_s`.

        Returns:
            (number, reason code) of each message that was answered.
        """
        error = self._look(wait_s)
        if error and not self.ended:
            self.ended = error.name
        answers, self._answers = self._answers, []
        return answers

    def _look(self, wait_s: float) -> MQTTErrorCode:
        """Read, write and keep alive, after waiting for a reason to.

        With poll: paho's own `loop` asks select, which knows no descriptor above 1023, and a daemon with many
        associations and files would be without its broker.
        """
        line = self._client.socket()
        if not isinstance(line, socket.socket):
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        has_rest = isinstance(line, ssl.SSLSocket) and line.pending() > 0
        poll = select.poll()
        poll.register(line, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        poll.register(self._bell, select.POLLIN)
        found = dict(poll.poll(0 if has_rest else wait_s * 1000))
        if self._bell.fileno() in found:
            self._bell.be_quiet()
        error = MQTTErrorCode.MQTT_ERR_SUCCESS
        if has_rest or found.get(line.fileno(), 0) & ~select.POLLOUT:
            error = self._client.loop_read()
        if not error and self._client.want_write():
            error = self._client.loop_write()
        return error or self._client.loop_misc()

    def send(self, message: Message) -> int:
        """Queue a message for the socket; returns the number its answer will carry."""
        number = self._client.publish(
            message.topic,
            message.payload,
            qos=message.qos,
            retain=message.retain,
            properties=_properties(message, PacketTypes.PUBLISH),
        ).mid
        self._bell.ring()
        return number

    def say_goodbye(self) -> None:
        """Disconnect properly: the broker forgets the will."""
        self._client.disconnect()
        self._bell.ring()

    def close(self) -> None:
        """Give back the socket, and let go of whoever listens, so that nothing is left to collect."""
        open_socket = self._client.socket()
        if open_socket is not None:
            open_socket.close()
        self._bell.close()
        self._client.on_connect = self._client.on_disconnect = self._client.on_publish = None
        self._client.on_subscribe = self._client.on_message = None

    # ── called by paho inside `turn` ──────────────────────────────────────────────────────────────────────

    def _accepted_or_not(
        self,
        client: Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self.ended = f"the broker says: {reason}"
            return
        self.is_accepted = True
        self.window = min(self.window, getattr(properties, "ReceiveMaximum", IN_FLIGHT_MAX))
        self.packet_bytes_max = getattr(properties, "MaximumPacketSize", PACKET_BYTES_MAX)
        for wanted in self._subscriptions:
            options = SubscribeOptions(qos=1, noLocal=wanted.no_local)
            _, number = client.subscribe(wanted.topic_filter, options=options)
            self._asked[number] = wanted.topic_filter
        self.is_up = not self._asked

    def _over(
        self,
        _client: Client,
        _data: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        who = "the broker says" if flags.is_disconnect_packet_from_server else "the line broke"
        is_certain = self.ended or self.is_accepted or flags.is_disconnect_packet_from_server
        # With TLS 1.3 a broker refuses our certificate after the handshake; paho keeps its alert to itself.
        self.is_refused = not is_certain and self._terms.tls is not None
        self.ended = self.ended or (REFUSED if self.is_refused else f"{who}: {reason}")
        self.is_taken_over = flags.is_disconnect_packet_from_server and reason.value == SESSION_TAKEN_OVER

    def _answered(
        self, _client: Client, _data: object, number: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._answers.append((number, reason.value))

    def _subscribed(
        self,
        _client: Client,
        _data: object,
        number: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        topic_filter = self._asked.pop(number, "")
        for reason in reasons:
            if reason.is_failure:
                self.refused[topic_filter] = str(reason)
        self.is_up = not self._asked

    def _received(self, _client: Client, _data: object, raw: MQTTMessage) -> None:
        size_bytes = len(raw.payload)
        if size_bytes > self._terms.incoming_bytes_max:  # a broker that heeds our limit does not send it
            self._log.error("too large, not looked at", bytes=size_bytes, most=self._terms.incoming_bytes_max)
            return
        try:
            topic = raw.topic
        except UnicodeDecodeError as trouble:
            self._log.error("a topic that is no UTF-8, not looked at", because=trouble)
            return
        message = _heard(topic, raw)
        for wanted in self._subscriptions:
            if wanted.concerns(topic):
                wanted.handler(message)


def told_of(error: Exception, terms: Terms) -> str:
    """Return for people why a line could not be opened."""
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in UNKNOWN_ISSUERS:
        file = terms.tls.ca_file if terms.tls is not None else None
        vouching = file or "the system's authorities"
        whose = f"the broker's certificate is not by the authority in {vouching}"
        return f"{whose}; is {terms.port} the port for us, and not for others? ({told})"
    if isinstance(error, ssl.SSLError) and "ALERT" in str(error.reason).upper():
        return f"{REFUSED} ({told})"
    return told


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails: paho would leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _properties(message: Message, packet: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho's own
    properties.PayloadFormatIndicator = 1
    properties.ContentType = message.content_type
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    if message.user_properties:
        properties.UserProperty = list(message.user_properties)
    if message.response_topic:
        properties.ResponseTopic = message.response_topic
    if message.correlation_data:
        properties.CorrelationData = message.correlation_data
    return properties


def _heard(topic: str, raw: MQTTMessage) -> Message:
    return Message(
        topic=topic,
        payload=bytes(raw.payload),
        qos=raw.qos,
        retain=raw.retain,
        content_type=getattr(raw.properties, "ContentType", ""),
        expiry_s=getattr(raw.properties, "MessageExpiryInterval", None),
        user_properties=tuple(getattr(raw.properties, "UserProperty", ())),
        response_topic=getattr(raw.properties, "ResponseTopic", ""),
        correlation_data=getattr(raw.properties, "CorrelationData", b""),
    )


def _leave_writing_to_the_loop(_client: Client, _data: object, _socket: object) -> None:
    """Stop paho from writing in the thread that publishes; its being set is what does it.

    Two threads in paho's writer would interleave their packets. The loop is woken by our bell.
    """
