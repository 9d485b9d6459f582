"""What a device says about one version of its own document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from edge.fleet.operator.inventory import document_number
from edge.fleet.words import DEVICE_SCOPE

Document = Mapping[str, Any]

_CHANGING: Final = ("applying", "probing")


class State(StrEnum):
    """What became of a version, as far as its device said."""

    NOTHING = "nothing"  # it was not taken up, or nothing was heard of it
    UNDER_WAY = "under way"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    PASSED = "passed"  # the device has gone on to a later version


_ENDS: Final = {
    "committed": State.COMMITTED,
    "rolled_back": State.ROLLED_BACK,
    "rejected": State.REJECTED,
    "superseded": State.SUPERSEDED,
}


@dataclass(frozen=True, slots=True)
class Fate:
    """What a device says about a version.

    Attributes:
        state: What became of it.
        status: The word of the device, "" where it has none.
        code: As the contract names it, "" where it was not said.
        message: For people.
    """

    state: State
    status: str = ""
    code: str = ""
    message: str = ""

    @property
    def told(self) -> str:
        """All of it in a line."""
        parts = (self.status, self.code if self.code != "ok" else "", self.message)
        return ": ".join(part for part in parts if part) or str(self.state)

    @property
    def is_changing(self) -> bool:
        """Whether the device changes now, or has changed."""
        return self.state is State.COMMITTED or self.status in _CHANGING


def said(reported: Document | None, version: int) -> Fate:
    """Return what a device says about a version of its own document.

    Args:
        reported: Its `config/reported`, by whoever may write there.
        version: Of the document.
    """
    if reported is None:
        return Fate(State.NOTHING)
    for pending in _listed(reported.get("pending")):
        if pending.get("scope") == DEVICE_SCOPE and document_number(pending, "version") == version:
            return Fate(State.UNDER_WAY, str(pending.get("status", "")), "", str(pending.get("why", "")))
    if (
        document_number(reported, "applied_version") == version
    ):  # also where it refused another of that number
        return Fate(State.COMMITTED, "committed", "ok")
    is_about = reported.get("scope", DEVICE_SCOPE) == DEVICE_SCOPE
    status, code = str(reported.get("status", "")), str(reported.get("code", ""))
    if is_about and document_number(reported, "version") == version:
        if status == "committed":
            at_work = document_number(reported, "applied_version")
            return Fate(State.ROLLED_BACK, status, "", f"and by now version {at_work} is at work")
        return Fate(_ENDS.get(status, State.UNDER_WAY), status, code, str(reported.get("message", "")))
    newest = max(document_number(reported, name) for name in ("desired_version", "applied_version"))
    if newest > version:
        return Fate(State.PASSED, "", "", f"it has gone on to version {newest}")
    if newest == version:
        return Fate(State.REJECTED, "", "", "it came to nothing, and why was not heard")
    return Fate(State.NOTHING)


def is_refused(reported: Document, version: int) -> bool:
    """Whether the last thing a device says is that it did not take a document of that version.

    It may have another one of the same number at work: then two have written at once.
    """
    is_about = reported.get("scope", DEVICE_SCOPE) == DEVICE_SCOPE
    return (
        is_about and document_number(reported, "version") == version and reported.get("status") == "rejected"
    )


def _listed(value: object) -> list[Document]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
