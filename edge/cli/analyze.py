"""`edge analyze`: the path of the daemon for files on the command line, without a daemon or a broker."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from edge.cli import analyze_measured, analyze_pictures, analyze_series, analyze_thermal, analyze_video
from edge.cli.analyze_models import Needs, opened_models
from edge.cli.desk import Answer, Desk, was_assessed
from edge.cli.inputs import Inputs, Knowledge, read_inputs
from edge.cli.rows import cells, console, printable, table
from edge.domain.finding import Finding, StreamSeen
from edge.domain.thermal import LinearScale
from edge.findings.mqtt_json import to_dict
from edge.findings.track import Pace
from edge.formats.spectrum_points import Hints, Kind
from edge.kit.log import to_stderr
from edge.preprocess.thermal_site import SiteCalibration

SITE = "local"
PACE = Pace(settle_s=0.3, vanish_s=1.0, summary_s=60.0, gap_s=2.0)  # the defaults of the configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalWords:
    """What the operator says about thermal files; None leaves it to the file.

    Attributes:
        kelvin_per_count: Counts are temperatures, from absolute zero.
        emissivity: Of what is looked at.
        reflected_celsius: Apparent temperature of what is mirrored.
        distance_m: To what is looked at.
    """

    kelvin_per_count: float | None = None
    emissivity: float | None = None
    reflected_celsius: float | None = None
    distance_m: float | None = None

    def site(self) -> SiteCalibration:
        """Return it as a calibration.

        Raises:
            ConfigurationError: A value is out of its range.
        """
        scale = self.kelvin_per_count
        return SiteCalibration(
            scale=None if scale is None else LinearScale(kelvin_per_count=scale),
            emissivity=self.emissivity,
            reflected_celsius=self.reflected_celsius,
            distance_m=self.distance_m,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the operator wants.

    Attributes:
        bundle: Only this one, or None for every one that fits.
        roots: Folders that hold bundles; () for those of this installation.
        modality: What NIfTI files show, or None.
        thermal: What thermal files do not say themselves.
        measures: What spectra show that do not say so, or None.
        out: Folder for masks and pictures, or None.
        has_frames: Whether frames of a video may be in those pictures.
        as_json: One JSON array on stdout.
    """

    bundle: str | None = None
    roots: tuple[Path, ...] = ()
    modality: str | None = None
    thermal: ThermalWords = field(default_factory=ThermalWords)
    measures: Kind | None = None
    out: Path | None = None
    has_frames: bool = False
    as_json: bool = False


def run(paths: Sequence[Path], asked: Asked) -> int:
    """Assess everything under the paths.

    Returns:
        2 where something is unreadable, else 0 where something was assessed, else 3.

    Raises:
        BundleRejectedError: There is no bundle to work with.
        ConfigurationError: What was said about thermal files cannot be.
        StorageFullError: The output folder cannot be written.
    """
    err = Console(stderr=True, highlight=False)
    to_stderr(level="ERROR")
    known = Knowledge(
        modality=asked.modality,
        site=asked.thermal.site(),
        hints=Hints(kind=asked.measures),
        names_a_bundle=asked.bundle is not None,
    )
    with err.status("reading files"):
        inputs = read_inputs(paths, known)
    skipped = [f"{inputs.skipped} files in folders are no pictures, skipped"] if inputs.skipped else []
    unreadable = [f"unreadable: {line}" for line in inputs.unreadable]
    for line in (*inputs.notes, *skipped, *unreadable):
        err.print(line, markup=False, soft_wrap=True)
    answers: list[Answer] = []
    if inputs.series or inputs.measured or inputs.thermal or inputs.videos or inputs.pictures:
        with err.status("loading models") as status:
            desk = Desk(out=asked.out, err=err, show=status.update)
            for answer in _answers(inputs, asked, known, desk):
                answers.append(answer)
                if answer.trouble:
                    desk.say(f"unreadable: {answer.trouble}")
    print_answers(answers, as_json=asked.as_json)
    if inputs.unreadable or any(answer.is_damaged for answer in answers):
        return 2
    return 0 if any(was_assessed(answer.findings) for answer in answers) else 3


def _answers(inputs: Inputs, asked: Asked, known: Knowledge, desk: Desk) -> Iterator[Answer]:
    """Look at everything, kind by kind, and write what was asked for as soon as it is known."""
    cubes = [series for series in inputs.measured if series.instances[0].format == "cube"]
    needs = Needs(
        series=frozenset(part for one in inputs.series for part in one.modality.split("+")),
        objects=frozenset(
            part
            for one in inputs.series
            if not analyze_series.is_file_of_a_volume(one)
            for part in one.modality.split("+")
        ),
        pictures=bool(inputs.videos or inputs.pictures),
        spectra=bool(cubes),
    )
    pages = analyze_series.Pages(desk)
    with opened_models(
        needs, bundle=asked.bundle, roots=asked.roots, say=desk.say, told=pages.take
    ) as models:
        # A bundle that was named speaks for cubes alone; whatever needs no bundle is measured anyhow.
        measures_cubes = asked.bundle is None or not models.spectra
        yield from chain(
            analyze_series.assess(inputs.series, models, desk, pages),
            analyze_measured.assess(
                inputs.measured, models, desk, hints=known.hints, measures_cubes=measures_cubes
            ),
            analyze_pictures.assess(inputs.pictures, models, desk, pace=PACE),
            analyze_thermal.assess(inputs.thermal, models, desk, site=known.site, pace=PACE),
            analyze_video.assess(inputs.videos, models, desk, pace=PACE, has_frames=asked.has_frames),
        )


def print_answers(answers: Iterable[Answer], *, as_json: bool) -> None:
    """Print findings as rows, or as one JSON array."""
    device = platform.node() or "here"
    said = [(answer.name, finding) for answer in answers for finding in answer.findings]
    documents = [(name, to_dict(finding, site=SITE, device=device)) for name, finding in said]
    if as_json:
        array = [document for _, document in documents]
        typer.echo(json.dumps(array, indent=2, ensure_ascii=False, allow_nan=False))
    elif documents:
        has_events = any(isinstance(finding.seen, StreamSeen) for _, finding in said)
        rows = table(*([("input", 16), ("event", 7)] if has_events else [("input", 24)]))
        for (name, finding), (_, document) in zip(said, documents, strict=True):
            event = [Text(_phase(finding))] if has_events else []
            rows.add_row(Text(printable(name)), *event, *cells(document))
        console().print(rows)


def _phase(finding: Finding) -> str:
    return finding.seen.phase if isinstance(finding.seen, StreamSeen) else ""
