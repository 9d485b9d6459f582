"""Times as an operator types them."""

from __future__ import annotations

import re
from typing import Annotated

import typer

_UNITS_S = {"ms": 0.001, "": 1.0, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def seconds(text: str | float) -> float:
    """Read `30s`, `500ms`, `2min`, `1h` or `30`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(text).strip())
    if found is None or found[2] not in _UNITS_S or float(found[1]) == 0:
        raise typer.BadParameter(f"{text}: wanted a time such as 30s, 500ms, 2min or 1h")
    return float(found[1]) * _UNITS_S[found[2]]


For = Annotated[
    float | None,
    typer.Option("--for", parser=seconds, metavar="TIME", help="End after that; else on Ctrl-C."),
]
