"""`edge aside`: what the daemon set aside, why, where it lies; and giving it another try."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from rich.console import Console

from edge.cli.rows import printable
from edge.config.load import load
from edge.domain.errors import ConfigurationError
from edge.kit.clock import SystemClock
from edge.kit.journal import Item, Journal
from edge.kit.journal_aside import group, set_aside
from edge.studies.intake import QUEUE as INTAKE
from edge.studies.role_played import QUEUE as TOGETHER
from edge.studies.role_played import played_of

JOURNAL = "journal.db"
ALL = "all"


def run(path: Path, *, retry: str | None) -> int:
    """List what was set aside, or make one group of it, or all, ready again.

    Returns:
        0 where nothing is left aside, 1 where something is.

    Raises:
        ConfigurationError: What is to be tried again is not aside.
        JournalError: There is no journal, or, for `retry`, the daemon still has it.
    """
    journal = load(path).state.folder / JOURNAL
    console = Console(highlight=False)
    groups = _groups(set_aside(journal))
    if retry is not None:
        _retry(journal, groups, retry, console)
        groups = _groups(set_aside(journal))
    for items in groups:
        _print(journal, items, console)
    if not groups:
        console.print("nothing is set aside")
    return 1 if groups else 0


def _groups(items: Sequence[Item]) -> list[list[Item]]:
    def together(item: Item) -> tuple[str, str]:
        return item.queue, item.group

    return [list(items) for _, items in groupby(sorted(items, key=together), key=together)]


def _retry(path: Path, groups: Sequence[Sequence[Item]], name: str, console: Console) -> None:
    chosen = [items[0] for items in groups if name in (ALL, items[0].group)]
    if not chosen:
        aside = ", ".join(items[0].group for items in groups) or "nothing"
        raise ConfigurationError(f"{name} is not set aside; wanted '{ALL}' or one of: {aside}")
    with Journal(path, SystemClock()) as journal:
        for item in chosen:
            count = journal.take_back(item.queue, item.group)
            console.print(f"ready again: {item.queue} {item.group}, {count} items", markup=False)


def _print(journal: Path, items: Sequence[Item], console: Console) -> None:
    first = items[0]
    since = datetime.fromtimestamp(first.created_ns / 1e9, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
    console.print(f"{first.queue} {first.group}", markup=False, style="bold", soft_wrap=True)
    console.print(f"  {len(items)} items, the first of {since} UTC", markup=False)
    for reason in dict.fromkeys(item.reason for item in items):
        console.print(f"  because: {printable(reason)}", markup=False, soft_wrap=True)
    files = filter(None, map(_file, _with_files(journal, items)))
    for folder in dict.fromkeys(str(file.parent) for file in files):
        console.print(f"  files in {folder}", markup=False, soft_wrap=True)


def _with_files(journal: Path, items: Sequence[Item]) -> Sequence[Item]:
    """Return the items that say where objects lie: those of a study's series, where it is a study."""
    if items[0].queue != TOGETHER:
        return items
    series = dict.fromkeys(played_of(item).series_uid for item in items)
    return [item for uid in series for item in group(journal, INTAKE, uid)]


def _file(item: Item) -> Path | None:
    """Return where the object lies; a finding is in the journal itself."""
    with suppress(ValueError, KeyError, TypeError):
        return Path(json.loads(item.body)["path"])
    return None
