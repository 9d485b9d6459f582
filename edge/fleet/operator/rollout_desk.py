"""The desk as a roll-out needs it: documents are signed and left there as they were written down, in order.

A broker keeps the last document that was published, a device takes the first one made from its version. So
of two who write at once the first one stands: where somebody was before us, theirs is put back, as it was
signed; where somebody wrote over ours without having seen it, ours is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from edge.domain.errors import DocumentRefusedError
from edge.fleet.operator.edit import is_same
from edge.fleet.operator.gathering import read
from edge.fleet.operator.history import History
from edge.fleet.operator.inventory import DeviceView, document_number
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.rollout_content import rollout_of
from edge.fleet.signing import KeyRing, Signer

Document = Mapping[str, Any]

STEP_BACK_S: Final = 3.0  # so long the second of two may take to put the first one's document back
_TAIL: Final = "/config/desired"


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
        """See that of two who wrote at once the first one's document is the one that the broker keeps.

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
        self._first: dict[str, Document] = {}  # by name, ours, or that of who was before us
        self._has_arrived: set[str] = set()  # by name, ours was heard
        self._overwritten_ns: dict[str, int] = {}
        self._believed: dict[str, Document] = {}

    def devices(self) -> Mapping[str, DeviceView]:
        """Return what is known about every device at this moment, by name."""
        return self._desk.devices()

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
            self._desk.put_back(name, signed)
            if not is_same(self._first.get(name), signed):
                self._first[name] = signed
                self._has_arrived.discard(name)
                self._history.add("published", name, document=signed, note=_origin(document))
        return refused

    def settle(self) -> None:
        """See that of two who wrote at once the first one's document is the one that the broker keeps."""
        for name in self._seconds():
            self._put_back(name, self._first[name])
        views, now_ns = self._desk.devices(), self._desk.now_ns()
        for name, since_ns in list(self._overwritten_ns.items()):
            view, ours = views.get(name), self._first[name]
            held = None if view is None else view.desired
            if is_same(held, ours) or document_number(held, "version") != document_number(ours, "version"):
                del self._overwritten_ns[name]
            elif now_ns - since_ns > STEP_BACK_S * 1e9:
                del self._overwritten_ns[name]
                self._put_back(name, ours)

    def note(self, rollout_id: str, text: str) -> None:
        """Write into the history what became of a roll-out."""
        self._history.add("rollout", f"rollout/{rollout_id}", note=text)

    def wait(self, timeout_s: float) -> bool:
        """Wait until anything has changed since the last call; returns whether it has."""
        return self._desk.wait(timeout_s)

    def now_ns(self) -> int:
        """Return UTC, in ns."""
        return self._desk.now_ns()

    def _seconds(self) -> list[str]:
        """Read what was heard; returns for whom somebody was before us, and notes who was after us."""
        before: dict[str, Document] = {}
        seconds = []
        for message in self._heard.take():
            name = "/".join(message.topic.split("/")[-4:-2])
            ours, document = self._first.get(name), read(message.payload)[0]
            if ours is None or document is None:
                continue
            if not is_same(document, ours):
                is_rival = document_number(document, "version") == document_number(ours, "version")
                if is_rival and is_signed(document, self._keys):
                    before.setdefault(name, document)
            elif name in before and name not in self._has_arrived:
                self._first[name] = before.pop(name)
                seconds.append(name)
            else:
                before.pop(name, None)
                self._has_arrived.add(name)
        for name in before:
            self._overwritten_ns.setdefault(name, self._desk.now_ns())
        return seconds

    def _put_back(self, name: str, document: Document) -> None:
        self._desk.put_back(name, document)
        self._history.add("put-back", name, document=document, note="it was first")


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
