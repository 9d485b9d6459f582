"""The desk at a real broker: one connection that gathers what there is, and publishes what is signed."""

from __future__ import annotations

import json
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, Self

from edge.domain.errors import ConfigurationError, DeliveryError, DocumentRefusedError, RefusedError
from edge.domain.ports import Clock
from edge.fleet.documents import DOCUMENT_BYTES_MAX
from edge.fleet.moments import told
from edge.fleet.operator.gathering import FLEET, GROUP, Gathering
from edge.fleet.operator.inventory import DeviceView, Document, document_number
from edge.fleet.signing import Signer
from edge.kit.mqtt import Message, MqttSession

CONNECT_S: Final = 10.0
ANSWER_S: Final = 10.0
ECHO_S: Final = 2.0
QUIET_S: Final = 1.0  # without a retained message: the broker has told all it tells
WHOLE_S: Final = 60.0
HEARD_MAX: Final = 10_000
MARKER: Final = f"{FLEET}/desk"
ANNOUNCED: Final = {"schema": "edge.desk/1", "what": "behind everything that the broker keeps"}
NOT_WHOLE: Final = (
    "the broker left out some of what it keeps: its queue for one client is too short "
    "(mosquitto: max_queued_messages 0)"
)


class Listening:
    """Messages that somebody at the desk waits for, in the order of the broker; the newest 10,000."""

    def __init__(self, wants: Callable[[str], bool]) -> None:
        """Store which topics are wanted."""
        self.wants = wants
        self._heard: deque[Message] = deque(maxlen=HEARD_MAX)

    def hear(self, message: Message) -> None:
        """Keep a message until it is taken."""
        self._heard.append(message)

    def take(self) -> Iterator[Message]:
        """Yield what was heard since the last time."""
        while self._heard:
            yield self._heard.popleft()


