"""`edge send`: files to a DICOM peer, four associations at once, each data set as it lies in its file."""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from edge.cli.paths import files_of, missing
from edge.domain.errors import ConfigurationError, FormatError
from edge.simulate.scu import CONTEXTS_MAX, Outcome, Parcel, Peer, carry, parcel_of

ASSOCIATIONS = 4
FAILURES_SHOWN_MAX = 10


@dataclass(slots=True)
class Gathered:
    """What was found under the paths of the command line.

    Attributes:
        parcels: Files that can be sent.
        unreadable: What was named outright and cannot be sent, with the reason.
        skipped: How many files in folders are no DICOM objects.
    """

    parcels: list[Parcel] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    skipped: int = 0


def run(address: str, paths: Sequence[Path], *, calling_ae: str, called_ae: str) -> int:
    """Send, and say what became of it.

    Returns:
        0 everything was stored, 1 something was refused or failed, 2 something that was named is unreadable.
    """
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    warnings.filterwarnings("ignore", module="pydicom")  # of what it thinks of UIDs that we only pass on
    host, port = parse_address(address)
    peer = Peer(host=host, port=port, called_ae=called_ae, calling_ae=calling_ae)
    with err.status("reading headers"):
        gathered = gather(paths)
    for line in gathered.unreadable:
        err.print(f"unreadable: {line}", markup=False, soft_wrap=True)
    outcomes = send(gathered.parcels, peer, console=err) if gathered.parcels else []
    _summarise(outcomes, gathered, peer, out)
    if gathered.unreadable:
        return 2
    return 0 if all(outcome.is_stored for _, outcome in outcomes) else 1


def parse_address(address: str) -> tuple[str, int]:
    """Split `HOST:PORT`, `[::1]:PORT` too.

    Raises:
        ConfigurationError: It is something else.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ConfigurationError(
            f"{address}: wanted HOST:PORT with a port from 1 to 65535, such as 127.0.0.1:11112"
        )
    return host, int(port)


def gather(paths: Sequence[Path]) -> Gathered:
    """Read the header of every file there is."""
    gathered = Gathered(unreadable=missing(paths))
    for path in paths:
        found = 0
        for file in files_of(path) if path.exists() else ():
            try:
                gathered.parcels.append(parcel_of(file))
                found += 1
            except FormatError as trouble:
                if path.is_dir():
                    gathered.skipped += 1
                else:
                    gathered.unreadable.append(f"{path}: {str(trouble).removeprefix(f'{path.name}: ')}")
        if path.is_dir() and not found:
            gathered.unreadable.append(f"{path}: no DICOM object in this folder")
    return gathered


def send(parcels: Sequence[Parcel], peer: Peer, *, console: Console) -> list[tuple[Parcel, Outcome]]:
    """Send everything, with a bar, and return what became of each parcel.

    Raises:
        KeyboardInterrupt: The operator wants to stop; what is in hand is finished first.
    """
    outcomes: list[tuple[Parcel, Outcome]] = []
    stopping = threading.Event()
    with _bar(console) as bar, ThreadPoolExecutor(ASSOCIATIONS, thread_name_prefix="send") as pool:
        task = bar.add_task("", total=sum(parcel.data_set_bytes for parcel in parcels), files=0)

        def report(parcel: Parcel, outcome: Outcome) -> None:
            outcomes.append((parcel, outcome))
            bar.update(task, advance=parcel.data_set_bytes, files=len(outcomes))

        try:
            rounds = [
                pool.submit(carry, lot, peer, report=report, stopping=stopping) for lot in lots(parcels)
            ]
            wait(rounds)
        except KeyboardInterrupt:
            stopping.set()
            raise
        for done in rounds:
            done.result()
    return outcomes


def lots(parcels: Sequence[Parcel]) -> Iterator[list[Parcel]]:
    """Share parcels out over associations: at most 128 contexts in each, and at least four where that pays.

    A lot is a run of neighbours, so that most series travel on one association.
    """
    contexts = sorted({parcel.context for parcel in parcels})
    for first in range(0, len(contexts), CONTEXTS_MAX):
        agreed = set(contexts[first : first + CONTEXTS_MAX])
        together = [parcel for parcel in parcels if parcel.context in agreed]
        share = -(-len(together) // ASSOCIATIONS)
        for start in range(0, len(together), share):
            yield together[start : start + share]


def _bar(console: Console) -> Progress:
    files = TextColumn("{task.fields[files]} files")
    columns = (TextColumn("sending"), BarColumn(), files, DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console)


def _summarise(
    outcomes: Sequence[tuple[Parcel, Outcome]], gathered: Gathered, peer: Peer, out: Console
) -> None:
    counts = Counter(_verdict(outcome) for _, outcome in outcomes)
    counts["no DICOM object, skipped"] = gathered.skipped
    counts["unreadable"] = len(gathered.unreadable)
    table = Table()
    table.add_column(f"sent to {peer}, called {peer.called_ae}", no_wrap=True)
    table.add_column("files", justify="right")
    for verdict, count in counts.items():
        if count:
            table.add_row(verdict, str(count))
    out.print(table)
    failures: dict[str, list[Path]] = {}
    for parcel, outcome in outcomes:
        if not outcome.is_stored:
            reason = ": ".join(part for part in (_verdict(outcome), outcome.reason) if part)
            failures.setdefault(reason, []).append(parcel.path)
    for reason, files in failures.items():
        which = "every file" if len(files) == len(outcomes) > 1 else _few(files)
        out.print(f"{reason}: {which}", markup=False, soft_wrap=True)


def _few(files: Sequence[Path]) -> str:
    """Name files, but not a thousand of them."""
    named = ", ".join(str(file) for file in files[:FAILURES_SHOWN_MAX])
    more = len(files) - FAILURES_SHOWN_MAX
    return f"{named} and {more} more" if more > 0 else named


def _verdict(outcome: Outcome) -> str:
    if outcome.status is None:
        return "failed"
    if outcome.is_stored:
        return "stored" if outcome.status == 0 else f"stored with warning 0x{outcome.status:04X}"
    return f"refused with 0x{outcome.status:04X}"
