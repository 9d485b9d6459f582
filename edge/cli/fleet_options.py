"""Options that several commands of `edge fleet` have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
Device = Annotated[
    str, typer.Argument(metavar="DEVICE", help="SITE/DEVICE; DEVICE where one has it.", show_default=False)
]
DeviceOrGroup = Annotated[
    str,
    typer.Argument(metavar="DEVICE", help="SITE/DEVICE, or SITE/group/GROUP.", show_default=False),
]
Patterns = Annotated[
    list[str] | None, typer.Argument(metavar="PATTERN…", help="'st-anna/*', 'or-*'.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
