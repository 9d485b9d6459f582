"""How the device stands with its fleet, for `edge status`: what is wanted, at work, and came to nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge.domain.errors import JournalError
from edge.fleet.agent import TRANSITIONS_MAX
from edge.fleet.ledger import Transition
from edge.fleet.memory import Memory
from edge.fleet.progress import Progress, ScopeProgress
from edge.fleet.words import State
from edge.kit.log import Log
from edge.kit.moments import told


class FleetStanding:
    """Told by the thread of the agent, asked by any.

    Args:
        line: Returns why nothing is heard from the fleet, "" where it is.
        trouble: Returns what goes wrong where it is spoken with, "" where nothing does.
    """

    def __init__(self, line: Callable[[], str], trouble: Callable[[], str]) -> None:
        self._line = line
        self._trouble = trouble
        self._log = Log("fleet")
        self._progress: Progress | None = None
        self._rolled_back: Transition | None = None

    def recall(self, memory: Memory) -> None:
        """Take up what earlier processes told; what cannot be read of it keeps nobody from going on."""
        try:
            journal = memory.journal(TRANSITIONS_MAX)
        except JournalError as trouble:
            self._log.warning("what was rolled back last is not known", because=trouble)
            return
        for transition in journal:  # oldest first
            self.hear(transition)

    def hear(self, transition: Transition) -> None:
        """Note a transition."""
        if transition.state is State.ROLLED_BACK:
            self._rolled_back = transition

    def heed(self, progress: Progress) -> None:
        """Note how far everything is."""
        self._progress = progress

    def told(self) -> Mapping[str, Any]:
        """Return what belongs into the status file."""
        progress, back = self._progress, self._rolled_back
        heard = {"line": self._line(), "troubles": [why for why in self._troubles() if why]}
        if progress is None:
            return heard
        return {
            **heard,
            "frozen": progress.is_frozen,
            "rung": progress.rung,
            "scopes": [_scope(one) for one in progress.scopes.values()],
            "waits": progress.waits_for,
            "rolled_back": None if back is None else {**_transition(back), "at": told(back.at_utc_ns)},
        }

    def _troubles(self) -> Sequence[str]:
        known = () if self._progress is None else self._progress.troubles.values()
        return (self._trouble(), *known)


def _scope(one: ScopeProgress) -> dict[str, Any]:
    said = one.said
    nothing = {"scope": one.scope, "version": 0, "status": "none", "code": "ok", "message": ""}
    known = {"desired": one.accepted_version, "applied": one.applied_version}
    return {**(nothing if said is None else _transition(said)), **known}


def _transition(one: Transition) -> dict[str, Any]:
    return {
        "scope": one.scope,
        "version": one.version,
        "status": str(one.state),
        "code": one.code,
        "message": one.message,
    }
