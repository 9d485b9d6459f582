"""The files a manifest vouches for: wherever a `file` stands beside its `sha256`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel


def hashed_files(part: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and SHA-256 of each file, in the order of the manifest.

    Args:
        part: A manifest, or anything in it.
    """
    if isinstance(part, tuple | list):
        for one in part:
            yield from hashed_files(one)
    if isinstance(part, BaseModel):
        file, sha256 = getattr(part, "file", None), getattr(part, "sha256", None)
        if isinstance(file, str) and isinstance(sha256, str):
            yield file, sha256
        for name in type(part).model_fields:
            yield from hashed_files(getattr(part, name))
