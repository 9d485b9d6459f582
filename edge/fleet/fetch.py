"""A package brought here: from a mirror or from where the document says, resumed, and proved to be the one.

    <folder>/<sha256>.part          what has come so far; whoever fetches holds a lock on it
    <folder>/<sha256>.edgebundle    whole, proved, on the medium

Bytes are known by their digest alone, so it does not matter where they come from, and what an earlier try or
an earlier run has left is used. What was put together from several answers and is wrong is fetched once more
from its first byte, before anybody is called a liar.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from edge.bundles.package import SUFFIX
from edge.domain.errors import DocumentRefusedError, StorageFullError
from edge.fleet.addresses import shown, trouble_with
from edge.fleet.cancel import Cancel
from edge.fleet.documents import BundleWanted
from edge.fleet.pace import Pace
from edge.fleet.part import OtherBytesError, Part, Tell, receive, take_up
from edge.fleet.places import BusyPlaceError, Place, PlaceError, RangeRefusedError, TlsMaker
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.files import free_bytes, sync_folder
from edge.kit.log import Log

PART: Final = ".part"
ROUNDS_MAX: Final = 12  # in a row in which not one byte came
KEPT: Final = 8  # files in the folder, the newest ones
ROOM_EVERY_BYTES: Final = 64 << 20  # so often it is looked whether there is room for the rest
LOCK_S: Final = 0.2
MIXTURES_MAX: Final = 3  # so often a package that was put together may be wrong


class Fetcher:
    """Brings packages into a folder.

    Args:
        folder: Its own; made when something is fetched.
        mirror: A folder, or the beginning of an address, that is looked into first; "" for none. A package is
            called there by the last part of its address, or by its digest.
        reserve_bytes: Free space that is never used.
        backoff: Pauses between rounds.
        rounds_max: So often in a row all places are tried in vain.
        idle_s: So long nothing may come from a place.
        tls: Makes the context for https.
        pace: How fast all together may come.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mirror: str = "",
        reserve_bytes: int = 0,
        backoff: Backoff | None = None,
        rounds_max: int = ROUNDS_MAX,
        idle_s: float = 20.0,
        tls: TlsMaker = ssl.create_default_context,
        pace: Pace | None = None,
    ) -> None:
        self._folder = folder
        self._mirror = mirror
        self._reserve_bytes = reserve_bytes
        self._backoff = backoff or Backoff(min_s=1.0, max_s=60.0)
        self._rounds_max = rounds_max
        self._idle_s = idle_s
        self._tls = tls
        self._pace = pace or Pace(0, SystemClock())
        self._log = Log("fetch")

    def fetch(self, wanted: BundleWanted, *, path: str, cancel: Cancel, tell: Tell) -> Path:
        """Return the package; it is the one the document means, and on the medium.

        Args:
            wanted: Its address, size and digest.
            path: Of `wanted` in the document, `bundles.brain-mr`.
            cancel: Ends it.
            tell: Is told how many bytes are here, now and then.

        Raises:
            DocumentRefusedError: `schema`: its address is none. `download`: nobody gives it, there is no room
                for it, or it was cancelled. `digest`: what is given is not what the document means.
        """
        wrong = trouble_with(wanted.url)
        if wrong:
            raise DocumentRefusedError("schema", f"{shown(wanted.url)}: {wrong}", path=f"{path}.url")
        digest = wanted.digest.removeprefix("sha256:")
        whole, unfinished = self._folder / f"{digest}{SUFFIX}", self._folder / f"{digest}{PART}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._locked(unfinished, cancel, path=path) as descriptor:
                if _holds(whole, wanted):
                    unfinished.unlink(missing_ok=True)
                else:
                    part = Part(descriptor)
                    try:
                        self._fill(part, wanted, path=path, cancel=cancel, tell=tell)
                        os.fsync(descriptor)
                        unfinished.rename(whole)
                        sync_folder(self._folder)
                    finally:
                        if not part.has_bytes:
                            unfinished.unlink(missing_ok=True)
        except (OSError, StorageFullError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            what = f"{self._folder}: cannot be written: {why}"
            raise DocumentRefusedError("download", what, path=path) from error
        tell(wanted.size_bytes)
        return whole

    def sweep(self, keep: Collection[str] = ()) -> None:
        """Remove all but the newest files, and those that are named by their digest (`sha256:…`)."""
        kept = {digest.removeprefix("sha256:") for digest in keep}
        there = [one for suffix in (PART, SUFFIX) for one in self._folder.glob(f"*{suffix}")]
        with contextlib.suppress(OSError):  # somebody else was faster, or it stays until the next time
            there.sort(key=lambda one: one.stat().st_mtime_ns, reverse=True)
            for old in [one for one in there if one.stem not in kept][KEPT:]:
                old.unlink(missing_ok=True)

    def remove(self, wanted: BundleWanted) -> None:
        """Let go of a package, whole or not."""
        for suffix in (PART, SUFFIX):
            with contextlib.suppress(OSError):
                (self._folder / f"{wanted.digest.removeprefix('sha256:')}{suffix}").unlink()

    def _places(self, wanted: BundleWanted) -> list[Place]:
        urls = []
        if self._mirror:
            name = unquote(urlsplit(wanted.url).path).rpartition("/")[2]
            names = [one for one in (name, wanted.digest.removeprefix("sha256:") + SUFFIX) if one]
            is_web = self._mirror.startswith(("https://", "http://"))
            root = self._mirror if is_web else "file://" + quote(self._mirror.removeprefix("file://"))
            urls = [f"{root.rstrip('/')}/{quote(one)}" for one in dict.fromkeys(names)]
        return [Place(url, self._idle_s, self._tls) for url in (*urls, wanted.url)]

    @contextmanager
    def _locked(self, file: Path, cancel: Cancel, *, path: str) -> Iterator[int]:
        """Open a file for this one alone; it may be renamed by whoever holds it."""
        while not cancel.is_asked:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if _is_ours(descriptor, file):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)
            cancel.wait(LOCK_S)
        raise DocumentRefusedError("download", f"{file.stem[:12]}: was cancelled", path=path)

    def _fill(self, part: Part, wanted: BundleWanted, *, path: str, cancel: Cancel, tell: Tell) -> None:
        """Bring what is missing, from whoever gives it, until the whole is the one meant."""
        take_up(part, wanted)
        if part.is_right(wanted):
            return
        self._check_room(wanted.size_bytes - part.has_bytes, path=path)
        tell = self._watching(tell, wanted, part.has_bytes, path=path)
        places = self._places(wanted)
        left, said, in_vain = list(places), dict.fromkeys(places, ("download", "")), 0
        while True:
            best_bytes, pause_s = part.best_bytes, 0.0
            for place in tuple(left):
                try:
                    self._draw(part, wanted, place, cancel=cancel, tell=tell)
                    return
                except BusyPlaceError as error:
                    said[place], pause_s = ("download", str(error)), max(pause_s, error.pause_s)
                except PlaceError as error:
                    said[place] = ("digest" if isinstance(error, OtherBytesError) else "download", str(error))
                    left.remove(place)
                if cancel.is_asked:
                    raise DocumentRefusedError("download", f"{places[-1]}: was cancelled", path=path)
                self._log.debug("not from there", place=place, because=said[place][1])
            in_vain = 0 if part.best_bytes > best_bytes else in_vain + 1
            if not left or in_vain >= self._rounds_max:  # what is said of the address itself counts
                code, why = said[places[-1]]
                raise DocumentRefusedError(code, why, path=path)
            cancel.wait(max(pause_s, self._backoff.pause_s(max(in_vain, 1))))

    def _draw(self, part: Part, wanted: BundleWanted, place: Place, *, cancel: Cancel, tell: Tell) -> None:
        """Take from one place for as long as something new comes; return when the whole is the one meant.

        Raises:
            PlaceError: It does not give it; what has come stays.
            OtherBytesError: What it gives is not the one meant.
        """
        tag, mixtures = "", 0
        while True:
            best_bytes = part.best_bytes
            try:
                with place.opened(offset=part.has_bytes, tag=tag, cancel=cancel) as reply:
                    tag = reply.tag
                    receive(part, wanted, reply, place, cancel=cancel, tell=tell, pace=self._pace)
                if part.is_right(wanted):
                    return
                mixtures += part.is_mixed
                was_mixed = part.is_mixed
                part.forget()
                if not was_mixed or mixtures >= MIXTURES_MAX:
                    meant = wanted.digest.removeprefix("sha256:")[:12]
                    raise OtherBytesError(f"{place}: its sha256 is not {meant}, as the document says")
                part.best_bytes = 0
            except RangeRefusedError:
                part.forget()
            except BusyPlaceError:
                if part.best_bytes <= best_bytes or cancel.is_asked:
                    raise
            cancel.wait(self._backoff.pause_s(1))

    def _watching(self, tell: Tell, wanted: BundleWanted, from_bytes: int, *, path: str) -> Tell:
        """Look again, now and then, whether there is room: meanwhile studies come in."""
        seen_bytes = from_bytes

        def told(done_bytes: int) -> None:
            nonlocal seen_bytes
            if abs(done_bytes - seen_bytes) >= ROOM_EVERY_BYTES:
                seen_bytes = done_bytes
                self._check_room(wanted.size_bytes - done_bytes, path=path)
            tell(done_bytes)

        return told

    def _check_room(self, more_bytes: int, *, path: str) -> None:
        room_bytes = free_bytes(self._folder) - self._reserve_bytes
        if room_bytes < more_bytes:
            what = (
                f"{self._folder}: {max(room_bytes, 0)} bytes are free above the reserve, wanted {more_bytes}"
            )
            raise DocumentRefusedError("download", what, path=path)


def _is_ours(descriptor: int, file: Path) -> bool:
    """Return whether nobody else has a file that was opened, and it still has its name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_ino == file.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _holds(whole: Path, wanted: BundleWanted) -> bool:
    """Return whether a package that is there is the one meant."""
    with contextlib.suppress(OSError), whole.open("rb") as file:
        if os.fstat(file.fileno()).st_size == wanted.size_bytes:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == wanted.digest
    return False
