"""What an operator has one device do, and asks it: commands and questions, each with an id of its own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.domain.errors import DeliveryError, DocumentRefusedError
from edge.fleet.command_forms import BY_DEVICE, COMMAND_SCHEMA, LIFE_S, args_of
from edge.fleet.operator.gathering import read
from edge.fleet.operator.inventory import DeviceView, Document, document_text
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.kit.moments import told

AWAY: Final = ("offline", "stopped")
ENDS: Final = ("successful", "failed")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Names one command or question, before the desk is opened that hears what becomes of it.

    Attributes:
        kind: `selftest`; of a question its method.
        number: Its id; nobody else has it.
    """

    kind: str
    number: str

    @property
    def cmd(self) -> str:
        """The end of a command's topic: `<type>/<id>`."""
        return f"{self.kind}/{self.number}"

    @property
    def filters(self) -> tuple[str, ...]:
        """What the desk must hear, below the site."""
        return (f"+/cmd/{self.cmd}", f"+/reply/{self.number}")


def ticket(kind: str) -> Ticket:
    """Return a ticket that nobody else has."""
    return Ticket(kind, f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}")


class Order:
    """One command to one device, from its being given to its being cleared.

    Attributes:
        document: As it was published.
    """

    def __init__(self, desk: MqttDesk, name: str, ticket: Ticket) -> None:
        """Store to whom it goes; nothing is published yet."""
        self._desk = desk
        self._topic = f"{name}/cmd/{ticket.cmd}"
        self._site, _, self._device = name.partition("/")
        self._ticket = ticket
        self._heard = desk.listen(self._topic.__eq__)
        self._state: Document | None = None
        self.document: Document | None = None

    def give(self, args: Mapping[str, Any], *, life_s: float) -> Document:
        """Sign it and leave it at the broker.

        Args:
            args: As its type wants them; checked.
            life_s: The device does not begin it later.

        Raises:
            DocumentRefusedError: There is no such command, or its arguments are not what it wants.
            DeliveryError: The broker did not take it.
            SecretError: The key cannot be used.
        """
        now_ns = self._desk.now_ns()
        unsigned = {
            "schema": COMMAND_SCHEMA,
            "state": "init",
            "site": self._site,
            "device": self._device,
            "cmd": self._ticket.cmd,
            "issued": told(now_ns),
            "expires": told(now_ns + round(min(life_s, LIFE_S) * 1e9)),
            "args": args_of(self._ticket.kind, args),
        }
        self.document = self._desk.command(self._topic, unsigned)
        return self.document

    def state(self) -> Document | None:
        """Return what the device said last about it, None before it said anything."""
        for message in self._heard.take():
            document = read(message.payload)[0]
            if document is not None and document.get("by") == BY_DEVICE:
                self._state = document
        return self._state

    def clear(self) -> None:
        """Take it away from the broker: it is over, or nobody wants it any more.

        Raises:
            DeliveryError: The broker did not take that.
        """
        self._desk.leave(self._topic, None)


def ask(desk: MqttDesk, name: str, ticket: Ticket, *, timeout_s: float) -> Mapping[str, Any]:
    """Ask a device a question.

    Args:
        desk: Hears the ticket's filters.
        name: Of the device.
        ticket: Its kind is the method.
        timeout_s: Longest wait for the answer.

    Raises:
        DeliveryError: The device is away, or did not answer.
        DocumentRefusedError: It says why it has no answer.
    """
    view = desk.devices().get(name)
    if view is not None and view.presence in AWAY:
        raise DeliveryError(f"{name}: is {_since(view)}, and cannot be asked about {ticket.kind}")
    topic = f"{name}/reply/{ticket.number}"
    heard = desk.listen(topic.__eq__)
    correlation = ticket.number.encode()
    desk.ask(f"{name}/rpc/{ticket.kind}", response_topic=topic, correlation=correlation, timeout_s=timeout_s)
    until_ns = desk.now_ns() + round(timeout_s * 1e9)
    while desk.now_ns() < until_ns:
        for message in heard.take():
            document = read(message.payload)[0]
            if document is not None and message.correlation_data == correlation:
                return _answer(name, ticket, document)
        desk.wait(min(0.5, timeout_s))
    raise DeliveryError(f"{name}: no answer about {ticket.kind} within {timeout_s:g} s")


def _since(view: DeviceView) -> str:
    seen = f" since {told(view.last_seen_utc_ns)}" if view.last_seen_utc_ns else ""
    return f"{view.presence}{seen}"


def _answer(name: str, ticket: Ticket, document: Document) -> Mapping[str, Any]:
    answer = document.get("answer")
    if isinstance(answer, Mapping):
        return answer
    code, message = document_text(document, "code"), document_text(document, "message")
    raise DocumentRefusedError(code or "failed", f"{name}: {ticket.kind}: {message or 'no answer'}")
