"""The engine of roll-outs: what is known of the fleet, the time, and how far it was, to how far it is now.

Nothing here waits, publishes or reads a clock. Whoever calls writes the answer down first and publishes
afterwards what `unpublished` names: so a crash between the two repeats a document, and never makes another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from edge.fleet.operator import freeze
from edge.fleet.operator.inventory import DeviceView, document_number
from edge.fleet.operator.rollout_content import (
    digest_of_content,
    expected_digest,
    merged,
    rollout_of,
    standing,
    why_unfit,
)
from edge.fleet.operator.rollout_return import returning
from edge.fleet.operator.rollout_state import Back, Content, Member, Phase, Rollout, Step
from edge.fleet.operator.rollout_watch import UNTAKEN, Rooms, observed, somebody_else, standing_errors

Views = Mapping[str, DeviceView]
Layers = Mapping[str, Mapping[str, Any]]
Try = tuple[str, int]  # a device and a version of its document

AGAIN_MS: Final = 10_000  # the broker shows a document within that, or it is published again


def decide(rollout: Rollout, views: Views, layers: Layers, *, now_ms: int) -> Rollout:
    """Return how far a roll-out is now; the same object where nothing has changed.

    Args:
        rollout: How far it was.
        views: The fleet, by `<site>/<device>`; settled: what the broker holds has been read.
        layers: Documents of groups, by `<site>/group/<group>`.
        now_ms: UTC.
    """
    if rollout.phase.is_end:
        return rollout
    if rollout.phase is Phase.RETURNING:
        after = returning(rollout, views, now_ms=now_ms)
    else:
        after = _looked_at(rollout, views, layers, now_ms=now_ms)
        after = _judged(after, now_ms=now_ms)
        may_begin = after.phase is Phase.RUNNING and frozen_until_ms(after, now_ms=now_ms) is None
        after = _sent(after, views, now_ms=now_ms) if may_begin else _put_off(after)
    return rollout if after == rollout else replace(after, revision=rollout.revision + 1)


def unpublished(rollout: Rollout, views: Views, tried_ms: Mapping[Try, int], *, now_ms: int) -> list[str]:
    """Return the devices whose document is written down, and not what the broker holds.

    Args:
        rollout: As it was written down.
        views: The fleet.
        tried_ms: When this process published each version of each device last.
        now_ms: UTC.
    """
    names = [
        name
        for name, member in rollout.members.items()
        if _wants_document(member)
        and name in views  # who was taken out of the fleet gets nothing any more
        and document_number(views[name].desired, "version") < member.newest
        and now_ms - tried_ms.get((name, member.newest), -AGAIN_MS) >= AGAIN_MS
    ]
    rooms = Rooms(rollout, views) if names else None
    return [name for name in names if rooms is None or not _must_wait(rollout, name, views, rooms)]


def _must_wait(rollout: Rollout, name: str, views: Views, rooms: Rooms) -> bool:
    """Whether somebody else has written for the device, or changes its room, since it was written down."""
    member, view = rollout.members[name], views.get(name)
    if view is not None and somebody_else(rollout, member, view):
        return True
    is_change = member.step is Step.SENT if member.back is Back.NOTHING else member.is_changed
    return is_change and not rollout.terms.is_trial and rooms.foreign(name) != ""


def frozen_until_ms(rollout: Rollout, *, now_ms: int) -> int | None:
    """Return until when nothing is begun, None while it may be.

    Shortly before a window opens nothing is begun either: it would not be through by then.
    """
    terms = rollout.terms
    confirm_ns = round(float(rollout.change.apply.get("confirm_s", 120)) * 1e9)
    now_ns = now_ms * 1_000_000
    end_ns = freeze.frozen_until_ns(terms.freeze, zone=terms.zone, now_ns=now_ns)
    if end_ns is None:
        end_ns = freeze.frozen_until_ns(terms.freeze, zone=terms.zone, now_ns=now_ns + confirm_ns)
    return None if end_ns is None else end_ns // 1_000_000


def _wants_document(member: Member) -> bool:
    if member.back is not Back.NOTHING:
        return member.back in (Back.SENT, Back.DONE)
    return member.step in (Step.SENT, Step.SOAKING, Step.OK)


# ── what became of each ───────────────────────────────────────────────────────────────────────────────────


def _looked_at(rollout: Rollout, views: Views, layers: Layers, *, now_ms: int) -> Rollout:
    """Return it with every member as its device says it is."""

    def expected(name: str) -> str:
        return expected_digest(rollout, name, views[name], layers)

    members = {
        name: observed(rollout, name, views.get(name), expected, now_ms=now_ms) if member.version else member
        for name, member in rollout.members.items()
    }
    return replace(rollout, members=members)


# ── may it go on ──────────────────────────────────────────────────────────────────────────────────────────


def _judged(rollout: Rollout, *, now_ms: int) -> Rollout:
    """Return it held, waiting for approval, with the next ring open, or over; as it is where none applies."""
    if rollout.phase is not Phase.RUNNING:
        return rollout
    if rollout.terms.is_trial:
        return _trial_judged(rollout)
    failures = rollout.failures() - rollout.forgiven
    if failures > 0 and failures >= _stop_at(rollout):
        return replace(rollout, phase=Phase.HELD, why=f"{_devices(failures)} failed")
    if rollout.accepted < rollout.ring and (why := _out_of_reach(rollout)):
        return replace(rollout, phase=Phase.HELD, why=why)
    if not _is_through(rollout):
        return rollout
    if rollout.ring + 1 == len(rollout.terms.rings):
        return _ended(rollout)
    if rollout.terms.needs_approval and rollout.approved <= rollout.ring:
        after = rollout.terms.rings[rollout.ring]
        return replace(rollout, phase=Phase.AWAITING, why=f"{after} went well; who approves the next ring?")
    return replace(rollout, ring=rollout.ring + 1, opened_ms=now_ms, why="")


def _stop_at(rollout: Rollout) -> int:
    """Return how many failures hold it."""
    share = rollout.terms.stop_share
    if share is None:
        return rollout.terms.stop_errors
    opened = sum(member.ring <= rollout.ring for member in rollout.members.values())
    return max(1, round(share * opened))


def _out_of_reach(rollout: Rollout) -> str:
    """Return why the share of the open ring cannot be reached any more, "" while it can."""
    counts = rollout.counts(rollout.ring)
    counted = counts.total() - counts[Step.LEFT]
    name = rollout.terms.rings[rollout.ring]
    if not counted:
        return f"{name}: all of its {_devices(counts.total())} were left alone"
    lost = counts[Step.FAILED] + counts[Step.MISSED]
    if (counted - lost) / counted >= rollout.terms.success_share:
        return ""
    told = ", ".join(f"{counts[step]} {step}" for step in (Step.FAILED, Step.MISSED) if counts[step])
    return f"{name}: of {_devices(counted)} {told}; {rollout.terms.success_share:.0%} cannot be reached"


def _is_through(rollout: Rollout) -> bool:
    """Whether enough of the open ring are well; or, where nobody asks for that, all are at their end."""
    counts = rollout.counts(rollout.ring)
    counted = counts.total() - counts[Step.LEFT]
    if rollout.accepted >= rollout.ring:
        return not (counts[Step.DUE] or counts[Step.SENT] or counts[Step.SOAKING])
    return counts[Step.OK] / counted >= rollout.terms.success_share


def _ended(rollout: Rollout) -> Rollout:
    counts = rollout.counts()
    if counts[Step.DUE] or counts[Step.SENT] or counts[Step.SOAKING]:
        return rollout
    return replace(rollout, phase=Phase.DONE, why="")


def _trial_judged(rollout: Rollout) -> Rollout:
    """Return a trial as it is, or, once everybody has answered, being taken back; nothing else ends it."""
    counts = rollout.counts()
    if counts[Step.DUE] or counts[Step.SENT] or counts[Step.SOAKING]:
        return rollout
    return replace(rollout, phase=Phase.RETURNING, why="everybody has answered; the trial is taken back")


def _devices(count: int) -> str:
    return f"{count} device" if count == 1 else f"{count} devices"


# ── whose turn it is ──────────────────────────────────────────────────────────────────────────────────────


def _sent(rollout: Rollout, views: Views, *, now_ms: int) -> Rollout:
    """Return it with versions written down for everybody whose turn has come."""
    members, contents = dict(rollout.members), dict(rollout.contents)
    rooms = Rooms(rollout, views)
    under_way = sum(member.is_under_way for member in members.values())
    for name, member in rollout.members.items():
        if member.step is not Step.DUE or member.ring > rollout.ring:
            continue
        view = views.get(name)
        if under_way >= rollout.terms.at_once_max:
            members[name] = replace(member, why="others come first")
        elif view is None or view.presence != "online":
            members[name] = _away(rollout, member, now_ms=now_ms)
        elif not rollout.terms.is_trial and (mate := rooms.ours(name)):
            members[name] = replace(member, why=f"{mate} of the same room comes first")
        elif not rollout.terms.is_trial and (mate := rooms.foreign(name)):
            members[name] = _waiting(rollout, member, f"{mate} of the same room is busy", now_ms=now_ms)
        else:
            members[name] = _begun(rollout, name, view, contents, now_ms=now_ms)
        if members[name].step is Step.SENT:
            under_way += 1
            rooms.occupy(name)
    return replace(rollout, members=members, contents=contents)


def _away(rollout: Rollout, member: Member, *, now_ms: int) -> Member:
    """Return a member whose turn has come and who is not there; a trial does not wait for anybody."""
    if rollout.terms.is_trial:
        return replace(member, step=Step.MISSED, why="is away, and was not asked")
    return _waiting(rollout, member, "is away", now_ms=now_ms)


def _waiting(rollout: Rollout, member: Member, why: str, *, now_ms: int) -> Member:
    """Return a member whose turn has come, and who cannot be written to; not for ever."""
    until_ms = member.until_ms or now_ms + round(rollout.terms.deadline_s * 1000)
    step = Step.MISSED if now_ms >= until_ms else Step.DUE
    return replace(member, step=step, why=why, until_ms=until_ms)


def _begun(
    rollout: Rollout, name: str, view: DeviceView, contents: dict[str, Content], *, now_ms: int
) -> Member:
    """Return a member with its version written down, or why it gets none; adds what it had to `contents`."""
    member = rollout.members[name]
    known = standing(view)
    before = contents[member.before] if member.before else known.content
    if member.newest < document_number(view.desired, "version") and rollout_of(view.desired) == rollout.id:
        return replace(member, step=Step.LEFT, why="has a version of this roll-out that is not written down")
    if member.before and view.version > member.newest:
        return replace(member, step=Step.LEFT, why=f"somebody else wrote version {view.version}")
    if before is None:
        return replace(member, step=Step.LEFT, why=known.why)
    if known.is_busy:
        return _waiting(rollout, member, known.why, now_ms=now_ms)
    if merged(before, rollout.change) == before:
        return replace(member, step=Step.OK, why="had it already", ended_ms=now_ms)
    digest = digest_of_content(before)
    begun = replace(
        member,
        step=Step.SENT,
        why=UNTAKEN,
        code="",
        version=max(view.version, member.newest) + 1,
        base=view.version,
        sent_ms=now_ms,
        until_ms=_until_ms(rollout, now_ms=now_ms),
        before=digest,
        alerts=standing_errors(view),
        tries=member.tries + 1,
    )
    if why := why_unfit(rollout, name, begun, before):
        return replace(member, step=Step.LEFT, why=why)
    contents[digest] = before
    return begun


def _until_ms(rollout: Rollout, *, now_ms: int) -> int:
    """Return by when a device must have begun to change: its deadline, or the next freeze."""
    terms = rollout.terms
    deadline_ms = now_ms + round(terms.deadline_s * 1000)
    freeze_ns = freeze.next_freeze_ns(terms.freeze, zone=terms.zone, now_ns=now_ms * 1_000_000)
    return deadline_ms if freeze_ns is None else min(deadline_ms, freeze_ns // 1_000_000)


def _put_off(rollout: Rollout) -> Rollout:
    """Return it with nobody's deadline running: while nothing is begun, nobody misses anything."""
    waiting = {
        name: replace(member, until_ms=0)
        for name, member in rollout.members.items()
        if member.step is Step.DUE and member.until_ms
    }
    return replace(rollout, members={**rollout.members, **waiting}) if waiting else rollout