class MqttDesk:
    """A `Desk` while its `with` lasts.

    Attributes:
        trouble: Why what it shows may not be whole; "" where it is.
    """

    def __init__(
        self,
        sessions: Callable[[], MqttSession],
        *,
        root: str,
        clock: Clock,
        signer: Signer | None = None,
        more: Sequence[str] = (),
    ) -> None:
        """Store whom to ask.

        Args:
            sessions: Makes a session that leaves nothing behind at the broker; not open yet.
            root: What every topic begins with.
            clock: Of the machine.
            signer: Signs what is published; without one nothing can be.
            more: Further filters below the root for those who listen.
        """
        self._sessions = sessions
        self._root = root
        self._clock = clock
        self._signer = signer
        self._more = more
        self._gathering = Gathering(root, clock.utc_ns)
        self._changed = threading.Condition()
        self._changes = self._seen = 0
        self._told_ns = 0  # when the broker last told something that it keeps
        self._is_whole = False
        self._echo: tuple[str, bytes] | None = None  # what we wait to hear of what we published
        self._listening: list[Listening] = []
        self._session: MqttSession | None = None
        self._open = ExitStack()
        self.trouble = ""

    def __enter__(self) -> Self:
        """Connect, and gather what the broker keeps.

        Raises:
            DeliveryError: There is no broker, or it does not let us in.
            ConfigurationError: A certificate or a key cannot be used.
        """
        try:
            self._connect()
            if not self._gather():
                self._connect_once_more()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    # ── what there is ─────────────────────────────────────────────────────────────────────────────────────

    def devices(self) -> Mapping[str, DeviceView]:
        """Return what is known about every device at this moment, by name."""
        with self._changed:
            return self._gathering.devices()

    def groups(self) -> Mapping[str, Document]:
        """Return the layers that the broker holds for groups, by name."""
        with self._changed:
            return self._gathering.groups()

    def rollouts(self) -> Mapping[str, Document]:
        """Return the state of every roll-out that the broker holds, by id, as it was published."""
        with self._changed:
            return self._gathering.rollouts()

    def wait(self, timeout_s: float) -> bool:
        """Wait until anything has changed since the last call; returns whether it has."""
        with self._changed:
            has_changed = self._changed.wait_for(lambda: self._changes != self._seen, timeout_s)
            self._seen = self._changes
            return has_changed

    def now_ns(self) -> int:
        """Return UTC, in ns."""
        return self._clock.utc_ns()

    def listen(self, wants: Callable[[str], bool]) -> Listening:
        """Keep, from now on, the messages on topics (without the root) that are wanted."""
        listening = Listening(wants)
        with self._changed:
            self._listening.append(listening)
        return listening

    @property
    def is_connected(self) -> bool:
        """Whether the broker can be reached; what is shown is as old as the moment when it could not."""
        return self._session is not None and self._session.connected

    # ── what is written ───────────────────────────────────────────────────────────────────────────────────

    def publish(self, name: str, document: Document) -> Document:
        """Sign a document for a device or a group, and leave it at the broker.

        Args:
            name: Of the device or the group.
            document: In full, without `issued` and `signature`; `base` is the version it was made from.

        Returns:
            What was published.

        Raises:
            DocumentRefusedError: conflict: the broker or the device has come further than `base`; schema: it
                is no document that could be signed, or too large.
            SecretError: The key cannot be used.
            DeliveryError: The broker did not take it, and says why.
        """
        known = self.version_of(name)
        if document_number(document, "base") != known:
            raise DocumentRefusedError(
                "conflict",
                f"{name}: made from version {document.get('base')}, and by now there is version {known}",
                path="base",
            )
        signed = self._sign({**document, "issued": told(self.now_ns())})
        self.put_back(name, signed)
        return signed

    def put_back(self, name: str, document: Document) -> None:
        """Leave a document of a device or a group at the broker as somebody has signed it.

        Raises:
            DocumentRefusedError: schema: it is too large.
            DeliveryError: The broker did not take it, and says why.
        """
        self.leave(f"{name}/config/desired", document, is_heard=True)

    def publish_rollout(self, rollout_id: str, document: Document | None) -> None:
        """Sign the state of a roll-out and leave it at the broker; None takes it away.

        Raises:
            DeliveryError: The broker did not take it, and says why.
        """
        signed = None if document is None else self._sign(document)
        self.leave(f"{FLEET}/rollout/{rollout_id}", signed, is_heard=True)

    def command(self, below: str, document: Document) -> Document:
        """Sign a command, and leave it at the broker on a topic below the root.

        Returns:
            What was published.

        Raises:
            DeliveryError: The broker did not take it, and says why.
        """
        signed = self._sign(document)
        self.leave(below, signed)
        return signed

    def catch_up(self) -> bool:
        """Hear everything that the broker took before this moment; returns whether that is certain.

        Raises:
            DeliveryError: There is no connection.
        """
        try:
            self.leave(MARKER, {**ANNOUNCED, "said": secrets.token_hex(8)}, is_heard=True)
        except RefusedError:
            return False
        return self._echo is None

    def leave(self, below: str, document: Document | None, *, is_heard: bool = False) -> None:
        """Leave a document at the broker as it is, on a topic below the root; None clears the topic.

        Args:
            below: The topic without the root.
            document: With its signature, if it has one.
            is_heard: We hear this topic ourselves, and return when it was heard: whoever looks next sees it.

        Raises:
            DeliveryError: The broker did not take it, and says why.
        """
        payload = b"" if document is None else _written(document)
        if len(payload) > DOCUMENT_BYTES_MAX and not below.startswith(f"{FLEET}/"):
            text = f"{below}: {len(payload)} bytes; allowed: at most {DOCUMENT_BYTES_MAX}"
            raise DocumentRefusedError("schema", text)
        schema = (("schema", str(document["schema"])),) if document and "schema" in document else ()
        message = Message(topic=f"{self._root}/{below}", payload=payload, retain=True, user_properties=schema)
        self._echo = (message.topic, payload) if is_heard else None
        self._send(message)
        with self._changed:
            self._changed.wait_for(lambda: self._echo is None, ECHO_S)

    def ask(self, below: str, *, response_topic: str, correlation: bytes, timeout_s: float) -> None:
        """Publish a question below the root; the answer comes to those who listen.

        Raises:
            DeliveryError: The broker did not take it.
        """
        message = Message(
            topic=f"{self._root}/{below}",
            payload=b"{}",
            expiry_s=max(1, round(timeout_s)),
            response_topic=f"{self._root}/{response_topic}",
            correlation_data=correlation,
        )
        if self._send(message) == NOBODY:
            raise DeliveryError(f"{below}: nobody listens: the device is away, or takes no questions")

    def version_of(self, name: str) -> int:
        """Return the highest version of a document that the broker or a device is known to have seen."""
        site, kind, *group = name.split("/")
        if kind != GROUP:
            view = self.devices().get(name)
            return 0 if view is None else view.version
        held = document_number(self.groups().get(name), "version")
        scope = f"{GROUP}/{group[0]}"
        return max([held, *(view.floor(scope) for view in self.devices().values() if view.site == site)])

    def _sign(self, document: Document) -> dict[str, Any]:
        if self._signer is None:
            raise ConfigurationError(
                "there is no key to sign with; wanted 'signing' in fleet.yaml, with key and private_file"
            )
        return self._signer.sign(document)

    def _send(self, message: Message) -> int:
        assert self._session is not None, "inside the with"
        code = self._session.publish(message, timeout_s=ANSWER_S)
        if code >= FAILURE:
            why = REFUSALS.get(code, "it gives no reason that is known here")
            raise RefusedError(f"{message.topic}: the broker refuses it (0x{code:02x}): {why}")
        return code

    # ── the connection ────────────────────────────────────────────────────────────────────────────────────

    def _connect(self) -> None:
        session = self._sessions()
        session.last_will(self._before)
        session.on_subscribed(self._note_refused)
        further = [f"{self._root}/{below}" for below in self._more]
        marker = f"{self._root}/{MARKER}"  # the last: it comes behind all that the others bring
        for topic_filter in (*self._gathering.filters(), *further, marker):
            session.subscribe(topic_filter, self._take)
        self._session = self._open.enter_context(session)
        if not session.wait_connected(CONNECT_S):
            raise DeliveryError(f"no connection to {session.name}: {session.trouble}")

    def _gather(self) -> bool:
        """Wait until the broker has told all that it keeps; returns whether it is known to be all."""
        until_ns = self._clock.monotonic_ns() + round(WHOLE_S * 1e9)
        with self._changed:
            self._told_ns = self._clock.monotonic_ns()
            while not self._is_whole and self._clock.monotonic_ns() < until_ns:
                quiet_ns = self._clock.monotonic_ns() - self._told_ns
                if quiet_ns > QUIET_S * 1e9:
                    break
                self._changed.wait(QUIET_S - quiet_ns / 1e9)
            return self._is_whole

    def _connect_once_more(self) -> None:
        """Leave the last message of all at the broker, and see whether it comes in another connection."""
        assert self._session is not None, "connected before"
        try:
            self.leave(MARKER, ANNOUNCED, is_heard=True)
        except RefusedError as refused:
            self.trouble = f"nobody knows whether this is all that the broker keeps: {refused}"
            return
        self._open.close()
        self._gathering = Gathering(self._root, self._clock.utc_ns)
        self._is_whole = False
        self._connect()
        if not self._gather():
            self.trouble = NOT_WHOLE

    def _before(self) -> None:
        """A connection begins, ours or one that comes back; called by the session in its thread."""
        with self._changed:
            self._gathering.begin()

    def _note_refused(self, refused: Mapping[str, str]) -> None:
        if refused:
            told_not = ", ".join(f"{topic} ({why})" for topic, why in refused.items())
            self.trouble = f"the broker does not tell: {told_not}"

    def _take(self, message: Message) -> None:
        with self._changed:
            below = message.topic.removeprefix(f"{self._root}/")
            if below == MARKER and message.retain:
                self._is_whole = True
                self._gathering.settle()
            elif below != MARKER:
                self._gathering.take(message)
            for listening in self._listening:
                if listening.wants(below):
                    listening.hear(message)
            if message.retain:
                self._told_ns = self._clock.monotonic_ns()
            if self._echo == (message.topic, message.payload):
                self._echo = None
            self._changes += 1
            self._changed.notify_all()


FAILURE: Final = 0x80
NOBODY: Final = 0x10
REFUSALS: Final[Mapping[int, str]] = {
    0x87: "not authorised: its access list gives this client no right to write there",
    0x90: "the name of the topic is not accepted",
    0x95: "the message is too large for it",
    0x97: "its quota is used up",
}


def _written(document: Document) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
