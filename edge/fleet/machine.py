"""The state machine of a device's configuration: takes documents, and brings one at a time to work, or back.

One thread calls `recover`, then `offer` and `step`; `snapshot` is for any. Nothing here waits. What may still
be under way is in the ledger (`ledger.py`), what happens to the one version that is worked on in `course.py`.
A document whose `apply.mode` is `validate` ends in `rejected` with the code `ok`: it could be applied.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from edge.domain.errors import DocumentRefusedError, JournalError
from edge.domain.ports import Clock
from edge.fleet.book import Book, Told
from edge.fleet.boot import Boot
from edge.fleet.course import Course
from edge.fleet.ledger import Attempt, Floor, Ledger, Offer, Refusal, Transition
from edge.fleet.memory import Memory
from edge.fleet.ports import Device
from edge.fleet.progress import Progress, scope_progress
from edge.fleet.reception import Read, UnreadableError, check, claimed_version, is_known, read
from edge.fleet.recovery import Recovery
from edge.fleet.signing import KeyRing
from edge.fleet.timing import CLOCK_AHEAD_MAX_S, LIMITS_S, S_NS, moment_ns
from edge.fleet.words import DEVICE_SCOPE, State, group_scope

__all__ = ["Machine", "Progress", "Transition"]

OFFERS_MAX: Final = 16
IDLE_S: Final = 60.0
RETRY_S: Final = 5.0  # after the medium took nothing
CLEARING_S: Final = 0.1
_SEEN_MAX: Final = 64


class Machine:
    """Brings what the fleet wants of this device to work, one version at a time, or back."""

    def __init__(
        self,
        memory: Memory,
        device: Device,
        keys: KeyRing,
        *,
        device_id: str,
        groups: Sequence[str],
        clock: Clock,
        frozen: bool,
        told: Told,
        zone: datetime.tzinfo | None = None,
    ) -> None:
        """Store who is asked, and who is told.

        Args:
            memory: Where it is written down; open.
            device: Which does it.
            keys: Whose documents are believed.
            device_id: Whose documents are taken.
            groups: Of which the device is a member.
            clock: Of the machine.
            frozen: The site takes nothing now.
            told: Called with each transition once it is on the medium, in the thread that called.
            zone: Of the windows; None: as the system says.
        """
        self._book = Book(memory, device_id=device_id, clock=clock, told=told)
        self._course = Course(self._book, device, clock=clock, zone=zone)
        self._keys = keys
        self._device_id = device_id
        self._scopes = (DEVICE_SCOPE, *(group_scope(group) for group in groups))
        self._clock = clock
        self._frozen = frozen
        self._boot: Boot | None = None
        self._is_recovered = False
        self._unkept: dict[str, bytes] = {}  # by scope, what could not be written down yet
        self._seen: dict[tuple[str, str], None] = {}  # what was refused in this life, the last of it
        self._cleared: frozenset[str] = frozenset()
        self._troubles: Mapping[str, str] = {}

    # ── called by one thread ──────────────────────────────────────────────────────────────────────────────

    def recover(self, boot: Boot | None = None) -> None:
        """Take up what an earlier process left; called once, when the appliance is open.

        Args:
            boot: What this process began with; None: as the memory says.
        """
        self._boot = boot
        self._try(self._recover)

    def offer(self, scope: str, payload: bytes) -> None:
        """Take a document as it came, however often it comes, in whatever order; it is looked at by `step`.

        Args:
            scope: `device`, or that of one of the groups.
            payload: An empty one says that the broker keeps none any more: nothing is changed for that.
        """
        assert scope in self._scopes, f"{scope}: none of {', '.join(self._scopes)}"
        if not payload:
            self._cleared |= {scope}
            return
        self._cleared -= {scope}
        self._unkept[scope] = payload
        self._try(self._keep)

    def step(self) -> float:
        """Do what there is to do next: at most one transition of a version.

        Returns:
            Seconds until it wants to be asked again; an `offer` is a reason to ask at once.

        Raises:
            AssertionError: What was at work could not be brought back: the process must begin anew.
        """
        return self._try(self._step)

    # ── for any thread ────────────────────────────────────────────────────────────────────────────────────

    def snapshot(self) -> Progress:
        """Return how far everything is."""
        ledger = self._book.ledger
        standing = ledger.standing()
        return Progress(
            scopes={
                scope: scope_progress(scope, ledger, is_cleared=scope in self._cleared)
                for scope in self._scopes
            },
            under_way=ledger.begun,
            queued=tuple(attempt for attempt in ledger.attempts if not attempt.is_begun),
            doing=self._course.doing(),
            waits_for=self._course.waits_for(),
            at_work=standing.wanted if standing else None,
            before=ledger.previous.wanted if ledger.previous else None,
            rung=ledger.at_work,
            is_frozen=self._frozen,
            troubles=self._troubles,
        )

    def history(self, count_max: int) -> list[Transition]:
        """Return the last transitions, oldest first.

        Raises:
            JournalError: They cannot be read.
        """
        return self._book.journal(count_max)

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────────────

    def _try(self, work: Callable[[], float]) -> float:
        """Do something that writes; where the medium takes nothing, it is done again later."""
        try:
            again_s = work()
        except JournalError as trouble:
            self._troubles = {**self._troubles, "fleet-memory": str(trouble)}
            return RETRY_S
        self._troubles = {name: text for name, text in self._troubles.items() if name != "fleet-memory"}
        return again_s

    def _step(self) -> float:
        if not self._is_recovered:
            self._recover()
        if self._unkept:
            self._keep()
        is_clear = self._course.is_clear()
        ledger = self._book.ledger
        if ledger.offers:
            self._look(ledger.offers[0])
            return 0.0
        if ledger.begun is not None:
            return self._course.step(ledger.begun)
        if self._frozen:
            return IDLE_S
        return self._begin() if is_clear else CLEARING_S

    def _begin(self) -> float:
        """Begin with the verified version that has waited longest, of those whose time has come."""
        again_s = IDLE_S
        for attempt in self._book.ledger.attempts:
            why = self._course.lateness(attempt)
            if why is not None:
                self._book.end(attempt, State.REJECTED, why)
                return 0.0
            document = self._book.document_of(attempt)
            early_ns = 0
            if document is not None and document.not_before is not None:
                early_ns = moment_ns(document.not_before) - self._book.now_ns()
            if early_ns <= 0:
                return self._course.begin(attempt)
            again_s = min(again_s, early_ns / S_NS)
        return again_s

    # ── what comes ────────────────────────────────────────────────────────────────────────────────────────

    def _keep(self) -> float:
        """Write down what came, so that it is looked at even after a crash."""
        if not self._is_recovered:
            return 0.0
        for scope, payload in list(self._unkept.items()):
            offer = Offer(scope, payload)
            if not self._came_before(offer):
                if len(self._book.ledger.offers) >= OFFERS_MAX:
                    self._look(self._book.ledger.offers[0])
                entry = self._received(offer)
                ledger = self._book.ledger
                self._book.write(dataclasses.replace(ledger, offers=(*ledger.offers, offer)), [entry])
            del self._unkept[scope]
        return 0.0

    def _received(self, offer: Offer) -> Transition:
        now_ns = self._clock.utc_ns()
        return Transition(
            scope=offer.scope,
            version=claimed_version(offer.payload),
            state=State.RECEIVED,
            at_utc_ns=now_ns,
            deadline_utc_ns=now_ns + round(LIMITS_S[State.RECEIVED] * S_NS),
        )

    def _look(self, offer: Offer) -> None:
        """Accept a document, refuse it, or know it."""
        ledger = self._book.ledger
        without = dataclasses.replace(ledger, offers=ledger.offers[1:])
        floor = ledger.floors.get(offer.scope)
        version = 0
        try:
            seen = read(offer.payload, scope=offer.scope, device_id=self._device_id, keys=self._keys)
            version = seen.document.version
            if is_known(seen, floor):  # signed anew
                self._book.write(without)
                self._book.tell([ledger.latest[offer.scope]] if offer.scope in ledger.latest else [])
            else:
                check(seen, floor, now_ns=self._book.now_ns(), lock=self._lock)
                self._accept(without, offer, seen)
        except UnreadableError as refusal:
            self._refuse(without, offer, refusal.version, refusal)
        except DocumentRefusedError as refusal:
            self._refuse(without, offer, version, refusal)

    def _lock(self) -> str:
        return "fleet.frozen: is set on the device; nothing is taken" if self._frozen else ""

    def _refuse(self, ledger: Ledger, offer: Offer, version: int, refusal: DocumentRefusedError) -> None:
        entry = Transition(
            scope=offer.scope,
            version=version,
            state=State.REJECTED,
            code=refusal.code,
            message=str(refusal),
            path=refusal.path,
            at_utc_ns=self._clock.utc_ns(),
        )
        self._book.write(dataclasses.replace(ledger, refused={**ledger.refused, offer.scope: entry}), [entry])
        self._remember(offer)

    def _accept(self, ledger: Ledger, offer: Offer, seen: Read) -> None:
        """Raise the floor and queue the version up, in the place of an earlier one not applied yet."""
        document = seen.document
        now_ns = self._clock.utc_ns()
        old = [one for one in ledger.attempts if one.scope == offer.scope and not one.state.is_trial]
        entries = []
        for attempt in old:
            why = Refusal("superseded", f"version {document.version} came")
            entries.append(self._book.entry(attempt, State.SUPERSEDED, why=why))
            ledger = ledger.ended(attempt)
        bare = Attempt(
            scope=offer.scope,
            version=document.version,
            payload=offer.payload,
            state=State.VERIFIED,
            entered_utc_ns=now_ns,
            deadline_utc_ns=now_ns,
            rollout=getattr(document, "rollout", None),
        )
        attempt = self._book.entered(bare, State.VERIFIED)
        entry = self._book.entry(attempt, State.VERIFIED, deadline_utc_ns=attempt.deadline_utc_ns)
        issued_ns = moment_ns(document.issued)
        after = dataclasses.replace(
            ledger,
            attempts=(*ledger.attempts, attempt),
            floors={**ledger.floors, offer.scope: Floor(document.version, seen.digest, _sha256(offer))},
            newest_issued_ns=max(ledger.newest_issued_ns, issued_ns),
            refused={scope: one for scope, one in ledger.refused.items() if scope != offer.scope},
        )
        self._book.write(after.noted(entry), [*entries, entry])
        if any(one.is_begun for one in old):
            self._course.drop()
        self._note_clock(document.issued, (issued_ns - now_ns) / S_NS)

    def _note_clock(self, issued: str, ahead_s: float) -> None:
        """Tell, or no longer, that one of two clocks is wrong: the device's, or that of who signed."""
        kept = {name: text for name, text in self._troubles.items() if name != "clock"}
        if ahead_s > CLOCK_AHEAD_MAX_S:
            kept["clock"] = (
                f"a document of {issued} came {ahead_s / 60:.0f} min before its time by this device's clock: "
                "one of the two clocks is wrong"
            )
        self._troubles = kept

    def _came_before(self, offer: Offer) -> bool:
        """Whether it only came again, as it does at every connection."""
        ledger = self._book.ledger
        floor = ledger.floors.get(offer.scope)
        is_accepted = floor is not None and not floor.is_open and floor.sha256 == _sha256(offer)
        return is_accepted or offer in ledger.offers or (offer.scope, _sha256(offer)) in self._seen

    def _remember(self, offer: Offer) -> None:
        self._seen[offer.scope, _sha256(offer)] = None
        while len(self._seen) > _SEEN_MAX:
            del self._seen[next(iter(self._seen))]

    # ── after a start ─────────────────────────────────────────────────────────────────────────────────────

    def _recover(self) -> float:
        self._book.open()
        recovery = Recovery(self._book, scopes=self._scopes, frozen=self._frozen, boot=self._boot)
        ledger, entries, untold = recovery.run()
        self._book.write(ledger, entries)
        self._is_recovered = True
        self._book.tell(untold)
        return 0.0


def _sha256(offer: Offer) -> str:
    return hashlib.sha256(offer.payload).hexdigest()
