"""What an operator types: `edge COMMAND`."""

from __future__ import annotations

import os
import sys

from edge.domain.errors import EdgeError


def main() -> None:
    """Run the command line; expected trouble is one line on stderr and exit code 2."""
    # before NumPy is loaded: its threads beside ours made steps on cubes three to twelve times slower
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from edge.cli.app import app

    try:
        app()
    except EdgeError as trouble:
        sys.stderr.write(f"edge: {trouble}\n")
        sys.exit(2)
