"""What comes from the broker: kept on disk before anybody looks at it, then accepted, refused, or known."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Final

from edge.domain.errors import DocumentRefusedError
from edge.domain.ports import Clock
from edge.fleet.book import Book
from edge.fleet.careful import asked
from edge.fleet.ledger import Attempt, Floor, Ledger, Offer, Refusal, Transition
from edge.fleet.reception import Read, check, claimed_version, is_known, read
from edge.fleet.signing import KeyRing
from edge.fleet.timing import CLOCK_AHEAD_MAX_S, LIMITS_S, S_NS, moment_ns
from edge.fleet.words import State

OFFERS_MAX: Final = 16
_SEEN_MAX: Final = 64


class Arrivals:
    """Takes documents in, one after the other."""

    def __init__(self, book: Book, keys: KeyRing, *, device_id: str, clock: Clock, frozen: bool) -> None:
        """Store who is believed.

        Args:
            book: Where it is written down.
            keys: Whose documents are believed.
            device_id: Whose documents are taken.
            clock: Of the machine.
            frozen: The site takes nothing now.
        """
        self._book = book
        self._keys = keys
        self._device_id = device_id
        self._clock = clock
        self._frozen = frozen
        self._issued = ""  # when the last that was accepted was
        self._unkept: dict[str, Offer] = {}  # the last of each scope, while the medium takes nothing
        self._seen: dict[tuple[str, str], int] = {}  # what was refused in this life: not looked at since then

    def take(self, offer: Offer) -> None:
        """Take what came; `keep` writes it down."""
        self._unkept.pop(offer.scope, None)
        self._unkept[offer.scope] = offer

    def keep(self) -> None:
        """Write down what was taken, so that it is looked at even after a crash.

        Raises:
            JournalError: It could not be; it is still held.
        """
        for offer in list(self._unkept.values()):
            if self._came_before(offer):
                self._heed_again(offer)
            else:
                if len(self._book.ledger.offers) >= OFFERS_MAX:
                    self.look()
                entry, ledger = self._received(offer), self._book.ledger
                self._book.write(dataclasses.replace(ledger, offers=(*ledger.offers, offer)), [entry])
            del self._unkept[offer.scope]

    def look(self) -> None:
        """Look at what came first: accept it, refuse it, or know it.

        Raises:
            JournalError: What became of it could not be written down; it is looked at again.
        """
        ledger = self._book.ledger
        offer = ledger.offers[0]
        without = dataclasses.replace(ledger, offers=ledger.offers[1:])
        try:
            seen, after, entries = asked(partial(self._judge, without, offer), "schema")
        except DocumentRefusedError as refusal:
            self._refuse(without, offer, refusal)
            return
        self._book.write(after, entries)
        if entries:
            self._issued = seen.document.issued

    def _judge(self, ledger: Ledger, offer: Offer) -> tuple[Read, Ledger, Sequence[Transition]]:
        """Return what came, the ledger with it, and what is written down with that: nothing if it is known.

        Raises:
            DocumentRefusedError: It is not taken.
        """
        seen = self._read(offer)
        floor = ledger.floors.get(offer.scope)
        if is_known(seen, floor):
            return seen, _unrefused(ledger, offer.scope), ()
        check(seen, floor, now_ns=self._book.bound_ns(), lock=self._lock)
        return seen, *self._accepted(ledger, offer, seen)

    def clock_trouble(self) -> str:
        """Return why one of two clocks is wrong, the device's or that of who signed; "" where both agree."""
        ahead_s = (moment_ns(self._issued) - self._clock.utc_ns()) / S_NS if self._issued else 0.0
        if ahead_s <= CLOCK_AHEAD_MAX_S:
            return ""
        return (
            f"a document of {self._issued} came, {ahead_s / 60:.0f} min ahead of this device's clock: "
            "one of the two clocks is wrong"
        )

    # ── known ─────────────────────────────────────────────────────────────────────────────────────────────

    def _came_before(self, offer: Offer) -> bool:
        """Whether it only came again, as it does at every connection, or was only signed anew."""
        ledger = self._book.ledger
        seen_ns = self._seen.get((offer.scope, _sha256(offer)))
        if offer in ledger.offers or (seen_ns is not None and seen_ns <= self._book.bound_ns()):
            return True
        floor = ledger.floors.get(offer.scope)
        if floor is None or floor.is_open or claimed_version(offer.payload) != floor.version:
            return False
        return floor.sha256 == _sha256(offer) or self._says_the_same(offer, floor)

    def _heed_again(self, offer: Offer) -> None:
        """Forget what was refused since, where what was accepted came again: the broker holds that now."""
        is_refused = (offer.scope, _sha256(offer)) in self._seen
        if offer.scope in self._book.ledger.refused and not is_refused:
            self._book.write(_unrefused(self._book.ledger, offer.scope))

    def _says_the_same(self, offer: Offer, floor: Floor) -> bool:
        try:
            return is_known(asked(partial(self._read, offer), "schema"), floor)
        except DocumentRefusedError:
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

    def _refuse(self, ledger: Ledger, offer: Offer, refusal: DocumentRefusedError) -> None:
        entry = Transition(
            scope=offer.scope,
            version=claimed_version(offer.payload),
            state=State.REJECTED,
            code=refusal.code,
            message=str(refusal),
            path=refusal.path,
            at_utc_ns=self._clock.utc_ns(),
        )
        self._book.write(dataclasses.replace(ledger, refused={**ledger.refused, offer.scope: entry}), [entry])
        is_late = refusal.code == "expired"  # by a clock that may be put right: then it is looked at again
        self._seen[offer.scope, _sha256(offer)] = self._book.bound_ns() if is_late else 0
        while len(self._seen) > _SEEN_MAX:
            del self._seen[next(iter(self._seen))]

    # ── accepted ──────────────────────────────────────────────────────────────────────────────────────────

    def _accepted(self, ledger: Ledger, offer: Offer, seen: Read) -> tuple[Ledger, Sequence[Transition]]:
        """Raise the floor and queue the version up, in the place of an earlier one not applied yet."""
        document = seen.document
        entries = []
        is_dry = document.apply.mode == "validate"  # takes no place but that of another dry run
        for old in ledger.attempts:
            is_replaced = old.scope == offer.scope and (not is_dry or self._book.is_dry(old))
            if is_replaced and not old.state.is_trial:
                why = Refusal("superseded", f"version {document.version} came")
                entries.append(self._book.entry(old, State.SUPERSEDED, why=why))
                ledger = ledger.ended(old)
        attempt = self._verified(offer, seen)
        entries.append(self._book.entry(attempt, State.VERIFIED, deadline_utc_ns=attempt.deadline_utc_ns))
        after = dataclasses.replace(
            ledger,
            attempts=(*ledger.attempts, attempt),
            floors={**ledger.floors, offer.scope: Floor(document.version, seen.digest, _sha256(offer))},
            newest_issued_ns=self._book.newest_with(moment_ns(document.issued)),
        )
        return _unrefused(after, offer.scope).noted(entries[-1]), entries

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


def _unrefused(ledger: Ledger, scope: str) -> Ledger:
    """Return a ledger in which nothing stands against what was accepted of a scope."""
    refused = {name: one for name, one in ledger.refused.items() if name != scope}
    return dataclasses.replace(ledger, refused=refused)


def _sha256(offer: Offer) -> str:
    return hashlib.sha256(offer.payload).hexdigest()
