"""The desk at a real broker: one connection that gathers what there is, and publishes what is signed."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, Self

from edge.domain.errors import ConfigurationError, DeliveryError, DocumentRefusedError, RefusedError
from edge.domain.ports import Clock
from edge.fleet.documents import DOCUMENT_BYTES_MAX
from edge.fleet.operator.gathering import FLEET, GROUP, Gathering
from edge.fleet.operator.inventory import DeviceView, Document, document_number
from edge.fleet.operator.whole import BARRED, NOT_WHOLE, QUIET_S, SOON_S, Whole
from edge.fleet.signing import Signer
from edge.kit.moments import told
from edge.kit.mqtt import Message, MqttSession

CONNECT_S: Final = 10.0
ANSWER_S: Final = 10.0
ECHO_S: Final = 2.0
WHOLE_S: Final = 60.0
HEARD_MAX: Final = 10_000


class Listening:
    """Messages that somebody at the desk waits for, in the order of the broker; the newest 10,000.

    Attributes:
        lost: How many older ones made room since it was asked last.
    """

    def __init__(self, wants: Callable[[str], bool]) -> None:
        """Store which topics are wanted."""
        self.wants = wants
        self.lost = 0
        self._heard: deque[Message] = deque(maxlen=HEARD_MAX)

    def hear(self, message: Message) -> None:
        """Keep a message until it is taken."""
        self.lost += len(self._heard) == HEARD_MAX
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
        sites: Sequence[str] = (),
        more: Sequence[str] = (),
    ) -> None:
        """Store whom to ask.

        Args:
            sessions: Makes a session that leaves nothing behind at the broker; not open yet.
            root: What every topic begins with.
            clock: Of the machine.
            signer: Signs what is published; without one nothing can be.
            sites: Which are looked at; none: all there are.
            more: Further filters below the site for those who listen, `+/config/event`.
        """
        self._sessions = sessions
        self._root = root
        self._clock = clock
        self._signer = signer
        self._sites = sites
        self._more = more
        self._gathering = Gathering(root, clock.utc_ns, sites)
        self._changed = threading.Condition()
        self._changes = self._seen = 0
        self._whole = Whole(f"{root}/{FLEET}/desk", clock)
        self._is_settled = False
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
        with ExitStack() as opening:
            opening.callback(lambda: self._open.close())
            self._connect()
            if not self._gather(SOON_S) and not self._whole.is_barred:
                self._open.close()
                self._gathering = Gathering(self._root, self._clock.utc_ns, self._sites)
                self._connect()  # the last message of all is there now
            if not self._gather(QUIET_S):
                barred = BARRED.format(topic=self._whole.topic)
                self.trouble = self.trouble or (barred if self._whole.is_barred else NOT_WHOLE)
            opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    # ── what there is ─────────────────────────────────────────────────────────────────────────────────────

    def devices(self) -> Mapping[str, DeviceView]:
        """Return what is known about every device at this moment, by name."""
        with self._changed:
            self._settle()
            return self._gathering.devices()

    def groups(self) -> Mapping[str, Document]:
        """Return the layers that the broker holds for groups, by name."""
        with self._changed:
            self._settle()
            return self._gathering.groups()

    def rollouts(self) -> Mapping[str, Document]:
        """Return the state of every roll-out that the broker holds, by id, as it was published."""
        with self._changed:
            self._settle()
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
            document: In full, without `site`, `issued`, `signature`; `base` is the version it was made from.

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
        site = name.partition("/")[0]
        signed = self._sign({**document, "site": site, "issued": told(self.now_ns())})
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
            return self._send_and_hear(self._whole.mark())
        except RefusedError:
            return False

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
        if is_heard:
            self._send_and_hear(message)
        else:
            self._send(message)

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

    def _send_and_hear(self, message: Message) -> bool:
        """Publish something, and wait until we hear it ourselves; returns whether we did."""
        self._echo = (message.topic, message.payload)
        self._send(message)
        with self._changed:
            return self._changed.wait_for(lambda: self._echo is None, ECHO_S)

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
        session.last_will(self._begin)
        session.on_subscribed(self._note_refused)
        session.on_connect(lambda: session.post(self._whole.mark(), then=self._note_marked))
        further = [each for below in self._more for each in self._gathering.at_sites(below)]
        for topic_filter in (*self._gathering.filters(), *further, self._whole.topic):  # that one last
            session.subscribe(topic_filter, self._take)
        self._session = self._open.enter_context(session)
        if not session.wait_connected(CONNECT_S):
            raise DeliveryError(f"no connection to {session.name}: {session.trouble}")

    def _gather(self, quiet_s: float) -> bool:
        """Wait until the broker has told all that it keeps; returns whether it is proven that it has."""
        until_ns = self._clock.monotonic_ns() + round(WHOLE_S * 1e9)
        with self._changed:
            while (left_s := self._whole.left_s(quiet_s)) and self._clock.monotonic_ns() < until_ns:
                self._changed.wait(left_s)
            return self._whole.is_proven

    def _settle(self) -> None:
        """Forget what a connection that came back was not told again; the lock is held."""
        if not self._is_settled and not self._whole.left_s(QUIET_S):
            self._is_settled = True
            self._gathering.settle()

    def _begin(self) -> None:
        """A connection begins, ours or one that comes back; called by the session, in its thread."""
        with self._changed:
            self._gathering.begin()
            self._whole.begin()
            self._is_settled = False

    def _note_marked(self, code: int | None) -> None:
        with self._changed:
            self._whole.is_barred = code is not None and code >= FAILURE
            self._changed.notify_all()

    def _note_refused(self, refused: Mapping[str, str]) -> None:
        if refused:
            told_not = ", ".join(f"{topic} ({why})" for topic, why in refused.items())
            self.trouble = f"the broker does not tell: {told_not}"

    def _take(self, message: Message) -> None:
        with self._changed:
            self._whole.take(message)
            if message.topic != self._whole.topic:
                self._gathering.take(message)
            below = message.topic.removeprefix(f"{self._root}/")
            for listening in self._listening:
                if listening.wants(below):
                    listening.hear(message)
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
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
