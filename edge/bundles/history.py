"""Which versions of an installed bundle were in use: a link to the one that is, and a list ending with it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Final

from edge.bundles.store import ACTIVE
from edge.bundles.verify import MANIFEST
from edge.domain.errors import StorageFullError
from edge.kit.files import write_durably

HISTORY: Final = "history.json"
HISTORY_MAX: Final = 100


def active_in(place: Path) -> str | None:
    """Return the folder that the link names, if there is one."""
    link = place / ACTIVE
    return link.readlink().name if link.is_symlink() else None


def previous_in(place: Path) -> str | None:
    """Return the last one in the history that is there and not in use."""
    active = active_in(place)
    return next(
        (one for one in reversed(history_of(place)) if one != active and (place / one / MANIFEST).is_file()),
        None,
    )


def history_of(place: Path) -> list[str]:
    """Return the names of folders, the last one in use last; of a file that is damaged, none."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        read = json.loads((place / HISTORY).read_bytes()[: 1 << 20])
        if isinstance(read, list):
            return [one for one in read if isinstance(one, str) and one == Path(one).name]
    return []


def mend_history(place: Path) -> None:
    """Bring the history back to what the link says, after a crash between the two.

    The history is written first: what it says beyond the link did not come to be.

    Raises:
        StorageFullError: It cannot be written.
    """
    active, history = active_in(place), history_of(place)
    if active is None or (history and history[-1] == active):
        return
    write_history(place, history[: history.index(active) + 1] if active in history else [*history, active])


def write_history(place: Path, history: list[str]) -> None:
    """Write the names of folders, the last one in use last.

    Raises:
        StorageFullError: It cannot be written.
    """
    try:
        write_durably(place / HISTORY, json.dumps(history[-HISTORY_MAX:]).encode())
    except OSError as error:
        raise StorageFullError(f"{place / HISTORY}: cannot be written: {error.strerror}") from error
