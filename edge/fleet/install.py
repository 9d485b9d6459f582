"""Bundles that the fleet wants: fetched, verified, put into the store, tried, and then brought into use.

    <folder>/packages/        what is being fetched
    <folder>/packages.json    which folder of the store came out of which package
    <folder>/switch.json      what was in use before the last switch, and before the fleet came

Staging changes nothing that is in use. What was staged once is not fetched again while the store has it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from edge.bundles.history import active_in
from edge.bundles.installed import Store
from edge.bundles.signature import ANYBODY, Trust
from edge.bundles.store import Bundle, load
from edge.domain.errors import BundleRejectedError, DocumentRefusedError, StorageFullError
from edge.fleet.documents import BundleWanted
from edge.fleet.fetch import Fetcher
from edge.fleet.pace import Pace
from edge.fleet.packages import Packages
from edge.fleet.places import TlsMaker
from edge.fleet.ports import Wanted
from edge.fleet.staging import StagingJob
from edge.fleet.switch import Switch, store_opened
from edge.kit.clock import SystemClock
from edge.kit.files import free_bytes
from edge.kit.log import Log

JOBS_MAX: Final = 3  # what is being staged, what a command fetches ahead, and what is gone from the store
INSTALL_S: Final = 1800.0  # so long somebody else may hold the store: a large network is being measured

Admit = Callable[[Bundle], None]


class Stager:
    """Brings the bundles of a wish to this device, and into use; open it with `with`.

    Args:
        store: Of the device.
        trust: Whom the site believes about bundles.
        folder: Its own; made when something is staged.
        mirror: A folder, or the beginning of an address, that is looked into first; "" for none.
        reserve_bytes: Free space that is never used.
        download_bytes_per_s: How fast packages may come, all together; 0: as fast as they do.
        admit: Tries a bundle that lies in the store on this device, and raises BundleRejectedError.
        tls: Makes the context for https.
        fetcher: In place of one made of these.
    """

    def __init__(
        self,
        store: Store,
        trust: Trust,
        folder: Path,
        mirror: str = "",
        *,
        reserve_bytes: int = 0,
        download_bytes_per_s: int = 0,
        admit: Admit | None = None,
        tls: TlsMaker = ssl.create_default_context,
        fetcher: Fetcher | None = None,
    ) -> None:
        self._store = store
        self._trust = trust
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._admit = admit
        self._fetcher = fetcher or Fetcher(
            folder / "packages",
            mirror=mirror,
            reserve_bytes=reserve_bytes,
            tls=tls,
            pace=Pace(download_bytes_per_s, SystemClock()),
        )
        self._switch = Switch(store, folder / "switch.json")
        self._packages = Packages(folder / "packages.json")
        self._worker = ThreadPoolExecutor(JOBS_MAX, thread_name_prefix="fleet-staging")
        self._jobs: list[StagingJob] = []
        self._ahead: StagingJob | None = None
        self._log = Log("fleet")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self._jobs:
            job.cancel()
        self._worker.shutdown(wait=True, cancel_futures=True)

    # ── staging ───────────────────────────────────────────────────────────────────────────────────────────

    def job(self, bundles: Mapping[str, BundleWanted]) -> StagingJob:
        """Begin to bring bundles into the store, and to try them; nothing comes into use.

        The job fails with `schema`, `download`, `digest` or `admission`; what it has fetched by then stays.
        """
        return self._begun(lambda job: self._stage(job, bundles))

    def again(self, bundles: Mapping[str, BundleWanted]) -> StagingJob:
        """Begin to bring bundles into the store that were there before and are gone; nothing is tried.

        The job fails as that of `job` does.
        """
        return self._begun(lambda job: self._bring_here(job, bundles))

    def fetch(self, bundles: Mapping[str, BundleWanted]) -> StagingJob:
        """Begin to fetch the packages of bundles that are not installed, for a job that may come later.

        Raises:
            DocumentRefusedError: `download`: something is being fetched ahead already.
        """
        if self._ahead is not None and not self._ahead.done():
            raise DocumentRefusedError("download", "another fetch is under way; try again when it has ended")
        self._ahead = self._begun(lambda job: self._fetch_ahead(job, bundles))
        return self._ahead

    def folder_of(self, name: str, wanted: BundleWanted) -> Path | None:
        """Return the folder in the store that came out of a package; None while it was not staged."""
        known = self._packages.folder_of(name, wanted)
        folder = self._store.root / name / (known or "")
        return folder if known and folder.is_dir() else None

    def bundle(self, name: str, wanted: BundleWanted) -> Bundle:
        """Return a bundle that was staged, verified anew.

        Raises:
            DocumentRefusedError: `admission`: it is not there, or not what it claims to be.
        """
        folder = self.folder_of(name, wanted)
        if folder is None:
            what = f"{name} {wanted.version}: is not in {self._store.root}"
            raise DocumentRefusedError("admission", what, path=f"bundles.{name}")
        try:
            return load(folder, self._trust, name=name)
        except BundleRejectedError as refusal:
            raise DocumentRefusedError("admission", str(refusal), path=f"bundles.{name}") from refusal

    def is_gone(self, name: str, wanted: BundleWanted) -> bool:
        """Return whether what came out of a package is not in the store, and nothing else is in use."""
        if self.folder_of(name, wanted) is not None:
            return False
        active = active_in(self._store.root / name)
        return active is None or not (self._store.root / name / active).is_dir()

    # ── what is in use ────────────────────────────────────────────────────────────────────────────────────

    def switch(self, bundles: Mapping[str, BundleWanted], *, attempt: str) -> None:
        """Bring what was staged into use, for whoever looks into the store; see `Switch.to`.

        Raises:
            DocumentRefusedError: `admission`: one is not there, or the store cannot be changed.
        """
        self._switch.to(
            {name: self.bundle(name, wanted).path.name for name, wanted in bundles.items()}, attempt=attempt
        )

    def switch_back(self, attempt: str) -> None:
        """Bring back what was in use before a switch, if it was the last one; may be repeated.

        Raises:
            DocumentRefusedError: `admission`: the store cannot be changed.
        """
        self._switch.back(attempt)

    def use_again(self, bundles: Mapping[str, BundleWanted]) -> None:
        """Bring into use what `again` has brought back; see `Switch.again`.

        Raises:
            DocumentRefusedError: `admission`: one is not there, or the store cannot be changed.
        """
        self._switch.again({name: self.bundle(name, wanted).path.name for name, wanted in bundles.items()})

    def recover(self) -> None:
        """End a switch that a crash has interrupted; to be called once, at the start.

        Raises:
            DocumentRefusedError: `admission`: the store cannot be changed.
        """
        self._switch.finish()

    def is_in_use(self, name: str, wanted: BundleWanted) -> bool:
        """Return whether the store gives what came out of a package to those who ask for the bundle."""
        folder = self.folder_of(name, wanted)
        return folder is not None and active_in(self._store.root / name) == folder.name

    def package_in_use(self, name: str) -> str:
        """Return `sha256:…` of the package that the version in use came from; "" where nobody knows."""
        return self._packages.digest_of(name, active_in(self._store.root / name))

    # ── within the thread of a job ────────────────────────────────────────────────────────────────────────

    def _begun(self, work: Callable[[StagingJob], None]) -> StagingJob:
        self._jobs = [job for job in self._jobs if not job.done()]
        job = StagingJob()
        self._jobs.append(job)
        job.begin(self._worker, work)
        return job

    def _bring_here(self, job: StagingJob, bundles: Mapping[str, BundleWanted]) -> None:
        self._fetcher.sweep([wanted.digest for wanted in bundles.values()])
        for name, wanted in bundles.items():
            with _told(f"bundles.{name}"):
                if not self._is_whole(job, name, wanted):
                    self._take_in(job, name, wanted, self._fetched(job, name, wanted))

    def _stage(self, job: StagingJob, bundles: Mapping[str, BundleWanted]) -> None:
        self._bring_here(job, bundles)
        for name, wanted in bundles.items():
            job.say(f"trying {name} {wanted.version}")
            if self._admit is not None and not self.is_in_use(name, wanted):
                with _told(f"bundles.{name}"):
                    self._admit(self.bundle(name, wanted))

    def _fetch_ahead(self, job: StagingJob, bundles: Mapping[str, BundleWanted]) -> None:
        self._fetcher.sweep([wanted.digest for wanted in bundles.values()])
        for name, wanted in bundles.items():
            if not self._is_whole(job, name, wanted):
                self._fetched(job, name, wanted)

    def _fetched(self, job: StagingJob, name: str, wanted: BundleWanted) -> Path:
        doing = f"fetching {name} {wanted.version}"
        job.say(doing, 0, wanted.size_bytes)
        return self._fetcher.fetch(
            wanted,
            path=f"bundles.{name}",
            cancel=job.cancelled,
            tell=lambda done_bytes: job.say(doing, done_bytes, wanted.size_bytes),
        )

    def _is_whole(self, job: StagingJob, name: str, wanted: BundleWanted) -> bool:
        """Return whether a bundle is in the store, undamaged, and believed."""
        job.say(f"looking for {name} {wanted.version}")
        folder = self.folder_of(name, wanted)
        if folder is None:
            return False
        try:
            self.bundle(name, wanted)
        except DocumentRefusedError:  # nobody is believed, or it is damaged
            try:
                load(folder, ANYBODY, name=name)
            except BundleRejectedError as damage:
                self._log.warning("is fetched anew", bundle=name, because=damage)
                return False
            raise
        return True

    def _take_in(self, job: StagingJob, name: str, wanted: BundleWanted, package: Path) -> None:
        """Put what a package holds into the store.

        Raises:
            BundleRejectedError: It is not in order, or another bundle than the document says.
            StorageFullError: There is no room.
        """
        job.say(f"unpacking {name} {wanted.version}")
        with store_opened(self._store, job.cancelled, within_s=INSTALL_S) as changing:
            try:
                self._check_room(wanted)
                with changing.unpacked(package, self._trust) as bundle:
                    seen = (bundle.manifest.name, bundle.manifest.version)
                    if seen != (name, wanted.version):
                        what = f"holds {' '.join(seen)}, the document says {name} {wanted.version}"
                        raise BundleRejectedError(f"{package}: {what}")
                    self._packages.remember(wanted, name, changing.add(bundle).name)
            except BundleRejectedError as refusal:  # the package is gone in a moment: say what it was
                said = str(refusal).replace(str(package), f"{name} {wanted.version}")
                raise BundleRejectedError(said) from refusal
            finally:
                self._fetcher.remove(wanted)

    def _check_room(self, wanted: BundleWanted) -> None:
        room_bytes = free_bytes(self._store.root) - self._reserve_bytes
        if room_bytes < wanted.size_bytes:
            what = f"{max(room_bytes, 0)} bytes are free above the reserve, wanted {wanted.size_bytes}"
            raise StorageFullError(f"{self._store.root}: {what}")


def attempt_of(wanted: Wanted) -> str:
    """Return what names the switch of a wish: no other has its versions."""
    versions = ",".join(f"{scope}={version}" for scope, version in sorted(wanted.versions.items()))
    return f"{wanted.digest} {versions}"


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Say trouble with a bundle in the words of the contract."""
    try:
        yield
    except BundleRejectedError as refusal:
        raise DocumentRefusedError("admission", str(refusal), path=path) from refusal
    except StorageFullError as full:
        raise DocumentRefusedError("download", str(full), path=path) from full
