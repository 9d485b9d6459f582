"""`edge analyze --series ROLE=PATH`: series that one model looks at together, each in its role."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from edge.bundles.store import find
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.cli.analyze import Asked, print_answers
from edge.cli.analyze_models import DEADLINE_S, opened_for, roots_here
from edge.cli.analyze_series import write_volumes
from edge.cli.desk import Answer, Desk, was_assessed
from edge.cli.inputs import Knowledge, read_inputs
from edge.domain.errors import ConfigurationError
from edge.domain.study import Series
from edge.findings.identity import KEY_BYTES, KeyedHash
from edge.formats.spectrum_points import Hints
from edge.kit.clock import SystemClock
from edge.kit.log import to_stderr
from edge.pipelines.roles import RolesAssessor
from edge.pipelines.stations import Wanted, stations
from edge.studies.select import Rule


def run(named: Sequence[str], asked: Asked) -> int:
    """Assess series together.

    Args:
        named: `ROLE=PATH` each: a file, or a folder that holds one series.
        asked: What else the operator wants; the bundle is named.

    Returns:
        2 where something is damaged, else 0 where it was assessed, else 3.

    Raises:
        ConfigurationError: The words cannot be understood, or a path does not hold exactly one series.
        BundleRejectedError: The bundle is not there, not in order, or for something else.
        StorageFullError: The output folder cannot be written.
    """
    err = Console(stderr=True, highlight=False)
    to_stderr(level="ERROR")
    if asked.bundle is None:
        raise ConfigurationError("--series wants --bundle: the one whose model takes these roles")
    paths = _by_role(named)
    manifest = find(asked.bundle, asked.roots or roots_here()).manifest
    if not isinstance(manifest, VolumeSegmentation):
        raise ConfigurationError(f"{asked.bundle} is for {manifest.task}; --series is for volumes")
    with err.status("reading files"):
        known = Knowledge(modality=asked.modality, site=asked.thermal.site(), hints=Hints(kind=None))
        series = {role: _only_series(path, known, err) for role, path in paths.items()}
    with err.status("loading models") as status, opened_for([asked.bundle], asked.roots) as engine:
        wanted = Wanted(asked.bundle, asked.bundle, DEADLINE_S)
        assessor = RolesAssessor(
            rule=Rule(pipeline=asked.bundle, modalities=frozenset()),
            station=stations(engine, [wanted])[asked.bundle],
            identity=KeyedHash(secrets.token_bytes(KEY_BYTES)),
            clock=SystemClock(),
        )
        status.update("looking")
        result = assessor.assess(series)
        desk = Desk(out=asked.out, err=err, show=status.update)
        lead = manifest.input.roles[0]
        name = desk.unique(paths.get(lead, next(iter(paths.values()))).name.partition(".")[0])
        if desk.out is not None:
            for path in write_volumes(result, name, desk):
                desk.written(path)
    print_answers([Answer(name=name, findings=result.findings)], as_json=asked.as_json)
    if result.is_damaged:
        return 2
    return 0 if was_assessed(result.findings) else 3


def _by_role(named: Sequence[str]) -> Mapping[str, Path]:
    paths: dict[str, Path] = {}
    for words in named:
        role, mark, path = words.partition("=")
        if not mark or not role.strip() or not path:
            raise ConfigurationError(f"--series {words}: wanted ROLE=PATH, as T1=folder")
        if role.strip() in paths:
            raise ConfigurationError(f"--series {words}: the role {role.strip()} was given before")
        paths[role.strip()] = Path(path)
    return paths


def _only_series(path: Path, known: Knowledge, err: Console) -> Series:
    """Return the one series of a path.

    Raises:
        ConfigurationError: It holds none or several, or something that cannot be read.
    """
    inputs = read_inputs([path], known)
    for line in inputs.notes:
        err.print(line, markup=False, soft_wrap=True)
    if inputs.unreadable:
        raise ConfigurationError("; ".join(inputs.unreadable))
    if len(inputs.series) != 1:
        raise ConfigurationError(f"{path}: holds {len(inputs.series)} series, wanted one for its role")
    return inputs.series[0]
