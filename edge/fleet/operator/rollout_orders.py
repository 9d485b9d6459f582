"""What an operator may say to a roll-out that is under way, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from edge.domain.errors import ConfigurationError
from edge.fleet.operator.rollout_state import Member, Phase, Rollout, Step


class Order(StrEnum):
    """What may be said."""

    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    ABORT = "abort"


def why_not(rollout: Rollout, order: Order) -> str:
    """Return why an order makes no sense now, "" where it does."""
    phase = rollout.phase
    if order is Order.ABORT:
        return "is aborted already" if phase in (Phase.RETURNING, Phase.ABORTED) else ""
    if phase.is_end or phase is Phase.RETURNING:
        return f"is {phase}; only what goes on can be told to {order}"
    if order is Order.PAUSE and phase is Phase.PAUSED:
        return "is paused already"
    if order is Order.APPROVE and phase not in (Phase.AWAITING, Phase.HELD):
        return f"is {phase}; there is nothing to approve"
    return ""


def followed(rollout: Rollout, order: Order, *, by: str, now_ms: int) -> Rollout:
    """Return a roll-out that has heard an order.

    `pause` begins nothing more; what is under way goes on. `resume` goes on, whatever it was held for:
    failures so far and the share of the open ring count as seen, and whoever was missed gets another chance.
    `approve` opens the next ring. `abort` gives everybody the content of before; also after the end.

    Args:
        rollout: As it is.
        order: What was said.
        by: Who said it.
        now_ms: UTC.

    Raises:
        ConfigurationError: It makes no sense now.
    """
    if why := why_not(rollout, order):
        raise ConfigurationError(f"{rollout.id}: {why}")
    told = f"{order} by {by}"
    after = _after(rollout, order, told, now_ms=now_ms)
    return replace(after, revision=rollout.revision + 1)


def answered(rollout: Rollout, order: Order, head: Mapping[str, Any]) -> str:
    """Return what became of an order, for whoever gave it: of an approval, whether its ring is open.

    Args:
        rollout: As it was when the order was given.
        order: What was said.
        head: Of the roll-out at the broker, of the moment when the order was heard or later.
    """
    after = rollout.ring + 1
    is_approved = order is Order.APPROVE and head.get("approved", 0) >= after
    if not is_approved or after >= len(rollout.terms.rings):
        return f"it is {head.get('phase')}"
    ring = rollout.terms.rings[after]
    if head.get("ring", 0) >= after:
        return f"ring {ring} is open"
    return f"ring {ring} opens once nobody of ring {rollout.terms.rings[rollout.ring]} is under way"


def _after(rollout: Rollout, order: Order, told: str, *, now_ms: int) -> Rollout:
    if order is Order.PAUSE:
        return replace(rollout, phase=Phase.PAUSED, why=told)
    if order is Order.ABORT:
        return replace(rollout, phase=Phase.RETURNING, why=told, opened_ms=now_ms)
    seen = rollout
    if rollout.phase is Phase.HELD:
        seen = replace(rollout, forgiven=rollout.failures(), accepted=rollout.ring)
    if order is Order.APPROVE:
        return replace(seen, phase=Phase.RUNNING, why=told, approved=rollout.ring + 1)
    members = {name: _once_more(member) for name, member in rollout.members.items()}
    phase = Phase.AWAITING if rollout.phase is Phase.AWAITING else Phase.RUNNING
    return replace(seen, phase=phase, why=told, members=members)


def _once_more(member: Member) -> Member:
    return replace(member, step=Step.DUE, until_ms=0) if member.step is Step.MISSED else member
