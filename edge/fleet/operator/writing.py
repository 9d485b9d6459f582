"""One document on its way from an operator to a device; of two who write at once neither edit is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.domain.errors import DocumentRefusedError
from edge.fleet.operator.basis import Basis, basis_of, devices_of, is_seen
from edge.fleet.operator.contest import Decision, Rival, Scene, Standing, decide
from edge.fleet.operator.edit import digest_of_signed, drafted, is_group, is_same
from edge.fleet.operator.gathering import read
from edge.fleet.operator.history import COMMITTED, History
from edge.fleet.operator.inventory import DeviceView, Document, document_list, document_number, document_text
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.rollout_report import Fate, State, said
from edge.fleet.signing import KeyRing
from edge.fleet.words import DEVICE_SCOPE, group_scope

DECIDE_S: Final = 5.0  # so long a device that is there may take to say whose document it took
PUTS_BACK_MAX: Final = 3  # whoever goes on writing over it is not one of these tools
REPORT_S: Final = 2.0  # so long a device that is there may take to report how a document ended
TICK_S: Final = 0.1
EVENT: Final = "/config/event"
_ENDS: Final = ("committed", "rolled_back", "rejected", "superseded")

__all__ = ["Rival", "Standing", "Writing"]


class Writing:
    """Writes one document for a device or a group, at an open desk; docs/fleet.md says what a conflict is.

    Attributes:
        start: The document that the broker held when it began, or None.
        base: The highest version known then.
        basis: What the content of the next one is made from; not always what the broker held.
        document: What was published, or None.
        rival: What somebody else wrote meanwhile, or None.
    """

    def __init__(self, desk: MqttDesk, history: History, keys: KeyRing, name: str) -> None:
        """Begin: from now on nobody's document for this name goes by unseen."""
        self._desk = desk
        self._history = history
        self._keys = keys
        self._name = name
        self._heard = desk.listen(f"{name}/config/desired".__eq__)
        self._events = desk.listen(lambda below: below.endswith(EVENT))
        self._told: dict[str, Fate] = {}
        self._before: list[Rival] = []
        self._after: list[Rival] = []
        self._puts_back = 0
        self._published_ns = 0
        self.start = self._held()
        self.base = desk.version_of(name)
        self.basis = self._basis()
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
                self.rival = self._noted(document)
        held, known = self._held(), self._desk.version_of(self._name)
        if is_same(held, self.start) and known == self.base:
            return
        who = self.rival.told if self.rival is not None else f"version {known}"
        raise DocumentRefusedError(
            "conflict", f"{self._name}: while you were at it somebody wrote {who}; yours was not published"
        )

    def publish(self, content: Mapping[str, Any]) -> Standing:
        """Publish a content as the next version, and see whether it stands.

        Raises:
            DocumentRefusedError: schema, expired: no device could take it; conflict: as for `check`.
            DeliveryError: The broker did not take it.
            SecretError: The key cannot be used.
            JournalError: It cannot be written down.
        """
        self.check()
        if self.start is not None and not self._history.documents(self._name, _number(self.start)):
            note = "what the next one was made from" if self.basis.is_held else ascii(self.basis.remark)
            self._history.add("seen", self._name, document=self.start, note=note)
        self._published_ns = self._desk.now_ns()
        draft = drafted(self._name, content, base=self.base, now_ns=self._published_ns)
        self.document = self._desk.publish(self._name, draft)
        self._history.add("published", self._name, document=self.document)
        self._desk.catch_up()
        self._sort(self._documents())
        while (standing := self.look()) is Standing.OPEN:
            self._desk.wait(TICK_S)
        return standing

    # ── after ─────────────────────────────────────────────────────────────────────────────────────────────

    def look(self) -> Standing:
        """See how the document stands by now, and leave at the broker what stands, if it is not there.

        Raises:
            DeliveryError: The broker did not take it.
            JournalError: It cannot be written down.
        """
        assert self.document is not None, "published before"
        self._after += [self._noted(one) for one in self._documents() if not is_same(one, self.document)]
        decision = decide(self._scene(self.document))
        self.rival = decision.rival
        self._put_back(decision)
        return decision.standing

    def fates(self) -> Mapping[str, Fate]:
        """Return what became of it at each device that it concerns, by name."""
        assert self.document is not None, "published before"
        number, digest = _number(self.document), digest_of_signed(self.document)
        self._hear_events(number)
        return {key: self._fate(key, view, number, digest) for key, view in self.concerned().items()}

    def concerned(self) -> Mapping[str, DeviceView]:
        """Return the devices that take this document, by name."""
        return devices_of(self._name, self._desk.devices())

    def conclude(self, note: str, *, is_committed: bool = False) -> None:
        """Write down what became of it.

        Args:
            note: In words.
            is_committed: It is at work with all whom it concerns.
        """
        assert self.document is not None, "published before"
        status, number = COMMITTED if is_committed else "", _number(self.document)
        self._history.add("outcome", self._name, version=number, note=note, status=status)

    # ── whose document stands ─────────────────────────────────────────────────────────────────────────────

    def _sort(self, heard: list[Document]) -> None:
        """Tell who was at the broker before us from who came after."""
        ours = [number for number, document in enumerate(heard) if is_same(document, self.document)]
        first = ours[0] if ours else 0
        self._before = [self._noted(document) for document in heard[:first]]
        self._after = [self._noted(one) for one in heard[first:] if not is_same(one, self.document)]

    def _scene(self, ours: Document) -> Scene:
        view = None if is_group(self._name) else self._desk.devices().get(self._name)
        is_early = self._desk.now_ns() - self._published_ns < DECIDE_S * 1e9
        return Scene(
            ours=ours,
            before=self._before,
            after=self._after,
            held=self._held(),
            taken_version=0 if view is None else view.floor(DEVICE_SCOPE),
            taken_digest="" if view is None else document_text(view.reported, "desired_digest"),
            may_still_say=view is not None and view.presence == "online" and is_early,
        )

    def _put_back(self, decision: Decision) -> None:
        if decision.put_back is None or self._puts_back >= PUTS_BACK_MAX:
            return
        self._puts_back += 1
        self._desk.put_back(self._name, decision.put_back)
        self._history.add("put-back", self._name, document=decision.put_back, note="it stands")

    def _basis(self) -> Basis:
        """Return what the next document is made from; a report that is on its way is waited for."""
        until_ns = self._desk.now_ns() + round(REPORT_S * 1e9)
        while True:
            there = self.concerned()
            basis = basis_of(self._name, self.start, there, self._history, self._keys)
            is_late = self._desk.now_ns() >= until_ns
            if basis.is_held or is_late or is_seen(self._name, self.start, there):
                return basis
            self._desk.wait(TICK_S)

    def _noted(self, document: Document) -> Rival:
        """Keep a document of somebody else."""
        note = ""
        try:
            self._keys.check(document)
        except DocumentRefusedError as refused:
            note = ascii(str(refused))
        if document not in self._history.documents(self._name, _number(document)):
            self._history.add("seen", self._name, document=document, note=note)
        return Rival(document, is_believed=not note)

    def _documents(self) -> list[Document]:
        """Return what was published for this name since the last look, in the order of the broker."""
        found = (read(message.payload)[0] for message in self._heard.take())
        return [document for document in found if document is not None]

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
            status, code = document_text(event, "status"), document_text(event, "code")
            if document_text(event, "scope") == self._scope and status in _ENDS and code != "conflict":
                key = "/".join(message.topic.split("/")[-4:-2])
                self._told[key] = Fate(State(status), status, code, document_text(event, "message"))

    def _fate(self, key: str, view: DeviceView, number: int, digest: str) -> Fate:
        part = view.said_of(self._scope)
        is_accepted = document_number(part, "desired_version") == number
        taken = document_text(part, "desired_digest")
        is_taken = is_accepted and taken == digest
        if is_accepted and taken and not is_taken:
            return Fate(
                State.REJECTED, "rejected", "conflict", "it took somebody else's document of that version"
            )
        if key in self._told:
            return self._told[key]
        fate = said(_as_own(view, self._scope), number)
        if is_taken and fate.code == "conflict":  # which somebody else's has: the end of ours was not heard
            return Fate(State.REJECTED, "", "", "it came to nothing, and why was not heard")
        return fate

    @property
    def _scope(self) -> str:
        return group_scope(self._name.split("/")[2]) if is_group(self._name) else DEVICE_SCOPE


def _number(document: Document) -> int:
    return document_number(document, "version")


def _as_own(view: DeviceView, scope: str) -> Document | None:
    """Return what a device reports about one scope in the form in which it reports its own document."""
    if view.reported is None or scope == DEVICE_SCOPE:
        return view.reported
    pending = [
        {**each, "scope": DEVICE_SCOPE}
        for each in document_list(view.reported, "pending")
        if each.get("scope") == scope
    ]
    return {**view.said_of(scope), "pending": pending}
