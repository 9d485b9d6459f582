"""What the operator named on the command line, as files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path


def files_of(path: Path) -> Iterator[Path]:
    """Yield a file itself, or every file in a folder and the folders in it, in the order of their names."""
    if not path.is_dir():
        yield path
        return
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def missing(paths: Sequence[Path]) -> list[str]:
    """Say of each path that is not there, or may not be read, what is wrong with it."""
    return [f"{path}: {trouble}" for path in paths if (trouble := _trouble(path))]


def _trouble(path: Path) -> str:
    if not path.exists():
        return "there is no such file or folder"
    if path.is_dir():
        return "" if os.access(path, os.R_OK | os.X_OK) else "this folder may not be read"
    if not path.is_file():
        return "neither a file nor a folder"
    return "" if os.access(path, os.R_OK) else "this file may not be read"
