"""The files of a folder that a camera fills: what is there now, and how to know it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edge.domain.errors import SourceLostError


class Fingerprint(NamedTuple):
    """How a file was when it was looked at; another one is another picture."""

    changed_ns: int
    size_bytes: int
    inode: int


def present(folder: Path, is_picture: Callable[[Path], bool]) -> dict[str, Fingerprint]:
    """Return the pictures in a folder by name; what is taken away meanwhile is passed over.

    Raises:
        SourceLostError: The folder cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if is_picture(path)]
    except OSError as trouble:
        raise SourceLostError(f"{folder}: cannot be read: {trouble.strerror}") from trouble
    found = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue  # it was taken away
        found[path.name] = Fingerprint(status.st_mtime_ns, status.st_size, status.st_ino)
    return found
