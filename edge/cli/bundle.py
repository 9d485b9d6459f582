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
