"""The desk as a roll-out needs it: documents are signed and left there as they were written down, in order.

Of two who write at once the document stands that the device says it took, else the first one at the broker;
`contest` says which, here as for every other tool, so that all leave the same one there.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from edge.domain.errors import DocumentRefusedError
from edge.fleet.operator.basis import untrusted
from edge.fleet.operator.contest import Rival, Scene, decide
from edge.fleet.operator.edit import is_same
from edge.fleet.operator.gathering import read
from edge.fleet.operator.history import History
from edge.fleet.operator.inventory import DeviceView, document_number, document_text
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.rollout_content import rollout_of
from edge.fleet.signing import KeyRing, Signer
from edge.fleet.words import DEVICE_SCOPE

Document = Mapping[str, Any]

DECIDE_S: Final = 5.0  # so long a device that is there may take to say whose document it took
PUTS_BACK_MAX: Final = 3  # whoever goes on writing over it is not one of these tools
RIVALS_MAX: Final = 32
_TAIL: Final = "/config/desired"


def _few() -> deque[Rival]:
    return deque(maxlen=RIVALS_MAX)


@dataclass(slots=True)
class _Written:
    """A document of ours, and what others wrote for the same device since."""

    document: Document
    published_ns: int
    before: deque[Rival] = field(default_factory=_few)
    after: deque[Rival] = field(default_factory=_few)
    has_arrived: bool = False
    puts_back: int = 0

    def hear(self, document: Document, keys: KeyRing) -> None:
        """Take note of a document for the device, in the order of the broker."""
        if is_same(document, self.document):
            self.has_arrived = True
        elif not any(is_same(document, known.document) for known in (*self.before, *self.after)):
            is_rival = document_number(document, "version") >= document_number(self.document, "version")
            if self.has_arrived or is_rival:  # else it is what ours was made from
                rivals = self.after if self.has_arrived else self.before
                rivals.append(Rival(document, is_believed=is_signed(document, keys)))

    def scene(self, view: DeviceView | None, *, now_ns: int) -> Scene:
        """Return what is known about it now."""
        is_early = now_ns - self.published_ns < DECIDE_S * 1e9
        return Scene(
            ours=self.document,
            before=self.before,
            after=self.after,
            held=None if view is None else view.desired,
            taken_version=0 if view is None else view.floor(DEVICE_SCOPE),
            taken_digest="" if view is None else document_text(view.reported, "desired_digest"),
            may_still_say=view is not None and view.presence == "online" and is_early,
        )


class RolloutDesk(Protocol):
    """What runs a roll-out needs; used by one thread."""

    def devices(self) -> Mapping[str, DeviceView]:
        """Return what is known about every device at this moment, by name."""

    def groups(self) -> Mapping[str, Document]:
        """Return the layers that the broker holds for groups, by name."""

    def rollouts(self) -> Mapping[str, Document]:
        """Return the pieces of roll-outs that the broker holds and somebody has signed whom we know."""

    def publish_rollout(self, rollout_id: str, document: Document | None) -> None:
        """Sign a piece of a roll-out and leave it at the broker; None takes it away.

        Raises:
            DeliveryError: The broker did not take it, and says why.
        """

    def repeat(self, documents: Mapping[str, Document]) -> Mapping[str, str]:
        """Sign documents that are written down, and leave them at the broker; a second time changes nothing.

        Args:
            documents: By device, in full, but for the signature.

        Returns:
            By device, why it was not published: somebody else has written that version, or a later one.

        Raises:
            DeliveryError: The broker did not take one, and says why; those before it are there.
        """

    def settle(self) -> None:
        """See that of two who wrote at once the broker keeps the document that stands.

        Raises:
            DeliveryError: There is no connection.
        """

    def note(self, rollout_id: str, text: str) -> None:
        """Write into the history what became of a roll-out."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until anything has changed since the last call; returns whether it has."""

    def now_ns(self) -> int:
        """Return UTC, in ns."""


