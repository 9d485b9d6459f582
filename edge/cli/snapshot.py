"""`edge snapshot`: what a camera shows now, where its pictures may leave."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import typer

from edge.config.load import load
from edge.domain.errors import StorageFullError
from edge.ops.control import ask


def run(config: Path, source: str, out: Path) -> int:
    """Ask the daemon for a picture and write it.

    Returns:
        0 when it was written, 1 when it may not leave.

    Raises:
        ConfigurationError: The configuration cannot be used, or no daemon runs.
        StorageFullError: The picture cannot be written.
    """
    answer = ask(load(config).state.folder, {"ask": "snapshot", "source": source})
    if not answer["ok"]:
        typer.echo(f"no picture: {answer['why']}", err=True)
        return 1
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(base64.b64decode(answer["png"]))
    except OSError as trouble:
        raise StorageFullError(f"{out}: cannot be written: {trouble.strerror}") from trouble
    typer.echo(f"written: {out}", err=True)
    return 0
