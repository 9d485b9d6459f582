"""What comes from the broker: kept on disk before anybody looks at it, then accepted, refused, or known."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import deque
from typing import Final

from edge.domain.errors import DocumentRefusedError
from edge.domain.ports import Clock
from edge.fleet.book import Book
from edge.fleet.ledger import Attempt, Floor, Ledger, Offer, Refusal, Transition
from edge.fleet.reception import Read, UnreadableError, check, claimed_version, is_known, read
from edge.fleet.signing import KeyRing
from edge.fleet.timing import CLOCK_AHEAD_MAX_S, LIMITS_S, S_NS, moment_ns
from edge.fleet.words import State

OFFERS_MAX: Final = 16
_SEEN_MAX: Final = 64


class Arrivals:
    """Takes documents in, one after the other.

    Attributes:
        clock_trouble: Why one of two clocks is wrong, as far as the last document shows; "" where both agree.
    """

    def __init__(self, book: Book, keys: KeyRing, *, device_id: str, clock: Clock, frozen: bool) -> None:
        """Store who is believed.

        Args:
            book: Where it is written down.
            keys: Whose documents are believed.
            device_id: Whose documents are taken.
            clock: Of the machine.
            frozen: The site takes nothing now.
        """
        self.clock_trouble = ""
        self._book = book
        self._keys = keys
        self._device_id = device_id
        self._clock = clock
        self._frozen = frozen
        self._unkept: deque[Offer] = deque(maxlen=OFFERS_MAX)  # as long as the medium takes nothing
        self._seen: dict[tuple[str, str], None] = {}  # what was refused in this life, the last of it

    def take(self, offer: Offer) -> None:
        """Take what came; `keep` writes it down."""
        self._unkept.append(offer)

    def keep(self) -> None:
        """Write down what was taken, so that it is looked at even after a crash.

        Raises:
            JournalError: It could not be; it is still held.
        """
        while self._unkept:
            offer = self._unkept[0]
            if not self._came_before(offer):
                if len(self._book.ledger.offers) >= OFFERS_MAX:
                    self.look()
                entry, ledger = self._received(offer), self._book.ledger
                self._book.write(dataclasses.replace(ledger, offers=(*ledger.offers, offer)), [entry])
            self._unkept.popleft()

    def look(self) -> None:
        """Look at what came first: accept it, refuse it, or know it.

        Raises:
            JournalError: What became of it could not be written down; it is looked at again.
        """
        ledger = self._book.ledger
        offer = ledger.offers[0]
        without = dataclasses.replace(ledger, offers=ledger.offers[1:])
        floor = ledger.floors.get(offer.scope)
        version = 0
        try:
            seen = self._read(offer)
            version = seen.document.version
            if is_known(seen, floor):
                self._book.write(without)
            else:
                check(seen, floor, now_ns=self._book.now_ns(), lock=self._lock)
                self._accept(without, offer, seen)
        except UnreadableError as refusal:
            self._refuse(without, offer, refusal.version, refusal)
        except DocumentRefusedError as refusal:
            self._refuse(without, offer, version, refusal)

    # ── known ─────────────────────────────────────────────────────────────────────────────────────────────

    def _came_before(self, offer: Offer) -> bool:
        """Whether it only came again, as it does at every connection, or was only signed anew."""
        ledger = self._book.ledger
        if offer in ledger.offers or (offer.scope, _sha256(offer)) in self._seen:
            return True
        floor = ledger.floors.get(offer.scope)
        if floor is None or floor.is_open or claimed_version(offer.payload) != floor.version:
            return False
        return floor.sha256 == _sha256(offer) or self._says_the_same(offer, floor)

    def _says_the_same(self, offer: Offer, floor: Floor) -> bool:
        try:
            return is_known(self._read(offer), floor)
        except UnreadableError:
            return False

    def _read(self, offer: Offer) -> Read:
        return read(offer.payload, scope=offer.scope, device_id=self._device_id, keys=self._keys)

    def _received(self, offer: Offer) -> Transition:
        now_ns = self._clock.utc_ns()
        return Transition(
            scope=offer.scope,
            version=claimed_version(offer.payload),
            state=State.RECEIVED,
            at_utc_ns=now_ns,
            deadline_utc_ns=now_ns + round(LIMITS_S[State.RECEIVED] * S_NS),
        )

    # ── refused ───────────────────────────────────────────────────────────────────────────────────────────

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
        self._seen[offer.scope, _sha256(offer)] = None
        while len(self._seen) > _SEEN_MAX:
            del self._seen[next(iter(self._seen))]

    # ── accepted ──────────────────────────────────────────────────────────────────────────────────────────

    def _accept(self, ledger: Ledger, offer: Offer, seen: Read) -> None:
        """Raise the floor and queue the version up, in the place of an earlier one not applied yet."""
        document = seen.document
        entries = []
        for old in ledger.attempts:
            if old.scope == offer.scope and not old.state.is_trial:
                why = Refusal("superseded", f"version {document.version} came")
                entries.append(self._book.entry(old, State.SUPERSEDED, why=why))
                ledger = ledger.ended(old)
        attempt = self._verified(offer, seen)
        entries.append(self._book.entry(attempt, State.VERIFIED, deadline_utc_ns=attempt.deadline_utc_ns))
        issued_ns = moment_ns(document.issued)
        after = dataclasses.replace(
            ledger,
            attempts=(*ledger.attempts, attempt),
            floors={**ledger.floors, offer.scope: Floor(document.version, seen.digest, _sha256(offer))},
            newest_issued_ns=max(ledger.newest_issued_ns, issued_ns),
            refused={scope: one for scope, one in ledger.refused.items() if scope != offer.scope},
        )
        self._book.write(after.noted(entries[-1]), entries)
        self._compare_clocks(document.issued, (issued_ns - self._clock.utc_ns()) / S_NS)

    def _verified(self, offer: Offer, seen: Read) -> Attempt:
        now_ns = self._clock.utc_ns()
        attempt = Attempt(
            scope=offer.scope,
            version=seen.document.version,
            payload=offer.payload,
            state=State.VERIFIED,
            entered_utc_ns=now_ns,
            deadline_utc_ns=now_ns,
            rollout=getattr(seen.document, "rollout", None),
        )
        return self._book.entered(attempt, State.VERIFIED)

    def _compare_clocks(self, issued: str, ahead_s: float) -> None:
        """Note that one of two clocks is wrong: the device's, or that of who signed."""
        self.clock_trouble = (
            f"a document of {issued} came {ahead_s / 60:.0f} min before its time by this device's clock: "
            "one of the two clocks is wrong"
            if ahead_s > CLOCK_AHEAD_MAX_S
            else ""
        )


def _sha256(offer: Offer) -> str:
    return hashlib.sha256(offer.payload).hexdigest()
