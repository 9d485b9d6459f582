"""The store of installed bundles: versions beside each other, and one link that says which of them is in use.

    <store>/<name>/<version>-<first 12 of the digest>/   the files of one version, never changed
    <store>/<name>/active                                a link to one of them, replaced in one step
    <store>/<name>/history.json                          which were in use, the last one last

A crash at any moment leaves a link to a whole version: a version is complete and on the medium before it gets
its name, and the link is replaced by a rename. What a crash leaves behind is removed by whoever opens the
store next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.bundles.history import active_in, history_of, mend_history, previous_in, write_history
from edge.bundles.package import unpack
from edge.bundles.parts import NAME
from edge.bundles.signature import ANYBODY, SIGNATURE, Trust
from edge.bundles.store import ACTIVE, Bundle, load, read_manifest
from edge.domain.errors import BundleRejectedError, StorageFullError
from edge.kit.files import sync_folder, write_durably

LOCK: Final = ".lock"
UNFINISHED: Final = ".installing-"
NEXT_LINK: Final = ".active-next"
DIGITS: Final = 12
KEPT: Final = 5  # versions of one bundle that stay; the oldest go first


@dataclass(frozen=True, slots=True)
class Installed:
    """One version in a store.

    Attributes:
        name: Of the bundle.
        version: As its manifest says.
        digest: Its first digits.
        folder: Where its files lie.
        state: `active`, `previous` (what a rollback goes to) or `kept`.
    """

    name: str
    version: str
    digest: str
    folder: Path
    state: str


class Store:
    """A store; what changes it is done while its lock is held.

    Args:
        root: Its folder; it is made when something is installed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def versions(self) -> list[Installed]:
        """Return all that is there, by name and version; the one in use first."""
        found = []
        for place in self._places():
            active, previous = active_in(place), previous_in(place)
            for folder in sorted(path for path in place.iterdir() if path.is_dir() and not path.is_symlink()):
                state = {active: "active", previous: "previous"}.get(folder.name, "kept")
                version, _, digest = folder.name.rpartition("-")
                found.append(Installed(place.name, version, digest, folder, state))
        order = ("active", "previous", "kept")
        return sorted(found, key=lambda one: (one.name, order.index(one.state), one.folder.name))

    @contextmanager
    def opened(self) -> Iterator[Changing]:
        """Hold the lock, and clear away what a crash has left.

        Raises:
            BundleRejectedError: Somebody else holds it.
            StorageFullError: The store cannot be written, or a part of it is not ours.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageFullError(f"{self.root}: cannot be written: {error.strerror}") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BundleRejectedError(
                    f"{self.root}: another install or rollback is under way; try again when it has ended"
                ) from error
            try:
                self._clear()
            except OSError as error:
                raise StorageFullError(f"{error.filename}: cannot be tidied: {error.strerror}") from error
            yield Changing(self.root)
        finally:
            os.close(lock)

    def tidy(self) -> None:
        """Clear away what a crash has left, if there is a store of ours and nobody changes it."""
        if self.root.is_dir():
            with contextlib.suppress(BundleRejectedError, StorageFullError), self.opened():
                pass

    def _clear(self) -> None:
        for left in self.root.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        for place in self._places():
            (place / NEXT_LINK).unlink(missing_ok=True)
            mend_history(place)

    def _places(self) -> list[Path]:
        """Return the places of bundles; what else lies in the folder, `lost+found` or a note, is not ours."""
        there = self.root.iterdir() if self.root.is_dir() else ()
        return sorted(place for place in there if re.fullmatch(NAME, place.name) and place.is_dir())


class Changing:
    """A store whose lock is held; `Store.opened` makes it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def unpacked(self, package: Path, trust: Trust) -> Iterator[Bundle]:
        """Take a package apart beside the store, and read it; it is gone at the end unless it was added.

        Its folder has the bundle's name, so that the one above it is a root of bundles.

        Raises:
            BundleRejectedError: It is no package, or what it holds is refused.
            StorageFullError: There is no room.
        """
        try:
            passing = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self._root))
            folder = passing / "unpacked"
            folder.mkdir()
        except OSError as error:
            raise StorageFullError(f"{self._root}: cannot be written: {error.strerror}") from error
        try:
            try:
                unpack(package, folder)
                named = folder.rename(passing / read_manifest(folder)[1].name)
                yield load(named, trust)
            except BundleRejectedError as error:  # it lies there for this moment only: say what it is
                said = str(error).replace(str(folder), str(package))
                raise BundleRejectedError(
                    re.sub(rf"{re.escape(str(passing))}/[^/: ]+", str(package), said)
                ) from error
        finally:
            shutil.rmtree(passing, ignore_errors=True)

    def add(self, bundle: Bundle) -> Path:
        """Give what was unpacked its place; nothing is in use yet.

        Returns:
            The folder of the version; the one that is there, where it was installed before.

        Raises:
            StorageFullError: There is no room.
        """
        name, version = bundle.manifest.name, bundle.manifest.version
        place = self._root / name
        final = place / f"{version}-{bundle.digest[:DIGITS]}"
        try:
            place.mkdir(exist_ok=True)
            if _is_same(final, bundle):
                _take_signature(bundle.path, final)
            else:
                if final.exists():  # damaged, and refused whoever asks for it
                    final.rename(bundle.path.parent / "damaged")
                bundle.path.rename(final)
            sync_folder(place)
            sync_folder(self._root)
        except OSError as error:
            raise StorageFullError(f"{final}: cannot be written: {error.strerror}") from error
        return final

    def active(self, name: str) -> Path | None:
        """Return the folder of the version in use, if there is one."""
        folder = active_in(self._root / name)
        return None if folder is None else self._root / name / folder

    def withdraw(self, name: str) -> None:
        """Take the only version of a bundle out of use.

        Raises:
            StorageFullError: The store cannot be written.
        """
        place = self._root / name
        try:
            (place / ACTIVE).unlink(missing_ok=True)
            sync_folder(place)
        except OSError as error:
            raise StorageFullError(f"{place}: cannot be written: {error.strerror}") from error
        write_history(place, [])

    def activate(self, folder: Path, *, keep: Collection[str] = ()) -> None:
        """Bring a version into use, in one step, and remember which one was before.

        Args:
            folder: Of the version.
            keep: Names of folders that stay, however old they are.

        Raises:
            StorageFullError: There is no room; the version that was in use still is.
        """
        history = [one for one in history_of(folder.parent) if one != folder.name]
        write_history(folder.parent, [*history, folder.name])
        self._point_to(folder)
        self._forget_old(folder.parent, keep=keep)

    def roll_back(self, name: str, *, to: str | None = None) -> Path:
        """Bring back the version that was in use before, or a certain one.

        Args:
            name: Of the bundle.
            to: Its version, or the name of its folder; left out: the one before.

        Returns:
            Its folder.

        Raises:
            BundleRejectedError: There is none.
            StorageFullError: There is no room; the version that was in use still is.
        """
        place = self._root / name
        folder = self.target(name, to=to)
        history = history_of(place)
        known = folder.name in history
        write_history(place, history[: history.index(folder.name) + 1] if known else [*history, folder.name])
        self._point_to(folder)
        return folder

    def target(self, name: str, *, to: str | None = None) -> Path:
        """Return the folder that `roll_back` would bring into use.

        Raises:
            BundleRejectedError: There is none.
        """
        place = self._root / name
        there = [path.name for path in place.iterdir() if path.is_dir()] if place.is_dir() else []
        there = sorted(one for one in there if one != ACTIVE)
        if not there:
            raise BundleRejectedError(f"{name}: is not installed in {self._root}")
        if to is None:
            previous = previous_in(place)
            if previous is None:
                raise BundleRejectedError(
                    f"{name}: there is no version before {active_in(place)}; installed are {', '.join(there)}"
                )
            return place / previous
        fitting = [one for one in there if to in (one, one.rpartition("-")[0])]
        if len(fitting) != 1:
            raise BundleRejectedError(
                f"{name}: {to!r} names {len(fitting)} versions; installed are {', '.join(there)}"
            )
        return place / fitting[0]

    def _point_to(self, folder: Path) -> None:
        link = folder.parent / NEXT_LINK
        try:
            link.unlink(missing_ok=True)
            link.symlink_to(folder.name)
            link.replace(folder.parent / ACTIVE)
            sync_folder(folder.parent)
        except OSError as error:
            raise StorageFullError(f"{link}: cannot be written: {error.strerror}") from error

    def _forget_old(self, place: Path, *, keep: Collection[str]) -> None:
        """Remove versions beyond those that are kept; one that a daemon still runs is in its memory."""
        kept = {*history_of(place)[-KEPT:], *keep}
        for folder in place.iterdir():
            if folder.is_dir() and not folder.is_symlink() and folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def _take_signature(source: Path, target: Path) -> None:
    """Let a version that is there have the signature that came with the same manifest."""
    new, old = source / SIGNATURE, target / SIGNATURE
    if new.is_file() and not (old.is_file() and old.read_bytes() == new.read_bytes()):
        write_durably(old, new.read_bytes())


def _is_same(folder: Path, bundle: Bundle) -> bool:
    """Return whether a version that is there is the bundle, undamaged."""
    try:
        return load(folder, ANYBODY, name=bundle.manifest.name).digest == bundle.digest
    except BundleRejectedError:
        return False
