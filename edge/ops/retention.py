"""Letting go of what was kept long enough: finished series, what was set aside, findings that have left.

Nothing that is not finished is ever touched, nor a series whose study waits for another one or was set aside:
it stays for as long as the study does. Files go within the transaction that ends their rows, so that an
object that arrives again at that moment is kept anew, not removed with its forerunner.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from edge.domain.ports import Clock
from edge.kit.files import free_bytes
from edge.kit.journal import Item, Journal
from edge.kit.log import Log

_INTAKE, _TOGETHER, _OUTBOX = "intake", "together", "outbox"
_BATCH = 200
_HOUR_NS = 3600 * 10**9
_MEGABYTE = 1_000_000
_log = Log("retention")


class Limits(Protocol):
    """How long things are kept."""

    @property
    def done_h(self) -> float:
        """Hours for finished series and delivered findings."""

    @property
    def set_aside_days(self) -> float:
        """Days for what was set aside."""

    @property
    def soft_free_mb(self) -> int:
        """Free space in MB below which finished series go before their time."""


def sweep(journal: Journal, folder: Path, clock: Clock, limits: Limits) -> int:
    """Forget what is past its time, and more of what is finished while space is short.

    Args:
        journal: Holds the queues `intake`, `together` and `outbox`.
        folder: Of the intake's files; there is none before the first has arrived.
        clock: Time; the wall clock.
        limits: How long things are kept.

    Returns:
        How many objects were removed.

    Raises:
        StorageFullError: There was no room to write down the rest of it.
    """
    now_ns = clock.utc_ns()
    done_before_ns = now_ns - round(limits.done_h * _HOUR_NS)
    set_aside_before_ns = now_ns - round(limits.set_aside_days * 24 * _HOUR_NS)
    removed = 0
    for state, before_ns in (("done", done_before_ns), ("set_aside", set_aside_before_ns)):
        while items := _forget(
            journal, _INTAKE, state, before_ns
        ):  # first: their files make room for the rest
            removed += len(items)
        for queue in (_TOGETHER, _OUTBOX):
            while _forget(journal, queue, state, before_ns):
                pass
    early = 0
    while folder.exists() and free_bytes(folder) < limits.soft_free_mb * _MEGABYTE:
        items = _forget(journal, _INTAKE, "done", now_ns)
        if not items:
            break
        early += len(items)
    if removed or early:
        _log.info("objects removed", past_their_time=removed, for_want_of_space=early)
    return removed + early


def _forget(journal: Journal, queue: str, state: str, before_ns: int) -> list[Item]:
    return journal.forget(
        queue,
        state=state,
        older_than_ns=before_ns,
        count_max=_BATCH,
        needed_by=_TOGETHER if queue == _INTAKE else "",
        let_go=_remove_file if queue == _INTAKE else _nothing,
    )


def _remove_file(item: Item) -> None:
    path = Path(json.loads(item.body)["path"])
    path.unlink(missing_ok=True)
    try:
        path.parent.rmdir()
    except OSError:
        return  # other objects of the series are still in it


def _nothing(_: Item) -> None:
    """An envelope lies in its row alone."""
