"""The way back: whoever took what a roll-out brought gets its previous content, as a version of its own."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from edge.fleet.operator.inventory import DeviceView, document_number
from edge.fleet.operator.rollout_content import room_of
from edge.fleet.operator.rollout_report import State, said
from edge.fleet.operator.rollout_state import Back, Member, Phase, Rollout, Step
from edge.fleet.operator.rollout_watch import Rooms, somebody_else, taken_up_again

Views = Mapping[str, DeviceView]


def returning(rollout: Rollout, views: Views, *, now_ms: int) -> Rollout:
    """Return how far the way back is.

    Who has not changed yet, or has gone back by itself, is written to at once, also where it is away: what it
    did not take must not be there when it comes back. Who may have changed waits for its room. Who is away
    comes last in its room, since nobody else of it may change until it has come back.
    """
    members = {
        name: _answered(rollout, member, views.get(name), now_ms=now_ms)
        for name, member in rollout.members.items()
    }
    rollout = replace(rollout, members=members)
    rooms = Rooms(rollout, views)
    taken = _rooms_with_somebody_there(rollout, views)
    members = dict(members)
    at_any_moment_first = sorted(rollout.members.items(), key=lambda item: item[1].step is not Step.SENT)
    for name, member in at_any_moment_first:
        if _is_owed(member):
            members[name] = _given_back(rollout, name, views.get(name), rooms, taken, now_ms=now_ms)
            if members[name].back is Back.SENT and members[name].is_changed:
                rooms.occupy(name)
    return _over(replace(rollout, members=members), views)


def _rooms_with_somebody_there(rollout: Rollout, views: Views) -> Set[str]:
    """Return the rooms with a device that is there and has yet to be written to."""
    owed = [views[name] for name, member in rollout.members.items() if _is_owed(member) and name in views]
    return {room_of(view) for view in owed if view.presence == "online"} - {""}


def _is_owed(member: Member) -> bool:
    return member.version > 0 and member.back is Back.NOTHING


def _given_back(
    rollout: Rollout, name: str, view: DeviceView | None, rooms: Rooms, taken: Set[str], *, now_ms: int
) -> Member:
    """Return a member with the version that takes it back written down, or why it has to wait."""
    member = taken_up_again(rollout, rollout.members[name], view)
    if member.step is Step.LEFT:
        return replace(member, back=Back.LEFT)
    if view is None:
        return replace(member, back=Back.STUCK, why="the broker knows nothing of it any more")
    if why := somebody_else(rollout, member, view):
        return replace(member, back=Back.LEFT, why=why)
    is_changed = member.step in (Step.SOAKING, Step.OK) or said(view.reported, member.version).is_changing
    if is_changed and not rollout.terms.is_trial:
        if mate := rooms.ours(name) or rooms.foreign(name):
            return replace(member, why=f"{mate} of the same room comes first")
        if view.presence != "online" and room_of(view) in taken:
            return replace(member, why="is away; the others of its room come first")
    return replace(
        member,
        back=Back.SENT,
        why=member.why if member.step is Step.FAILED else "",
        back_version=max(view.version, member.version) + 1,
        back_base=view.version,
        back_ms=now_ms,
        is_changed=is_changed or (member.step is Step.SENT and view.presence == "online"),
    )


def _answered(rollout: Rollout, member: Member, view: DeviceView | None, *, now_ms: int) -> Member:
    """Return a member to which its previous content was given, as its device says it is."""
    if member.back is not Back.SENT:
        return member
    if view is not None and (why := somebody_else(rollout, member, view)):
        return replace(member, back=Back.LEFT, why=why)
    fate = said(None if view is None else view.reported, member.back_version)
    if fate.state is State.COMMITTED:
        return replace(member, back=Back.DONE)
    if fate.state in (State.SUPERSEDED, State.PASSED) or fate.code in ("conflict", "superseded"):
        return replace(member, back=Back.LEFT, why=fate.told)
    if fate.state in (State.REJECTED, State.ROLLED_BACK):
        return replace(member, back=Back.STUCK, why=f"did not go back: {fate.told}", code=fate.code)
    if now_ms >= member.back_ms + _allowed_ms(rollout):
        return replace(member, back=Back.STUCK, why="did not answer to its previous content")
    return member


def _allowed_ms(rollout: Rollout) -> int:
    return round(rollout.terms.deadline_s * 1000)


def _over(rollout: Rollout, views: Views) -> Rollout:
    """Return it as over once nobody is owed anything; for who is away the broker keeps it."""
    open_ones = [name for name, member in rollout.members.items() if _is_owed(member)]
    sent = [name for name, member in rollout.members.items() if member.back is Back.SENT]
    away = [name for name in sent if _is_kept_for(views.get(name), rollout.members[name])]
    if open_ones or len(away) < len(sent):
        return rollout
    why = f"{len(away)} are away; the broker keeps their previous content for them" if away else ""
    phase = Phase.DONE if rollout.terms.is_trial else Phase.ABORTED
    return replace(rollout, phase=phase, why=why)


def _is_kept_for(view: DeviceView | None, member: Member) -> bool:
    """Whether a device is away, and the broker holds for it what it is to go back to."""
    if view is None or view.presence == "online":
        return False
    return document_number(view.desired, "version") == member.back_version
