"""The tracked files of this checkout, and the Python of the product as syntax trees."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tracked(*patterns: str) -> list[Path]:
    """Return the files git knows, or everything that would be committed where there is no git."""
    command = [
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
        *patterns,
    ]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


@cache
def modules(folder: str) -> tuple[tuple[str, ast.Module], ...]:
    """Return the path and the syntax tree of every module below a folder; read once."""
    paths = tracked(f"{folder}/**.py")
    return tuple((str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in paths)


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node
