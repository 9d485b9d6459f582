"""A finding as a row that a person reads, the same in `edge watch` and `edge analyze`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

COLOURS = {"PRESENT": "bold green", "ABSENT": "cyan", "NOT_ASSESSED": "yellow"}

Document = Mapping[str, Any]


def table(*, show_header: bool = True) -> Table:
    """Return an empty table for findings; its widths are fixed, so that rows printed apart line up."""
    rows = Table(box=None, show_header=show_header, pad_edge=False, expand=True)
    rows.add_column("observed", width=8, no_wrap=True)
    rows.add_column("from", width=14, no_wrap=True)
    rows.add_column("pipeline", width=10, no_wrap=True)
    rows.add_column("series", width=8, no_wrap=True)
    rows.add_column("verdict", width=12, no_wrap=True)
    rows.add_column("what was seen, or why it was not", ratio=1, overflow="fold")
    return rows


def cells(finding: Document) -> Sequence[Text]:
    """Return the cells of one finding of the schema `edge.finding/1`.

    Raises:
        KeyError: It is something else.
        TypeError: It is something else.
    """
    verdict = printable(finding["verdict"])
    return (
        Text(printable(finding["observed_at"])[11:19]),
        Text(printable(f"{finding['site']}/{finding['device']}")),
        Text(printable(finding["pipeline"])),
        Text(printable(finding["subject"])[:8]),
        Text(verdict, style=COLOURS.get(verdict, "red")),
        Text(printable(_what(finding))),
    )


def printable(text: object) -> str:
    """Return text without anything that would steer a terminal."""
    return "".join(character if character.isprintable() else "·" for character in str(text))


def _what(finding: Document) -> str:
    """Say it in one line: the code, the numbers, the reason."""
    numbers = [
        f"{(measured['of'] or measured['code'])['meaning']} {measured['value']:.4g} {measured['unit']}"
        for measured in finding["measurements"]
    ]
    parts = (finding["code"]["meaning"], ", ".join(numbers), finding["reason"], "; ".join(finding["notes"]))
    return ": ".join(part for part in parts[:2] if part) + "".join(f" ({part})" for part in parts[2:] if part)
