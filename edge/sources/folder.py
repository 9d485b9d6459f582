"""A watched folder: files that are moved or written into it are taken once nothing about them changes.

It is polled, so it works on every file system, network shares included. A file is copied to the spool, kept
by the intake, and only then removed, or remembered as taken, so that a restart finds nothing new in it.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from edge.domain.errors import (
    ConfigurationError,
    DeliveryError,
    JournalError,
    StorageFullError,
)
from edge.domain.ports import Clock, Intake
from edge.domain.study import Arrival, uid_of_content
from edge.kit.files import write_durably
from edge.kit.log import Log
from edge.kit.stage import Stage
from edge.sources.folder_files import Contents, Identity, UnfinishedError

_POLL_MAX_S = 1.0
_UNFINISHED_S = 30.0  # a file that stays truncated this long is taken as it is, and ends as NOT_ASSESSED
_UNDER_WAY = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".swp", "~")
_LEDGER = "taken"

Fingerprint = tuple[int, int, int]  # inode, size in bytes, time of the last change in ns
Others = tuple[tuple[str, Fingerprint | None], ...]  # files that come with one, by path; None: not there
State = tuple[Fingerprint, Others]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file, and those that come with it, as they were when one of them last changed."""

    fingerprint: Fingerprint
    others: Others
    since_ns: int

    @property
    def state(self) -> State:
        """What changes when any of the files does."""
        return self.fingerprint, self.others


