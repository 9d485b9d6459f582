"""The ledger as it is now: every change is on the medium before it is true, and told after that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from edge.domain.ports import Clock
from edge.fleet.documents import Apply, Document
from edge.fleet.guard import read_document
from edge.fleet.ledger import Attempt, Ledger, Refusal, Rung, Transition
from edge.fleet.memory import Memory
from edge.fleet.ports import Wanted
from edge.fleet.reception import parse
from edge.fleet.timing import CLOCK_AHEAD_MAX_S, S_NS, limit_s, moment_ns
from edge.fleet.words import State
from edge.kit.log import Log
from edge.kit.moments import told

Told = Callable[[Transition], None]
_PLAIN: Final = Apply()


class Book:
    """One ledger, its memory, and whoever is told; used by one thread, read by any.

    Attributes:
        ledger: As it is on the medium, but for what this process began with.
    """

    def __init__(self, memory: Memory, *, device_id: str, clock: Clock, told: Told) -> None:
        self.ledger = Ledger()
        self._memory = memory
        self._device_id = device_id
        self._clock = clock
        self._told = told
        self._log = Log("fleet")
        self._read: dict[tuple[str, bytes], Document] = {}

    def open(self, at_work: Rung | None) -> None:
        """Read what is on the medium.

        Args:
            at_work: What this process began with, even if that could not be written down; None: as it says.

        Raises:
            JournalError: It cannot be read.
        """
        ledger = self._memory.read()
        self.ledger = dataclasses.replace(ledger, at_work=at_work or ledger.at_work)

    def write(self, ledger: Ledger, entries: Sequence[Transition] = ()) -> None:
        """Make a ledger true, then tell what led to it.

        Raises:
            JournalError: It could not be written down; nothing changed, nobody was told.
        """
        self._memory.write(ledger, entries)
        self.ledger = ledger
        self.tell(entries)

    def tell(self, entries: Sequence[Transition]) -> None:
        """Tell what is on the medium."""
        for entry in entries:
            say = self._log.info if entry.code == "ok" else self._log.warning
            fields = {"scope": entry.scope, "version": entry.version, "state": entry.state.value}
            why = {"code": entry.code, "because": entry.message} if entry.code != "ok" else {}
            say("version", **fields, **why)
            self._told(entry)

    def journal(self, count_max: int) -> list[Transition]:
        """Return the last transitions, oldest first."""
        return self._memory.journal(count_max)

    # ── one attempt ───────────────────────────────────────────────────────────────────────────────────────

    def move(
        self, attempt: Attempt, state: State, *, wanted: Wanted | None = None, message: str = ""
    ) -> Attempt:
        """Have an attempt enter a state that is no end; returns it as it is then."""
        moved = self.entered(attempt, state, wanted=wanted or attempt.wanted)
        entry = self.entry(moved, state, message=message, deadline_utc_ns=moved.deadline_utc_ns)
        self.write(self.ledger.swapped(attempt, moved).noted(entry), [entry])
        return moved

    def end(self, attempt: Attempt, state: State, why: Refusal | None = None) -> None:
        """Have an attempt come to its end."""
        entry = self.entry(attempt, state, why=why)
        self.write(self.ledger.ended(attempt).noted(entry), [entry])

    def commit(self, attempt: Attempt) -> None:
        """Have an attempt be what is at work, proven."""
        entry = self.entry(attempt, State.COMMITTED)
        self.write(self.ledger.commits(attempt).noted(entry), [entry])

    def entered(self, attempt: Attempt, state: State, *, wanted: Wanted | None = None) -> Attempt:
        """Return an attempt in another state, with its deadline."""
        document = self.document_of(attempt)
        apply = document.apply if document else _PLAIN
        now_ns = self._clock.utc_ns()
        from_ns = max(now_ns, moment_ns(document.issued)) if document else now_ns
        if state is State.VERIFIED and document and document.not_before:
            from_ns = max(from_ns, moment_ns(document.not_before))
        deadline_ns = from_ns + round(limit_s(state, apply) * S_NS)
        if apply.deadline is not None and not state.is_trial:
            deadline_ns = min(deadline_ns, moment_ns(apply.deadline))
        waits_until_ns = attempt.waits_until_utc_ns
        if waits_until_ns and state in (
            State.VERIFIED,
            State.WAITING,
        ):  # found by a start: no longer for that
            deadline_ns = min(deadline_ns, waits_until_ns)
        return dataclasses.replace(
            attempt,
            state=state,
            waits_until_utc_ns=deadline_ns if state is State.WAITING else waits_until_ns,
            entered_utc_ns=now_ns,
            deadline_utc_ns=deadline_ns,
            wanted=wanted,
            finds=0 if state in (State.STAGED, State.APPLYING) else attempt.finds,
        )

    def entry(
        self,
        attempt: Attempt,
        state: State,
        *,
        why: Refusal | None = None,
        message: str = "",
        deadline_utc_ns: int | None = None,
    ) -> Transition:
        """Return what is written down when an attempt enters a state."""
        return Transition(
            scope=attempt.scope,
            version=attempt.version,
            state=state,
            code=why.code if why else "ok",
            message=why.message if why else message,
            path=why.path if why else "",
            at_utc_ns=self._clock.utc_ns(),
            rollout=attempt.rollout,
            deadline_utc_ns=deadline_utc_ns,
        )

    # ── documents and time ────────────────────────────────────────────────────────────────────────────────

    def bound_ns(self) -> int:
        """Return before when nothing may expire: the present, and when the newest document was issued.

        So a clock that went back revives nothing that has expired. All else goes by the clock alone.
        """
        return max(self._clock.utc_ns(), self.ledger.newest_issued_ns)

    def newest_with(self, issued_ns: int) -> int:
        """Return the newest `issued` with another document; one far ahead of the clock proves nothing."""
        is_far = issued_ns > self._clock.utc_ns() + CLOCK_AHEAD_MAX_S * S_NS
        return self.ledger.newest_issued_ns if is_far else max(self.ledger.newest_issued_ns, issued_ns)

    def clock_trouble(self) -> str:
        """Return why the clock of this device must be wrong, "" where nothing says so; for any thread."""
        behind_s = (self.ledger.newest_issued_ns - self._clock.utc_ns()) / S_NS
        if behind_s <= CLOCK_AHEAD_MAX_S:
            return ""
        newest = told(self.ledger.newest_issued_ns)
        return f"this device's clock is {behind_s / 60:.0f} min behind {newest}, when it took a document"

    def document_of(self, attempt: Attempt) -> Document | None:
        """Return the document of an attempt; None where a scope is taken away."""
        return self.document(attempt.scope, attempt.payload) if attempt.payload else None

    def apply_of(self, attempt: Attempt) -> Apply:
        """Return when and how an attempt is brought to work."""
        document = self.document_of(attempt)
        return document.apply if document else _PLAIN

    def is_dry(self, attempt: Attempt) -> bool:
        """Whether it is only asked whether it could be."""
        return self.apply_of(attempt).mode == "validate"

    def document(self, scope: str, payload: bytes) -> Document:
        """Read a document that was believed before.

        Raises:
            DocumentRefusedError: This software does not read it any more.
        """
        found = self._read.get((scope, payload))
        if found is None:
            found = parse(read_document(payload), scope=scope, device_id=self._device_id)
            self._read = {**self._lately(), (scope, payload): found}
        return found

    def _lately(self) -> Mapping[tuple[str, bytes], Document]:
        """Return the documents that are still of use."""
        ledger = self.ledger
        kept = {(attempt.scope, attempt.payload) for attempt in ledger.attempts}
        if ledger.committed is not None:
            kept |= {(scope, one.payload) for scope, one in ledger.committed.documents.items()}
        return {key: document for key, document in self._read.items() if key in kept}
