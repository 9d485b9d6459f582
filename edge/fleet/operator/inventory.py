"""What is known about every device of a fleet, from what their broker keeps and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Document = Mapping[str, Any]
Presence = Literal["online", "stopped", "offline", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """What an operator knows about one device at one moment; documents are as they came, never changed.

    Attributes:
        site: Where it stands.
        device: Its id.
        room: As its `info` says, "" where it does not; of one room never two devices change at once.
        presence: By its newest session; a stale `offline` does not count. `unknown`: it never spoke.
        session: Number of its newest session, 0 where unknown.
        software: Its version of this program, "" where unknown.
        groups: Whose layers it takes, as it reports.
        desired: The document that the broker holds for it, or None.
        reported: What it said last about its configuration, or None.
        info: What it said about itself, or None.
        models: `model/<bundle>/state`, by bundle.
        sources: `source/<source>/state`, by source.
        alerts: What a person must act on, by name.
        health: The last one heard, or None; the broker does not keep it.
        health_until_utc_ns: Three periods after the last, by our clock: so late a next one is overdue.
        last_seen_utc_ns: When it was last heard of: by our clock for what it says now, by its own for what
            the broker kept; 0 where unknown.
        unreadable: Topics below its prefix whose content is no JSON object, with the reason.
        stranger: Why nothing may be built upon the document at the broker: nobody we know has signed it; ""
            where somebody has, or nobody has looked.
    """

    site: str
    device: str
    room: str = ""
    presence: Presence = "unknown"
    session: int = 0
    software: str = ""
    groups: tuple[str, ...] = ()
    desired: Document | None = None
    reported: Document | None = None
    info: Document | None = None
    models: Mapping[str, Document] = field(default_factory=dict)
    sources: Mapping[str, Document] = field(default_factory=dict)
    alerts: Mapping[str, Document] = field(default_factory=dict)
    health: Document | None = None
    health_until_utc_ns: int = 0
    last_seen_utc_ns: int = 0
    unreadable: Mapping[str, str] = field(default_factory=dict)
    stranger: str = ""

    @property
    def key(self) -> str:
        """Names it in the whole fleet: `<site>/<device>`."""
        return f"{self.site}/{self.device}"

    @property
    def version(self) -> int:
        """The highest version of its own document anybody has seen, 0 for none: the `base` of the next one.

        What the device says counts as much as what the broker holds: a broker may have lost documents, or
        brought back old ones.
        """
        return max(document_number(self.desired, "version"), self.floor("device"))

    def said_of(self, scope: str) -> Document:
        """Return what the device reports about the documents of one scope, `device` or `group/<group>`."""
        if scope == "device":
            return self.reported or {}
        return document_part(document_part(self.reported, "groups"), scope.removeprefix("group/"))

    def floor(self, scope: str) -> int:
        """Return the highest version of a scope that the device says it has accepted, 0 for none."""
        said = self.said_of(scope)
        return max(document_number(said, "desired_version"), document_number(said, "applied_version"))


def document_number(document: Document | None, name: str) -> int:
    """Return a whole number out of a document that somebody else wrote; 0 where there is none."""
    value = None if document is None else document.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def document_text(document: Document | None, name: str) -> str:
    """Return a text out of a document that somebody else wrote; "" where there is none."""
    value = None if document is None else document.get(name)
    return value if isinstance(value, str) else ""


def document_part(document: Document | None, name: str) -> Document:
    """Return a mapping out of a document that somebody else wrote; an empty one where there is none."""
    value = None if document is None else document.get(name)
    return value if isinstance(value, Mapping) else {}


def document_list(document: Document | None, name: str) -> list[Document]:
    """Return the mappings in a list out of a document that somebody else wrote."""
    value = None if document is None else document.get(name)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
