"""How a device is, in the few words a tired engineer needs, and whether a person must look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from edge.fleet.operator.edit import digest_of_signed
from edge.fleet.operator.inventory import (
    DeviceView,
    Document,
    document_list,
    document_number,
    document_part,
    document_text,
)
from edge.fleet.words import DEVICE_SCOPE, group_scope

NOTHING = "–"
_IN_ORDER = ("online", "disabled")


class Level(IntEnum):
    """What it asks of a person."""

    WELL = 0
    BUSY = 1  # something is on its way
    LOOK = 2  # it works, and is not as it should be
    ACT = 3  # it does not do what it should


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say about a device.

    Attributes:
        level: What it asks of a person.
        text: In a few words.
        detail: For whoever wants to know more, "" where that is all.
    """

    level: Level
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """All of it.

    Attributes:
        presence: Whether it is there, and since when it is not.
        version: `42`, `42→43` while one is on its way, `–` for none; of its own document.
        course: What is to be said about its configuration; nothing where all is well.
        health: What else a person should know; nothing where all is well.
    """

    presence: Remark
    version: str
    course: tuple[Remark, ...]
    health: tuple[Remark, ...]

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """All that is to be said."""
        return (*self.course, *self.health)

    @property
    def level(self) -> Level:
        """The worst of it."""
        return max(remark.level for remark in (self.presence, *self.remarks))


def condition(view: DeviceView, *, now_ns: int) -> Condition:
    """Say how a device is.

    Args:
        view: What is known about it.
        now_ns: UTC.
    """
    return Condition(
        presence=_presence(view, now_ns),
        version=_version(view),
        course=(*_course(view), *_configuration(view)),
        health=tuple(_health(view, now_ns)),
    )


def lasting(age_s: float) -> str:
    """Return a duration as people say it: `40 s`, `12 min`, `3 h`, `5 d`."""
    for limit_s, unit_s, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if age_s < limit_s:
            return f"{max(0, age_s) / unit_s:.0f} {unit}"
    return f"{age_s / 86_400:.0f} d"


def _presence(view: DeviceView, now_ns: int) -> Remark:
    if view.presence == "online":
        return Remark(Level.WELL, "online")
    if view.presence == "unknown":
        return Remark(
            Level.LOOK, "never heard", "it has a document at the broker, and never said that it is there"
        )
    gone_s = (now_ns - view.last_seen_utc_ns) / 1e9
    since = f" {lasting(gone_s)}" if view.last_seen_utc_ns else ""
    if view.presence == "stopped":
        return Remark(Level.LOOK, f"stopped{since}", "it was stopped in order")
    return Remark(Level.ACT, f"offline{since}", "its line broke, and it did not come back")


def _version(view: DeviceView) -> str:
    applied = document_number(view.reported, "applied_version")
    held = document_number(view.desired, "version")
    coming = [
        document_number(each, "version")
        for each in document_list(view.reported, "pending")
        if document_text(each, "scope") == DEVICE_SCOPE
    ]
    if not coming and held > _touched(view):
        coming = [held]
    return "→".join(str(number) if number else NOTHING for number in (applied, *coming[:1]))


def _touched(view: DeviceView) -> int:
    """Return the highest version that the device has looked at, taken or not."""
    return max(view.floor(DEVICE_SCOPE), document_number(view.reported, "version"))


def _course(view: DeviceView) -> Iterator[Remark]:
    """Say what is on its way, or came to nothing."""
    held, taken = document_number(view.desired, "version"), view.floor(DEVICE_SCOPE)
    reported = view.reported
    pending = document_list(reported, "pending")
    for each in pending[:1]:
        why = _why_pending(each)
        what = f"{_named(each)}{document_text(each, 'status')}"
        yield Remark(Level.BUSY, f"{what}: {why}" if why else what)
    has_ended = [] if pending or held > _touched(view) else list(_ended(view))
    yield from has_ended
    if has_ended:
        return
    if held > taken and view.presence == "online":
        has_agent = "and has not taken it up" if reported else "and has never reported"
        yield Remark(Level.LOOK, f"{held} not taken", f"it is online, {has_agent}")
    elif held > taken:
        yield Remark(Level.BUSY, f"{held} not taken", "it takes it up when it comes back")
    elif held < taken:
        lost = f"version {held}" if held else "no document"
        yield Remark(
            Level.LOOK, f"broker holds {held or 'none'}", f"the broker holds {lost}, accepted was {taken}"
        )


