"""A roll-out that is over is taken away from the broker; the history and the file of this machine keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.domain.errors import ConfigurationError, FormatError
from edge.fleet.operator.inventory import document_number, document_text
from edge.fleet.operator.rollout import unpublished
from edge.fleet.operator.rollout_desk import RolloutDesk
from edge.fleet.operator.rollout_state import Phase
from edge.fleet.operator.rollout_store import RolloutStore, rollout_of

Document = Mapping[str, Any]

_ENDS = tuple(str(phase) for phase in Phase if phase.is_end)


def forget(desk: RolloutDesk, file: RolloutStore, rollout_id: str, *, by: str) -> int:
    """Clear what the broker keeps of a roll-out that is over; may be repeated after a crash within.

    Args:
        desk: At the broker.
        file: Of this machine; it has all of it before anything is cleared.
        rollout_id: Which one.
        by: Who says so.

    Returns:
        How many pieces the broker has kept.

    Raises:
        ConfigurationError: It is not over, or a device has not its document yet, or there is nothing there.
        FormatError: There is none of that id.
        DeliveryError: The broker did not take it, and says why.
        JournalError: It cannot be kept here.
    """
    local, held = file.pieces(), desk.rollouts()
    head = _newer(local.get(rollout_id), held.get(rollout_id))
    if head is None:
        raise FormatError(f"{rollout_id}: there is no such roll-out, neither here nor at the broker")
    phase = document_text(head, "phase")
    if phase not in _ENDS:
        raise ConfigurationError(f"{rollout_id}: is {phase}; only what is over can be forgotten")
    left = [name for name in held if name.partition(".")[0] == rollout_id]
    if not left:
        raise ConfigurationError(f"{rollout_id}: the broker keeps nothing of it")
    _check_published(desk, rollout_id, local, held)
    told = [name for name in left if not name.endswith((".h", ".o"))]
    file.write({name: held[name] for name in told if _newer(local.get(name), held[name]) is held[name]})
    for name in sorted(left, key=lambda name: name == rollout_id):  # whoever finds its head can go on
        desk.publish_rollout(name, None)
    desk.note(rollout_id, f"taken away from the broker by {by}: {len(left)} pieces")
    return len(left)


def _check_published(
    desk: RolloutDesk, rollout_id: str, local: Mapping[str, Document], held: Mapping[str, Document]
) -> None:
    """Refuse while what a device is to get is written down, and not at the broker.

    Raises:
        ConfigurationError: It is so.
    """
    try:
        rollout = rollout_of(rollout_id, local, held)
    except FormatError:  # pieces are gone: somebody has begun to forget it elsewhere
        return
    waiting = unpublished(rollout, desk.devices(), {}, now_ms=desk.now_ns() // 1_000_000)
    if waiting:
        what = f"{waiting[0]} has not its document yet; edge fleet rollout resume {rollout_id}"
        raise ConfigurationError(f"{rollout_id}: {what}")


def _newer(one: Document | None, other: Document | None) -> Document | None:
    if one is None or other is None:
        return one or other
    return other if document_number(other, "revision") > document_number(one, "revision") else one
