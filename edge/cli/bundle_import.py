"""`edge bundle import`: a bundle from a MONAI bundle, or from an ONNX file with a manifest beside it."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from edge.bundles.verify import MANIFEST
from edge.domain.errors import BundleRejectedError
from edge.workshop.monai import import_monai
from edge.workshop.monai_files import is_monai, opened
from edge.workshop.plain_import import import_plain
from edge.workshop.scaffold import Written


def run(source: Path, *, name: str | None, out: Path) -> int:
    """Read, write, and say what is still to be filled in.

    Args:
        source: A folder, a zip or an ONNX file.
        name: Of the bundle, or None.
        out: Folder that will hold it.

    Returns:
        0 where the manifest is complete, 1 where places are still marked EDIT.

    Raises:
        BundleRejectedError: No bundle can be made of it; the message says why.
        StorageFullError: It cannot be written.
    """
    if not source.exists():
        raise BundleRejectedError(f"{source}: there is no such file or folder")
    with Console(stderr=True, highlight=False).status("reading"):
        written = _imported(source, name=name, out=out)
    typer.echo(f"written: {written.folder}")
    for path, wanted in written.open_places:
        typer.echo(f"  edit this: {path}: {wanted}")
    if written.open_places:
        count = len(written.open_places)
        typer.echo(f"{count} place{'s' * (count > 1)} to be filled in: {written.folder / MANIFEST}")
    typer.echo(f"then: edge bundle golden {written.folder}, edge bundle check {written.folder}")
    return 1 if written.open_places else 0


def _imported(source: Path, *, name: str | None, out: Path) -> Written:
    if is_monai(source):
        with opened(source) as files:
            return import_monai(files, name=name, into=out)
    return import_plain(source, name=name, into=out)
