"""`edge fleet show`: one device, everything that is known about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge.cli.fleet_desk import Place, opened
from edge.cli.fleet_ls import MARKS, bundles, said, screen, tell_trouble
from edge.cli.fleet_names import one_of
from edge.cli.rows import printable
from edge.domain.errors import ConfigurationError
from edge.fleet.operator.condition import NOTHING, Condition, Level, Remark, condition, lasting
from edge.fleet.operator.edit import is_group, signer_of
from edge.fleet.operator.inventory import (
    DeviceView,
    document_list,
    document_number,
    document_part,
    document_text,
)
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.timing import moment_ns

LABEL_WIDTH: Final = 12


def run(where: Place, given: str, *, as_json: bool) -> int:
    """Show one device.

    Returns:
        0 it is well, 1 something needs a person.

    Raises:
        EdgeError: There is no such device, or the broker or the settings cannot be used.
    """
    with opened(where) as desk:
        name = one_of(desk, given)
        if is_group(name):
            raise ConfigurationError(f"{name}: is a group; wanted a device, or: edge fleet get {name}")
        view = desk.devices().get(name)
        if view is None:
            raise ConfigurationError(f"{name}: nothing is known about it")
        how = condition(view, now_ns=desk.now_ns())
        if as_json:
            typer.echo(json.dumps(_document(view), ensure_ascii=False, indent=1))
        else:
            _print(screen(), desk, view, how)
            tell_trouble(desk)
    return 1 if how.level >= Level.LOOK else 0


def _print(console: Console, desk: MqttDesk, view: DeviceView, how: Condition) -> None:
    now_ns = desk.now_ns()
    console.print(Text.assemble(MARKS[how.level], " ", (printable(view.key), "bold")))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=LABEL_WIDTH, style="dim")
    grid.add_column(overflow="fold")
    sections = (
        _identity(view, how, now_ns),
        _configuration(desk, view, how, now_ns),
        _bundles(view),
        _sources(view),
        _alerts(view, now_ns),
        _health(view, now_ns),
    )
    for lines in sections:
        for label, text in lines:
            grid.add_row(label, text)
    console.print(grid)


def _identity(view: DeviceView, how: Condition, now_ns: int) -> Iterator[tuple[str, Text]]:
    seen_s = (now_ns - view.last_seen_utc_ns) / 1e9
    seen = f", heard of {lasting(seen_s)} ago" if view.last_seen_utc_ns and view.presence == "online" else ""
    yield "presence", _with(how.presence, f"{seen}, session {view.session}")
    if view.room:
        yield "room", _plain(view.room)
    hardware, software = document_part(view.info, "hardware"), document_part(view.info, "software")
    parts = [f"edge {view.software}"] if view.software else []
    parts += [f"{key} {value}" for key, value in software.items() if key != "edge"]
    parts += [str(value) for value in hardware.values() if value]
    if parts:
        yield "software", _plain(", ".join(parts))


def _configuration(
    desk: MqttDesk, view: DeviceView, how: Condition, now_ns: int
) -> Iterator[tuple[str, Text]]:
    reported = view.reported
    yield "", Text()
    yield "version", _plain(how.version)
    for remark in how.course:
        yield "", _with(remark)
    desired = view.desired
    if desired is not None:
        issued, key = document_text(desired, "issued"), signer_of(desired)
        rollout = document_text(document_part(desired, "rollout"), "id")
        of = f", of roll-out {rollout}" if rollout else ""
        yield "at broker", _plain(f"{document_number(desired, 'version')} of {issued} by the key {key}{of}")
    if reported is None:
        yield (
            "",
            _plain("it has never reported: it takes part in no fleet, or may not publish config/reported"),
        )
        return
    previous, since = document_number(reported, "previous_version"), document_text(reported, "since")
    if previous:
        yield "before", _plain(f"{previous}")
    if since:
        yield "since", _plain(f"{since}{_age(reported, now_ns, 'since')}")
    for group in view.groups:
        held = document_number(desk.groups().get(f"{view.site}/group/{group}"), "version")
        taken = document_number(view.said_of(f"group/{group}"), "applied_version")
        level = Level.WELL if held in (0, taken) else Level.BUSY
        what = f"version {taken or NOTHING}" + (f"→{held}" if level else "")
        yield "group", _plain(f"{group} ") + said(what, level)
    for each in document_list(reported, "pending")[1:]:
        yield "queued", _plain(f"{document_text(each, 'scope')} {document_number(each, 'version')}")


def _bundles(view: DeviceView) -> Iterator[tuple[str, Text]]:
    yield "", Text()
    for name, part in sorted(bundles(view).items()):
        form = "/".join(
            document_text(part, key) for key in ("precision", "provider") if document_text(part, key)
        )
        latency = document_part(part, "latency_ms")
        speed = ", ".join(
            f"{each} {ms:.0f} ms" for each, ms in latency.items() if isinstance(ms, int | float)
        )
        parts = [f"{name} {document_text(part, 'version')}", form, speed]
        why = document_text(part, "why")
        text = _plain("  ".join(each for each in parts if each))
        yield "bundle", text + said(f"  {why}", Level.ACT) if why else text
    for name, model in sorted(view.models.items()):
        if document_text(model, "state") != "active":
            yield (
                "model",
                said(f"{name} {document_text(model, 'state')}: {document_text(model, 'why')}", Level.ACT),
            )


def _sources(view: DeviceView) -> Iterator[tuple[str, Text]]:
    for name, source in sorted(view.sources.items()):
        state, why = document_text(source, "state"), document_text(source, "why")
        level = {"online": Level.WELL, "disabled": Level.WELL, "offline": Level.ACT}.get(state, Level.LOOK)
        yield "source", said(f"{name} {state}{': ' if why else ''}{why}", level)


def _alerts(view: DeviceView, now_ns: int) -> Iterator[tuple[str, Text]]:
    for name, alert in sorted(view.alerts.items()):
        level = Level.ACT if document_text(alert, "severity") == "error" else Level.LOOK
        yield (
            "alert",
            said(f"{name}{_age(alert, now_ns)}", level) + _plain(f"\n{document_text(alert, 'text')}"),
        )
    for below, why in view.unreadable.items():
        yield "unreadable", said(f"{below}: {why}", Level.LOOK)


def _health(view: DeviceView, now_ns: int) -> Iterator[tuple[str, Text]]:
    if view.health is None:
        return
    yield "", Text()
    free = document_number(view.health, "free_bytes")
    up_s = document_number(view.health, "uptime_s")
    yield "health", _plain(f"up for {lasting(up_s)}, {free / 1e9:.1f} GB free{_age(view.health, now_ns)}")
    for stage in document_list(view.health, "stages"):
        counts = ((name, document_number(stage, name)) for name in ("taken", "out", "set_aside", "held"))
        told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts)
        level = Level.LOOK if document_number(stage, "set_aside") else Level.WELL
        yield "stage", said(f"{document_text(stage, 'name')}: {told}", level)


def _with(remark: Remark, more: str = "") -> Text:
    detail = f"\n{remark.detail}" if remark.detail else ""
    return said(remark.text, remark.level) + _plain(f"{more}{detail}")


def _plain(text: str) -> Text:
    return Text("\n".join(printable(line) for line in text.split("\n")))


def _age(document: Mapping[str, Any], now_ns: int, name: str = "at") -> str:
    try:
        age_s = (now_ns - moment_ns(document_text(document, name))) / 1e9
    except ValueError:
        return ""
    return f", {lasting(age_s)} ago"


def _document(view: DeviceView) -> dict[str, Any]:
    return {
        "device": view.key,
        "presence": view.presence,
        "session": view.session,
        "version": view.version,
        "info": view.info,
        "desired": view.desired,
        "reported": view.reported,
        "models": dict(view.models),
        "sources": dict(view.sources),
        "alerts": dict(view.alerts),
        "health": view.health,
        "unreadable": dict(view.unreadable),
    }
