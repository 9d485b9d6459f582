"""A finding as a row that a person reads, the same in `edge watch` and `edge analyze`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {"PRESENT": "bold green", "ABSENT": "cyan", "NOT_ASSESSED": "yellow"}

Document = Mapping[str, Any]


def console() -> Console:
    """Return a console for rows; wide enough for them where no terminal says how wide it is."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def table(*leading: tuple[str, int], show_header: bool = True) -> Table:
    """Return an empty table for findings; its widths are fixed, so that rows printed apart line up.

    Args:
        leading: Heading and width of the columns before those that `cells` fills.
        show_header: Whether the headings are shown.
    """
    rows = Table(box=None, show_header=show_header, pad_edge=False, expand=True)
    for heading, width in (*leading, ("pipeline", 14), ("verdict", 12)):
        rows.add_column(heading, width=width, no_wrap=True)
    rows.add_column("what was seen, or why it was not", ratio=1, overflow="fold")
    return rows


def cells(finding: Document) -> Sequence[Text]:
    """Return the cells of one finding of the schema `edge.finding/1`: pipeline, verdict, and what was seen.

    Raises:
        KeyError: It is something else.
        TypeError: It is something else.
    """
    verdict = printable(finding["verdict"])
    return (
        Text(printable(finding["pipeline"])),
        Text(verdict, style=COLOURS.get(verdict, "red")),
        Text(printable(_what(finding))),
    )


def printable(text: object) -> str:
    """Return text without anything that would steer a terminal."""
    return "".join(character if character.isprintable() else "·" for character in str(text))


def _what(finding: Document) -> str:
    """Say it in one line: the code with its score, place and numbers, the reason, the notes."""
    numbers = ", ".join(
        f"{name} {number(measured['value'])} {measured['unit']}".removesuffix(" 1")
        for name, measured in zip(_names(finding), finding["measurements"], strict=True)
    )
    score = "" if finding.get("score") is None else f"score {finding['score']:.2f}"
    facts = ", ".join(part for part in (score, _place(finding.get("box_px")), numbers) if part)
    seen = ": ".join(part for part in (_which(finding), finding["code"]["meaning"], facts) if part)
    return "; ".join(part for part in (seen, finding["reason"], *finding["notes"]) if part)


def number(value: float) -> str:
    """Return a number as people read it: four digits, and never a power of ten where it is large."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"


def _which(finding: Document) -> str:
    """Say which picture of a series it is about; devices with an older build do not say it."""
    picture = finding.get("picture")
    if picture is None:
        return ""
    number = "picture" if picture["number"] is None else f"picture {picture['number']}"
    return f"{number}, frame {picture['frame']}" if picture["frames"] > 1 else number


def _place(box_px: Sequence[float] | None) -> str:
    if box_px is None:
        return ""
    left, top, wide, high = (round(side) for side in box_px)
    return f"{wide} × {high} px at {left}, {top}"


def _names(finding: Document) -> list[str]:
    """Name each number: after what it is of, unless several are of that."""
    measured = finding["measurements"]
    named = [(one["of"] or one["code"])["meaning"] for one in measured]
    return [
        one["code"]["meaning"] if named.count(name) > 1 else name
        for name, one in zip(named, measured, strict=True)
    ]
