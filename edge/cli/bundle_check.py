"""`edge bundle check`: a readable report on a bundle, with its golden run on each runtime that is here."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import typer
from rich.table import Table
from rich.text import Text

from edge.bundles.inspection import Line, inspect
from edge.bundles.package import unpack
from edge.bundles.signature import Trust
from edge.bundles.store import Bundle, folder_of, is_there, load, read_manifest
from edge.cli.rows import console, printable
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.inference.deadline import Deadline
from edge.inference.forms import DEVICES, Form, forms_of, open_session
from edge.inference.golden import Exam
from edge.inference.tasks import task_of
from edge.inference.trials import RUN_S
from edge.kit.clock import SystemClock

MARKS = {"good": ("✓", "green"), "bad": ("✗", "bold red"), "note": ("!", "yellow")}


def run(place: str, roots: Sequence[Path], trust: Trust, *, as_json: bool) -> int:
    """Look at a bundle and print what was seen.

    Args:
        place: A folder, a package, or the name of a bundle in one of `roots`.
        roots: Folders that hold bundles.
        trust: Whom the site believes.
        as_json: Print one JSON document.

    Returns:
        0 when it may be used, 1 when not.

    Raises:
        BundleRejectedError: There is nothing at that place.
    """
    with _unpacked(place, roots) as (folder, damage):
        lines = [damage] if damage else list(inspect(folder, trust))
        if not any(line.verdict == "bad" for line in lines):
            lines += _golden(folder, trust)
    is_good = not any(line.verdict == "bad" for line in lines)
    if as_json:
        written = {"bundle": place, "good": is_good, "lines": [asdict(line) for line in lines]}
        typer.echo(json.dumps(written, indent=1, ensure_ascii=False))
    else:
        _print(place, lines)
    return 0 if is_good else 1


@contextmanager
def _unpacked(place: str, roots: Sequence[Path]) -> Iterator[tuple[Path, Line | None]]:
    """Give the folder of a bundle; with a package that is none, a line that says so."""
    path = Path(place)
    if not path.is_file():
        yield _folder(place, roots), None
        return
    with tempfile.TemporaryDirectory(prefix="edge-check-") as passing:
        folder = Path(passing, "bundle")
        folder.mkdir()
        try:
            unpack(path, folder)
        except BundleRejectedError as refusal:
            yield folder, Line("package", "bad", str(refusal))
            return
        yield folder, None


def _folder(place: str, roots: Sequence[Path]) -> Path:
    if Path(place).is_dir():
        return folder_of(Path(place))
    for root in roots:
        if is_there(root / place):
            return folder_of(root / place)
    raise BundleRejectedError(
        f"{place}: no folder, no package, and no bundle in {', '.join(map(str, roots))}"
    )


def _golden(folder: Path, trust: Trust) -> Iterator[Line]:
    """Run the golden input in every form there is, once."""
    clock = SystemClock()
    bundle = load(folder, trust, name=read_manifest(folder)[1].name)
    try:
        exam = task_of(bundle, clock).exam
    except BundleRejectedError as refusal:
        yield Line("golden input", "bad", str(refusal))
        return
    passed: set[str] = set()
    forms = forms_of(bundle.manifest, DEVICES)
    for form in forms:
        line = _answered(bundle, form, exam, clock)
        passed |= {form.precision} if line.verdict == "good" else set()
        yield line
    tried = {form.precision for form in forms}
    for variant in bundle.manifest.variants:
        what = f"variant in {variant.precision}"
        if variant.precision not in tried:
            yield Line(what, "note", f"is for {', '.join(variant.devices)}; nothing here runs it")
        elif variant.precision not in passed:
            verdict: Literal["bad", "note"] = "bad" if variant.precision == "fp32" or not passed else "note"
            yield Line(what, verdict, "does not answer as it should on any runtime here, and is never used")


def _answered(bundle: Bundle, form: Form, exam: Exam, clock: SystemClock) -> Line:
    what = f"golden run, {form}"
    try:
        session = open_session(bundle, form, threads=len(os.sched_getaffinity(0)), gives_way=True)
    except BundleRejectedError as refusal:
        return Line(what, "note", str(refusal))
    try:
        began_ns = clock.monotonic_ns()
        alike = exam.agreement(exam.answers(session, Deadline(clock, RUN_S)))
        took_ms = (clock.monotonic_ns() - began_ns) / 1e6
    except InferenceError as trouble:
        return Line(what, "note", str(trouble))
    finally:
        session.close()
    numbers = ", ".join(f"{name} {number:.4g}" for name, number in alike.numbers.items())
    if alike.shortfall:
        return Line(what, "note", f"{alike.shortfall}; {numbers}")
    return Line(what, "good", f"{numbers}; {took_ms:.0f} ms")


def _print(place: str, lines: Sequence[Line]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, expand=True)
    table.add_column(width=1)
    table.add_column(width=44, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    for line in lines:
        mark, style = MARKS[line.verdict]
        table.add_row(Text(mark, style), Text(printable(line.what)), Text(printable(line.said)))
    console().print(table)
    bad = sum(line.verdict == "bad" for line in lines)
    notes = sum(line.verdict == "note" for line in lines)
    ending = f"refused: {bad} things are wrong" if bad else f"good, {notes} to note"
    typer.echo(f"{printable(place)}: {ending}")
