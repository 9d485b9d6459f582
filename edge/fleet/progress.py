"""How far everything is, as one picture that does not change: what `reported` is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.fleet.ledger import Attempt, Ledger, Rung, Standing, Transition
from edge.fleet.ports import Wanted
from edge.fleet.words import DEVICE_SCOPE

_ONLY_TOLD: Final = ("superseded", "bad_signature")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeProgress:
    """One document of the device.

    Attributes:
        scope: `device`, `group/<name>`.
        accepted_version: The floor: nothing below it is taken; 0 where nothing ever was.
        accepted_digest: `sha256:…` of what was signed as that version; "" where nothing was. Two may have
            written that version at once, and one of them was taken.
        applied_version: What is at work; 0 where none is.
        previous_version: What was at work before; 0 where none was.
        latest: Where the last version that was accepted is, or how it ended; None before the first.
        refused: The last document that was not accepted; None where none was since one was, or came again.
        is_cleared: The broker keeps no document of this scope any more; nothing was changed for that.
    """

    scope: str
    accepted_version: int
    accepted_digest: str
    applied_version: int
    previous_version: int
    latest: Transition | None
    refused: Transition | None
    is_cleared: bool

    @property
    def said(self) -> Transition | None:
        """What a report says of it.

        While a version is on its way, how far it is; then, that what came since was refused. An old document
        that came back, and one that nobody vouches for, are only told of: they hide nothing that is known.
        """
        if self.refused is None or self.latest is None:
            return self.latest or self.refused
        is_only_told = self.refused.code in _ONLY_TOLD or not self.latest.state.is_end
        return self.latest if is_only_told else self.refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """All of it.

    Attributes:
        scopes: Of the device's own document and of its groups, by scope.
        under_way: The version that is worked on, or None.
        queued: Verified versions that wait their turn or their time, oldest first.
        doing: What is being done for the one under way: `{"doing": …, "done": …, "of": …}`; empty: nothing.
        waits_for: Why the one under way is not applied yet; "" where it does not wait.
        at_work: What is at work; None: the YAML of the device alone.
        before: What was at work before it; None where nothing was, or the YAML alone.
        rung: Whether that is what was proven last, or something earlier, because that could not be used.
        is_frozen: The site takes nothing.
        troubles: What a person must act on, by name of the alert (`clock`, `fleet-memory`).
    """

    scopes: Mapping[str, ScopeProgress]
    under_way: Attempt | None
    queued: tuple[Attempt, ...]
    doing: Mapping[str, Any]
    waits_for: str
    at_work: Wanted | None
    before: Wanted | None
    rung: Rung
    is_frozen: bool
    troubles: Mapping[str, str]

    @property
    def own(self) -> ScopeProgress:
        """The device's own document."""
        return self.scopes[DEVICE_SCOPE]


def scope_progress(scope: str, ledger: Ledger, *, is_cleared: bool) -> ScopeProgress:
    """Return how far one document is."""
    floor = ledger.floors.get(scope)
    return ScopeProgress(
        scope=scope,
        accepted_version=0 if floor is None else floor.version,
        accepted_digest="" if floor is None else floor.digest,
        applied_version=_version(ledger.standing(), scope),
        previous_version=_version(ledger.previous, scope),
        latest=ledger.latest.get(scope),
        refused=ledger.refused.get(scope),
        is_cleared=is_cleared,
    )


def _version(standing: Standing | None, scope: str) -> int:
    return 0 if standing is None else standing.wanted.versions.get(scope, 0)
