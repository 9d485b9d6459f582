"""`edge fleet`: what an operator does with all devices; the work loads when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cli import fleet_enrol

app = typer.Typer(help="All devices at a broker: see, configure, roll out.", no_args_is_help=True)

FleetFile = Annotated[
    Path | None,
    typer.Option(
        "--fleet",
        envvar="EDGE_FLEET",
        help="Which broker, as whom; default ~/.config/edge/fleet.yaml.",
        show_default=False,
    ),
]
StateFolder = Annotated[
    Path | None,
    typer.Option(
        "--state", help="History and roll-outs; default ~/.local/state/edge-fleet.", show_default=False
    ),
]


@app.callback()
def _fleet() -> None:
    """All devices at a broker: see, configure, roll out."""


app.command()(fleet_enrol.authority)
app.command()(fleet_enrol.keygen)
app.command()(fleet_enrol.enrol)
app.command()(fleet_enrol.revoke)
