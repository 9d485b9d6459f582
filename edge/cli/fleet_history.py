"""`edge fleet history`: what was done and seen from this machine, and whether it is whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from edge.cli.fleet_desk import Place, written_down
from edge.cli.fleet_ls import screen
from edge.cli.fleet_names import matches
from edge.cli.rows import printable
from edge.domain.errors import ConfigurationError
from edge.fleet.operator.history import Entry, broken, by_others, entry_of

LINE_CHARACTERS_MAX: Final = 1 << 20
WHOLE: Final = 0
BROKEN: Final = 1
_STYLES: Final = {"conflict": "bold red", "put-back": "yellow", "seen": "dim", "outcome": "cyan"}


def run(where: Place, patterns: Sequence[str], *, last: int, as_json: bool) -> int:
    """Print the last entries.

    Raises:
        JournalError: The history cannot be read.
    """
    with written_down(where, None) as history:
        entries = [each for each in history.entries() if _is_meant(each, patterns)][-last:]
    if as_json:
        for each in entries:
            typer.echo(json.dumps(each.body, ensure_ascii=False))
        return WHOLE
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in ("no.", "when (UTC)", "who", "what", "of", "version"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    table.add_column("", overflow="fold", ratio=1)
    for each in entries:
        cells = (str(each.seq), each.at[:19].replace("T", " "), each.by, each.what, each.name)
        style = _STYLES.get(each.what, "")
        version = str(each.version or "")
        table.add_row(*(Text(printable(cell), style=style) for cell in (*cells, version, each.note)))
    screen().print(table)
    return WHOLE


def verify(where: Place, file: Path | None) -> int:
    """Say whether the history of this machine, or an export, is whole, and by keys that are known.

    Returns:
        0 it is, 1 it is not, or of some entries nobody can say.

    Raises:
        EdgeError: It cannot be read.
    """
    if file is not None:
        bodies = list(_lines(file))
    else:
        with written_down(where, None) as history:
            bodies = [dict(each.body) for each in history.entries()]
    troubles = list(broken(iter(bodies), where.keys()))
    for trouble in troubles:
        screen().print(Text(printable(trouble), style="red"), soft_wrap=True)
    others = by_others(iter(bodies), where.keys())
    for key, count in others.items():
        text = f"{count} entries by the key {key!r}, which you do not list under 'keys' of fleet.yaml"
        screen().print(Text(printable(text), style="yellow"), soft_wrap=True)
    verdict = "is not whole" if troubles else "is whole"
    unknown = f"its chain {verdict}, {others.total()} of them cannot be verified"
    typer.echo(f"{len(bodies)} entries: {unknown if others else f'the history {verdict}'}")
    return BROKEN if troubles or others else WHOLE


def export(where: Place, file: Path) -> int:
    """Write all of it to a file, an entry a line, each with its signature.

    Raises:
        ConfigurationError: The file is there already, or cannot be written.
        JournalError: The history cannot be read.
    """
    try:
        with written_down(where, None) as history, file.open("x", encoding="utf-8") as out:
            written = [
                out.write(json.dumps(each.body, ensure_ascii=False) + "\n") for each in history.entries()
            ]
    except OSError as trouble:
        raise ConfigurationError(f"{file}: {trouble.strerror}; wanted a new file to write") from trouble
    typer.echo(f"{len(written)} entries written to {file}")
    return WHOLE


def _is_meant(entry: Entry, patterns: Sequence[str]) -> bool:
    return not patterns or any(matches(entry.name, pattern) for pattern in patterns)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of an export.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        with file.open(encoding="utf-8") as opened_file:
            for number, line in enumerate(
                iter(lambda: opened_file.readline(LINE_CHARACTERS_MAX), ""), start=1
            ):
                body = json.loads(line)
                if not isinstance(body, dict) or not entry_of(body).seq:
                    raise ConfigurationError(f"{file}: line {number} is no entry of a history")
                yield body
    except (OSError, ValueError, RecursionError) as trouble:
        raise ConfigurationError(
            f"{file}: {trouble}; wanted what `edge fleet history --export` wrote"
        ) from trouble
