"""`edge fleet ls`: every device in a row, those that need a person first; live with --watch."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.cli.fleet_desk import Place, opened
from edge.cli.fleet_names import chosen
from edge.cli.rows import printable
from edge.domain.errors import ConfigurationError
from edge.fleet.operator.condition import Condition, Level, condition
from edge.fleet.operator.inventory import DeviceView, document_part, document_text
from edge.fleet.operator.mqtt_desk import MqttDesk

WIDE: Final = 120  # from so many columns on there is room for rooms and versions of bundles
REFRESH_S: Final = 0.25
HEADER_LINES: Final = 6
PIPED_WIDTH: Final = 160

MARKS: Final[Mapping[Level, Text]] = {
    Level.WELL: Text("·", style="green"),
    Level.BUSY: Text("…", style="cyan"),
    Level.LOOK: Text("!", style="yellow"),
    Level.ACT: Text("✗", style="bold red"),
}
STYLES: Final[Mapping[Level, str]] = {
    Level.WELL: "",
    Level.BUSY: "cyan",
    Level.LOOK: "yellow",
    Level.ACT: "bold red",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A device and how it is."""

    view: DeviceView
    how: Condition


def run(where: Place, patterns: Sequence[str], *, only_trouble: bool, is_watched: bool, as_json: bool) -> int:
    """Show devices.

    Returns:
        0 all that are shown are well, 1 something needs a person.

    Raises:
        EdgeError: The broker or the settings cannot be used.
    """
    console = screen()
    with opened(where) as desk:
        if is_watched:
            watch(console, desk, patterns, only_trouble=only_trouble)
            return 0
        if patterns and not chosen(desk.devices(), patterns):
            raise ConfigurationError(f"{', '.join(patterns)}: no device is called so")
        shown = rows(desk, patterns, only_trouble=only_trouble)
        if as_json:
            for row in shown:
                typer.echo(json.dumps(as_document(row), ensure_ascii=False))
        else:
            console.print(picture(shown, width=console.width))
            tell_trouble(desk)
    return 1 if any(row.how.level >= Level.LOOK for row in shown) or desk.trouble else 0


