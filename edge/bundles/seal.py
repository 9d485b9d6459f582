"""The hashes of a bundle's files, written into its manifest: every other character of it stays as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import yaml

from edge.domain.errors import BundleRejectedError
from edge.kit.files import write_durably

FILE_KEY: Final = "file"
HASH_KEY: Final = "sha256"


def seal(manifest: Path) -> str:
    """Rewrite the hashes of a manifest in place, as the files beside it now are.

    Returns:
        The bundle's digest: SHA-256 of the manifest, hex.

    Raises:
        BundleRejectedError: It is not YAML, or names a file that cannot be read.
    """
    try:
        text = manifest.read_bytes().decode()
    except OSError as error:
        raise BundleRejectedError(f"{manifest}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BundleRejectedError(f"{manifest}: not UTF-8 text") from error
    rewritten = with_hashes(text, lambda file: hash_of(manifest.parent / file), origin=str(manifest)).encode()
    write_durably(manifest, rewritten)
    return hashlib.sha256(rewritten).hexdigest()


def with_hashes(text: str, hashing: Callable[[str], str], *, origin: str) -> str:
    """Give each `file` of a manifest its `sha256`, whether one stands beside it or not.

    Args:
        text: YAML; its comments, order and quotes stay.
        hashing: SHA-256 of a file of that name, hex; it is asked once for each place that names it.
        origin: Names the manifest in errors.

    Returns:
        The text with the hashes; the same where they were right.

    Raises:
        BundleRejectedError: It is not YAML.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise BundleRejectedError(f"{origin}: not YAML: {error}") from error
    changes = sorted(
        (_change(file, entry, hashing(file.value)) for file, entry in _files(root)), reverse=True
    )
    for start, end, written in sorted(
        changes, reverse=True
    ):  # from the end, so that the places before it stay where they are
        glue = " " if text[start - 1 : start] == ":" else ""
        text = text[:start] + glue + written + text[end:]
    return text


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file, hex.

    Raises:
        BundleRejectedError: It cannot be read.
    """
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise BundleRejectedError(f"{path}: {error.strerror}, the manifest names it") from error


def _files(root: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, yaml.MappingNode]]:
    """Every mapping that names a file, and the node of that name; an anchor counts once."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
            file = _under(node, FILE_KEY)
            if isinstance(file, yaml.ScalarNode):
                yield file, node


def _under(entry: yaml.MappingNode, wanted: str) -> yaml.Node | None:
    return next((value for key, value in entry.value if key.value == wanted), None)


def _change(file: yaml.ScalarNode, entry: yaml.MappingNode, sha256: str) -> tuple[int, int, str]:
    """Where the hash goes: from, to, and what is written there."""
    old = _under(entry, HASH_KEY)
    if old is not None:
        return old.start_mark.index, old.end_mark.index, sha256
    key = next(key for key, value in entry.value if value is file)
    rest = ", " if entry.flow_style else "\n" + " " * key.start_mark.column
    return key.start_mark.index, key.start_mark.index, f"{HASH_KEY}: {sha256}{rest}"
