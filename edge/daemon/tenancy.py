"""One process for each state folder: whoever comes second is told at once, and has touched nothing."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.domain.errors import JournalError


@contextmanager
def tenancy(folder: Path) -> Iterator[None]:
    """Have a state folder to ourselves until the `with` ends, or the process does; nothing is written in it.

    Args:
        folder: Made where it is missing.

    Raises:
        JournalError: Another process has it, or it cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as trouble:
        raise JournalError(f"{folder}: cannot be used: {trouble.strerror}") from trouble
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise JournalError(f"{folder}: another process uses it; wanted one for each state") from taken
        yield
    finally:
        os.close(descriptor)
