"""`edge bundle pack`, `install`, `list`, `rollback`: bundles as files, and those a device has."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from edge.bundles.installed import Changing, Installed, Store
from edge.bundles.package import pack as write_package
from edge.bundles.seal import hash_of
from edge.bundles.signature import Trust
from edge.bundles.store import Bundle, load, read_manifest
from edge.cli.bundle_site import Site
from edge.cli.rows import console, printable
from edge.domain.errors import BundleRejectedError, ConfigurationError
from edge.inference.trials import Trial
from edge.kit.clock import SystemClock
from edge.ops.control import ask
from edge.pipelines.stations import opened_engine

ANSWER_S = 60.0  # the daemon reads the bundle before it answers
POLL_S = 0.25
EXCHANGE_S = 1800.0  # all forms of a large network are measured


def pack(folder: Path, out: Path) -> int:
    """Write a bundle that is in order into one file.

    Raises:
        BundleRejectedError: The bundle is not in order.
        StorageFullError: The file cannot be written.
    """
    bundle = load(folder, Trust(allows_unsigned=True), name=read_manifest(folder)[1].name)
    path = write_package(folder, out)
    typer.echo(f"{path}: {bundle.manifest.name} {bundle.manifest.version}, {path.stat().st_size} bytes")
    typer.echo(f"sha256:{hash_of(path)}")  # by which a document of the fleet names it
    return 0


def install(package: Path, site: Site) -> int:
    """Bring a bundle into use on this device, once it has proved itself here.

    Returns:
        0 when it is in use, or will be at the next start; 1 when it was refused, and nothing has changed.

    Raises:
        ConfigurationError: No store is named.
        StorageFullError: There is no room.
    """
    store = Store(site.its_store())
    try:
        with store.opened() as changing, _packaged(package) as file:
            with changing.unpacked(file, site.trust) as bundle:
                tell_signature(bundle)
                trial = _admitted(bundle, site)
                folder = changing.add(bundle)
            name, version = bundle.manifest.name, bundle.manifest.version
            former = changing.active(name)
            changing.activate(folder)
            typer.echo(
                f"{name} {version}: passes on this device, best in {trial.form}, {trial.p50_ms:.1f} ms"
            )
            _tell_daemon(site, name, undo=lambda: _undo(changing, name, former))
    except BundleRejectedError as refusal:
        typer.echo(f"{package}: refused, nothing has changed: {refusal}", err=True)
        return 1
    return 0


def listed(site: Site, *, as_json: bool) -> int:
    """Print what is installed.

    Raises:
        ConfigurationError: No store is named.
    """
    rows = [(one, _told(one, site.trust)) for one in Store(site.its_store()).versions()]
    if as_json:
        written = [
            {
                "name": one.name,
                "version": one.version,
                "digest": one.digest,
                "state": one.state,
                "precisions": list(said.precisions),
                "signed_by": said.signer,
                "refused": said.refusal,
                "folder": str(one.folder),
            }
            for one, said in rows
        ]
        typer.echo(json.dumps(written, indent=1))
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("bundle", "version", "digest", "state", "precisions", "signed by"):
        table.add_column(heading)
    for one, said in rows:
        who = (
            Text(printable(f"refused: {said.refusal}"), "red")
            if said.refusal
            else Text(said.signer or "nobody whom we know")
        )
        style = "bold" if one.state == "active" else ""
        name, state, precisions = Text(one.name, style), Text(one.state, style), ", ".join(said.precisions)
        table.add_row(name, one.version, one.digest, state, precisions, who)
    console().print(table)
    return 0


def rollback(name: str, site: Site, *, to: str | None) -> int:
    """Bring back the version that was in use before.

    Returns:
        0 when it is in use, or will be at the next start of the daemon; 1 when it was refused.

    Raises:
        ConfigurationError: No store is named.
        StorageFullError: There is no room.
    """
    store = Store(site.its_store())
    try:
        with store.opened() as changing:
            bundle = load(changing.target(name, to=to), site.trust, name=name)
            former = changing.active(name)
            folder = changing.roll_back(name, to=to)
            typer.echo(f"{name}: {folder.name} takes the place of {former.name if former else 'none'}")
            tell_signature(bundle)
            _tell_daemon(site, name, undo=lambda: _undo(changing, name, former))
    except BundleRejectedError as refusal:
        typer.echo(f"{name}: refused, nothing has changed: {refusal}", err=True)
        return 1
    return 0


def tell_signature(bundle: Bundle) -> None:
    """Say whose signature a bundle carries."""
    signed = f"signed by {bundle.signed_by}" if bundle.signed_by else "unsigned, which is allowed here"
    typer.echo(f"{bundle.manifest.name} {bundle.manifest.version}: digest {bundle.digest[:12]}, {signed}")


@contextmanager
def _packaged(path: Path) -> Iterator[Path]:
    """Give a package; a folder is packed for the moment."""
    if not path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="edge-install-") as passing:
        packed = write_package(path, Path(passing))
        try:
            yield packed
        except BundleRejectedError as refusal:  # the package was there for this moment only
            raise BundleRejectedError(str(refusal).replace(str(packed), str(path))) from refusal


def _admitted(bundle: Bundle, site: Site) -> Trial:
    """Let a bundle prove itself here, as the daemon will; what was measured is remembered for it.

    Raises:
        BundleRejectedError: Nothing passes.
    """
    name = bundle.manifest.name
    with opened_engine(
        [name],
        roots=(bundle.path.parent,),
        trust=site.trust,
        threads=site.threads,
        provider=site.provider,
        state_folder=site.memory,
        clock=SystemClock(),
    ) as engine:
        if name in engine.refusals:
            raise BundleRejectedError(engine.refusals[name])
        return engine.trials(name)[0]


def _tell_daemon(site: Site, name: str, *, undo: Callable[[], None]) -> None:
    """Let a daemon that runs take the version, and wait for its word.

    Raises:
        BundleRejectedError: It refuses; what was in use is so again.
    """
    if site.state is None:
        typer.echo(f"{name}: in use from the next start of whoever looks into {site.store}")
        return
    question = {"ask": "bundle", "name": name}
    try:
        answer = ask(site.state, question, patience_s=ANSWER_S)
        until_s = time.monotonic() + EXCHANGE_S
        while answer["ok"] and answer["state"] == "under way" and time.monotonic() < until_s:
            time.sleep(POLL_S)
            answer = ask(site.state, question, patience_s=ANSWER_S)
    except ConfigurationError as nobody:
        typer.echo(f"{name}: in use from the next start of the daemon; now: {nobody}", file=sys.stderr)
        return
    if not answer["ok"]:
        undo()
        raise BundleRejectedError(f"the daemon: {answer['why']}")
    if answer["state"] == "at work":
        typer.echo(f"{name} {answer['version']}: at work in the daemon")
    else:
        typer.echo(f"{name}: in use from the next start of the daemon; now: {answer.get('why', 'under way')}")


def _undo(changing: Changing, name: str, former: Path | None) -> None:
    if former is None:
        changing.withdraw(name)
    else:
        changing.roll_back(name, to=former.name)


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told of a version.

    Attributes:
        precisions: Of its networks.
        signer: Whose signature it carries, or "".
        refusal: Why it is refused, or "".
    """

    precisions: tuple[str, ...] = ()
    signer: str = ""
    refusal: str = ""


def _told(one: Installed, trust: Trust) -> _Told:
    try:
        bundle = load(one.folder, trust, name=one.name)
    except BundleRejectedError as refusal:
        return _Told(refusal=str(refusal))
    each = (variant.precision for variant in bundle.manifest.variants)
    return _Told(tuple(dict.fromkeys(each)), bundle.signed_by)
