"""What becomes of attempts that a start finds: prepared anew, gone on with, or given up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from edge.domain.errors import DocumentRefusedError
from edge.domain.ports import Clock
from edge.fleet.book import Book
from edge.fleet.boot import Boot
from edge.fleet.ledger import Attempt, Ledger, Refusal, Transition
from edge.fleet.words import State

FINDS_MAX: Final = 5  # starts that find the same version being prepared
_LEFT: Final = "the device is no member of this group any more"
_JOINED: Final = "the device is a member of this group again"


class Recovery:
    """Reads a ledger after a start."""

    def __init__(
        self, book: Book, *, scopes: Sequence[str], clock: Clock, frozen: bool, boot: Boot | None
    ) -> None:
        """Store what it is held against.

        Args:
            book: Open.
            scopes: Whose documents this device takes.
            clock: Of the machine.
            frozen: The site takes nothing now.
            boot: What this process began with; None: as the ledger says.
        """
        self._book = book
        self._scopes = scopes
        self._clock = clock
        self._frozen = frozen
        self._boot = boot
        self._ledger = book.ledger
        self._entries: list[Transition] = []

    def run(self) -> tuple[Ledger, list[Transition], tuple[Transition, ...]]:
        """Return the ledger as it goes on, what is to be written down with it, and what was not told yet."""
        untold = self._ledger.untold
        self._ledger = dataclasses.replace(
            self._ledger,
            starts=0,
            untold=(),
            offers=tuple(offer for offer in self._ledger.offers if offer.scope in self._scopes),
        )
        for attempt in self._ledger.attempts:
            if attempt.state.is_trial:
                self._go_on(attempt)
            else:
                self._prepare_anew(attempt)
        self._leave_groups()
        return self._ledger, self._entries, untold

    def _go_on(self, trial: Attempt) -> None:
        """Leave a trial that this process began with to its course; end one that it did not begin with."""
        is_at_work = self._boot.is_trial if self._boot is not None else trial.finds > 0
        if not is_at_work:
            why = trial.back or Refusal("timeout", "the process ended before this version was at work")
            self._end(trial, State.ROLLED_BACK, why)
        elif trial.back is None and (objection := self._objection(trial)):
            self._ledger = self._ledger.swapped(trial, dataclasses.replace(trial, back=objection))

    def _prepare_anew(self, attempt: Attempt) -> None:
        """Plans and downloads of an earlier process are gone: it is verified, and no more."""
        is_member = attempt.scope in self._scopes
        if is_member != bool(attempt.payload):
            self._end(attempt, State.SUPERSEDED, Refusal("superseded", _JOINED if is_member else _LEFT))
            self._reopen(attempt)
            return
        why = self._unreadable(attempt)
        if why is None and attempt.finds >= FINDS_MAX:
            told = f"the process ended {attempt.finds} times while this version was prepared"
            why = Refusal("timeout", told)
        if why is not None:
            self._end(attempt, State.REJECTED, why)
        elif attempt.is_begun:
            anew = self._book.entered(attempt, State.VERIFIED)
            entry = self._book.entry(
                anew,
                State.VERIFIED,
                message=f"{attempt.state} when the process ended; prepared anew",
                deadline_utc_ns=anew.deadline_utc_ns,
            )
            self._ledger = self._ledger.swapped(attempt, anew).noted(entry)
            self._entries.append(entry)

    def _objection(self, trial: Attempt) -> Refusal | None:
        if self._frozen:
            return Refusal("local_lock", "fleet.frozen: was set while this version was tried", "fleet.frozen")
        return self._unreadable(trial)

    def _unreadable(self, attempt: Attempt) -> Refusal | None:
        try:
            self._book.document_of(attempt)
        except DocumentRefusedError as refusal:
            return Refusal(refusal.code, f"not read by this software any more: {refusal}", refusal.path)
        return None

    def _leave_groups(self) -> None:
        """Have the documents of groups that the device left taken away, as any other change is made."""
        committed = self._ledger.committed
        for scope, kept in (committed.documents if committed else {}).items():
            if scope in self._scopes or self._ledger.of_scope(scope) is not None:
                continue
            now_ns = self._clock.utc_ns()
            bare = Attempt(
                scope=scope,
                version=kept.version,
                payload=b"",
                state=State.VERIFIED,
                entered_utc_ns=now_ns,
                deadline_utc_ns=now_ns,
            )
            attempt = self._book.entered(bare, State.VERIFIED)
            entry = self._book.entry(
                attempt, State.VERIFIED, message=_LEFT, deadline_utc_ns=attempt.deadline_utc_ns
            )
            attempts = (*self._ledger.attempts, attempt)
            self._ledger = dataclasses.replace(self._ledger, attempts=attempts).noted(entry)
            self._entries.append(entry)

    def _reopen(self, attempt: Attempt) -> None:
        """Have a document that is not here any more be taken again, once the device is a member again."""
        floor = self._ledger.floors.get(attempt.scope)
        if attempt.payload and floor is not None and floor.version == attempt.version:
            floors = {**self._ledger.floors, attempt.scope: dataclasses.replace(floor, is_open=True)}
            self._ledger = dataclasses.replace(self._ledger, floors=floors)

    def _end(self, attempt: Attempt, state: State, why: Refusal) -> None:
        entry = self._book.entry(attempt, state, why=why)
        self._ledger = self._ledger.ended(attempt).noted(entry)
        self._entries.append(entry)
