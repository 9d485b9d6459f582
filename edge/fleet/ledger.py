"""What a device must remember of its fleet, as values that never change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from edge.fleet.documents import RolloutRef
from edge.fleet.ports import Wanted
from edge.fleet.words import State

Rung = Literal["committed", "previous", "yaml"]
RUNGS: Final[tuple[Rung, ...]] = ("committed", "previous", "yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One version enters one state; written down before it does.

    Attributes:
        scope: `device`, `group/<name>`.
        version: Of the document; 0 where none could be read.
        state: Which it enters.
        code: `ok`, or why it came to nothing.
        message: For people.
        path: What the message is about, `pipelines.brain-mr.deadline_s`; "" for the whole document.
        at_utc_ns: When, by the clock of the device.
        rollout: Which roll-out it belongs to.
        deadline_utc_ns: When this state ends by itself; None for one that is an end.
    """

    scope: str
    version: int
    state: State
    code: str = "ok"
    message: str = ""
    path: str = ""
    at_utc_ns: int
    rollout: RolloutRef | None = None
    deadline_utc_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A payload that came and was not yet looked at.

    Attributes:
        scope: Under whose topic it came.
        payload: As it came.
    """

    scope: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Floor:
    """The highest version of a scope that was ever accepted; nothing below it is.

    Attributes:
        version: That one.
        digest: `sha256:…` of what was signed: whether another document of that version says the same.
        sha256: Of the payload as it came: whether it only came again.
        is_open: The document is not here any more; the very same may be taken once more.
    """

    version: int
    digest: str
    sha256: str
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A document that was believed, as it came.

    Attributes:
        version: Of the document.
        payload: As it came; empty for one that is taken away.
    """

    version: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """What was proven to work, as a whole.

    Attributes:
        wanted: All documents together.
        documents: Those, by scope.
    """

    wanted: Wanted
    documents: Mapping[str, Kept]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something came to nothing.

    Attributes:
        code: One word of the contract.
        message: For people.
        path: What it is about.
    """

    code: str
    message: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One version on its way; at most one is past `verified`.

    Attributes:
        scope: Of the document.
        version: Of the document.
        payload: The document as it came; empty where a scope is to be taken away.
        state: Where it is.
        entered_utc_ns: When it entered the state.
        deadline_utc_ns: When the state ends by itself.
        rollout: Which roll-out it belongs to.
        wanted: All documents together with this one, from `planned` on.
        finds: How many processes began to prepare it; from `applying` on, how many starts found it so.
        back: It goes back, for this reason; decided, not yet done.
        waits_until_utc_ns: When it is given up if it waits then, since it first waited; 0 before that.
    """

    scope: str
    version: int
    payload: bytes
    state: State
    entered_utc_ns: int
    deadline_utc_ns: int
    rollout: RolloutRef | None = None
    wanted: Wanted | None = None
    finds: int = 0
    back: Refusal | None = None
    waits_until_utc_ns: int = 0

    @property
    def is_begun(self) -> bool:
        """Whether it is the one that is worked on."""
        return self.state is not State.VERIFIED


@dataclass(frozen=True, slots=True)
class Ledger:
    """All of it.

    Attributes:
        offers: Not yet looked at, oldest first.
        floors: By scope.
        attempts: Verified and on their way, oldest first.
        committed: The last that was proven; None: the YAML of the device alone.
        previous: The one before it.
        at_work: Which of them this process began with, or brought to work since.
        starts: How many starts since one was last known to have come up.
        newest_issued_ns: The latest `issued` that was accepted (UTC).
        latest: Of each scope, the last transition of a version that was accepted.
        refused: Of each scope, the last that was not accepted.
        untold: What happened where nobody could be told.
    """

    offers: tuple[Offer, ...] = ()
    floors: Mapping[str, Floor] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    committed: Standing | None = None
    previous: Standing | None = None
    at_work: Rung = "committed"
    starts: int = 0
    newest_issued_ns: int = 0
    latest: Mapping[str, Transition] = field(default_factory=dict)
    refused: Mapping[str, Transition] = field(default_factory=dict)
    untold: tuple[Transition, ...] = ()

    @property
    def begun(self) -> Attempt | None:
        """The attempt that is worked on."""
        return next((attempt for attempt in self.attempts if attempt.is_begun), None)

    @property
    def trial(self) -> Attempt | None:
        """The attempt whose version may be at work."""
        return next((attempt for attempt in self.attempts if attempt.state.is_trial), None)

    def standing(self) -> Standing | None:
        """Return what is at work, leaving a trial aside."""
        return self.standing_of(self.at_work)

    def standing_of(self, rung: Rung) -> Standing | None:
        """Return what a rung of the ladder holds; None for the YAML alone."""
        return {"committed": self.committed, "previous": self.previous, "yaml": None}[rung]

    def of_scope(self, scope: str) -> Attempt | None:
        """Return the newest attempt of a scope."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.scope == scope), None)

    # ── changes ───────────────────────────────────────────────────────────────────────────────────────────

    def swapped(self, attempt: Attempt, by: Attempt) -> Ledger:
        """Return it with another attempt in the place of one."""
        attempts = tuple(by if one is attempt else one for one in self.attempts)
        return dataclasses.replace(self, attempts=attempts)

    def ended(self, attempt: Attempt) -> Ledger:
        """Return it without an attempt."""
        attempts = tuple(one for one in self.attempts if one is not attempt)
        return dataclasses.replace(self, attempts=attempts)

    def noted(self, entry: Transition) -> Ledger:
        """Return it with the last word on a version that was accepted."""
        return dataclasses.replace(self, latest={**self.latest, entry.scope: entry})

    def commits(self, attempt: Attempt) -> Ledger:
        """Return it with an attempt proven: what was at work before is what one goes back to next."""
        assert attempt.wanted is not None, "it was planned"
        before = self.standing()
        documents = dict(self.committed.documents) if self.committed else {}
        documents[attempt.scope] = Kept(attempt.version, attempt.payload)
        if not attempt.payload:
            documents.pop(attempt.scope)
        kept = {scope: one for scope, one in documents.items() if scope in attempt.wanted.versions}
        floors = dict(self.floors)
        if not attempt.payload and attempt.scope in floors:
            floors[attempt.scope] = dataclasses.replace(floors[attempt.scope], is_open=True)
        return dataclasses.replace(
            self.ended(attempt),
            committed=Standing(attempt.wanted, kept),
            previous=before,
            at_work="committed",
            floors=floors,
        )
