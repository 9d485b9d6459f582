"""`edge bundle tune`: every form of a bundle on trial on this machine, and which of them is used and why."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from edge.bundles.store import MANIFEST, Bundle, find, load
from edge.cli.analyze_models import memory_folder
from edge.inference import device
from edge.inference.admission import Progress as Step
from edge.inference.forms import DEVICES, REFERENCE
from edge.inference.making import Maker
from edge.inference.state import row
from edge.inference.trials import Trial
from edge.kit.clock import SystemClock
from edge.kit.log import to_stderr


def run(name: str, *, roots: Sequence[Path], threads: int, state: Path | None, as_json: bool) -> int:
    """Measure, remember, and print the table.

    Args:
        name: Of a bundle in one of `roots`, or its folder.
        roots: Folders that hold bundles.
        threads: For a network of volumes on the CPU; 0: as many as there are cores.
        state: Where the table is remembered; None for the place of `edge analyze`.
        as_json: For programs.

    Returns:
        0.

    Raises:
        BundleRejectedError: The bundle is not here or not in order, or nothing passes on this device.
    """
    to_stderr(level="ERROR")
    bundle = load(Path(name)) if (Path(name) / MANIFEST).is_file() else find(name, roots)
    threads = threads or len(os.sched_getaffinity(0))
    trials = _measured(bundle, threads, state or memory_folder())
    if as_json:
        typer.echo(json.dumps(_document(bundle, trials), indent=1))
        return 0
    console = Console(highlight=False, width=None if Console().is_terminal else 160)
    console.print(_table(bundle, trials, threads))
    console.print(conclusion(trials), markup=False, soft_wrap=True)
    return 0


def _measured(bundle: Bundle, threads: int, state: Path) -> tuple[Trial, ...]:
    maker = Maker(
        threads=threads,
        live_callers=1,
        live_burst_max=8,
        providers=DEVICES,
        state_dir=state,
        memory_mb=0,
        clock=SystemClock(),
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(bundle.manifest.name, total=None)

        def tell(step: Step) -> None:
            bar.update(task, description=step.doing, completed=step.done, total=step.steps)

        return maker.trials(bundle, tell=tell)


def _table(bundle: Bundle, trials: Sequence[Trial], threads: int) -> Table:
    manifest = bundle.manifest
    table = Table(
        title=f"{manifest.name} {manifest.version}, {threads} threads for volumes; {device.describe()}",
        title_justify="left",
        caption="ms of the network alone on its golden input; × is how many times as fast as "
        f"{REFERENCE} it is, in the same moments; agreement is the worst number, with the golden "
        "answers and with fp32 here",
        caption_justify="left",
    )
    table.add_column("form")
    for heading in ("cold ms", "p50 ms", "p99 ms", "×", "MB"):
        table.add_column(heading, justify="right")
    table.add_column("agreement")
    table.add_column("verdict")
    for number, trial in enumerate(trials):
        table.add_row(
            str(trial.form),
            f"{trial.cold_ms:.0f}" if trial.cold_ms else "",
            _ms(trial.p50_ms, trial),
            _ms(trial.p99_ms, trial),
            _times(trial, trials),
            f"{trial.memory_mb:.0f}" if trial.runs else "",
            _agreement(trial),
            "← chosen" if not number else _short(trial.refused or trial.beaten),
            style="bold" if not number else "dim" if trial.refused else None,
        )
    return table


def conclusion(trials: Sequence[Trial]) -> str:
    """Return in words what is used, and what became of int8 where it is not that."""
    chosen, others = trials[0], trials[1:]
    said = [f"{chosen.form} is used."]
    for trial in others:
        if trial.form.precision != "int8" or chosen.form.precision == "int8":
            continue
        said.append(f"{trial.form} loses: {trial.refused or trial.beaten}.")
    return " ".join(said)


def _document(bundle: Bundle, trials: Sequence[Trial]) -> dict[str, Any]:
    return {
        "bundle": bundle.manifest.name,
        "version": bundle.manifest.version,
        "sha256": bundle.digest,
        "device": device.describe(),
        "forms": [
            {**row(trial, is_chosen=not number), "times_reference": _ratio(trial, trials)}
            for number, trial in enumerate(trials)
        ],
    }


def _ratio(trial: Trial, trials: Sequence[Trial]) -> float | None:
    reference = next((one for one in trials if one.form == REFERENCE), None)
    if reference is None or not reference.times_chosen or not trial.times_chosen:
        return None
    return round(reference.times_chosen / trial.times_chosen, 2)


def _times(trial: Trial, trials: Sequence[Trial]) -> str:
    ratio = _ratio(trial, trials)
    return "" if ratio is None else f"{ratio:.2f}"


def _ms(ms: float, trial: Trial) -> str:
    if not trial.runs:
        return ""
    return f"{ms:.3g}" if ms < 100 else f"{ms:.0f}"


def _agreement(trial: Trial) -> str:
    worst = {
        name: (max if "error" in name else min)(number, trial.agreement_here.get(name, number))
        for name, number in trial.agreement.items()
    }
    return ", ".join(f"{name.replace('_', ' ')} {number:.4f}" for name, number in worst.items())


def _short(reason: str) -> str:
    return reason if len(reason) < 100 else reason[:97] + "…"
