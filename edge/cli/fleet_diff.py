"""`edge fleet get` and `edge fleet diff`: what a document says, and from what it differs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from edge.cli.fleet_cmd import ANSWER_S
from edge.cli.fleet_desk import Place, opened, written_down
from edge.cli.fleet_ls import screen, tell_trouble
from edge.cli.fleet_names import one_of
from edge.cli.fleet_set import read_text
from edge.cli.fleet_text import difference_lines, from_yaml, shown, to_yaml
from edge.cli.rows import printable
from edge.domain.errors import ConfigurationError, DeliveryError
from edge.fleet.operator.basis import basis_of, devices_of
from edge.fleet.operator.condition import condition
from edge.fleet.operator.edit import content_of, differences, is_group, signer_of
from edge.fleet.operator.inventory import Document, document_number, document_text
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.orders import Ticket, ask, ticket
from edge.kit.trees import laid_over, leaves, written

SAME = 0
OTHER = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class With:
    """What a document is held against; all None: what is at work at the device.

    Attributes:
        other: Another device or group.
        file: A content.
        version: An earlier one, from the history of this machine.
    """

    other: str | None
    file: Path | None
    version: int | None


def get(where: Place, given: str, *, version: int | None, as_json: bool) -> int:
    """Print the document of a device or a group, as `set` edits it.

    Raises:
        EdgeError: There is none, or the broker or the settings cannot be used.
    """
    with opened(where) as desk:
        name = one_of(desk, given)
        found = [_needed(desk, name)] if version is None else _from_history(where, name, version)
        now_ns = desk.now_ns()
    if len(found) > 1:
        typer.echo(f"# two were written at once as version {version}", err=True)
    for document in found:
        if as_json:
            typer.echo(json.dumps(document, ensure_ascii=False))
            continue
        number, issued = document_number(document, "version"), document_text(document, "issued")
        head = f"{name}: version {number} of {issued} by the key {signer_of(document)}"
        typer.echo(f"# {printable(head)}\n{to_yaml(content_of(name, document, now_ns=now_ns))}", nl=False)
    return SAME


def diff(where: Place, given: str, against: With) -> int:
    """Print what two documents have different, or a document and what is at work.

    Returns:
        0 nothing, 1 something.

    Raises:
        EdgeError: One of them is not there, or the broker or the settings cannot be used.
    """
    console = screen()
    number = ticket("config")
    with opened(where, more=number.filters) as desk:
        name = one_of(desk, given)
        now_ns = desk.now_ns()
        if against == With(other=None, file=None, version=None) and not is_group(name):
            return _at_work(console, desk, name, number)
        held = _basis(console, desk, where, name) if against.file is not None else _needed(desk, name)
        before = content_of(name, held, now_ns=now_ns)
        after = before
        if against.other is not None:
            other = one_of(desk, against.other)
            after = content_of(other, _needed(desk, other), now_ns=now_ns)
        elif against.file is not None:
            after = {
                **before,
                "config": {},
                "bundles": {},
                **from_yaml(read_text(against.file), name=str(against.file)),
            }
        elif against.version is not None:
            before, after = (
                content_of(name, _from_history(where, name, against.version)[0], now_ns=now_ns),
                before,
            )
        else:
            raise ConfigurationError(f"{name}: is a group; wanted another one, --file or --version")
        tell_trouble(desk)
    return _print(console, difference_lines(differences(before, after)))


def _at_work(console: Console, desk: MqttDesk, name: str, number: Ticket) -> int:
    """Hold what the fleet wants against what the device says is at work."""
    view = desk.devices().get(name)
    if view is None:
        raise ConfigurationError(f"{name}: nothing is known about it")
    how = condition(view, now_ns=desk.now_ns())
    console.print(f"{name}: {how.presence.text}, version {how.version}", markup=False, style="dim")
    for remark in how.course:
        what = ": ".join(part for part in (remark.text, remark.detail) if part)
        console.print(Text(printable(what), style="yellow"), soft_wrap=True)
    if view.presence != "online":
        raise DeliveryError(f"{name}: is {how.presence.text}, and cannot be asked what is at work")
    answer = ask(desk, name, number, timeout_s=ANSWER_S)
    config = answer.get("config")
    at_work = config if isinstance(config, Mapping) else {}
    return _print(console, list(_deviations(_wanted(desk, name), at_work)))


def _wanted(desk: MqttDesk, name: str) -> dict[str, Any]:
    """Return what all documents at the broker ask of a device, by path."""
    view = desk.devices()[name]
    layers = [desk.groups().get(f"{view.site}/group/{group}") for group in view.groups]
    ordered = sorted(
        (layer for layer in layers if layer is not None),
        key=lambda layer: (layer.get("priority", 0), document_text(layer, "group")),
    )
    config: dict[str, Any] = {}
    for document in (*ordered, view.desired):
        said = {} if document is None else document.get("config")
        config = laid_over(config, said) if isinstance(said, Mapping) else config
    return {written(path): value for path, value in leaves(config)}


def _deviations(wanted: Mapping[str, Any], at_work: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for path, value in sorted(wanted.items()):
        part = at_work.get(path)
        works = part.get("value") if isinstance(part, Mapping) else None
        if part is None and value in (None, {}):
            continue  # taken away, and not there
        if part is None or not _is_equal(works, value):
            origin = document_text(part, "origin") if isinstance(part, Mapping) else ""
            seen = f"{shown(works)} ({origin or 'the device'})" if part is not None else "nothing"
            lines.append(("yellow", f"~ {printable(path)}: wanted {shown(value)}, at work {printable(seen)}"))
    return lines


def _is_equal(one: Any, other: Any) -> bool:
    """60 and 60.0 are the same to a device."""
    return bool(one == other)


def _print(console: Console, lines: Sequence[tuple[str, str]]) -> int:
    for style, line in lines:
        console.print(Text(line, style=style), soft_wrap=True)
    if not lines:
        console.print("no difference")
    return OTHER if lines else SAME


def _held(desk: MqttDesk, name: str) -> Document | None:
    """Return the document that the broker holds for a name, or None."""
    view = desk.devices().get(name)
    return desk.groups().get(name) if is_group(name) else view.desired if view is not None else None


def _basis(console: Console, desk: MqttDesk, where: Place, name: str) -> Document | None:
    """Return what `set` would make the next document of a name from, and say where the broker has another."""
    there = devices_of(name, desk.devices())
    with written_down(where, None) as history:
        basis = basis_of(name, _held(desk, name), there, history, where.keys())
    if basis.remark:
        console.print(Text(printable(basis.remark), style="yellow"), soft_wrap=True)
    return basis.document


def _needed(desk: MqttDesk, name: str) -> Document:
    """Return the document that the broker holds for a name.

    Raises:
        ConfigurationError: It holds none.
    """
    held = _held(desk, name)
    if held is None:
        raise ConfigurationError(f"{name}: the broker holds no document for it")
    return held


def _from_history(where: Place, name: str, version: int) -> list[Document]:
    with written_down(where, None) as history:
        found = history.documents(name, version)
    if not found:
        raise ConfigurationError(f"{name}: this machine has never seen version {version}")
    return found
