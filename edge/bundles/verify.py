"""Proof that the bytes of a bundle are those its manifest speaks of, before one of them is used."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edge.domain.errors import BundleRejectedError


def read_verified(folder: Path, file: str, *, sha256: str) -> bytes:
    """Read a file of a bundle whole; what is returned is what was hashed.

    Args:
        folder: The bundle.
        file: Plain name inside it.
        sha256: What the manifest says, lower-case hex.

    Raises:
        BundleRejectedError: The file is missing, leads out of the folder, or holds other bytes.
    """
    path = folder / file
    if path.resolve().parent != folder.resolve():
        raise BundleRejectedError(f"{path}: leads to {path.resolve()}, wanted a file inside {folder}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleRejectedError(f"{path}: {error.strerror}, the manifest names it") from error
    seen = hashlib.sha256(content).hexdigest()
    if seen != sha256:
        raise BundleRejectedError(
            f"{path}: sha256 is {seen[:12]}, the manifest says {sha256[:12]} ({len(content)} bytes)"
        )
    return content
