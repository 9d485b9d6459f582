"""What a roll-out is, and how far it is: what is written down before anything is published.

All times are UTC in whole milliseconds: they travel as JSON numbers, which hold no nanoseconds exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """What a roll-out as a whole is doing."""

    RUNNING = "running"
    PAUSED = "paused"  # somebody said so
    HELD = "held"  # it stopped by itself, and says why
    AWAITING = "awaiting"  # a ring went well, and somebody has to approve the next
    RETURNING = "returning"  # whoever took it gets its previous content back
    DONE = "done"
    ABORTED = "aborted"

    @property
    def is_end(self) -> bool:
        """Whether nothing follows."""
        return self in (Phase.DONE, Phase.ABORTED)


class Step(StrEnum):
    """How far one device is."""

    DUE = "due"  # its turn has not come
    SENT = "sent"  # a version is written down for it, and published
    SOAKING = "soaking"  # it committed; now it is watched for a while
    OK = "ok"
    FAILED = "failed"
    MISSED = "missed"  # it was away, or not free, until its deadline: no evidence for or against
    LEFT = "left"  # left alone, because somebody else writes it, or nobody knows what it has

    @property
    def is_end(self) -> bool:
        """Whether the roll-out is through with it."""
        return self not in (Step.DUE, Step.SENT, Step.SOAKING)


class Back(StrEnum):
    """How far the return of one device to its previous content is."""

    NOTHING = ""
    SENT = "sent"
    DONE = "done"
    STUCK = "stuck"  # it did not take it, or did not answer
    LEFT = "left"  # somebody else has written it since


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a roll-out brings to each device.

    Attributes:
        config: Laid over the `config` of its present document.
        without: Paths in the `config` of its present document that are taken away first.
        bundles: By name, each in place of the one it has; None takes one away.
        apply: When and how: `mode`, `window`, `confirm_s`, `probe`, as far as given.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    bundles: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    apply: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a document says beside who, when and how.

    Attributes:
        config: As in the document.
        bundles: As in the document.
    """

    config: Mapping[str, Any]
    bundles: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which conditions it goes forward, and when it stops.

    Attributes:
        rings: Their names, the first one first.
        success_share: Of the devices of a ring that must be well before the next begins, 0 to 1.
        soak_s: For how long a device must be well after it committed.
        stop_errors: So many failures hold it.
        stop_share: That share of the devices of the open rings, failed, holds it; None: only the number does.
        deadline_s: How long a device may take, from the opening of its ring, or from when it was written to.
        at_once_max: Devices under way at any moment.
        freeze: Windows in which nothing changes.
        zone: Of these windows.
        needs_approval: Between rings.
        is_trial: Devices only say whether they could take it.
    """

    rings: tuple[str, ...]
    success_share: float = 0.98
    soak_s: float = 600.0
    stop_errors: int = 2
    stop_share: float | None = None
    deadline_s: float = 86_400.0
    at_once_max: int = 1000
    freeze: tuple[str, ...] = ()
    zone: str = "UTC"
    needs_approval: bool = False
    is_trial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One device in a roll-out.

    Attributes:
        ring: Which one it belongs to, from 0.
        room: `<site>/<room>`, "" where nobody knows: of one room never two at once.
        step: How far it is.
        why: What it waits for, or why it ended so.
        code: Of a failure, as the contract names it.
        version: What was written down for it, 0 before.
        base: What that was made from.
        sent_ms: When it was written down; its document says so.
        until_ms: By then it must have begun to change.
        before: Digest of the content it had, "" while nothing was sent.
        alerts: Errors that stood before, by name: they are not the roll-out's.
        ended_ms: When it committed; 0 before.
        tries: How often it was sent.
        back: How far its return is.
        back_version: What was written down for that, 0 before.
        back_base: What that was made from.
        back_ms: When that was written down.
        is_changed: What it has to go back from was at work, or may have been.
    """

    ring: int
    room: str = ""
    step: Step = Step.DUE
    why: str = ""
    code: str = ""
    version: int = 0
    base: int = 0
    sent_ms: int = 0
    until_ms: int = 0
    before: str = ""
    alerts: tuple[str, ...] = ()
    ended_ms: int = 0
    tries: int = 0
    back: Back = Back.NOTHING
    back_version: int = 0
    back_base: int = 0
    back_ms: int = 0
    is_changed: bool = False

    @property
    def newest(self) -> int:
        """The highest version that was written down for it, 0 for none."""
        return max(self.version, self.back_version)

    @property
    def is_under_way(self) -> bool:
        """Whether it may be changing now, as far as we know."""
        return self.step is Step.SENT or self.back is Back.SENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A roll-out at one moment.

    Attributes:
        id: Names it.
        by: Who began it.
        made_ms: When.
        change: What it brings.
        terms: How.
        members: By device, `<site>/<device>`, in the order in which their turn comes.
        contents: What devices had before, by digest.
        phase: What it is doing.
        why: It is held, or what it waits for.
        ring: The last one that is open.
        opened_ms: When that was opened.
        forgiven: Failures that somebody has seen and gone on from.
        accepted: Up to this ring nobody asks for the share any more; -1 for none.
        approved: Up to this ring it may open; further ones need approval where `terms` says so.
        order: Number of the last order that was followed.
        revision: Grows with each change.
    """

    id: str
    by: str
    made_ms: int
    change: Change
    terms: Terms
    members: Mapping[str, Member]
    contents: Mapping[str, Content] = field(default_factory=dict)
    phase: Phase = Phase.RUNNING
    why: str = ""
    ring: int = 0
    opened_ms: int = 0
    forgiven: int = 0
    accepted: int = -1
    approved: int = 0
    order: int = 0
    revision: int = 1

    def counts(self, ring: int | None = None) -> Counter[Step]:
        """Return how many devices are at each step, of one ring or of all."""
        return Counter(member.step for member in self.members.values() if ring in (None, member.ring))

    def failures(self) -> int:
        """Return how many devices failed so far."""
        return self.counts()[Step.FAILED]
