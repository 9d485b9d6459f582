"""Proof that the bytes of a bundle are those its manifest speaks of, before one of them is used."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Final

from edge.domain.errors import BundleRejectedError

MANIFEST: Final = "manifest.yaml"
MANIFEST_BYTES_MAX: Final = 1 << 20
FILE_BYTES_MAX: Final = (2 << 30) - 1  # no ONNX file can be larger: it is one protobuf message


def read_verified(folder: Path, file: str, *, sha256: str, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """Read a file of a bundle whole; what is returned is what was hashed.

    Args:
        folder: The bundle.
        file: Plain name inside it.
        sha256: What the manifest says, lower-case hex.
        bytes_max: A larger one is refused unread.

    Raises:
        BundleRejectedError: The file is missing, too large, leads out of the folder, or holds other bytes.
    """
    content = read_bounded(folder, file, bytes_max=bytes_max, because=", the manifest names it")
    seen = hashlib.sha256(content).hexdigest()
    if seen != sha256:
        raise BundleRejectedError(
            f"{folder / file}: sha256 is {seen[:12]}, the manifest says {sha256[:12]} ({len(content)} bytes)"
        )
    return content


def read_bounded(folder: Path, file: str, *, bytes_max: int, because: str = "") -> bytes:
    """Read a file of a bundle whole, if it is one of the folder's own and not too large.

    Args:
        folder: The bundle.
        file: Plain name inside it.
        bytes_max: A larger one is refused unread.
        because: Why it should be there, for the message.

    Raises:
        BundleRejectedError: The file is missing, no plain file, too large, or leads out of the folder.
    """
    path = folder / file
    try:
        if path.resolve().parent != folder.resolve():
            raise BundleRejectedError(f"{path}: leads to {path.resolve()}, wanted a file inside {folder}")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would make us wait for ever
            raise BundleRejectedError(f"{path}: is no plain file{because}")
        if status.st_size <= bytes_max:
            with path.open("rb") as opened:
                content = opened.read(bytes_max + 1)
            if len(content) <= bytes_max:
                return content
    except OSError as error:
        raise BundleRejectedError(f"{path}: {error.strerror}{because}") from error
    raise BundleRejectedError(f"{path}: has more than the {bytes_max} bytes that are allowed")