class WatchedFolder:
    """Takes files out of a folder and the folders in it."""

    def __init__(
        self,
        name: str,
        *,
        path: Path,
        spool: Path,
        settle_s: float,
        after: Literal["keep", "remove"],
        contents: Contents,
        clock: Clock,
        stage: Stage,
    ) -> None:
        """Store what the folder needs.

        Args:
            name: Of the source in the configuration.
            path: The folder; made where it is not there.
            spool: Folder for copies on their way in, on the file system of the intake; we use a folder of our
                name in it.
            settle_s: A file is taken when it has not changed for this long.
            after: What becomes of a file that was taken.
            contents: What the folder is for.
            clock: Time.
            stage: The books: set aside is what is nothing for us; it stays where it is.
        """
        self.name = name
        self.stage = stage
        self._path = path
        self._spool = spool / name
        self._settle_ns = round(settle_s * 1e9)
        self._poll_s = min(_POLL_MAX_S, settle_s / 2)
        self._after = after
        self._contents = contents
        self._clock = clock
        self._log = Log(name)
        self._stopping = threading.Event()
        self._waiting: dict[str, _Seen] = {}
        self._finished: dict[str, Fingerprint] = {}  # taken, or nothing for us
        self._unfinished: dict[str, State] = {}
        self._pause_until_ns = 0
        self._association = ""

    @contextmanager
    def serve(self, intake: Intake) -> Iterator[None]:
        """Watch until the `with` ends.

        Raises:
            ConfigurationError: The folder cannot be made or read.
        """
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._spool.mkdir(parents=True, exist_ok=True)
            os.scandir(self._path).close()
            self._read_ledger()
        except OSError as trouble:
            raise ConfigurationError(f"{self.name}: {trouble}; wanted a folder to watch") from trouble
        for leftover in self._spool.glob("*.part*"):
            leftover.unlink()  # of a life before; its original is still in the folder
        self._stopping.clear()
        thread = threading.Thread(target=self._run, args=(intake,), name=f"{self.name} folder", daemon=True)
        thread.start()
        self._log.info("folder watched", source=self.name)
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    def _run(self, intake: Intake) -> None:
        while not self._stopping.is_set():
            self.look(intake)
            self._stopping.wait(self._poll_s)
        self._close(intake)

    def look(self, intake: Intake) -> None:
        """Go through the folder once: take what has settled, note what has changed."""
        unreadable: list[str] = []
        present = dict(_files_below(self._path, unreadable))
        self._tell_of_unreadable(unreadable)
        for path in [path for path in self._finished if path not in present and not unreadable]:
            del self._finished[path]
        self._waiting = {path: seen for path, seen in self._waiting.items() if path in present}
        self._unfinished = {path: seen for path, seen in self._unfinished.items() if path in present}
        now_ns = self._clock.monotonic_ns()
        has_taken = False
        for path, fingerprint in present.items():
            if self._stopping.is_set() or self._clock.monotonic_ns() < self._pause_until_ns:
                break
            if self._finished.get(path) == fingerprint:
                continue
            others = tuple((str(other), present.get(str(other))) for other in self._companions(path))
            seen = self._waiting.get(path)
            if seen is None or seen.state != (fingerprint, others):
                self._waiting[path] = _Seen(fingerprint, others, now_ns)
            elif now_ns - seen.since_ns >= self._settle_ns:
                if self._comes_with_another(path, seen):
                    continue
                has_taken |= self._take(Path(path), seen, intake)
        if has_taken:
            self._write_ledger()
        if self._waiting.keys() <= self._unfinished.keys():
            self._close(intake)

    def _companions(self, path: str) -> Sequence[Path]:
        try:
            return self._contents.companions(Path(path))
        except OSError:
            return ()  # it vanished or cannot be read: whoever takes it says so

    def _comes_with_another(self, path: str, seen: _Seen) -> bool:
        """Whether a file needs no taking of its own; it is then done with.

        Where what it belongs to was taken before it came, or before it changed, that is taken again.
        """
        try:
            if not self._contents.comes_with_another(Path(path)):
                return False
            lead = str(self._contents.lead(Path(path)))
        except OSError:
            return False  # it vanished or cannot be read: whoever takes it says so
        del self._waiting[path]
        self._finished[path] = seen.fingerprint
        if lead != path:
            self._finished.pop(lead, None)
        return True

    def _take(self, path: Path, seen: _Seen, intake: Intake) -> bool:
        """Hand one settled file over; return whether we are through with it."""
        is_patient = self._clock.monotonic_ns() - seen.since_ns < _UNFINISHED_S * 1e9
        if is_patient and self._unfinished.get(str(path)) == seen.state:
            return False
        is_through = True

        def step() -> None:
            try:
                identity = self._contents.identify(path, is_patient=is_patient)
                self._hand_over(path, seen, identity, intake)
            except UnfinishedError as trouble:
                self._unfinished[str(path)] = seen.state
                raise DeliveryError(f"not whole: {trouble}") from trouble  # the stage puts it back
            except (StorageFullError, JournalError) as trouble:
                self._pause_until_ns = self._clock.monotonic_ns() + self._settle_ns
                raise DeliveryError(str(trouble)) from trouble
            except OSError as trouble:  # a full disk, a share that is away, a file that is not ours yet
                self._unfinished[str(path)] = seen.state
                self._waiting[str(path)] = replace(seen, since_ns=self._clock.monotonic_ns())
                raise DeliveryError(f"cannot be read or copied: {trouble.strerror}") from trouble

        def later(reason: str) -> None:
            nonlocal is_through
            is_through = False
            self._log.warning("to be tried again", item=item, because=reason)

        # A name may be a patient's: the log has the inode, for `find -inum`.
        item = f"inode {seen.fingerprint[0]}"
        self.stage.work(item, step, set_aside=lambda _: None, later=later)
        if is_through:
            del self._waiting[str(path)]
            self._unfinished.pop(str(path), None)
            self._finished[str(path)] = seen.fingerprint
            self._finished |= {other: fingerprint for other, fingerprint in seen.others if fingerprint}
        return is_through

    def _hand_over(self, path: Path, seen: _Seen, identity: Identity, intake: Intake) -> None:
        copy = self._spool / f"{uuid.uuid4().hex}.part{identity.suffix}"
        self._association = self._association or f"{self.name} {uuid.uuid4().hex[:12]}"
        try:
            size_bytes, sha256 = self._contents.copy_in(path, copy, identity)
            intake.keep(
                Arrival(
                    sop_uid=identity.sop_uid or uid_of_content(sha256),
                    sop_class_uid=identity.sop_class_uid,
                    transfer_syntax_uid=identity.transfer_syntax_uid,
                    series_uid=identity.series_uid,
                    study_uid=identity.study_uid,
                    modality=identity.modality,
                    format=identity.format,
                    received_path=copy,
                    size_bytes=size_bytes,
                    sha256=sha256,
                    announced_instances=identity.announced_instances,
                    source=self.name,
                    calling_ae=self.name,
                    association=self._association,
                )
            )
        finally:
            copy.unlink(missing_ok=True)
        if self._after == "remove":
            self._remove(path, seen)

    def _remove(self, path: Path, seen: _Seen) -> None:
        """Remove what was taken, but not what has come in its place since."""
        try:
            taken = [(Path(other), fingerprint) for other, fingerprint in seen.others if fingerprint]
            taken.append((path, seen.fingerprint))
            if all(_fingerprint(each.stat()) == fingerprint for each, fingerprint in taken):
                for each, _ in taken:
                    each.unlink()
        except OSError as trouble:
            item = f"inode {seen.fingerprint[0]}"
            self._log.error("taken and not removed", item=item, because=trouble.strerror)

    def _close(self, intake: Intake) -> None:
        """The folder is quiet: what came together has come."""
        if self._association:
            intake.association_closed(self._association)
            self._association = ""

    def _tell_of_unreadable(self, unreadable: list[str]) -> None:
        """Say in health and once in the log that a folder is closed to us: it is not the same as empty."""
        note = f"{len(unreadable)} folders cannot be read: {unreadable[0]}" if unreadable else ""
        if note and note != self.stage.health().note:
            self._log.error("not watched", because=note)
        self.stage.note(note)

    def _read_ledger(self) -> None:
        ledger = self._spool / _LEDGER
        if not ledger.exists():
            return
        for line in ledger.read_bytes().split(b"\0"):
            inode, size_bytes, changed_ns, path = (line.split(b" ", 3) + [b""] * 4)[:4]
            if path:
                self._finished[os.fsdecode(path)] = (int(inode), int(size_bytes), int(changed_ns))

    def _write_ledger(self) -> None:
        """Remember what we are through with; a lost ledger costs work, the intake knows what it has."""
        lines = [
            b"%d %d %d " % fingerprint + os.fsencode(path) for path, fingerprint in self._finished.items()
        ]
        try:
            write_durably(self._spool / _LEDGER, b"\0".join(lines), mode=0o600)
        except OSError as trouble:
            self._log.error("not remembered as taken", files=len(lines), because=trouble.strerror)


def _files_below(folder: Path, unreadable: list[str]) -> Iterator[tuple[str, Fingerprint]]:
    """Yield every regular file that is not marked as under way; what vanishes meanwhile is passed over.

    Args:
        folder: Where to begin.
        unreadable: Is told why a folder could not be read.
    """
    waiting = [str(folder)]
    while waiting:
        here = waiting.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as trouble:
            if here == str(folder) or not isinstance(trouble, FileNotFoundError):
                unreadable.append(str(trouble.strerror))
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower().endswith(_UNDER_WAY):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file():
                    yield entry.path, _fingerprint(entry.stat())
            except OSError:
                continue  # it was removed


def _fingerprint(status: os.stat_result) -> Fingerprint:
    return status.st_ino, status.st_size, status.st_mtime_ns
