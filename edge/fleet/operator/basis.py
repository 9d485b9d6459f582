"""What the next document is made from: content of a key we know that the devices have taken, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.domain.errors import DocumentRefusedError
from edge.fleet.operator.edit import digest_of_signed, is_group, signer_of
from edge.fleet.operator.inventory import (
    DeviceView,
    Document,
    document_list,
    document_number,
    document_part,
    document_text,
)
from edge.fleet.signing import KeyRing
from edge.fleet.words import DEVICE_SCOPE, group_scope

UNKNOWN_KEY = "signature.key"  # the path of that refusal
_CAME_TO_NOTHING = ("rejected", "rolled_back")


class Past(Protocol):
    """What this machine has seen; `history.History`."""

    def documents(self, name: str, version: int) -> Sequence[Document]:
        """Return each different document of a version that was ever seen."""

    def committed(self, name: str) -> int:
        """Return the version that was last seen to be at work with all whom it concerns, 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What an edit begins with.

    Attributes:
        document: None: with nothing.
        remark: Why that is not what the broker holds, "" where it is.
        is_missing: It ought to be a document that this machine has never seen.
    """

    document: Document | None
    remark: str = ""
    is_missing: bool = False

    @property
    def is_held(self) -> bool:
        """Whether the broker holds it."""
        return not self.remark


def basis_of(
    name: str,
    held: Document | None,
    devices: Mapping[str, DeviceView],
    history: Past,
    keys: KeyRing,
) -> Basis:
    """Return what the next document for a device or a group is made from.

    Args:
        name: Of the device or group.
        held: What the broker holds for it.
        devices: Those that take it.
        history: Of this machine; what it knows counts where a device has not said yet what it has.
        keys: Whose content is built upon.
    """
    taken = _taken(name, devices)
    why = "" if held is None else _why_not(name, held, taken, keys)
    if held is None or not why:
        return Basis(document=held)
    number = max((one.good for one in taken), default=0)
    is_said = bool(taken) and all(one.has_seen(held) for one in taken)
    if not is_said:  # a version may be at work that its report does not name yet
        number = max(number, history.committed(name))
    if not number:
        is_first = is_said or document_number(held, "version") == 1
        remark = f"{why}; it is not built upon" + (
            "" if is_first else ", and what was before it is not known"
        )
        return Basis(document=None, remark=remark, is_missing=not is_first)
    found = [
        each
        for each in history.documents(name, number)
        if not untrusted(name, each, keys) and not _is_dry(each)
    ]
    digests = {one.digest for one in taken if one.accepted == number and one.digest}
    found = [each for each in found if not digests or digest_of_signed(each) in digests]
    if len(found) != 1:
        remark = (
            f"{why}; it is not built upon, and this machine does not have version {number}, which was taken"
        )
        return Basis(document=None, remark=remark, is_missing=True)
    return Basis(document=found[0], remark=f"{why}; it is not built upon, version {number} is")


def devices_of(name: str, devices: Mapping[str, DeviceView]) -> dict[str, DeviceView]:
    """Return the devices that take the document of this device or group, by name."""
    if not is_group(name):
        return {key: view for key, view in devices.items() if key == name}
    site, _, group = name.split("/")
    return {key: view for key, view in devices.items() if view.site == site and group in view.groups}


def is_seen(name: str, held: Document | None, devices: Mapping[str, DeviceView]) -> bool:
    """Return whether each device that is there has looked at what the broker holds, and said so."""
    scope, there = _scope(name), [view for view in devices.values() if view.presence == "online"]
    return held is None or all(_Taken.by(view, scope).has_seen(held) for view in there)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one device says about the documents of one scope.

    Attributes:
        good: The version that it has at work, or has accepted and is not done with; 0 for none.
        accepted: The highest it has accepted.
        digest: Of that one.
        applied: The version at work.
        said: All of it.
    """

    good: int
    accepted: int
    digest: str
    applied: int
    said: Document

    @classmethod
    def by(cls, view: DeviceView, scope: str) -> _Taken:
        said = view.said_of(scope)
        accepted, applied = document_number(said, "desired_version"), document_number(said, "applied_version")
        pending = [
            document_number(each, "version")
            for each in document_list(view.reported, "pending")
            if (document_text(each, "scope") or DEVICE_SCOPE) == scope
        ]
        good = accepted if accepted in pending else applied
        return cls(good, accepted, document_text(said, "desired_digest"), applied, said)

    def has_seen(self, document: Document) -> bool:
        """Return whether the device speaks of a document already, or of another one of that version."""
        return document_number(document, "version") in (self.accepted, document_number(self.said, "version"))

    def why_not(self, number: int, digest: str) -> str | None:
        """Return what became of a document that is not at work; None where it has not come to nothing."""
        if self.accepted == number and self.digest and self.digest != digest:
            return "is not the one of that version that was taken"
        status, code = document_text(self.said, "status"), document_text(self.said, "code")
        if self.applied == number or document_number(self.said, "version") != number:
            return None
        if status not in _CAME_TO_NOTHING:
            return None
        if code == "ok":
            return "was only validated"
        return f"was {status.replace('_', ' ')}: {code}: {document_text(self.said, 'message')}"


def _taken(name: str, devices: Mapping[str, DeviceView]) -> list[_Taken]:
    scope = _scope(name)
    return [_Taken.by(view, scope) for view in devices.values() if view.said_of(scope)]


def _scope(name: str) -> str:
    return group_scope(name.split("/")[2]) if is_group(name) else DEVICE_SCOPE


def _why_not(name: str, held: Document, taken: Sequence[_Taken], keys: KeyRing) -> str:
    """Return why a document at the broker is nothing to build upon; "" where it is."""
    number = document_number(held, "version")
    if why := untrusted(name, held, keys):
        return f"version {number} at the broker {why}"
    if _is_dry(held):
        return f"version {number} was only to be validated"
    digest = digest_of_signed(held)
    ends = [one.why_not(number, digest) for one in taken if one.has_seen(held)]
    if ends and all(ends):
        return f"version {number} {ends[0]}"
    return ""


def untrusted(name: str, document: Document, keys: KeyRing) -> str:
    """Return why nobody we know has written a document for this name; "" where somebody has.

    Args:
        name: Of the device or group, as topics have it.
        document: As the broker holds it.
        keys: Whom we know.
    """
    try:
        keys.check(document)
    except DocumentRefusedError as refused:
        if refused.path == UNKNOWN_KEY and (signer := signer_of(document)):
            return f"is by the key {signer!r}, which you do not know"
        return f"cannot be believed: {refused}"
    site, whom = name.split("/")[0], name.split("/")[-1]
    told = (document_text(document, "group" if is_group(name) else "device"), document.get("site", site))
    return "" if told == (whom, site) else f"was signed for {told[1]}/{told[0]}"


def _is_dry(document: Document) -> bool:
    return document_text(document_part(document, "apply"), "mode") == "validate"
