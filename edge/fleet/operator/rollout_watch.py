"""Whether a device has taken what a roll-out wrote for it, and is well since; and who shares its room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from edge.fleet.operator.inventory import DeviceView, document_number
from edge.fleet.operator.rollout_content import rollout_of, room_of, standing
from edge.fleet.operator.rollout_report import Fate, State, said
from edge.fleet.operator.rollout_state import Back, Member, Rollout, Step

SILENCE_MS: Final = 60_000  # beyond a deadline: a report may be on its way
DIGEST_MS: Final = 30_000  # a layer of a group may just be on its way to the device
TRIES_MAX: Final = 10
UNTAKEN: Final = "has not taken it up yet"
_NOT_BEGUN: Final = ("timeout", "expired")
_SOMEBODY_ELSE: Final = ("conflict", "superseded")


class Rooms:
    """Which rooms have a device that changes, or may change at any moment."""

    def __init__(self, rollout: Rollout, views: Mapping[str, DeviceView]) -> None:
        self._rollout = rollout
        self._views = views
        self._ours = {
            self._room(name): name for name, member in rollout.members.items() if _holds_its_room(member)
        }
        self._mates: dict[str, list[str]] = {}
        for name, view in views.items():
            if room := room_of(view):
                self._mates.setdefault(room, []).append(name)

    def occupy(self, name: str) -> None:
        """Note that a device begins."""
        self._ours[self._room(name)] = name

    def ours(self, name: str) -> str:
        """Return which device of the same room the roll-out is busy with, "" for none."""
        room = self._room(name)
        mate = self._ours.get(room, "") if room else ""
        return "" if mate == name else mate

    def foreign(self, name: str) -> str:
        """Return which device of the same room somebody else has given a version that is on its way."""
        mates = self._mates.get(self._room(name), ())
        return next((mate for mate in mates if mate != name and standing(self._views[mate]).is_busy), "")

    def _room(self, name: str) -> str:
        view = self._views.get(name)
        return (room_of(view) if view is not None else "") or self._rollout.members[name].room


def _holds_its_room(member: Member) -> bool:
    if member.back is not Back.NOTHING:
        return member.back is Back.SENT and member.is_changed
    return member.step in (Step.SENT, Step.SOAKING)


def standing_errors(view: DeviceView) -> tuple[str, ...]:
    """Return the alerts of a device that are errors, by name."""
    return tuple(sorted(name for name, alert in view.alerts.items() if alert.get("severity") == "error"))


def somebody_else(rollout: Rollout, member: Member, view: DeviceView) -> str:
    """Return what somebody else has written for a device since we read what it had, "" where nobody has."""
    at_broker = document_number(view.desired, "version")
    if at_broker > member.base and rollout_of(view.desired) != rollout.id:
        if document_number(view.desired, "base") >= member.newest:
            return f"somebody has made version {at_broker} from version {member.newest}"
        return f"somebody else wrote version {at_broker}"
    taken = document_number(view.reported, "desired_version")
    is_ours = taken <= member.base or taken in (member.version, member.back_version)
    is_ours = is_ours or rollout_of(view.reported) == rollout.id
    return "" if is_ours else f"somebody else wrote version {taken}"


def observed(
    rollout: Rollout,
    name: str,
    view: DeviceView | None,
    expected: Callable[[str], str],
    *,
    now_ms: int,
) -> Member:
    """Return a member that was written to, as its device now says it is.

    Args:
        rollout: It belongs to.
        name: Of the device.
        view: Of the device; None: the broker knows nothing of it any more.
        expected: Returns the digest that a device must report, "" where nobody knows.
        now_ms: UTC.
    """
    member = taken_up_again(rollout, rollout.members[name], view)
    is_watched = (Step.SENT,) if rollout.terms.is_trial else (Step.SENT, Step.SOAKING, Step.OK)
    if member.step not in is_watched or not member.version:
        return member
    if view is None:
        return _silent(rollout, member, Fate(State.NOTHING), is_online=False, now_ms=now_ms)
    if why := somebody_else(rollout, member, view):
        return replace(member, step=Step.LEFT, why=why) if member.step is not Step.OK else member
    fate = said(view.reported, member.version)
    if member.step is Step.SENT:
        if fate.state is State.COMMITTED:
            wanted = expected(name)
            return _committed(rollout, member, view, wanted, now_ms=now_ms)
        return _on_its_way(rollout, member, fate, view, now_ms=now_ms)
    if fate.state is not State.COMMITTED:
        return replace(member, step=Step.FAILED, code=fate.code, why=f"went back by itself: {fate.told}")
    return _soaked(rollout, member, view, now_ms=now_ms) if member.step is Step.SOAKING else member


def taken_up_again(rollout: Rollout, member: Member, view: DeviceView | None) -> Member:
    """Return a member that was left alone as sent, where whoever wrote over it has put our document back."""
    if member.step is not Step.LEFT or not member.version or member.code or view is None:
        return member
    is_back = rollout_of(view.desired) == rollout.id
    is_back = is_back and document_number(view.desired, "version") == member.version
    return replace(member, step=Step.SENT, why=UNTAKEN) if is_back else member


def _on_its_way(rollout: Rollout, member: Member, fate: Fate, view: DeviceView, *, now_ms: int) -> Member:
    """Return a member that has not committed."""
    if fate.state in (State.NOTHING, State.UNDER_WAY):
        return _silent(rollout, member, fate, is_online=view.presence == "online", now_ms=now_ms)
    if rollout.terms.is_trial and fate.code == "ok":
        return replace(member, step=Step.OK, why="could take it", ended_ms=now_ms)
    if fate.code == "local_lock" and view.reported is not None and view.reported.get("frozen") is True:
        return replace(member, step=Step.LEFT, code=fate.code, why="takes nothing: fleet.frozen is set there")
    if fate.code in _SOMEBODY_ELSE or fate.state in (State.SUPERSEDED, State.PASSED):
        return replace(member, step=Step.LEFT, code=fate.code, why=fate.told)
    if fate.state is State.REJECTED and fate.code in _NOT_BEGUN:
        is_frozen_out = member.until_ms < member.sent_ms + round(rollout.terms.deadline_s * 1000)
        step = Step.DUE if is_frozen_out and member.tries < TRIES_MAX else Step.MISSED
        return replace(member, step=step, code=fate.code, why="had no safe point in time", until_ms=0)
    return replace(member, step=Step.FAILED, code=fate.code, why=fate.told)


def _silent(rollout: Rollout, member: Member, fate: Fate, *, is_online: bool, now_ms: int) -> Member:
    """Return a member of which no end was heard: being away is no failure before its time."""
    confirm_ms = round(float(rollout.change.apply.get("confirm_s", 120)) * 1000)
    allowed_ms = round(rollout.terms.deadline_s * 1000) + confirm_ms + SILENCE_MS
    presence = "" if is_online else "is away"
    if now_ms < max(member.sent_ms, member.ended_ms) + allowed_ms:
        why = ", ".join(part for part in (presence, fate.status, fate.message) if part)
        return replace(member, why=why or UNTAKEN)
    if fate.state is State.UNDER_WAY:
        return replace(member, step=Step.FAILED, code="timeout", why=f"took it, and stayed: {fate.told}")
    if is_online and member.step is Step.SENT:
        return replace(member, step=Step.FAILED, code="timeout", why="is online, and did not take it up")
    return replace(member, step=Step.MISSED, why="was away until its deadline")


def _committed(rollout: Rollout, member: Member, view: DeviceView, wanted: str, *, now_ms: int) -> Member:
    """Return a member that says it has committed: believed where its digest is that of what was sent."""
    seen = str((view.reported or {}).get("config_digest", ""))
    ended_ms = member.ended_ms or now_ms
    if wanted and seen != wanted:
        what = f"says it has version {member.version}, and its digest is {seen[:19]}, wanted {wanted[:19]}"
        if now_ms < ended_ms + DIGEST_MS:
            return replace(member, ended_ms=ended_ms, why=what)
        return replace(member, step=Step.FAILED, code="digest", why=what)
    return _soaked(rollout, replace(member, step=Step.SOAKING, ended_ms=now_ms, why=""), view, now_ms=now_ms)


def _soaked(rollout: Rollout, member: Member, view: DeviceView, *, now_ms: int) -> Member:
    """Return a member that committed: well, once it was well for long enough."""
    left_ms = member.ended_ms + round(rollout.terms.soak_s * 1000) - now_ms
    if left_ms > 0:
        return replace(member, why="committed, and is watched")
    fresh = [name for name in standing_errors(view) if name not in member.alerts]
    if fresh:
        return replace(member, step=Step.FAILED, why=f"committed, and raised alerts: {', '.join(fresh)}")
    if view.presence == "offline":
        return _silent(rollout, member, Fate(State.COMMITTED, "committed"), is_online=False, now_ms=now_ms)
    return replace(member, step=Step.OK, why="")
