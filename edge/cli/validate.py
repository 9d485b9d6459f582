"""`edge bundle validate`: a site judges a bundle by its own labelled frames, and gets its own report."""

from __future__ import annotations

import datetime
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import track

import edge
from edge.bundles.picture_classification import PictureClassification
from edge.bundles.picture_policies import ScoreFinding
from edge.bundles.store import Bundle, find
from edge.cli import validation, validation_page
from edge.cli.labelled_frames import LabelledFile, find_files, read_frames
from edge.cli.validation import Judged
from edge.cli.validation_page import Subject
from edge.domain.answer import Scores
from edge.domain.errors import BundleRejectedError, FormatError, StorageFullError, UnsupportedError
from edge.domain.ports import PictureModel
from edge.inference.engine import Engine
from edge.kit.clock import SystemClock

MAY_BE_DECLARED, MUST_NOT = 0, 1
PRESENT_CLASS = "inside"
ENDINGS = (".html", ".json")
DEADLINE_S = 20.0
THREADS = 1


def run(
    name: str, folder: Path, *, out: Path, roots: Sequence[Path], rate_max: float, per_second: float
) -> int:
    """Read all frames, judge, write the report, and print what to do next.

    Returns:
        0 where the site may declare it, 1 where not.

    Raises:
        BundleRejectedError: The bundle is not here, not in order, or answers another question.
        FormatError: The frames cannot be used.
        StorageFullError: The report cannot be written.
    """
    if out.suffix.lower() not in ENDINGS:
        raise UnsupportedError(f"{out}: a report ends in {' or '.join(ENDINGS)}")
    bundle = find(name, roots)
    manifest, judged = _fitting(bundle)
    files = find_files(folder)
    with tempfile.TemporaryDirectory(prefix="edge-") as memory:
        engine = Engine(
            [name],
            roots=roots,
            threads=THREADS,
            providers=["cpu"],
            state_dir=Path(memory),
            clock=SystemClock(),
        )
        with engine:
            model = engine.picture_model(name)
            frames = _judged(files, model, per_second=per_second)
            form = f"{model.stamp.precision}, {model.stamp.runtime}, {model.stamp.provider}"
    enter, stay = judged.enter_score_min, judged.stay_score_min
    report = validation.judge(frames, enter=enter, stay=stay, rate_max=rate_max)
    subject = Subject(
        bundle=name,
        version=manifest.version,
        bundle_sha256=bundle.digest,
        form=form,
        made_on=datetime.datetime.now().astimezone().date().isoformat(),
        files=len(files),
        per_second=per_second,
        enter=enter,
        stay=stay,
    )
    if out.suffix.lower() == ".json":
        text = json.dumps(validation_page.to_dict(subject, report), indent=2, ensure_ascii=False) + "\n"
    else:
        text = validation_page.to_html(subject, report, frames)
    _write(out, text)
    _tell(subject, report, out, hashlib.sha256(text.encode()).hexdigest())
    return MUST_NOT if report.objections else MAY_BE_DECLARED


def _fitting(bundle: Bundle) -> tuple[PictureClassification, ScoreFinding]:
    manifest = bundle.manifest
    judged = manifest.policy.one_class if isinstance(manifest, PictureClassification) else None
    if not isinstance(manifest, PictureClassification) or judged is None or judged.name != PRESENT_CLASS:
        raise BundleRejectedError(
            f"{manifest.name}: does not tell `{PRESENT_CLASS}` from outside, which is what is validated here"
        )
    return manifest, judged


def _judged(files: Sequence[LabelledFile], model: PictureModel, *, per_second: float) -> tuple[Judged, ...]:
    """Score every frame; what cannot be read is told all at once, since a report on the rest would mislead.

    Raises:
        FormatError: Files cannot be read, or one picture lies on both sides.
    """
    frames: list[Judged] = []
    unreadable: list[str] = []
    seen: dict[bytes, tuple[str, str]] = {}
    for file in _with_progress(files):
        try:
            for frame in read_frames(file, per_second=per_second):
                thumb = frame.picture.planes(height_px=48, width_px=80)
                digest = hashlib.blake2b(thumb.tobytes(), digest_size=16).digest()
                name, label = seen.setdefault(digest, (frame.name, file.label))
                if label != file.label:
                    raise FormatError(f"{frame.name} shows the same as {name}, and lies on the other side")
                scores = model.look(frame.picture, deadline_s=DEADLINE_S)
                assert isinstance(scores, Scores), "a model that classifies answers with scores"
                score = scores.of(PRESENT_CLASS)
                frames.append(Judged(name=frame.name, file=file.name, label=file.label, score=score))
        except FormatError as trouble:
            unreadable.append(str(trouble))
    if unreadable:
        more = f"\n  … and {len(unreadable) - 10} more" if len(unreadable) > 10 else ""
        listed = "\n  ".join(unreadable[:10])
        raise FormatError(f"{len(unreadable)} of {len(files)} files cannot be used:\n  {listed}{more}")
    return tuple(frames)


def _with_progress(files: Sequence[LabelledFile]) -> Iterator[LabelledFile]:
    yield from track(
        files, description="judging", console=Console(stderr=True), disable=not sys.stderr.isatty()
    )


def _tell(subject: Subject, report: validation.Report, out: Path, digest: str) -> None:
    stay, enter = report.staying, report.entering
    typer.echo(validation_page.verdict(report))
    for objection in report.objections:
        typer.echo(f"  - {objection}")
    typer.echo(
        f"outside called inside: {stay.outside.count} of {stay.outside.total} frames at {stay.score_min:g} "
        f"(at most {stay.outside.upper:.2%}); inside called inside: {enter.inside.share:.1%} at "
        f"{enter.score_min:g}"
    )
    typer.echo(f"report: {out}")
    if not report.objections:
        typer.echo("\nFor the `gate` of the pipeline, in the configuration, once somebody answers for it:\n")
        typer.echo(snippet(subject, digest))


def snippet(subject: Subject, report_sha256: str) -> str:
    """What the site puts into its configuration; the name is for a person to fill in."""
    return (
        "local_validation:\n"
        f'  bundle_sha256: "{subject.bundle_sha256}"\n'
        '  validated_by: ""  # who answers for it\n'
        f'  validated_on: "{subject.made_on}"\n'
        f'  report_sha256: "{report_sha256}"\n'
    )


def _write(out: Path, text: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as trouble:
        raise StorageFullError(f"{out}: cannot be written: {trouble.strerror}") from trouble


def roots_here() -> tuple[Path, ...]:
    """Return where the bundles of this installation lie."""
    beside = Path(edge.__file__).parents[1] / "models"
    return (beside if beside.is_dir() else Path("/usr/share/edge/models"),)
