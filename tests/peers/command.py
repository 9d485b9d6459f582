"""The command line as an operator runs it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def edge(
    *words: object, home: Path | None = None, within_s: float = 100.0
) -> subprocess.CompletedProcess[str]:
    """Run `edge` and return what it printed and its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "edge", *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        timeout=within_s,
        env={**os.environ, **({"XDG_CACHE_HOME": str(home)} if home else {})},
    )


def start(*words: object) -> subprocess.Popen[str]:
    """Start `edge` and leave it running."""
    return subprocess.Popen(
        [sys.executable, "-m", "edge", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
