"""`edge bundle reference`: what a bundle was made for, so that a device notices when its pictures change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from edge.bundles.store import load
from edge.cli.samples import each_sample
from edge.kit.clock import SystemClock
from edge.kit.log import to_stderr
from edge.workshop.drift_reference import Wishes, make_reference

FEW = 100
SHOWN_MAX = 10


def run(
    folder: Path, samples: Sequence[Path], *, most: int, window: int | None, every_s: float | None
) -> int:
    """Run the bundle over samples, and write.

    Raises:
        BundleRejectedError: The bundle is not in order, or there are too few samples.
        ConfigurationError: There are no such samples.
        StorageFullError: The bundle cannot be written.
    """
    to_stderr(level="ERROR")
    err = Console(stderr=True, highlight=False)
    folder = folder.resolve()
    notes: list[str] = []
    columns = (
        TextColumn("asking the fp32 network: {task.completed} samples"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("", total=None)
        made = make_reference(
            folder,
            (one.sample for one in each_sample(samples, load(folder).manifest, most=most, notes=notes)),
            wishes=Wishes(window=window, every_s=every_s),
            clock=SystemClock(),
            told=lambda done: progress.update(bar, completed=done),
        )
    lines = [*notes, *(f"not assessed: {line}" for line in made.refused)]
    for line in lines[:SHOWN_MAX]:
        err.print(line, markup=False, soft_wrap=True)
    if len(lines) > SHOWN_MAX:
        err.print(f"{len(lines) - SHOWN_MAX} more like these", markup=False)
    part = made.part
    typer.echo(f"{folder / part.file}: {len(made.statistics)} numbers from {made.samples} samples")
    if made.left_out:
        typer.echo(f"left out, for not every sample has them: {', '.join(made.left_out)}")
    if made.samples < FEW:
        typer.echo(f"{made.samples} samples are few: small changes will not be told from chance")
    every = f", one in {part.every_s:g} s of each source" if part.every_s else ""
    typer.echo(f"windows of {part.window} answers{every}")
    typer.echo(f"sealed: digest {made.digest[:12]}")
    return 0
