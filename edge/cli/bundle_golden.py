"""`edge bundle golden`: the golden check of a bundle, from samples or from drawn inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from edge.cli.samples import read_samples
from edge.kit.clock import SystemClock
from edge.kit.log import to_stderr
from edge.workshop.golden import finished, make_golden
from edge.workshop.questions import Sample

SAMPLES_MAX = 64


def run(folder: Path, samples: Sequence[Path]) -> int:
    """Read the samples, ask the network, write.

    Raises:
        BundleRejectedError: The manifest is not in order, or the answers prove nothing.
        ConfigurationError: There are no such samples.
        StorageFullError: The bundle cannot be written.
    """
    to_stderr(level="ERROR")
    err = Console(stderr=True, highlight=False)
    given: list[Sample] = []
    if samples:
        with err.status("reading samples"):
            taken, notes = read_samples(samples, finished(folder), most=SAMPLES_MAX)
        given = [one.sample for one in taken]
        for note in notes:
            err.print(note, markup=False, soft_wrap=True)
    with err.status("asking the fp32 network"):
        made = make_golden(folder, given, clock=SystemClock())
    typer.echo(f"{folder / 'golden.npz'}: {made.inputs} inputs of {made.shape}, from {made.source}")
    if made.misfit:
        typer.echo(f"calibration.npz was taken out, edge bundle quantize makes it again: {made.misfit}")
    typer.echo(f"sealed: digest {made.digest[:12]}")
    return 0
