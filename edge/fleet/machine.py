"""The state machine of a device's configuration: takes documents, and brings one at a time to work, or back.

One thread calls `recover`, then `offer` and `step`; `snapshot` is for any. Nothing here waits. What may still
be under way is in the ledger (`ledger.py`); `arrivals.py` takes documents in, and `course.py` has what
happens to the one that is worked on. A document whose `apply.mode` is `validate` ends in `rejected` with the
code `ok`: it could be applied.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Final

from edge.domain.errors import JournalError
from edge.domain.ports import Clock
from edge.fleet.arrivals import Arrivals
from edge.fleet.book import Book, Told
from edge.fleet.boot import Boot
from edge.fleet.course import Course
from edge.fleet.ledger import Attempt, Offer, Transition
from edge.fleet.memory import Memory
from edge.fleet.ports import Device
from edge.fleet.progress import Progress, scope_progress
from edge.fleet.recovery import Recovery
from edge.fleet.signing import KeyRing
from edge.fleet.timing import S_NS, moment_ns
from edge.fleet.words import DEVICE_SCOPE, State, group_scope

__all__ = ["Machine", "Progress", "Transition"]

IDLE_S: Final = 60.0
RETRY_S: Final = 5.0  # after the medium took nothing
CLEARING_S: Final = 0.1


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
        self._arrivals = Arrivals(self._book, keys, device_id=device_id, clock=clock, frozen=frozen)
        self._scopes = (DEVICE_SCOPE, *(group_scope(group) for group in groups))
        self._clock = clock
        self._frozen = frozen
        self._boot: Boot | None = None
        self._is_recovered = False
        self._cleared: frozenset[str] = frozenset()
        self._memory_trouble = ""

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
        self._arrivals.take(Offer(scope, payload))
        if self._is_recovered:
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
        clock_trouble = self._book.clock_trouble() or self._arrivals.clock_trouble()
        troubles = {"clock": clock_trouble, "fleet-memory": self._memory_trouble}
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
            troubles={name: text for name, text in troubles.items() if text},
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
            self._memory_trouble = str(trouble)
            return RETRY_S
        self._memory_trouble = ""
        return again_s

    def _keep(self) -> float:
        self._arrivals.keep()
        return 0.0

    def _step(self) -> float:
        if not self._is_recovered:
            self._recover()
        trial = self._book.ledger.trial
        if trial is not None:  # before all else: its time runs out even where the medium takes nothing
            again_s = self._course.step(trial)
            return 0.0 if again_s > 0 and self._take_in() else again_s
        if self._take_in():
            return 0.0
        self._course.forget_superseded()
        attempts, begun = self._book.ledger.attempts, self._book.ledger.begun
        if begun is not None:
            dry_runs = [attempt for attempt in attempts if self._book.is_dry(attempt)]
            return 0.0 if self._begin(dry_runs) == 0.0 else self._course.step(begun)
        return self._begin(attempts) if self._course.is_clear() else CLEARING_S

    def _take_in(self) -> bool:
        """Look at one document, if one came; returns whether one did."""
        self._arrivals.keep()
        if not self._book.ledger.offers:
            return False
        self._arrivals.look()
        return True

    def _begin(self, verified: Sequence[Attempt]) -> float:
        """Begin with the version that has waited longest, of those whose time has come; end what is late."""
        again_s = IDLE_S
        for attempt in verified:
            why = self._course.lateness(attempt)
            if why is not None:
                self._book.end(attempt, State.REJECTED, why)
                return 0.0
            document = self._book.document_of(attempt)
            early_ns = 0
            if document is not None and document.not_before is not None:
                early_ns = moment_ns(document.not_before) - self._clock.utc_ns()
            if early_ns > 0:
                again_s = min(again_s, early_ns / S_NS)
            elif not self._frozen:
                return self._course.begin(attempt)
        return again_s

    # ── after a start ─────────────────────────────────────────────────────────────────────────────────────

    def _recover(self) -> float:
        self._book.open(self._boot.rung if self._boot is not None else None)
        recovery = Recovery(
            self._book, scopes=self._scopes, clock=self._clock, frozen=self._frozen, boot=self._boot
        )
        ledger, entries, untold = recovery.run()
        self._book.write(ledger, entries)
        self._is_recovered = True
        self._book.tell(untold)
        return 0.0
