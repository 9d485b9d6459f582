"""`edge bundle quantize`: reads samples, shows how far the search is, and what it found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from edge.bundles.store import load
from edge.cli.rows import console
from edge.cli.samples import read_samples
from edge.kit.clock import SystemClock
from edge.kit.log import to_stderr
from edge.workshop.bench import RUNTIMES, Runtime, Verdict
from edge.workshop.carried import FILE, Carried
from edge.workshop.layer_search import Outcome
from edge.workshop.quantization import Quantized, quantize

PAYS, PAYS_NOT = 0, 1
SHORT = {"onnxruntime": "ORT", "openvino": "OpenVINO"}


def run(
    folder: Path,
    samples: Sequence[Path],
    *,
    most: int,
    wants_fp16: bool,
    is_fresh: bool,
    carries: bool,
    state: Path | None,
) -> int:
    """Quantize a bundle.

    Returns:
        0 where something was put into the bundle, 1 where nothing pays.

    Raises:
        BundleRejectedError: The bundle is not in order, or the samples prove nothing.
        ConfigurationError: There are no such samples.
        StorageFullError: Something cannot be written.
    """
    to_stderr(level="ERROR")
    err = Console(stderr=True, highlight=False)
    folder = folder.resolve()
    with err.status("reading samples"):
        taken, notes = read_samples(samples, load(folder).manifest, most=most)
    for note in notes:
        err.print(note, markup=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("", total=None)

        def told(doing: str, done: int, of: int) -> None:
            progress.update(bar, description=doing, completed=done, total=of)

        result = quantize(
            folder,
            [one.sample for one in taken],
            groups=[one.group for one in taken],
            state_dir=state or _memory(),
            clock=SystemClock(),
            told=told,
            wants_fp16=wants_fp16,
            is_fresh=is_fresh,
            carries=carries,
        )
    _show(result)
    _conclude(folder, result, wants_fp16=wants_fp16)
    return PAYS if result.kept is not None or _is_right(result.fp16) else PAYS_NOT


def _show(result: Quantized) -> None:
    rows = Table(box=None, pad_edge=False)
    speeds = [f"{SHORT[runtime]}, ms" for runtime in RUNTIMES]
    for heading in ("int8 are", "in fp32", *speeds, "agreement with fp32", ""):
        rows.add_column(heading, overflow="fold")
    for outcome in result.outcomes:
        recipe = outcome.recipe
        rows.add_row(
            Text(f"{recipe.words} ({recipe.rule})"),
            Text(f"{len(recipe.kept)}/{result.layers}"),
            *[Text(_speed(outcome, runtime)) for runtime in RUNTIMES],
            Text(_agreement(outcome)),
            Text("kept" if outcome is result.kept else ""),
        )
    console().print(rows)


def _speed(outcome: Outcome, runtime: Runtime) -> str:
    if runtime not in outcome.latency_ms:
        return "cannot run"
    mine, _ = outcome.latency_ms[runtime]
    return f"{mine:.3g} ×{outcome.gain(runtime):.2f}"


def _agreement(outcome: Outcome) -> str:
    lines = []
    for runtime in RUNTIMES:
        verdict = outcome.verdicts.get(runtime)
        if verdict is not None:
            lines.append(
                f"{SHORT[runtime]}: {_numbers(verdict)}{'' if outcome.passes(runtime) else ', misses'}"
            )
    return "\n".join(dict.fromkeys(lines))


def _numbers(verdict: Verdict) -> str:
    said = ", ".join(f"{name} {number:.4g}" for name, number in verdict.numbers.items())
    return said or verdict.shortfall[:60]


def _conclude(folder: Path, result: Quantized, *, wants_fp16: bool) -> None:
    samples = f"{result.calibrated} samples calibrated, {result.held_out} held out ({result.held_out_how})"
    if result.kept is not None and result.runtime is not None:
        gain = result.kept.gain(result.runtime)
        typer.echo(f"kept: {result.kept.recipe.words}: ×{gain:.2f} over fp32 on {result.runtime}; {samples}")
    else:
        typer.echo(f"no int8 variant is both faster than fp32 and right: none was written; {samples}")
    if wants_fp16:
        typer.echo("fp16 for GPUs: " + _said_of_fp16(result.fp16))
    if result.kept is not None or _is_right(result.fp16):
        typer.echo(_said_of_carried(result.carried))
    typer.echo(f"{folder / 'quantization.json'}; digest {result.digest[:12]}")


def _said_of_carried(carried: Carried | str) -> str:
    if isinstance(carried, str):
        return f"{FILE}: not written, {carried}"
    size = f"{len(carried.content) / 1e6:.1f} MB"
    return f"{FILE}: {carried.samples} of the samples, {size}; they travel with the bundle"


def _said_of_fp16(verdict: Verdict | None) -> str:
    if verdict is None or verdict.shortfall:
        return f"not written: {verdict.shortfall if verdict else 'it was not made'}"
    return f"written, {_numbers(verdict)}; its speed is measured on the GPU, by `edge bundle tune`"


def _is_right(verdict: Verdict | None) -> bool:
    return verdict is not None and not verdict.shortfall


def _memory() -> Path:
    """Return where searches are remembered on this machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "edge", "quantize")
