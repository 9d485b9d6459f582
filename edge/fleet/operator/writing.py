"""One document on its way from an operator to a device; of two who write at once neither edit is lost.

A broker keeps the last document that was published, a device takes the first one made from its version. So
the first one at the broker stands: whoever finds that somebody was before him puts that document back, as it
was signed, and has a conflict. Whoever was first and is overwritten puts his own back. The history has both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from edge.domain.errors import DocumentRefusedError
from edge.fleet.operator.edit import drafted, is_group, is_same, signer_of
from edge.fleet.operator.gathering import read
from edge.fleet.operator.history import History
from edge.fleet.operator.inventory import (
    DeviceView,
    Document,
    document_list,
    document_number,
    document_part,
    document_text,
)
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.rollout_report import Fate, State, said
from edge.fleet.signing import KeyRing
from edge.fleet.words import DEVICE_SCOPE, group_scope

PUTS_BACK_MAX: Final = 3  # whoever goes on writing over it is not one of these tools
STEP_BACK_S: Final = 3.0  # so long the second of two may take to put the first one's document back
_ENDS: Final = ("committed", "rolled_back", "rejected", "superseded")


class Standing(StrEnum):
    """How a document that was published stands at the broker."""

    HELD = "held"  # the broker holds it
    SECOND = "second"  # somebody was first: theirs was put back
    OVERWRITTEN = "overwritten"  # somebody wrote over it without having seen it
    FOLLOWED = "followed"  # somebody has made the next version from it
    CLEARED = "cleared"  # somebody has taken it away


@dataclass(frozen=True, slots=True)
class Rival:
    """A document of somebody else.

    Attributes:
        document: As it came.
        is_believed: One of the keys we know has signed it.
    """

    document: Document
    is_believed: bool

    @property
    def told(self) -> str:
        """Whose it is, and which version."""
        key = signer_of(self.document)
        number = document_number(self.document, "version")
        return (
            f"version {number} by the key {key or 'of nobody'}{'' if self.is_believed else ' (unknown here)'}"
        )


class Writing:
    """Writes one document for a device or a group, at an open desk.

    Attributes:
        start: The document that the broker held when it began, or None.
        base: The highest version known then.
        document: What was published, or None.
        rival: What somebody else wrote meanwhile, or None.
    """

    def __init__(self, desk: MqttDesk, history: History, keys: KeyRing, name: str) -> None:
        """Begin: from now on nobody's document for this name goes by unseen."""
        self._desk = desk
        self._history = history
        self._keys = keys
        self._name = name
        self._topic = f"{name}/config/desired"
        self._heard = desk.listen(self._topic.__eq__)
        self._events = desk.listen(_ending("/config/event"))
        self._told: dict[str, Fate] = {}
        self._overwritten_ns = self._puts_back = 0
        self._is_first = True
        self.start = self._held()
        self.base = desk.version_of(name)
        self.document: Document | None = None
        self.rival: Rival | None = None

    # ── before ────────────────────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """Refuse to go on where somebody has written since the beginning.

        Raises:
            DocumentRefusedError: conflict: somebody has; `rival` is what they wrote.
            DeliveryError: There is no connection.
            JournalError: What was seen cannot be written down.
        """
        self._desk.catch_up()
        for document in self._documents():
            if not is_same(document, self.start):
                self.rival = self._note(document)
        held, known = self._held(), self._desk.version_of(self._name)
        if is_same(held, self.start) and known == self.base:
            return
        who = self.rival.told if self.rival is not None else f"version {known}"
        raise DocumentRefusedError(
            "conflict", f"{self._name}: while you were at it somebody wrote {who}; yours was not published"
        )

    def publish(self, content: Mapping[str, Any]) -> Standing:
        """Publish a content as the next version, and see whether it is the first one made from its base.

        Raises:
            DocumentRefusedError: schema, expired: no device could take it; conflict: as for `check`.
            DeliveryError: The broker did not take it.
            SecretError: The key cannot be used.
            JournalError: It cannot be written down.
        """
        self.check()
        if self.start is not None and not self._history.documents(self._name, self._number(self.start)):
            self._history.add("seen", self._name, document=self.start, note="what the next one was made from")
        now_ns = self._desk.now_ns()
        draft = drafted(self._name, content, base=self.base, now_ns=now_ns)
        self.document = self._desk.publish(self._name, draft)
        self._history.add("published", self._name, document=self.document)
        self._desk.catch_up()
        heard = self._documents()
        ours = [number for number, document in enumerate(heard) if is_same(document, self.document)]
        before = heard[: ours[0]] if ours else []
        return self._stand_back(before) if before else self._stand(heard)

    # ── after ─────────────────────────────────────────────────────────────────────────────────────────────

    def look(self) -> Standing:
        """See how the document stands at the broker by now, and put it back where somebody wrote over it.

        Raises:
            DeliveryError: The broker did not take it.
            JournalError: It cannot be written down.
        """
        return self._stand(list(self._documents()))

    def fates(self) -> Mapping[str, Fate]:
        """Return what became of it at each device that it concerns, by name."""
        assert self.document is not None, "published before"
        version = self._number(self.document)
        self._hear_events(version)
        return {key: self._fate(key, view, version) for key, view in self.concerned().items()}

    def concerned(self) -> Mapping[str, DeviceView]:
        """Return the devices that take this document, by name."""
        devices = self._desk.devices()
        if not is_group(self._name):
            return {key: view for key, view in devices.items() if key == self._name}
        site, _, group = self._name.split("/")
        return {key: view for key, view in devices.items() if view.site == site and group in view.groups}

    def conclude(self, note: str) -> None:
        """Write down what became of it."""
        assert self.document is not None, "published before"
        self._history.add("outcome", self._name, version=self._number(self.document), note=note)

    # ── who was first ─────────────────────────────────────────────────────────────────────────────────────

    def _stand_back(self, before: list[Document]) -> Standing:
        """Somebody was first: leave theirs at the broker once more, as it was signed."""
        assert self.document is not None, "published before"
        rivals = [self._note(document) for document in before]
        believed = [rival for rival in rivals if rival.is_believed]
        first = max(
            believed or rivals, key=lambda rival: self._number(rival.document)
        )  # of equal ones the first
        self.rival = first
        self._history.add(
            "conflict", self._name, version=self._number(self.document), note=f"{first.told} was first"
        )
        if not first.is_believed:
            return Standing.OVERWRITTEN
        if not is_same(self._held(), first.document):
            self._desk.put_back(self._name, first.document)
            self._history.add("put-back", self._name, document=first.document, note="it was first")
        return Standing.SECOND

    def _stand(self, after: list[Document]) -> Standing:
        """Ours was first: what came after it must have been made from it."""
        assert self.document is not None, "published before"
        for document in after:
            if not is_same(document, self.document):
                self.rival = self._note(document)
        held = self._held()
        if is_same(held, self.document):
            self._overwritten_ns = 0
            return Standing.HELD
        if held is None:
            return Standing.CLEARED
        if document_number(held, "base") >= self._number(self.document):
            return Standing.FOLLOWED
        now_ns = self._desk.now_ns()
        self._overwritten_ns = self._overwritten_ns or now_ns
        is_over = now_ns - self._overwritten_ns > STEP_BACK_S * 1e9
        if is_over and self._puts_back < PUTS_BACK_MAX:
            self._puts_back += 1
            self._desk.put_back(self._name, self.document)
            self._history.add("put-back", self._name, document=self.document, note="it was first")
        return Standing.OVERWRITTEN

    def _note(self, document: Document) -> Rival:
        """Keep a document of somebody else."""
        try:
            self._keys.check(document)
            rival = Rival(document, is_believed=True)
        except DocumentRefusedError as refused:
            rival = Rival(document, is_believed=False)
            self._history.add("seen", self._name, document=document, note=ascii(str(refused)))
            return rival
        if document not in self._history.documents(self._name, self._number(document)):
            self._history.add("seen", self._name, document=document)
        return rival

    def _documents(self) -> list[Document]:
        """Return what was published for this name since the last look, in the order of the broker."""
        read_ones = [read(message.payload)[0] for message in self._heard.take()]
        return [document for document in read_ones if document is not None]

    def _held(self) -> Document | None:
        if is_group(self._name):
            return self._desk.groups().get(self._name)
        view = self._desk.devices().get(self._name)
        return None if view is None else view.desired

    # ── what became of it ─────────────────────────────────────────────────────────────────────────────────

    def _hear_events(self, version: int) -> None:
        """Note how devices end: what they report later may be about a rival of the same number."""
        for message in self._events.take():
            event = read(message.payload)[0]
            if event is None or document_number(event, "version") != version:
                continue
            state, code = document_text(event, "status"), document_text(event, "code")
            if document_text(event, "scope") == self._scope and state in _ENDS and code != "conflict":
                site_and_device = "/".join(message.topic.split("/")[-4:-2])
                self._told[site_and_device] = Fate(State(state), state, code, document_text(event, "message"))

    def _fate(self, key: str, view: DeviceView, version: int) -> Fate:
        told = self._told.get(key)
        if told is not None:
            return told
        fate = said(_reported_of(view.reported, self._scope), version)
        if fate.code == "conflict" and self.rival is not None and self._is_first:
            return Fate(State.UNDER_WAY, "under way", "", "somebody else's of the same number was refused")
        return fate

    @property
    def _scope(self) -> str:
        return group_scope(self._name.split("/")[2]) if is_group(self._name) else DEVICE_SCOPE

    @staticmethod
    def _number(document: Document) -> int:
        return document_number(document, "version")


def _ending(tail: str) -> Callable[[str], bool]:
    def wants(below: str) -> bool:
        return below.endswith(tail)

    return wants


def _reported_of(reported: Document | None, scope: str) -> Document | None:
    """Return what a device reports as if it were about one scope alone."""
    if reported is None or scope == DEVICE_SCOPE:
        return reported
    part = document_part(document_part(reported, "scopes"), scope)
    pending = [
        {**each, "scope": DEVICE_SCOPE}
        for each in document_list(reported, "pending")
        if each.get("scope") == scope
    ]
    return {
        **reported,
        "scope": DEVICE_SCOPE if reported.get("scope") == scope else "",
        "applied_version": document_number(part, "applied"),
        "desired_version": document_number(part, "floor"),
        "pending": pending,
    }
