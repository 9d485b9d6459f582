"""`edge fleet cmd` and `edge fleet ask`: have one device do something once, or say something."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from edge.cli.fleet_desk import Place, opened, written_down
from edge.cli.fleet_ls import screen
from edge.cli.fleet_names import one_of
from edge.cli.fleet_text import from_yaml, shown
from edge.cli.rows import printable
from edge.config.document import parse
from edge.domain.errors import ConfigurationError
from edge.fleet.operator.history import History
from edge.fleet.operator.inventory import Document, document_number, document_text
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.orders import ENDS, Order, Ticket, ask, ticket
from edge.fleet.words import DEVICE_SCOPE

DONE: Final = 0
FAILED: Final = 1
NOT_YET: Final = 3
ANSWER_S: Final = 15.0
ARGS_BYTES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the operator typed.

    Attributes:
        kind: Of the command.
        values: KEY=VALUE, its arguments.
        file: Holds further arguments, or None.
        out: Where a picture goes, or None.
        life_s: The device does not begin it later.
        wait_s: For its end.
        as_json: The device's last word, as it came.
    """

    kind: str
    values: Sequence[str]
    file: Path | None
    out: Path | None
    life_s: float
    wait_s: float
    as_json: bool


def run(where: Place, given: str, asked: Asked) -> int:
    """Have one device execute one command.

    Returns:
        0 it succeeded, 1 it failed, 3 that is not known yet.

    Raises:
        EdgeError: It cannot be given, or the broker, the key or the history cannot be used.
    """
    args = _args(asked)
    signer, _ = where.signing()
    number = ticket(asked.kind)
    with opened(where, more=number.filters) as desk, written_down(where, signer) as history:
        name = one_of(desk, given)
        order = Order(desk, name, number)
        document = order.give(args, life_s=asked.life_s)
        history.add("command", name, document=document, note=number.cmd)
        ended = _awaited(desk, order, name, number, asked)
        if ended is None:
            return _left(order, history, name, number)
        order.clear()
        state, message = document_text(ended, "state"), document_text(ended, "message")
        history.add("outcome", name, note=f"{number.cmd} {state}{': ' if message else ''}{message}")
    return _tell(ended, asked)


def run_question(where: Place, given: str, method: str, *, as_json: bool) -> int:
    """Ask one device a question, and print the answer.

    Raises:
        EdgeError: It does not answer, or the broker or the settings cannot be used.
    """
    number = ticket(method)
    with opened(where, more=number.filters) as desk:
        answer = ask(desk, one_of(desk, given), number, timeout_s=ANSWER_S)
    config, transitions = answer.get("config"), answer.get("transitions")
    if not as_json and isinstance(config, Mapping):
        screen().print(_options(config))
    elif not as_json and isinstance(transitions, list):
        screen().print(_transitions(transitions))
    else:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=None if as_json else 1))
    return DONE


def _options(config: Mapping[str, Any]) -> Table:
    """Return each value with where it comes from; what the fleet has said stands out."""
    table = _table("option", "value", "from", "a change needs")
    for path, each in config.items():
        part = each if isinstance(each, Mapping) else {}
        origin, restart = document_text(part, "origin"), document_text(part, "restart")
        style = "" if origin == "file" else "bold"
        table.add_row(
            Text(printable(path)),
            Text(shown(part.get("value")), style=style),
            Text(printable(origin), style=style or "dim"),
            Text(printable(restart), style="dim"),
        )
    return table


def _transitions(transitions: Sequence[Any]) -> Table:
    """Return what versions went through, oldest first."""
    table = _table("when (UTC)", "version", "status", "")
    for each in transitions:
        part = each if isinstance(each, Mapping) else {}
        when = document_text(part, "at")[:19].replace("T", " ")
        scope, number = document_text(part, "scope"), document_number(part, "version")
        code, message = document_text(part, "code"), document_text(part, "message")
        why = ": ".join(text for text in ("" if code == "ok" else code, message) if text)
        what = str(number) if scope == DEVICE_SCOPE else f"{scope} {number}"
        style = "bold red" if why and code != "ok" else ""
        cells = (when, what, document_text(part, "status").replace("_", " "), why)
        table.add_row(*(Text(printable(cell), style=style) for cell in cells))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _args(asked: Asked) -> dict[str, Any]:
    args: dict[str, Any] = {}
    if asked.file is not None:
        try:
            with asked.file.open("rb") as file:
                args = from_yaml(file.read(ARGS_BYTES_MAX).decode(), name=str(asked.file))
        except (OSError, UnicodeDecodeError) as trouble:
            raise ConfigurationError(
                f"{asked.file}: {trouble}; wanted arguments in YAML or JSON"
            ) from trouble
    for value in asked.values:
        key, mark, text = value.partition("=")
        document = parse(text)
        if not mark or document.problems:
            raise ConfigurationError(f"{value}: wanted KEY=VALUE, such as lines=200")
        args[key] = document.value
    return args


def _awaited(desk: MqttDesk, order: Order, name: str, number: Ticket, asked: Asked) -> Document | None:
    """Wait for the end of a command; None where it did not come."""
    console = screen()
    view = desk.devices().get(name)
    if view is not None and view.presence != "online" and not asked.as_json:
        console.print(f"{name} is {view.presence}: it is done when it comes back", markup=False)
    said = ""
    until_ns = desk.now_ns() + round(asked.wait_s * 1e9)
    try:
        while desk.now_ns() < until_ns:
            state = order.state()
            word = document_text(state, "state")
            if word in ENDS:
                return state
            if word != said and not asked.as_json:
                said = word
                console.print(f"{name} {number.cmd}: {printable(word)}", markup=False)
            desk.wait(0.5)
    except KeyboardInterrupt:
        pass
    return None


def _left(order: Order, history: History, name: str, number: Ticket) -> int:
    """Nobody waits any longer: what was not begun is taken back."""
    console = screen()
    if order.state() is None:
        order.clear()
        history.add("outcome", name, note=f"{number.cmd} taken back: it was not begun")
        console.print(f"{name} {number.cmd}: was not begun, and is taken back", markup=False)
        return NOT_YET
    history.add("outcome", name, note=f"{number.cmd} is being executed; nobody waited for its end")
    console.print(f"{name} {number.cmd}: goes on without you", markup=False)
    return NOT_YET


def _tell(ended: Document, asked: Asked) -> int:
    """Print what a device said at the end."""
    state, result = document_text(ended, "state"), ended.get("result")
    if asked.as_json:
        typer.echo(json.dumps(ended, ensure_ascii=False))
    elif state == "failed":
        code, message = document_text(ended, "code"), document_text(ended, "message")
        screen().print(
            Text(f"failed: {printable(code)}: {printable(message)}", style="bold red"), soft_wrap=True
        )
    else:
        _print(result if isinstance(result, Mapping) else {}, asked)
    return DONE if state == "successful" else FAILED


def _print(result: Mapping[str, Any], asked: Asked) -> None:
    lines = result.get("lines")
    picture = result.get("picture")
    if isinstance(lines, list):
        for line in lines:
            typer.echo(printable(line if isinstance(line, str) else shown(line)))
    elif isinstance(picture, str):
        out = asked.out or Path("snapshot.jpg")
        try:
            out.write_bytes(base64.b64decode(picture, validate=True))
        except (OSError, binascii.Error) as trouble:
            raise ConfigurationError(f"{out}: {trouble}; wanted to write the picture there") from trouble
        typer.echo(f"written to {out}")
    else:
        for key, value in result.items():
            typer.echo(f"{printable(key)}: {shown(value)}")
        if not result:
            typer.echo("successful")
