"""The intake: what a source received becomes a durable file and a row in the journal, or nothing at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from edge.domain.errors import StorageFullError
from edge.domain.ports import Clock
from edge.domain.study import Arrival, Instance, Kept
from edge.kit.files import Landing, free_bytes
from edge.kit.journal import Entry, Item, Journal, Put
from edge.kit.log import Log

QUEUE = "intake"
EVERY_STATE = ("ready", "leased", "interrupted", "done", "set_aside")


class JournaledIntake:
    """Keeps arrivals in a folder and a journal; safe to use from many threads at once."""

    def __init__(
        self,
        journal: Journal,
        *,
        folder: Path,
        reserve_bytes: int,
        clock: Clock,
        on_kept: Callable[[Instance], None],
        on_closed: Callable[[str], None],
    ) -> None:
        """Store what the intake needs.

        Args:
            journal: Holds the queue `intake`.
            folder: Where files lie; on one file system with the spools of the sources.
            reserve_bytes: Free space below which nothing is taken.
            clock: Time.
            on_kept: Told of each instance that is new or kept beside, once it is durable.
            on_closed: Told of each association that ended.
        """
        self._journal = journal
        self._folder = folder.absolute()
        self._reserve_bytes = reserve_bytes
        self._clock = clock
        self._on_kept = on_kept
        self._on_closed = on_closed
        self._log = Log("intake")

    def recover(self) -> int:
        """Remove files that no row answers for, and torn ones; call it once, before any source is open.

        Nobody was told that such a file was taken: between its landing and the answer the process was killed
        or the power failed. Where a row is left without its file, its series ends as NOT_ASSESSED, and the
        object is taken anew when it is sent again.

        Returns:
            How many files were removed.
        """
        sizes = {
            _place(instance.path): instance.size_bytes
            for instance in map(instance_of, self._journal.items(QUEUE, states=EVERY_STATE))
        }
        unanswered = [
            path
            for path in self._folder.glob("*/*")
            if path.is_file() and path.stat().st_size != sizes.get(_place(path), -1)
        ]
        for path in unanswered:
            path.unlink()
        if unanswered:
            self._log.warning("files nobody was told of removed", files=len(unanswered))
        return len(unanswered)

    def keep(self, arrival: Arrival) -> Kept:
        """Make an arrival durable; see `Intake.keep`. The received file is moved away, or removed."""
        free = free_bytes(arrival.received_path.parent)
        if free < self._reserve_bytes:
            raise StorageFullError(f"{free} bytes are free, wanted {self._reserve_bytes}; nothing was taken")
        key = series_key(arrival)
        final_path = self._folder / _short(key) / f"{_short(arrival.sop_uid)}-{arrival.sha256[:16]}"
        instance = _instance(arrival, final_path.with_suffix(_suffix(arrival)), self._clock.utc_ns())
        entry = Entry(QUEUE, arrival.sop_uid, key, instance_to_json(instance), arrival.sha256)
        outcome = self._journal.put(entry, landing=Landing(arrival.received_path, instance.path))
        if outcome is not Put.SAME:
            self._on_kept(instance)
        return Kept(outcome.value)

    def association_closed(self, association: str) -> None:
        """Pass on that nothing more comes with this association."""
        self._on_closed(association)


def series_key(arrival: Arrival | Instance) -> str:
    """Return what an object is assembled under: its series, or itself where it names none."""
    return arrival.series_uid or f"object {arrival.sop_uid}"


def instance_to_json(instance: Instance) -> bytes:
    """Encode for the journal."""
    return json.dumps(_fields(instance), default=str, separators=(",", ":")).encode()


def instance_from_json(body: bytes, *, is_beside: bool = False) -> Instance:
    """Decode what `instance_to_json` wrote; whether it is kept beside is known to the journal alone."""
    values: dict[str, Any] = json.loads(body)
    return Instance(**{**values, "path": Path(values["path"]), "is_beside": is_beside})


def instance_of(item: Item) -> Instance:
    """Return the instance that an item of the queue `intake` speaks of."""
    return instance_from_json(item.body, is_beside=bool(item.beside))


def _instance(arrival: Arrival, path: Path, received_at_ns: int) -> Instance:
    values = _fields(arrival)
    del values["received_path"]
    return Instance(**values, path=path, received_at_ns=received_at_ns)


def _fields(thing: Arrival | Instance) -> dict[str, Any]:
    return {each.name: getattr(thing, each.name) for each in fields(thing)}


def _place(path: Path) -> tuple[str, ...]:
    """Return where a file lies below the intake's folder, which may have been moved."""
    return path.parts[-2:]


def _suffix(arrival: Arrival) -> str:
    compressed = arrival.received_path.name.endswith(".gz")
    known = {"dicom": ".dcm", "nifti": ".nii.gz" if compressed else ".nii"}
    return known.get(arrival.format, f".{arrival.format}")


def _short(text: str) -> str:
    """Name a file after anything a sender may write, without telling what it was."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