class SignedDesk:
    """A `RolloutDesk` at a real broker."""

    def __init__(self, desk: MqttDesk, *, signer: Signer, keys: KeyRing, history: History) -> None:
        """Begin: from now on nobody's document goes by unseen.

        Args:
            desk: Open.
            signer: Signs documents.
            keys: Whose roll-outs are believed; the signer's own key among them.
            history: Open.
        """
        self._desk = desk
        self._signer = signer
        self._keys = keys
        self._history = history
        self._heard = desk.listen(lambda below: below.endswith(_TAIL))
        self._written: dict[str, _Written] = {}  # by name
        self._believed: dict[str, Document] = {}
        self._judged: dict[str, tuple[Document, str]] = {}  # what the broker held, and why it is a stranger's

    def devices(self) -> Mapping[str, DeviceView]:
        """Return what is known about every device at this moment, by name.

        What a stranger left at the broker for one of them is called so: else a roll-out would sign it.
        """
        return {name: self._judge(name, view) for name, view in self._desk.devices().items()}

    def _judge(self, name: str, view: DeviceView) -> DeviceView:
        if view.desired is None:
            return view
        held, why = self._judged.get(name, (None, ""))
        if held is not view.desired:
            why = untrusted(name, view.desired, self._keys)
            self._judged[name] = (view.desired, why)
        return dataclasses.replace(view, stranger=why) if why else view

    def groups(self) -> Mapping[str, Document]:
        """Return the layers that the broker holds for groups, by name."""
        return self._desk.groups()

    def rollouts(self) -> Mapping[str, Document]:
        """Return the pieces of roll-outs that the broker holds and somebody has signed whom we know.

        What somebody else left there is no piece of a roll-out: resuming it would sign what it says.
        """
        held = self._desk.rollouts()
        fresh = {name: piece for name, piece in held.items() if piece is not self._believed.get(name)}
        kept = {name: piece for name, piece in held.items() if name not in fresh}
        self._believed = kept | believed(fresh, self._keys)
        return self._believed

    def publish_rollout(self, rollout_id: str, document: Document | None) -> None:
        """Sign a piece of a roll-out and leave it at the broker; None takes it away."""
        self._desk.publish_rollout(rollout_id, document)

    def repeat(self, documents: Mapping[str, Document]) -> Mapping[str, str]:
        """Sign documents that are written down, and leave them there; a second time changes nothing."""
        if not documents:
            return {}
        self._desk.catch_up()
        views = self._desk.devices()
        refused = {}
        for name, document in documents.items():
            signed = self._signer.sign(document)
            if why := _why_not(views.get(name), signed):
                refused[name] = why
                continue
            written = self._written.get(name)
            is_new = written is None or not is_same(written.document, signed)
            if is_new:
                self._written[name] = _Written(signed, self._desk.now_ns())
            self._desk.put_back(name, signed)
            if is_new:
                self._history.add("published", name, document=signed, note=_origin(document))
        return refused

    def settle(self) -> None:
        """See that of two who wrote at once the broker keeps the document that stands."""
        self._hear()
        contested = {name: one for name, one in self._written.items() if one.before or one.after}
        views, now_ns = self._desk.devices() if contested else {}, self._desk.now_ns()
        for name, written in contested.items():
            decision = decide(written.scene(views.get(name), now_ns=now_ns))
            if decision.put_back is not None and written.puts_back < PUTS_BACK_MAX:
                written.puts_back += 1
                self._desk.put_back(name, decision.put_back)
                self._history.add("put-back", name, document=decision.put_back, note="it stands")

    def note(self, rollout_id: str, text: str) -> None:
        """Write into the history what became of a roll-out."""
        self._history.add("rollout", f"rollout/{rollout_id}", note=text)

    def wait(self, timeout_s: float) -> bool:
        """Wait until anything has changed since the last call; returns whether it has."""
        return self._desk.wait(timeout_s)

    def now_ns(self) -> int:
        """Return UTC, in ns."""
        return self._desk.now_ns()

    def _hear(self) -> None:
        """Read what was published since the last time for devices that we wrote to."""
        for message in self._heard.take():
            written = self._written.get("/".join(message.topic.split("/")[-4:-2]))
            document = read(message.payload)[0] if written is not None else None
            if written is not None and document is not None:
                written.hear(document, self._keys)


def believed(pieces: Mapping[str, Document], keys: KeyRing) -> dict[str, Document]:
    """Return the pieces that somebody has signed whom we know, for the place where they lie."""
    return {
        name: piece for name, piece in pieces.items() if piece.get("name") == name and is_signed(piece, keys)
    }


def is_signed(document: Document, keys: KeyRing) -> bool:
    """Whether one of these keys has signed a document."""
    try:
        keys.check(document)
    except DocumentRefusedError:
        return False
    return True


def _why_not(view: DeviceView | None, signed: Document) -> str:
    """Return why a document cannot be left at the broker, "" where it can, or is there."""
    if view is None:
        return ""
    version, base = document_number(signed, "version"), document_number(signed, "base")
    is_ours = rollout_of(signed) in (rollout_of(view.desired), rollout_of(view.reported))
    is_other = document_number(view.desired, "version") == version and not is_same(view.desired, signed)
    is_between = base < view.version < version and not is_ours
    if view.version > version or is_other or is_between:
        return f"by now there is version {view.version} of somebody else"
    return ""


def _origin(document: Document) -> str:
    rollout = document["rollout"]
    return f"roll-out {rollout['id']}, ring {rollout['ring']}"
