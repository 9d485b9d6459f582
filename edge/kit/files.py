"""Files that are still there after a power cut, and the room that is left for them."""

from __future__ import annotations

import ctypes
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)  # ctypes releases the interpreter lock during the call


@dataclass(frozen=True, slots=True)
class Landing:
    """A file that is to be moved to where it stays.

    Attributes:
        received_path: Where it was written, closed; on the file system of `final_path`.
        final_path: Where it will lie; missing folders are made.
    """

    received_path: Path
    final_path: Path


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file's content so that after a crash it holds the old or the new, never a mixture.

    Args:
        path: The file; its folder exists.
        data: All of its content.
        mode: Permission bits, set before the first byte is written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Return when the entries of a folder are on the medium."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(path: Path) -> None:
    """Return when everything written so far to the file system that holds `path` is on the medium.

    Raises:
        OSError: The medium reported an error (Linux tells since 5.8).
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def free_bytes(path: Path) -> int:
    """Return what an ordinary process may still write to the file system that holds `path`."""
    return shutil.disk_usage(path).free
