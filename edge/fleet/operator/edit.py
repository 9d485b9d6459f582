"""A document made from the one before it: what of it a person edits, what is wrong with it, what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.domain.errors import DocumentRefusedError
from edge.fleet.access import NAME
from edge.fleet.documents import DESIRED_SCHEMA, DOCUMENT_BYTES_MAX, GROUP_SCHEMA
from edge.fleet.layers import parse_desired, parse_layer
from edge.fleet.operator.inventory import Document, document_text
from edge.fleet.signing import canonical
from edge.fleet.timing import moment_ns
from edge.kit.moments import told
from edge.kit.trees import Path, leaves, written

EDITED: Final = ("config", "bundles", "apply", "not_before", "expires")
PRIORITY: Final = "priority"
SIGNATURE_BYTES: Final = 256  # what it adds at most
_MOMENTS: Final = ("not_before", "expires")
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that two documents have different.

    Attributes:
        path: `config.pipelines.brain-mr.deadline_s`.
        before: None where `was_there` is False.
        after: None where `is_there` is False.
    """

    path: str
    before: Any
    after: Any
    was_there: bool
    is_there: bool


def is_group(name: str) -> bool:
    """Return whether a name is that of a group, `<site>/group/<group>`."""
    return len(name.split("/")) == 3


def content_of(name: str, document: Document | None, *, now_ns: int) -> dict[str, Any]:
    """Return what of a document a person edits; what has run out by now is left away.

    Args:
        name: Of the device or group.
        document: The one before, or None.
        now_ns: UTC.
    """
    kept = {key: document[key] for key in EDITED if key in document} if document is not None else {}
    content: dict[str, Any] = {"config": {}, "bundles": {}, **kept}
    if is_group(name):
        content[PRIORITY] = 0 if document is None else document.get(PRIORITY, 0)
    for key in _MOMENTS:
        if _is_past(content.get(key), now_ns):
            del content[key]
    apply = content.get("apply")
    if isinstance(apply, Mapping):
        is_late = _is_past(apply.get("deadline"), now_ns)
        dropped = {
            "deadline": is_late,
            "mode": apply.get("mode") == "validate",
        }  # a dry run is asked for each time
        content["apply"] = {key: value for key, value in apply.items() if not dropped.get(key)}
    return {key: value for key, value in content.items() if value is not None}


def drafted(name: str, content: Mapping[str, Any], *, base: int, now_ns: int) -> dict[str, Any]:
    """Return the document that a content makes, checked, and not yet signed.

    Args:
        name: Of the device or group.
        content: What a person has edited.
        base: Version it was made from.
        now_ns: UTC.

    Raises:
        DocumentRefusedError: schema: no device could take it; with the path.
    """
    allowed = (*EDITED, PRIORITY) if is_group(name) else EDITED
    for key in content:
        if key not in allowed:
            raise DocumentRefusedError(
                "schema", f"{key}: unknown; wanted {', '.join(allowed)}", path=str(key)
            )
    whom = {"group": name.split("/")[2]} if is_group(name) else {"device": name.split("/")[-1]}
    schema = GROUP_SCHEMA if is_group(name) else DESIRED_SCHEMA
    document = {"schema": schema, **whom, "version": base + 1, "base": base, **content}
    _check(document, now_ns)
    return document


def differences(before: Document, after: Document) -> list[Difference]:
    """Return what two contents have different, by path."""
    old, new = dict(leaves(before)), dict(leaves(after))
    found = []
    for path in sorted({*old, *new}, key=written):
        was, now = old.get(path, _ABSENT), new.get(path, _ABSENT)
        if was != now and not (_is_nothing(was) and _is_nothing(now)):
            found.append(_difference(path, was, now))
    return found


def is_same(one: Document | None, other: Document | None) -> bool:
    """Return whether two documents are one and the same, signature and all."""
    if one is None or other is None:
        return one is other
    return one.get("signature") == other.get("signature") and one.get("version") == other.get("version")


def digest_of_signed(document: Document) -> str:
    """Return what a device that took a document reports as `desired_digest`; "" of what nobody could take."""
    try:
        return "sha256:" + hashlib.sha256(canonical(document)).hexdigest()
    except DocumentRefusedError:
        return ""


def signer_of(document: Document) -> str:
    """Return the name of the key a document says it is signed with, "" where it says none that is a name."""
    signature = document.get("signature")
    key = document_text(signature, "key") if isinstance(signature, Mapping) else ""
    return key if NAME.fullmatch(key) else ""


def _check(document: Document, now_ns: int) -> None:
    """Refuse what no device could take."""
    size_bytes = len(canonical(document)) + SIGNATURE_BYTES
    if size_bytes > DOCUMENT_BYTES_MAX:
        text = f"the document has about {size_bytes} bytes; allowed: at most {DOCUMENT_BYTES_MAX}"
        raise DocumentRefusedError("schema", text)
    seal = {"issued": told(now_ns), "signature": {"alg": "ed25519", "key": "none", "value": ""}}
    if "device" in document:
        parse_desired({**document, **seal}, device=document["device"])
    else:
        parse_layer({**document, **seal}, group=document["group"])
    for place, moment in _ends(document):
        if _is_past(moment, now_ns):
            raise DocumentRefusedError("expired", f"{place}: {moment} is over", path=place)


def _ends(document: Document) -> Iterator[tuple[str, Any]]:
    yield "expires", document.get("expires")
    apply = document.get("apply")
    yield "apply.deadline", apply.get("deadline") if isinstance(apply, Mapping) else None


def _is_past(moment: object, now_ns: int) -> bool:
    try:
        return isinstance(moment, str) and moment_ns(moment) <= now_ns
    except (ValueError, TypeError):
        return False


def _is_nothing(value: object) -> bool:
    return value is _ABSENT or value == {}


def _difference(path: Path, was: object, now: object) -> Difference:
    return Difference(
        path=written(path),
        before=None if was is _ABSENT else was,
        after=None if now is _ABSENT else now,
        was_there=was is not _ABSENT,
        is_there=now is not _ABSENT,
    )
