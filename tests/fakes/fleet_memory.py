"""A memory in bytes that the power can leave before or after any write, and whose disk may be full."""

from __future__ import annotations

from collections.abc import Sequence

from edge.domain.errors import JournalError
from edge.fleet.ledger import Ledger, Transition
from edge.fleet.ledger_json import facts_of, ledger_of, transition_of, transition_tree
from tests.fakes.fleet_device import ProcessEnded


class CutMemory:
    """Keeps what SQLite would, without a disk; outlives the processes that write to it."""

    def __init__(self) -> None:
        self.entries: list[Transition] = []
        self.writes = 0
        self.is_full = False
        self._facts: dict[str, bytes] = {}
        self._cut_in: int | None = None
        self._is_cut_after = False

    def cut(self, *, in_writes: int, after: bool) -> None:
        """End the process in a write to come: before it is durable, or just after."""
        self._cut_in, self._is_cut_after = in_writes, after

    def uncut(self) -> None:
        self._cut_in = None

    def read(self) -> Ledger:
        return ledger_of(self._facts)

    def write(self, ledger: Ledger, entries: Sequence[Transition] = ()) -> None:
        is_cut = self._is_cut_now()
        if is_cut and not self._is_cut_after:
            raise ProcessEnded("before a write")
        if self.is_full:
            raise JournalError("fleet.db: disk full; nothing was written down")
        self._facts = facts_of(ledger)
        self.entries += [transition_of(transition_tree(entry)) for entry in entries]
        self.writes += 1
        if is_cut:
            raise ProcessEnded("after a write")

    def journal(self, count_max: int) -> list[Transition]:
        return self.entries[-count_max:]

    def _is_cut_now(self) -> bool:
        if self._cut_in is None:
            return False
        self._cut_in -= 1
        if self._cut_in >= 0:
            return False
        self._cut_in = None
        return True
