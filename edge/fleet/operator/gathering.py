"""Messages from the whole fleet, gathered to one view of each device."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from edge.fleet.access import NAME
from edge.fleet.operator.inventory import (
    DeviceView,
    Document,
    Presence,
    document_number,
    document_part,
    document_text,
)
from edge.fleet.timing import moment_ns
from edge.kit.mqtt import Message

GROUP: Final = "group"  # in place of a device; a device cannot be called so
FLEET: Final = "fleet"  # in place of a site; a site cannot be called so
DEVICES_MAX: Final = 100_000
TOPICS_MAX: Final = 2000  # of one device
KINDS: Final = (
    "status",
    "info",
    "config/desired",
    "config/reported",
    "model/+/state",
    "source/+/state",
    "alert/+/+",
    "health",
)
GATHERED: Final = frozenset({"status", "info", "config", "model", "source", "alert", "health"})
TRACE: Final = "config/event"  # like commands and answers for those who listen, and not gathered
_STATES: Final[Mapping[str, Presence]] = {"online": "online", "stopped": "stopped", "offline": "offline"}


@dataclass(slots=True)
class _Kept:
    """What the broker keeps on one topic; `round` is the connection in which it was heard last."""

    document: Document | None
    trouble: str
    round: int


@dataclass(slots=True)
class _Device:
    """What was heard of one device."""

    kept: dict[str, _Kept] = field(default_factory=dict)
    session: int = 0
    health: Document | None = None
    health_until_utc_ns: int = 0
    last_seen_utc_ns: int = 0
    view: DeviceView | None = None


class Gathering:
    """Takes in messages and tells what they add up to; called by one thread at a time."""

    def __init__(self, root: str, now_ns: Callable[[], int], sites: Sequence[str] = ()) -> None:
        """Store what is gathered.

        Args:
            root: What every topic begins with.
            now_ns: Knows the time (UTC, in ns).
            sites: Only theirs; none: of all there are.
        """
        self._root = root
        self._sites = tuple(sites) or ("+",)
        self._now_ns = now_ns
        self._round = 0
        self._devices: dict[str, _Device] = {}
        self._groups: dict[str, _Kept] = {}
        self._rollouts: dict[str, _Kept] = {}

    def filters(self) -> tuple[str, ...]:
        """Return what must be subscribed to."""
        below = (*(f"+/{kind}" for kind in KINDS), f"{GROUP}/+/config/desired")
        return (*(each for one in below for each in self.at_sites(one)), f"{self._root}/{FLEET}/rollout/+")

    def at_sites(self, below: str) -> Sequence[str]:
        """Return a filter below the site, at each of the sites."""
        return [f"{self._root}/{site}/{below}" for site in self._sites]

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Take note that a connection begins: the broker tells all that it keeps once more."""
        self._round += 1

    def settle(self) -> None:
        """Take note that it has told all: what it has not told again was cleared while we were away."""
        for device in self._devices.values():
            gone = [below for below, kept in device.kept.items() if kept.round < self._round]
            for below in gone:
                del device.kept[below]
                device.view = None
        for held in (self._groups, self._rollouts):
            for name in [name for name, kept in held.items() if kept.round < self._round]:
                del held[name]

    def take(self, message: Message) -> str:
        """Take in a message.

        Returns:
            Whom it was about: `<site>/<device>`, `<site>/group/<group>` or `rollout/<id>`; "" for nobody.
        """
        steps = message.topic.removeprefix(f"{self._root}/").split("/")
        if not all(NAME.fullmatch(step) for step in steps[:3]):
            return ""  # nobody of ours is called so
        match steps:
            case ["fleet", "rollout", name]:
                return self._take_shared(self._rollouts, f"rollout/{name}", message)
            case [site, "group", name, "config", "desired"]:
                return self._take_shared(self._groups, f"{site}/{GROUP}/{name}", message)
            case [site, device, *below] if below and site != FLEET and device != GROUP:
                return self._take_of(f"{site}/{device}", "/".join(below), message)
        return ""

    def _take_of(self, key: str, below: str, message: Message) -> str:
        if key not in self._devices and (not message.payload or len(self._devices) >= DEVICES_MAX):
            return ""
        device = self._devices.setdefault(key, _Device())
        device.view = None
        if message.payload:
            self._note(device, below, self._kept(message), message)
        else:
            device.kept.pop(below, None)
        return key

    def _take_shared(self, held: dict[str, _Kept], name: str, message: Message) -> str:
        if message.payload:
            held[name] = self._kept(message)
        else:
            held.pop(name, None)
        return name

    def _note(self, device: _Device, below: str, kept: _Kept, message: Message) -> None:
        if below.partition("/")[0] not in GATHERED or below == TRACE:
            return
        if below != "config/desired":  # which others write
            self._note_life(device, kept.document, is_now=not message.retain)
        session = document_number(kept.document, "session") if below in ("status", "health") else 0
        is_stale = session < device.session and document_text(kept.document, "state") == "offline"
        device.session = max(device.session, session)
        if below == "health":
            device.health = kept.document
            device.health_until_utc_ns = self._now_ns() + (message.expiry_s or 0) * 10**9
        elif below == "status" and is_stale:
            return  # the will of a connection that is over long since: a newer one lives
        elif below in device.kept or len(device.kept) < TOPICS_MAX:
            device.kept[below] = kept

    def _note_life(self, device: _Device, document: Document | None, *, is_now: bool) -> None:
        seen_ns = self._now_ns() if is_now else _at_utc_ns(document)
        device.last_seen_utc_ns = max(device.last_seen_utc_ns, seen_ns)

    def _kept(self, message: Message) -> _Kept:
        document, trouble = read(message.payload)
        return _Kept(document, trouble, self._round)

    # ── what it adds up to ────────────────────────────────────────────────────────────────────────────────

    def devices(self) -> Mapping[str, DeviceView]:
        """Return a view of each device; a later message changes none of them."""
        views = {}
        for key, device in self._devices.items():
            if device.view is None:
                site, _, name = key.partition("/")
                device.view = _view(site, name, device)
            views[key] = device.view
        return MappingProxyType(views)

    def groups(self) -> Mapping[str, Document]:
        """Return the layers of groups, by `<site>/group/<group>`."""
        return {name: kept.document for name, kept in self._groups.items() if kept.document is not None}

    def rollouts(self) -> Mapping[str, Document]:
        """Return the states of roll-outs, by id."""
        return {
            name.removeprefix("rollout/"): kept.document
            for name, kept in self._rollouts.items()
            if kept.document is not None
        }


