"""An envelope as a row of the outbox, and back."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Literal

from edge.domain.finding import Envelope
from edge.kit.journal import Entry

QUEUE = "outbox"
Lane = Literal["study", "live"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What a row of the outbox holds.

    Attributes:
        envelope: What is sent.
        received_at_ns: When the last instance it speaks of arrived, or its frame was captured (UTC); stays
            here.
        lane: `study` or `live`: whose delay it counts into.
    """

    envelope: Envelope
    received_at_ns: int
    lane: Lane = "study"


def to_entry(envelope: Envelope, *, received_at_ns: int, lane: Lane = "study") -> Entry:
    """Return the row to be written in the transaction that ends the work the envelope speaks of.

    Args:
        envelope: What is sent; its subject is the row's group, and order is kept within a group.
        received_at_ns: When the last instance it speaks of arrived (UTC), for the latency from there on.
        lane: Whose delay it counts into.
    """
    document = {
        "dedupe_id": envelope.dedupe_id,
        "channel": envelope.channel,
        "subject": envelope.subject,
        "media_type": envelope.media_type,
        "schema": envelope.schema,
        "body": base64.b64encode(envelope.body).decode("ascii"),
        "properties": dict(envelope.properties),
        "received_at_ns": received_at_ns,
        "lane": lane,
    }
    return Entry(QUEUE, envelope.dedupe_id, envelope.subject, json.dumps(document).encode())


def from_row(body: bytes) -> Parcel:
    """Read the body of a row that `to_entry` has made."""
    document: dict[str, Any] = json.loads(body)
    received_at_ns = document.pop("received_at_ns")
    lane: Lane = document.pop("lane", "study")
    document["body"] = base64.b64decode(document["body"])
    return Parcel(envelope=Envelope(**document), received_at_ns=received_at_ns, lane=lane)
