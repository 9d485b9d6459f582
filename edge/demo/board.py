"""What the demo shows: one row a series or live source, filled in as findings arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

COLOURS = {"PRESENT": "green", "ABSENT": "cyan", "NOT_ASSESSED": "yellow"}


@dataclass(slots=True)
class Row:
    """One series, or one pipeline on devices, and the findings that came for it."""

    name: str
    sent: str
    is_head: bool = False
    must_be_assessed: bool = False
    findings: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def is_answered(self) -> bool:
        """Whether what is waited for has come."""
        return bool(self.findings) and (not self.must_be_assessed or self.verdict() != "NOT_ASSESSED")

    def verdict(self) -> str:
        """Return the verdict of the findings, PRESENT before NOT_ASSESSED; "" while there is none."""
        verdicts = {finding["verdict"] for finding in self.findings}
        return next((verdict for verdict in COLOURS if verdict in verdicts), "")

    def volume_ml(self) -> float | None:
        """Return the total brain volume, or None where none was measured."""
        for finding in self.findings:
            for measured in finding["measurements"]:
                if measured["of"] is None or measured["of"] == finding["code"]:
                    return float(measured["value"])
        return None

    def measured(self) -> str:
        """Return the first number of the newest finding that has one."""
        numbers = (
            finding["measurements"][0] for finding in reversed(self.findings) if finding["measurements"]
        )
        first = next(numbers, None)
        return "" if first is None else f"{first['value']:.4g} {first['unit']}"

    def reason(self) -> str:
        """Return why something was not assessed, each reason once; of devices that of the newest finding."""
        meant = [f for f in self.findings if f["verdict"] == self.verdict()] if self.must_be_assessed else []
        reasons = dict.fromkeys(f["reason"] for f in meant[-1:] or self.findings if f["reason"])
        return "; ".join(reasons)


class Board:
    """The table; rich where there is a terminal, a line per finding where there is none."""

    def __init__(self, console: Console, rows: Mapping[str, Row]) -> None:
        self._console = console
        self._rows = rows
        self._sending = ""
        self._started = time.monotonic()

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Keep the table on the screen for as long as the `with` lasts."""
        if not self._console.is_terminal:
            yield
            self._console.print(self._table())
            return
        with Live(get_renderable=self._render, console=self._console, refresh_per_second=4):
            yield

    def sending(self, text: str) -> None:
        """Say how far the sender is."""
        self._sending = text
        if not self._console.is_terminal:
            self._console.print(text)

    def arrived(self, row: Row, finding: Mapping[str, Any]) -> None:
        """Add a finding to its row; one that came before is not added twice."""
        if any(known["finding_id"] == finding["finding_id"] for known in row.findings):
            return
        row.findings.append(finding)
        if not self._console.is_terminal:
            what = row.measured() or row.reason()
            self._console.print(f"{self._answered()}/{len(self._rows)} {row.name}: {row.verdict()} {what}")

    def _answered(self) -> int:
        return sum(row.is_answered for row in self._rows.values())

    def _render(self) -> RenderableType:
        done, total = self._answered(), len(self._rows)
        line = Table.grid(padding=(0, 1))
        line.add_row(
            Text(f"{done}/{total} answered"),
            ProgressBar(total=total, completed=done, width=30),
            Text(f"{time.monotonic() - self._started:.0f} s", style="dim"),
            Text(self._sending, style="dim"),
        )
        return Group(self._table(), line)

    def _table(self) -> Table:
        table = Table(title="findings, as an independent subscriber receives them", title_justify="left")
        table.add_column("what was shown to it")
        table.add_column("of it", justify="right")
        table.add_column("verdict")
        table.add_column("measured", justify="right")
        table.add_column("ms", justify="right")
        table.add_column("why, or what limits it", overflow="fold")
        for row in self._rows.values():
            table.add_row(*_cells(row))
        return table


def _cells(row: Row) -> Sequence[RenderableType]:
    verdict = row.verdict()
    took = sum(sum(finding["latency_ms"].values()) for finding in row.findings[:1])
    return (
        Text(row.name, style="bold" if row.is_head else ""),
        row.sent,
        Text(verdict or "…", style=COLOURS.get(verdict, "dim")),
        row.measured(),
        f"{took:.0f}" if took else "",
        row.reason(),
    )
