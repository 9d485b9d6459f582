"""`edge fleet watch`: what happens in the fleet, a line for each thing, as it comes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import typer
from rich.console import Console
from rich.text import Text

from edge.cli.fleet_desk import Place, opened
from edge.cli.fleet_ls import STYLES, screen, tell_trouble
from edge.cli.fleet_names import matches
from edge.cli.rows import printable
from edge.fleet.operator.condition import Level
from edge.fleet.operator.edit import signer_of
from edge.fleet.operator.gathering import read
from edge.fleet.operator.inventory import DeviceView, Document, document_number, document_part, document_text
from edge.kit.mqtt import Message

MORE: Final = ("+/config/event", "+/cmd/+/+")
TICK_S: Final = 0.5
NAME_WIDTH: Final = 28

Line = tuple[Level, str]

_STATES: Final[Mapping[str, Level]] = {
    "committed": Level.WELL,
    "rolled_back": Level.ACT,
    "rejected": Level.ACT,
    "superseded": Level.LOOK,
    "online": Level.WELL,
    "active": Level.WELL,
    "disabled": Level.WELL,
    "stopped": Level.LOOK,
    "degraded": Level.LOOK,
    "offline": Level.ACT,
    "refused": Level.ACT,
    "successful": Level.WELL,
    "failed": Level.ACT,
}


def run(where: Place, patterns: Sequence[str], *, as_json: bool) -> int:
    """Print what happens until Ctrl-C.

    Raises:
        EdgeError: The broker or the settings cannot be used; a broker that goes away later is waited for.
    """
    console, err = screen(), Console(stderr=True, highlight=False)
    with opened(where, more=MORE) as desk:
        listening = desk.listen(lambda _: True)
        told = Told(desk.devices())
        tell_trouble(desk)
        err.print(f"{len(desk.devices())} devices are known; Ctrl-C ends it", style="dim")
        is_connected = True
        try:
            while True:
                desk.wait(TICK_S)
                for message in listening.take():
                    _print(console, message, told, patterns, where.settings.root, as_json=as_json)
                if listening.lost:
                    lost, listening.lost = listening.lost, 0
                    err.print(f"{lost} messages came faster than they could be told", style="yellow")
                if desk.is_connected != is_connected:
                    is_connected = desk.is_connected
                    state = "connected again" if is_connected else "no connection to the broker"
                    err.print(state, style="yellow")
        except KeyboardInterrupt:
            return 0


class Told:
    """What was told already: a device that comes back says everything once more."""

    def __init__(self, views: Mapping[str, DeviceView]) -> None:
        """Begin with what the broker keeps."""
        self._last: dict[str, str] = {}
        self._sessions = {key: view.session for key, view in views.items()}
        for key, view in views.items():
            kept = {f"source/{name}/state": part for name, part in view.sources.items()}
            kept |= {f"model/{name}/state": part for name, part in view.models.items()}
            kept |= {
                f"alert/{document_text(part, 'severity')}/{name}": part for name, part in view.alerts.items()
            }
            for below, document in kept.items():
                self.is_new(key, below, document)

    def is_new(self, key: str, below: str, document: Document | None) -> bool:
        """Return whether this was not the last thing told about this, and is no stale word either."""
        if below == "status":
            session, newest = document_number(document, "session"), self._sessions.get(key, 0)
            self._sessions[key] = max(session, newest)
            if session < newest and document_text(document, "state") == "offline":
                return False  # the will of a connection that is over long since
        told = self._last.get(f"{key}/{below}")
        line = line_of(below, document)
        self._last[f"{key}/{below}"] = line[1] if line is not None else ""
        return line is not None and line[1] != told


def line_of(below: str, document: Document | None) -> Line | None:
    """Return what a message says, in a line; None where that is nothing to tell.

    Args:
        below: Its topic below the prefix of the device.
        document: What it holds; None for an empty one.
    """
    kind, *rest = below.split("/")
    ways: Mapping[str, Callable[[Sequence[str], Document | None], Line | None]] = {
        "status": _status,
        "config": _config,
        "alert": _alert,
        "source": _part,
        "model": _part,
        "cmd": _command,
    }
    return ways[kind](rest, document) if kind in ways and (document is not None or kind == "alert") else None


def _status(_: Sequence[str], document: Document | None) -> Line | None:
    state, session = document_text(document, "state"), document_number(document, "session")
    return _STATES.get(state, Level.LOOK), f"{state}, session {session}"


def _config(rest: Sequence[str], document: Document | None) -> Line | None:
    if document is None or rest == ["reported"]:
        return None
    number = document_number(document, "version")
    if rest == ["desired"]:
        rollout = document_text(document_part(document, "rollout"), "id")
        of = f", of roll-out {rollout}" if rollout else ""
        return Level.BUSY, f"version {number} written by the key {signer_of(document) or 'of nobody'}{of}"
    scope, state = document_text(document, "scope"), document_text(document, "status")
    code, message = document_text(document, "code"), document_text(document, "message")
    why = ": ".join(part for part in ("" if code == "ok" else code, message) if part)
    what = f"{'version' if scope == 'device' else scope} {number} {state.replace('_', ' ')}"
    level = Level.WELL if state == "rejected" and code == "ok" else _STATES.get(state, Level.BUSY)
    return level, f"{what}: {why}" if why else what


def _alert(rest: Sequence[str], document: Document | None) -> Line | None:
    name = rest[-1]
    if document is None:
        return Level.WELL, f"alert {name} is over"
    level = Level.ACT if document_text(document, "severity") == "error" else Level.LOOK
    return level, f"alert {name}: {document_text(document, 'text')}"


def _part(rest: Sequence[str], document: Document | None) -> Line | None:
    state, why = document_text(document, "state"), document_text(document, "why")
    name = document_text(document, "source") or document_text(document, "model") or rest[0]
    what = f"{'source' if document is not None and 'source' in document else 'model'} {name} {state}"
    return _STATES.get(state, Level.LOOK), f"{what}: {why}" if why else what


def _command(rest: Sequence[str], document: Document | None) -> Line | None:
    state, message = document_text(document, "state"), document_text(document, "message")
    what = f"command {'/'.join(rest)} {'given' if state == 'init' else state}"
    return _STATES.get(state, Level.BUSY), f"{what}: {message}" if message else what


def _print(
    console: Console, message: Message, told: Told, patterns: Sequence[str], root: str, *, as_json: bool
) -> None:
    site, device, *rest = message.topic.removeprefix(f"{root}/").split("/")
    key, below = f"{site}/{device}", "/".join(rest)
    if message.retain or (patterns and not any(matches(key, pattern) for pattern in patterns)):
        return
    if site == "fleet" or device == "group":
        return
    document = read(message.payload)[0]
    line = line_of(below, document)
    if line is None or (rest[0] not in ("config", "cmd") and not told.is_new(key, below, document)):
        return
    if as_json:
        typer.echo(json.dumps({"device": key, "topic": below, "document": document}, ensure_ascii=False))
        return
    level, text = line
    name = printable(key)
    console.print(
        Text.assemble(
            (time.strftime("%H:%M:%S "), "dim"), (f"{name:<{NAME_WIDTH}} ", "bold"), said_in(level, text)
        ),
        soft_wrap=True,
    )


def said_in(level: Level, text: str) -> Text:
    """Return a line in the colour of what it asks of a person."""
    return Text(printable(text), style=STYLES[level])
