"""`edge bundle build`: a bundle of somebody else's network, by a recipe of this installation."""

from __future__ import annotations

import os
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from edge.bundles.signature import ANYBODY
from edge.cli import bundle_check
from edge.cli.validate import roots_here
from edge.kit.clock import SystemClock
from edge.kit.log import to_stderr
from edge.workshop import recipe


def run(name: str, *, out: Path | None, quantizes: bool, memory: Path | None) -> int:
    """Build a bundle and check it.

    Args:
        name: Of the recipe.
        out: Folder that will hold the bundle; None: where the recipe lies.
        quantizes: Whether an int8 variant is looked for.
        memory: Keeps what was fetched and measured.

    Returns:
        0 when the bundle may be used, 1 when not.

    Raises:
        BundleRejectedError: There is no such recipe, or it cannot be followed.
        StorageFullError: Something cannot be written.
    """
    to_stderr(level="ERROR")
    folder = recipe.find(name, roots_here())
    memory = memory or _memory()
    wanted = recipe.load(folder)
    typer.echo(f"fetching {wanted.wheel}", err=True)
    recipe.fetched(wanted, memory)  # before the bar below: pip shows one of its own
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as progress:
        bar = progress.add_task("", total=None)

        def told(doing: str, done: int, of: int) -> None:
            progress.update(bar, description=doing, completed=done, total=of)

        built = recipe.build(
            folder,
            into=out or folder.parent,
            memory=memory,
            clock=SystemClock(),
            told=told,
            quantizes=quantizes,
        )
    _tell(built)
    return bundle_check.run(str(built.folder), (), ANYBODY, as_json=False)


def _tell(built: recipe.Built) -> None:
    for path in sorted(built.folder.glob("model.*.onnx")):
        typer.echo(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    found = built.quantized
    if found is not None and found.kept is not None and found.runtime is not None:
        gain = found.kept.gain(found.runtime)
        typer.echo(f"int8: {found.kept.recipe.words}: ×{gain:.2f} over fp32 on {found.runtime}")
    elif found is not None:
        typer.echo("int8: no variant is both faster than fp32 and right; none was written")
    typer.echo(f"built: {built.folder}, digest {built.digest[:12]}, unsigned: `edge bundle sign` signs it")


def _memory() -> Path:
    """Return where wheels and measurements are kept on this machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "edge", "recipes")