def read(payload: bytes) -> tuple[Document | None, str]:
    """Return the JSON object in a payload that anybody may have written, and what is wrong with it."""
    try:
        document: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return None, f"{len(payload)} bytes that are no JSON"
    return (document, "") if isinstance(document, dict) else (None, "JSON, and no object")


def _view(site: str, name: str, device: _Device) -> DeviceView:
    said = {below: kept.document for below, kept in device.kept.items() if kept.document is not None}
    status, info, reported = said.get("status"), said.get("info"), said.get("config/reported")
    return DeviceView(
        site=site,
        device=name,
        room=document_text(info, "room"),
        presence=_presence(status, device),
        session=device.session,
        software=document_text(status, "software") or document_text(document_part(info, "software"), "edge"),
        groups=_groups(info, reported),
        desired=said.get("config/desired"),
        reported=reported,
        info=info,
        models=_below(said, "model"),
        sources=_below(said, "source"),
        alerts={below.split("/")[2]: each for below, each in said.items() if below.startswith("alert/")},
        health=device.health,
        health_until_utc_ns=device.health_until_utc_ns,
        last_seen_utc_ns=device.last_seen_utc_ns,
        unreadable={below: kept.trouble for below, kept in device.kept.items() if kept.trouble},
    )


def _presence(status: Document | None, device: _Device) -> Presence:
    if document_number(device.health, "session") > document_number(status, "session"):
        return "online"  # it speaks, in a session that is newer than the one that ended
    return _STATES.get(document_text(status, "state"), "unknown")


def _groups(info: Document | None, reported: Document | None) -> tuple[str, ...]:
    told = [] if info is None else info.get("groups")
    named = [name for name in told if isinstance(name, str)] if isinstance(told, list) else []
    return tuple(sorted({*named, *document_part(reported, "groups")}))


def _below(said: Mapping[str, Document], kind: str) -> Mapping[str, Document]:
    return {below.split("/")[1]: each for below, each in said.items() if below.startswith(f"{kind}/")}


def _at_utc_ns(document: Document | None) -> int:
    try:
        return moment_ns(document_text(document, "at"))
    except ValueError:
        return 0
