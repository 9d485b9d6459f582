"""What came is looked at: read, believed, and held against what was accepted before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from edge.domain.errors import DocumentRefusedError
from edge.fleet.documents import Document
from edge.fleet.guard import read_document
from edge.fleet.layers import parse_desired, parse_layer
from edge.fleet.ledger import Floor
from edge.fleet.signing import KeyRing, canonical
from edge.fleet.timing import moment_ns
from edge.fleet.words import DEVICE_SCOPE
from edge.kit.moments import told

_VERSION_MAX: Final = 2**53


@dataclass(frozen=True, slots=True)
class Read:
    """A document that is what it says.

    Attributes:
        document: Strictly read, signed by a key of ours.
        digest: `sha256:…` of what was signed.
    """

    document: Document
    digest: str


def parse(tree: dict[str, Any], *, scope: str, device_id: str) -> Document:
    """Read the tree of a document as its scope asks.

    Raises:
        DocumentRefusedError: It is none of that kind.
    """
    if scope == DEVICE_SCOPE:
        return parse_desired(tree, device=device_id)
    return parse_layer(tree, group=scope.removeprefix("group/"))


def read(payload: bytes, *, scope: str, device_id: str, keys: KeyRing) -> Read:
    """Read a payload that may be anything from anybody.

    Raises:
        DocumentRefusedError: It is no document, no key of ours signed it, or it is not for this device.
    """
    tree = read_document(payload)
    keys.check(tree)
    document = parse(tree, scope=scope, device_id=device_id)
    return Read(document, "sha256:" + hashlib.sha256(canonical(tree)).hexdigest())


def claimed_version(payload: bytes) -> int:
    """Return the version a payload claims to be, 0 where it claims none; nobody vouches for it."""
    try:
        said = read_document(payload).get("version")
    except DocumentRefusedError:
        return 0
    is_one = isinstance(said, int) and not isinstance(said, bool) and 0 < said < _VERSION_MAX
    return int(said or 0) if is_one else 0


def is_known(read: Read, floor: Floor | None) -> bool:
    """Whether a document is the one that was accepted last; a broker says it again at every connection."""
    return (
        floor is not None
        and not floor.is_open
        and floor.version == read.document.version
        and floor.digest == read.digest
    )


def check(read: Read, floor: Floor | None, *, now_ns: int, lock: Callable[[], str] = lambda: "") -> None:
    """Refuse what is old, made from something old, or late.

    Args:
        read: What came; not the one that was accepted last.
        floor: Of its scope.
        now_ns: The present (UTC), or when the newest document was issued where that is later.
        lock: Returns why nothing is taken at all, or "".

    Raises:
        DocumentRefusedError: superseded, conflict, expired, schema or local_lock.
    """
    document = read.document
    if why := lock():
        raise DocumentRefusedError("local_lock", why, path="fleet.frozen")
    if document.base >= document.version:
        raise DocumentRefusedError(
            "schema", f"base: is {document.base}; wanted one below version {document.version}", path="base"
        )
    if floor is not None:
        _check_order(read, floor)
    if document.expires is not None and moment_ns(document.expires) <= now_ns:
        raise DocumentRefusedError(
            "expired", f"expires: was {document.expires}; here it is {told(now_ns)}", path="expires"
        )


def _check_order(read: Read, floor: Floor) -> None:
    document = read.document
    if document.version < floor.version:
        raise DocumentRefusedError(
            "superseded",
            f"version: is {document.version}; {floor.version} was accepted before",
            path="version",
        )
    if document.version == floor.version:
        if floor.is_open and read.digest == floor.digest:
            return
        raise DocumentRefusedError(
            "conflict", f"version: {document.version} was accepted before with other content", path="version"
        )
    if document.base < floor.version:
        raise DocumentRefusedError(
            "conflict", f"base: is {document.base}; {floor.version} was accepted since", path="base"
        )