def _ended(view: DeviceView) -> Iterator[Remark]:
    """Say what of its own document, and of its groups', came to nothing last."""
    for scope in (DEVICE_SCOPE, *map(group_scope, view.groups)):
        said = view.said_of(scope)
        status, code = document_text(said, "status"), document_text(said, "code")
        if status not in ("rolled_back", "rejected") or _is_over(view, scope, said):
            continue
        number, where, message = (
            document_number(said, "version"),
            document_text(said, "path"),
            document_text(said, "message"),
        )
        what = f"{'' if scope == DEVICE_SCOPE else f'{scope} '}{number or 'one'}"
        detail = f"{where}: {message}" if where and not message.startswith(where) else message
        if status == "rejected" and code == "ok":
            yield Remark(Level.WELL, f"{what} validated", detail)
        elif status == "rejected" and number == document_number(said, "applied_version"):
            yield Remark(Level.LOOK, f"another {what} refused", detail)
        else:
            yield Remark(Level.ACT, f"{what} {status.replace('_', ' ')}: {code}", detail)


def _is_over(view: DeviceView, scope: str, said: Document) -> bool:
    """Whether what was refused is at the broker no more: it holds what the device took in its place."""
    if document_text(said, "code") != "conflict" or scope != DEVICE_SCOPE or view.desired is None:
        return False
    return digest_of_signed(view.desired) == document_text(said, "desired_digest")


def _named(document: Document) -> str:
    """Return the name of a group, where a document is about one's."""
    scope = document_text(document, "scope") or DEVICE_SCOPE
    return "" if scope == DEVICE_SCOPE else f"{scope} "


def _why_pending(pending: Document) -> str:
    progress = document_part(pending, "progress")
    doing = document_text(progress, "doing")
    done, of = document_number(progress, "done"), document_number(progress, "of")
    share = f" {100 * done / of:.0f} %" if of else ""
    return ", ".join(part for part in (document_text(pending, "why"), f"{doing}{share}") if part)


def _health(view: DeviceView, now_ns: int) -> Iterator[Remark]:
    if view.presence == "online" and view.health is not None and now_ns > view.health_until_utc_ns:
        overdue_s = (now_ns - view.health_until_utc_ns) / 1e9
        yield Remark(
            Level.LOOK, "silent", f"its next word about its health is overdue by {lasting(overdue_s)}"
        )
    errors = sorted(
        name for name, alert in view.alerts.items() if document_text(alert, "severity") == "error"
    )
    for name in [*errors, *sorted(view.alerts.keys() - set(errors))]:
        level = Level.ACT if name in errors else Level.LOOK
        yield Remark(level, name, document_text(view.alerts[name], "text"))
    yield from _parts(view)
    for below, why in view.unreadable.items():
        yield Remark(Level.LOOK, f"unreadable {below}", why)


def _parts(view: DeviceView) -> Iterator[Remark]:
    for name, model in sorted(view.models.items()):
        if document_text(model, "state") != "active":
            yield Remark(
                Level.ACT, f"model {name} {document_text(model, 'state')}", document_text(model, "why")
            )
    for name, source in sorted(view.sources.items()):
        state = document_text(source, "state")
        if state not in _IN_ORDER:
            level = Level.ACT if state == "offline" else Level.LOOK
            yield Remark(level, f"source {name} {state}", document_text(source, "why"))


def _configuration(view: DeviceView) -> Iterator[Remark]:
    reported = view.reported or {}
    if reported.get("drift") is True:
        told = reported.get("drift_paths")
        paths = [str(path) for path in told] if isinstance(told, list) else []
        count = f" {len(paths)}" if paths else ""
        yield Remark(Level.LOOK, f"drift{count}", ", ".join(paths) or "at work is not what the fleet wants")
    if reported.get("frozen") is True:
        yield Remark(
            Level.LOOK, "frozen", "the site takes nothing from the fleet: fleet.frozen of the device"
        )
    case = document_text(reported, "case")
    if case:
        yield Remark(Level.BUSY, "case", case)
