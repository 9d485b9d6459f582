"""`edge analyze`: the path of the daemon for files on the command line, without a daemon or a broker."""

from __future__ import annotations

import json
import os
import platform
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

import edge
from edge.bundles.store import MANIFEST, Bundle, find
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.cli.inputs import Inputs, read_inputs
from edge.cli.overlay import draw, save
from edge.cli.rows import cells, console, printable, table
from edge.domain.errors import BundleRejectedError, StorageFullError
from edge.domain.finding import Finding, Verdict
from edge.domain.study import Series
from edge.findings.identity import KEY_BYTES, KeyedHash
from edge.findings.mqtt_json import to_dict
from edge.formats import nifti
from edge.kit.clock import SystemClock
from edge.kit.log import to_stderr
from edge.pipelines.imaging import Assessor
from edge.pipelines.result import Result
from edge.pipelines.stations import Wanted, opened_engine, stations
from edge.studies.select import Rule

DEADLINE_S = 600.0
SITE = "local"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the operator wants.

    Attributes:
        bundle: Only this one, or None for every one that fits.
        roots: Folders that hold bundles; () for those of this installation.
        modality: What NIfTI files show, or None.
        out: Folder for masks and pictures, or None.
        as_json: One JSON array on stdout.
    """

    bundle: str | None
    roots: tuple[Path, ...]
    modality: str | None
    out: Path | None
    as_json: bool


def run(paths: Sequence[Path], asked: Asked) -> int:
    """Assess everything under the paths.

    Returns:
        2 where something is unreadable, else 0 where a series was assessed, else 3.

    Raises:
        BundleRejectedError: There is no bundle to work with.
        StorageFullError: The output folder cannot be written.
    """
    err = Console(stderr=True, highlight=False)
    to_stderr(level="ERROR")
    with err.status("reading files"):
        inputs = read_inputs(paths, modality=asked.modality)
    for line in inputs.notes:
        err.print(line, markup=False, soft_wrap=True)
    for line in inputs.unreadable:
        err.print(f"unreadable: {line}", markup=False, soft_wrap=True)
    results = list(_assessed(inputs, asked, err)) if inputs.series else []
    _print(results, as_json=asked.as_json)
    if inputs.unreadable or any(result.is_damaged for _, result in results):
        return 2
    return 0 if any(_was_assessed(result.findings) for _, result in results) else 3


def _was_assessed(findings: Iterable[Finding]) -> bool:
    return any(finding.observation.verdict is not Verdict.NOT_ASSESSED for finding in findings)


def _assessed(inputs: Inputs, asked: Asked, err: Console) -> Iterator[tuple[str, Result]]:
    """Look at every series, and write what was asked for as soon as it is known."""
    names: set[str] = set()
    with err.status("loading models") as status, _assessor(asked) as assessor:
        for number, series in enumerate(inputs.series, start=1):
            name = _unique(_name(series), names)
            status.update(f"series {number} of {len(inputs.series)}: {name}, {len(series.instances)} files")
            result = assessor.assess(series)
            if asked.out is not None:
                for path in _written(result, name, asked.out):
                    err.print(f"written: {path}", markup=False, soft_wrap=True)
            yield name, result


@contextmanager
def _assessor(asked: Asked) -> Iterator[Assessor]:
    """Open an engine with the bundles that are wanted."""
    roots = asked.roots or _roots_of_this_installation()
    every = (bundle.manifest for bundle in _bundles(asked.bundle, roots))
    manifests = [manifest for manifest in every if isinstance(manifest, VolumeSegmentation)]
    if not manifests:
        raise BundleRejectedError(f"{asked.bundle or 'no bundle'}: wanted one for volumes")
    clock = SystemClock()
    rules = [
        Rule(
            pipeline=manifest.name,
            modalities=frozenset(accepted.modality for accepted in manifest.input.accepts),
        )
        for manifest in manifests
    ]
    wanted = [Wanted(manifest.name, manifest.name, DEADLINE_S) for manifest in manifests]
    names = [one.bundle for one in wanted]
    with opened_engine(
        names, roots=roots, threads=0, provider="auto", state_folder=_memory(), clock=clock
    ) as engine:
        identity = KeyedHash(secrets.token_bytes(KEY_BYTES))
        yield Assessor(rules=rules, stations=stations(engine, wanted), identity=identity, clock=clock)


def _bundles(name: str | None, roots: Sequence[Path]) -> list[Bundle]:
    """Return the bundle of a name, or all there are; one that is refused is none.

    Raises:
        BundleRejectedError: There is none, or the one that was named is not in order.
    """
    if name is not None:
        return [find(name, roots)]
    names = sorted({manifest.parent.name for root in roots for manifest in root.glob(f"*/{MANIFEST}")})
    if not names:
        raise BundleRejectedError(
            f"no bundle in {', '.join(map(str, roots))}; --bundles FOLDER names another place"
        )
    return [find(name, roots) for name in names]


def _roots_of_this_installation() -> tuple[Path, ...]:
    beside = Path(edge.__file__).parents[1] / "models"
    return (beside if beside.is_dir() else Path("/usr/share/edge/models"),)


def _memory() -> Path:
    """Return where the engine remembers what it measured on this machine; a passing folder if need be."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "edge")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="edge-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="edge-"))


def _print(results: Sequence[tuple[str, Result]], *, as_json: bool) -> None:
    device = platform.node() or "here"
    documents = [
        (name, to_dict(finding, site=SITE, device=device))
        for name, result in results
        for finding in result.findings
    ]
    if as_json:
        array = [document for _, document in documents]
        typer.echo(json.dumps(array, indent=2, ensure_ascii=False, allow_nan=False))
    elif documents:
        rows = table(("series", 24))
        for name, document in documents:
            rows.add_row(Text(printable(name)), *cells(document))
        console().print(rows)


def _name(series: Series) -> str:
    """Name the files that are written for a series after what was given: the NIfTI file, or the folder."""
    path = series.instances[0].path
    if series.instances[0].format == "nifti":
        return path.name.removesuffix(".gz").removesuffix(".nii")
    return path.stem if len(series.instances) == 1 else path.resolve().parent.name or "series"


def _unique(name: str, taken: set[str]) -> str:
    candidates = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
    free = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(free)
    return free


def _written(result: Result, name: str, out: Path) -> Iterator[Path]:
    """Write a picture for every volume that a model saw, and a mask for every one that was assessed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for number, (pipeline, segmentation) in enumerate(result.segmentations, start=1):
            stem = f"{name}.{pipeline}" + (f"-{number}" if number > 1 else "")
            said = [finding for finding in result.findings if finding.pipeline == pipeline]
            verdicts = ", ".join(dict.fromkeys(finding.observation.verdict.value for finding in said))
            lines = [finding.observation.reason for finding in said if finding.observation.reason]
            picture = out / f"{stem}.png"
            is_measured = any(finding.observation.measurements for finding in said)
            page = draw(segmentation, title=f"{pipeline}: {verdicts}", lines=lines, has_volumes=is_measured)
            save(page, picture)
            yield picture
            if _was_assessed(said):  # what was not recognised is nobody's mask
                mask = out / f"{stem}.nii.gz"
                nifti.write_labels(mask, segmentation)
                yield mask
    except OSError as trouble:
        raise StorageFullError(f"{out}: cannot be written: {trouble.strerror}") from trouble