def watch(console: Console, desk: MqttDesk, patterns: Sequence[str], *, only_trouble: bool) -> None:
    """Show devices until Ctrl-C; what does not fit is counted."""
    lost_ns = 0

    def now() -> RenderableType:
        nonlocal lost_ns
        lost_ns = 0 if desk.is_connected else lost_ns or desk.now_ns()
        shown = sorted(
            rows(desk, patterns, only_trouble=only_trouble), key=lambda row: (-row.how.level, row.view.key)
        )
        room = max(1, console.height - HEADER_LINES - 2)
        fitting, more = shown[:room], shown[room:]
        parts: list[RenderableType] = [_head(desk, lost_ns), picture(fitting, width=console.width, of=shown)]
        if more:
            parts.append(Text(f"  and {len(more)} more, none worse", style="dim"))
        return Group(*parts)

    try:
        with Live(now(), console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while True:
                desk.wait(1.0)
                time.sleep(REFRESH_S)  # a thousand devices speak more often than anybody reads
                live.update(now(), refresh=True)
    except KeyboardInterrupt:
        return


def rows(desk: MqttDesk, patterns: Sequence[str], *, only_trouble: bool = False) -> list[Row]:
    """Return the devices that are meant, by name."""
    now_ns = desk.now_ns()
    views = chosen(desk.devices(), patterns)
    found = [Row(views[name], condition(views[name], now_ns=now_ns)) for name in sorted(views)]
    return [row for row in found if row.how.level >= Level.LOOK] if only_trouble else found


def picture(shown: Sequence[Row], *, width: int, of: Sequence[Row] | None = None) -> Group:
    """Return the table and, below it, what it adds up to.

    Args:
        shown: The rows, in their order.
        width: Columns of the terminal.
        of: What is counted, where that is more than what is shown; then a device has one line and no more.
    """
    is_wide = width >= WIDE
    gap = 2 if is_wide else 1
    table = Table(box=None, pad_edge=False, expand=True, header_style="dim", padding=(0, gap, 0, 0))
    table.add_column("", width=1)
    table.add_column("device", no_wrap=True, max_width=width * 3 // 10, overflow="ellipsis")
    if is_wide:
        table.add_column("room", no_wrap=True, max_width=16, overflow="ellipsis")
    table.add_column("presence", no_wrap=True)
    table.add_column("version", no_wrap=True)
    table.add_column("bundles", no_wrap=True, max_width=34 if is_wide else 7, overflow="ellipsis")
    is_cut = of is not None
    table.add_column(
        "health", ratio=1, min_width=24, no_wrap=is_cut, overflow="ellipsis" if is_cut else "fold"
    )
    for row in shown:
        table.add_row(*_cells(row, is_wide=is_wide))
    return Group(table, *_sum(of if of is not None else shown))


def tell_trouble(desk: MqttDesk) -> None:
    """Say on stderr why what was shown may not be whole."""
    if desk.trouble:
        Console(stderr=True, highlight=False).print(
            Text(f"not whole: {printable(desk.trouble)}", style="yellow"), soft_wrap=True
        )


def as_document(row: Row) -> dict[str, Any]:
    """Return a row for programs."""
    view, how = row.view, row.how
    return {
        "device": view.key,
        "room": view.room,
        "presence": view.presence,
        "session": view.session,
        "software": view.software,
        "groups": list(view.groups),
        "version": view.version,
        "applied_version": (view.reported or {}).get("applied_version"),
        "status": (view.reported or {}).get("status"),
        "code": (view.reported or {}).get("code"),
        "config_digest": (view.reported or {}).get("config_digest"),
        "drift": (view.reported or {}).get("drift"),
        "bundles": {name: document_text(part, "version") for name, part in bundles(view).items()},
        "level": how.level.name.lower(),
        "remarks": [remark.text for remark in (how.presence, *how.remarks) if remark.level],
    }


def bundles(view: DeviceView) -> dict[str, Mapping[str, Any]]:
    """Return which bundles work at a device, by name: as it reports, else as its models say."""
    reported = document_part(view.reported, "bundles")
    named = {name: part for name, part in reported.items() if isinstance(part, Mapping)}
    return named or {name: document_part(model, "active") for name, model in view.models.items()}


def screen() -> Console:
    """Return a console for tables; wide where no terminal says how wide it is."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def said(text: object, level: Level) -> Text:
    """Return what somebody else wrote, in the colour of what it asks of a person."""
    return Text(printable(text), style=STYLES[level])


def _cells(row: Row, *, is_wide: bool) -> list[Text]:
    view, how = row.view, row.how
    site = Text(f"{printable(view.site)}/", style="dim")
    cells = [MARKS[how.level], site + Text(printable(view.device), style="bold")]
    if is_wide:
        cells.append(Text(printable(view.room)))
    texts = [said(remark.text, remark.level) for remark in how.remarks]
    return [
        *cells,
        said(how.presence.text, how.presence.level),
        Text(how.version),
        _bundles(view, is_wide=is_wide),
        Text(", ").join(texts) if texts else Text("" if how.level else "well", style="dim"),
    ]


def _bundles(view: DeviceView, *, is_wide: bool) -> Text:
    found = bundles(view)
    if not is_wide:
        return Text(str(len(found) or "–"))
    told = (f"{name} {document_text(found[name], 'version')}".strip() for name in sorted(found))
    return Text(printable(", ".join(told)) or "–")


def _sum(shown: Sequence[Row]) -> list[Text]:
    """Return what it adds up to, and what the marks mean."""
    if not shown:
        return [Text("no device", style="yellow")]
    presences = Counter(row.view.presence for row in shown)
    levels = Counter(row.how.level for row in shown)
    here = [
        f"{presences[name]} {name}" for name in ("online", "stopped", "offline", "unknown") if presences[name]
    ]
    count = Text(f"{len(shown)} device{'s' * (len(shown) != 1)}: {', '.join(here)}", style="dim")
    words = {Level.ACT: "to act on", Level.LOOK: "to look at", Level.BUSY: "changing", Level.WELL: "well"}
    parts = [
        Text.assemble(MARKS[level], f" {levels[level]} {words[level]}") for level in words if levels[level]
    ]
    return [Text(), count, Text("   ").join(parts)]


def _head(desk: MqttDesk, lost_ns: int) -> Text:
    now = time.strftime("%H:%M:%S")
    if lost_ns:
        since_s = (desk.now_ns() - lost_ns) / 1e9
        return Text(
            f"{now}  no connection to the broker for {since_s:.0f} s: this is as old", style="bold red"
        )
    trouble = f"  not whole: {printable(desk.trouble)}" if desk.trouble else ""
    return Text.assemble((now, "dim"), (trouble, "yellow"), ("  Ctrl-C ends it", "dim"))
