"""Which versions of bundles are in use, changed for the fleet at once, the way back written down first."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.bundles.history import active_in
from edge.bundles.installed import Changing, Store
from edge.bundles.verify import MANIFEST
from edge.domain.errors import BundleRejectedError, DocumentRefusedError, StorageFullError
from edge.fleet.cancel import Cancel
from edge.kit.files import write_durably
from edge.kit.log import Log

RECORD_BYTES_MAX: Final = 1 << 20
SWITCH_S: Final = 10.0  # so long a person who installs something may keep us waiting
LOOK_S: Final = 0.1

Folders = Annotated[
    dict[str, str | None], Field(max_length=1024)
]  # of the store, by bundle; None: not in use


class Record(BaseModel):
    """What the last switch was about.

    Attributes:
        attempt: Names it.
        goal: What it brought into use.
        before: What was in use then.
        former: Of each bundle that the fleet holds, what was in use before the fleet came.
        former_before: … before this switch.
        is_undone: It was taken back.
        is_done: Nothing of it is left to do.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    attempt: str = ""
    goal: Folders = {}
    before: Folders = {}
    former: Folders = {}
    former_before: Folders = {}
    is_undone: bool = False
    is_done: bool = True


class Switch:
    """Brings versions that are in the store into use, and back.

    Args:
        store: Of the device.
        file: Where the record lies.
    """

    def __init__(self, store: Store, file: Path) -> None:
        self._store = store
        self._file = file
        self._log = Log("fleet")

    def to(self, wanted: Mapping[str, str], *, attempt: str) -> None:
        """Bring versions into use; a bundle that the fleet no longer names goes back to what it was before.

        May be repeated with the same `attempt`, also after a crash within.

        Args:
            wanted: Folder in the store of each bundle, by its name.
            attempt: Names this switch.

        Raises:
            DocumentRefusedError: `admission`: one is not there, or the store cannot be changed. What was done
                by then is undone by `back`.
        """
        last = self._read()
        missing = [one for one, folder in wanted.items() if not self._is_there(one, folder)]
        if missing:
            what = f"{missing[0]}: {wanted[missing[0]]} is not in {self._store.root} any more"
            raise DocumentRefusedError("admission", what, path=f"bundles.{missing[0]}")
        try:
            record = self._record(wanted, attempt, last)
            is_so = all(self._active(name) == folder for name, folder in record.goal.items())
        except OSError as trouble:
            what = f"{self._store.root}: cannot be read: {trouble.strerror}"
            raise DocumentRefusedError("admission", what, path="bundles") from trouble
        if not (last.is_done and is_so and record.former == last.former):  # else nothing needs to be written
            self._do(record)

    def back(self, attempt: str) -> None:
        """Bring back what was in use before a switch, if it was the last one; may be repeated.

        Raises:
            DocumentRefusedError: `admission`: the store cannot be changed.
        """
        last = self._read()
        if last.attempt == attempt:
            self._do(last.model_copy(update={"is_undone": True, "former": last.former_before}))

    def again(self, wanted: Mapping[str, str]) -> None:
        """Bring into use what ought to be, and was gone from the store: no switch that has a way back.

        Args:
            wanted: Folder in the store of each bundle, by its name.

        Raises:
            DocumentRefusedError: `admission`: the store cannot be changed.
        """
        try:
            with store_opened(self._store, Cancel(), within_s=SWITCH_S) as changing:
                for name, folder in wanted.items():
                    if self._active(name) != folder:
                        changing.activate(self._store.root / name / folder, keep=(folder,))
        except (BundleRejectedError, StorageFullError, OSError) as error:
            raise DocumentRefusedError("admission", str(error), path="bundles") from error

    def finish(self) -> None:
        """End what a crash has interrupted.

        Raises:
            DocumentRefusedError: `admission`: the store cannot be changed.
        """
        last = self._read()
        if not last.is_done:
            self._do(last)

    def _record(self, wanted: Mapping[str, str], attempt: str, last: Record) -> Record:
        if last.attempt == attempt and not last.is_undone:
            return last
        held = {name: folder for name, folder in last.former.items() if name not in wanted}
        goal = {**held, **wanted}
        now = {name: self._active(name) for name in goal}
        return Record(
            attempt=attempt,
            goal=goal,
            before=now,
            former={name: last.former.get(name, now[name]) for name in wanted},
            former_before=last.former,
        )

    def _active(self, name: str) -> str | None:
        return active_in(self._store.root / name)

    def _do(self, record: Record) -> None:
        folders = record.before if record.is_undone else record.goal
        try:
            self._write(record.model_copy(update={"is_done": False}))
            with store_opened(self._store, Cancel(), within_s=SWITCH_S) as changing:
                for name, folder in folders.items():
                    self._bring(changing, name, folder, record)
            self._write(record.model_copy(update={"is_done": True}))
        except (BundleRejectedError, StorageFullError) as error:
            raise DocumentRefusedError("admission", str(error), path="bundles") from error

    def _bring(self, changing: Changing, name: str, folder: str | None, record: Record) -> None:
        place = self._store.root / name
        now = active_in(place)
        if now == folder:
            return
        if folder is None:
            changing.withdraw(name)
        elif not self._is_there(name, folder):  # old, and removed by somebody: better this one than none
            self._log.warning("the former version is gone, this one stays", bundle=name, gone=folder, now=now)
        elif record.is_undone or name not in record.former:
            changing.roll_back(name, to=folder)
        else:
            changing.activate(place / folder, keep=(record.former[name] or folder,))

    def _is_there(self, name: str, folder: str) -> bool:
        with contextlib.suppress(OSError):
            return folder == Path(folder).name and (self._store.root / name / folder / MANIFEST).is_file()
        return False

    def _read(self) -> Record:
        """Return the record; of one that is damaged, none: nothing is undone on its word."""
        try:
            return Record.model_validate_json(self._file.read_bytes()[:RECORD_BYTES_MAX])
        except FileNotFoundError:
            return Record()
        except (OSError, ValidationError) as trouble:
            why = trouble.strerror if isinstance(trouble, OSError) else "it is no record of ours"
            self._log.error(
                "cannot be read, what was in use before is not known", file=self._file, because=why
            )
            return Record()

    def _write(self, record: Record) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._file, json.dumps(record.model_dump()).encode())
        except OSError as error:
            raise StorageFullError(f"{self._file}: cannot be written: {error.strerror}") from error


@contextmanager
def store_opened(store: Store, cancel: Cancel, *, within_s: float) -> Iterator[Changing]:
    """Hold the lock of a store, after waiting for somebody who installs.

    Raises:
        BundleRejectedError: Somebody holds it for longer, or it was cancelled.
        StorageFullError: The store cannot be written.
    """
    with ExitStack() as stack:
        for looks_left in range(round(within_s / LOOK_S), -1, -1):
            try:
                changing = stack.enter_context(store.opened())
            except BundleRejectedError:
                if not looks_left or cancel.wait(LOOK_S):
                    raise
            else:
                yield changing
                return
