"""The scripts beside a bundle's networks: they are no package, and are imported for a while only."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any


@contextmanager
def scripts_of(folder: Path, *names: str) -> Iterator[Any]:
    """Import scripts by their names, each an attribute of what is given; they leave no trace."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
