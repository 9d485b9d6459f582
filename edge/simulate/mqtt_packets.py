"""MQTT 5 packets: as much of the protocol as thousands of devices that are not there need.

Written after the OASIS standard MQTT Version 5.0; the numbers of its sections stand beside what they are for.
The product's own line to a broker is `kit/mqtt_line.py`, which takes a thread for each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edge.domain.errors import FormatError
from edge.kit.mqtt import Message

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT = 0x20, 0x30, 0x40, 0x90, 0xD0, 0xE0
PING: Final = b"\xc0\x00"
GOODBYE: Final = b"\xe0\x00"
FAILURE: Final = 0x80
PACKET_BYTES_MAX: Final = 1 << 20

# How a property is written, by its number (2.2.2.2): bytes of a fixed size, text, a pair, a varying integer.
_FIXED = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
_TEXT = {0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F}
_PAIR = 0x26
_VARYING = 0x0B
_IS_TEXT, _EXPIRY, _CONTENT, _RESPONSE, _CORRELATION = 0x01, 0x02, 0x03, 0x08, 0x09
_RECEIVE_MAXIMUM, _SERVER_KEEP_ALIVE = 0x21, 0x13


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker's answer to CONNECT.

    Attributes:
        code: 0, or why not.
        had_session: It has kept ours.
        window: How many of our messages may be unanswered at once.
        keep_alive_s: That it wants instead of ours, 0 where it is content.
    """

    code: int
    had_session: bool
    window: int
    keep_alive_s: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message, and the number it is to be answered with; 0 where none is wanted."""

    message: Message
    number: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The broker's word on one of our messages, or on a subscription: the code of each filter."""

    number: int
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The broker hangs up, and says why."""

    code: int


Packet = Accepted | Received | Answered | Ended


# ── to the broker ──────────────────────────────────────────────────────────────────────────────────────────


def connect(
    client_id: str,
    *,
    keep_alive_s: int,
    session_expiry_s: int,
    will: Message | None = None,
    will_delay_s: int = 0,
    username: str = "",
    password: str = "",
) -> bytes:
    """Write CONNECT (3.1), never with Clean Start."""
    flags = (0x80 if username else 0) | (0x40 if password else 0)
    payload = _text(client_id)
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        properties = b"\x18" + struct.pack("!I", will_delay_s) + _properties(will)
        payload += _sized(properties) + _text(will.topic) + _binary(will.payload)
    payload += (_text(username) if username else b"") + (_text(password) if password else b"")
    terms = b"\x11" + struct.pack("!I", session_expiry_s)
    head = _text("MQTT") + bytes((5, flags)) + struct.pack("!H", keep_alive_s) + _sized(terms)
    return _packet(0x10, head + payload)


def subscribe(filters: Sequence[str], number: int) -> bytes:
    """Write SUBSCRIBE (3.8): QoS 1, nothing of our own comes back."""
    asked = b"".join(_text(one) + b"\x05" for one in filters)
    return _packet(0x82, struct.pack("!H", number) + b"\x00" + asked)


def publish(message: Message, number: int) -> bytes:
    """Write PUBLISH (3.3); `number` counts for QoS 1 only."""
    head = _text(message.topic) + (struct.pack("!H", number) if message.qos else b"")
    flags = message.qos << 1 | message.retain
    return _packet(PUBLISH | flags, head + _sized(_properties(message)) + message.payload)


def answer(number: int) -> bytes:
    """Write PUBACK (3.4): taken."""
    return b"\x40\x02" + struct.pack("!H", number)


# ── from the broker ────────────────────────────────────────────────────────────────────────────────────────


class Reader:
    """Makes packets out of bytes as they come; holds no more than one that is unfinished."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Give each packet that is whole now; pings are nobody's business.

        Raises:
            FormatError: This is no MQTT, or larger than we ever asked for.
        """
        data = self._rest + data if self._rest else data
        at = 0
        try:
            while (found := _whole(data, at)) is not None:
                body, after = found
                packet = _read(data[at], data[body:after])
                at = after
                if packet is not None:
                    yield packet
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise FormatError(f"byte {at}: an MQTT packet that ends too early: {error}") from error
        finally:
            self._rest = data[at:]


def _whole(data: bytes, at: int) -> tuple[int, int] | None:
    """Return where the body of the next packet begins and ends, None while it is not all there."""
    size, shift, body = 0, 0, at + 1
    while True:
        if body >= len(data):
            return None
        byte = data[body]
        size |= (byte & 0x7F) << shift
        body, shift = body + 1, shift + 7
        if not byte & 0x80:
            break
        if shift > 21:
            raise FormatError("a length of more than four bytes; wanted MQTT")
    if size > PACKET_BYTES_MAX:
        raise FormatError(f"a packet of {size} bytes; wanted at most {PACKET_BYTES_MAX}")
    return (body, body + size) if body + size <= len(data) else None


def _read(first: int, body: bytes) -> Packet | None:
    match first & 0xF0:
        case 0x20:
            said, _ = _properties_at(body, 2)
            window, keep_alive = said.get(_RECEIVE_MAXIMUM, 65535), said.get(_SERVER_KEEP_ALIVE, 0)
            assert isinstance(window, int)
            assert isinstance(keep_alive, int)
            return Accepted(body[1], bool(body[0] & 1), window, keep_alive)
        case 0x30:
            return _received(first, body)
        case 0x40:
            return Answered(_number(body), (body[2] if len(body) > 2 else 0,))
        case 0x90:
            _, at = _properties_at(body, 2)
            return Answered(_number(body), tuple(body[at:]))
        case 0xD0:
            return None
        case 0xE0:
            return Ended(body[0] if body else 0)
    raise FormatError(f"a packet that begins with 0x{first:02x}; no broker sends that to a device")


def _received(first: int, body: bytes) -> Received:
    topic, at = _text_at(body, 0)
    qos = first >> 1 & 3
    number = 0
    if qos:
        number = int.from_bytes(body[at : at + 2], "big")
        at += 2
    said, at = _properties_at(body, at)
    expiry, correlation = said.get(_EXPIRY), said.get(_CORRELATION, b"")
    assert expiry is None or isinstance(expiry, int)
    assert isinstance(correlation, bytes)
    message = Message(
        topic=topic,
        payload=body[at:],
        qos=qos,
        retain=bool(first & 1),
        content_type=_decoded(said.get(_CONTENT)),
        expiry_s=expiry,
        response_topic=_decoded(said.get(_RESPONSE)),
        correlation_data=correlation,
    )
    return Received(message, number)


def _decoded(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else ""


def _number(body: bytes) -> int:
    return int(struct.unpack_from("!H", body)[0])


def _properties_at(body: bytes, at: int) -> tuple[dict[int, int | bytes], int]:
    """Read properties: numbers as integers, text as bytes; pairs are passed over.

    Returns:
        The properties, and where they end.
    """
    if at >= len(body):
        return {}, at
    size, at = _varying_at(body, at)
    end = at + size
    found: dict[int, int | bytes] = {}
    while at < end:
        kind = body[at]
        at += 1
        if kind in _FIXED:
            found[kind] = int.from_bytes(body[at : at + _FIXED[kind]], "big")
            at += _FIXED[kind]
        elif kind == _VARYING:
            found[kind], at = _varying_at(body, at)
        elif kind == _PAIR:
            at = _skipped(body, _skipped(body, at))
        elif kind in _TEXT:
            after = _skipped(body, at)
            found[kind] = body[at + 2 : after]
            at = after
        else:
            raise FormatError(f"property 0x{kind:02x} is none of MQTT 5")
    return found, end


def _skipped(body: bytes, at: int) -> int:
    return at + 2 + int(struct.unpack_from("!H", body, at)[0])


def _text_at(body: bytes, at: int) -> tuple[str, int]:
    end = _skipped(body, at)
    return body[at + 2 : end].decode(), end


def _varying_at(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


# ── pieces ─────────────────────────────────────────────────────────────────────────────────────────────────


def _properties(message: Message) -> bytes:
    written = bytes((_IS_TEXT, 1, _CONTENT)) + _text(message.content_type)
    if message.expiry_s is not None:
        written += bytes((_EXPIRY,)) + struct.pack("!I", message.expiry_s)
    if message.response_topic:
        written += bytes((_RESPONSE,)) + _text(message.response_topic)
    if message.correlation_data:
        written += bytes((_CORRELATION,)) + _binary(message.correlation_data)
    for name, value in message.user_properties:
        written += bytes((_PAIR,)) + _text(name) + _text(value)
    return written


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + _varying(len(body)) + body


def _sized(properties: bytes) -> bytes:
    return _varying(len(properties)) + properties


def _varying(value: int) -> bytes:
    written = bytearray()
    while True:
        value, low = divmod(value, 128)
        written.append(low | (0x80 if value else 0))
        if not value:
            return bytes(written)


def _text(text: str) -> bytes:
    return _binary(text.encode())


def _binary(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data
