"""`edge bundle`: what a site does with a bundle that is here; the work loads when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What a site does with a bundle.", no_args_is_help=True)


@app.callback()
def _bundle() -> None:
    """What a site does with a bundle that is here."""


@app.command()
def validate(
    name: Annotated[str, typer.Argument(metavar="BUNDLE", help="scope-gate.", show_default=False)],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Holds inside/ and outside/.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The report: .html or .json.")] = Path("validation.html"),
    bundles: Annotated[list[Path] | None, typer.Option(help="Folder that holds bundles; repeatable.")] = None,
    rate_max: Annotated[
        float, typer.Option(min=0.0001, max=0.2, help="Share of outside called inside that is accepted.")
    ] = 0.01,
    per_second: Annotated[
        float, typer.Option(min=0.01, max=60, help="Frames taken in a second of video.")
    ] = 1.0,
) -> None:
    """Judge a bundle by the site's own labelled frames, and say what may be declared.

    Pictures and videos lie in DIR/inside and DIR/outside. Nothing leaves this machine, and the report holds
    no pixel. Exit 0: the site may declare `local_validation`. 1: a report was written, it must not. 2: the
    frames cannot be used.
    """
    from edge.cli import validate as command

    roots = tuple(bundles or command.roots_here())
    code = command.run(name, folder, out=out, roots=roots, rate_max=rate_max, per_second=per_second)
    raise typer.Exit(code)


@app.command()
def new(
    network: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The network.", show_default=False)],
    name: Annotated[str, typer.Option(help="Of the bundle: small letters, digits, hyphens.")],
    task: Annotated[str | None, typer.Option(help="What it does; else judged by its shapes.")] = None,
    out: Annotated[Path, typer.Option(help="Folder that will hold the bundle.")] = Path("models"),
    classes: Annotated[str | None, typer.Option(help="Names with commas, or a file, one a line.")] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX identifier of the weights.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="From which score on something is there.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Never ask.")] = False,
) -> None:
    """Make a bundle of a bare ONNX file; what that does not say is asked for, or marked EDIT."""
    from edge.cli import bundle_new as command
    from edge.workshop.answers import Answers

    answers = Answers(classes=command.class_names(classes), licence=licence, threshold=threshold)
    code = command.run(network, name=name, task=task, out=out, answers=answers, is_asked=not yes)
    raise typer.Exit(code)
