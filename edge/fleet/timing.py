"""When a version may go on: the moments a document names, its window, and what each state may take."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Final

from edge.fleet.documents import Apply
from edge.fleet.words import State

S_NS: Final = 1_000_000_000
DAY_S: Final = 86_400.0
CLOCK_AHEAD_MAX_S: Final = 600.0  # a document issued later than that by our clock: one of the two is wrong

# How long a state lasts at most. One that nothing waits in is left by the next step; what is said of it shows
# an agent that hangs. `probing` lasts as long as the document says.
LIMITS_S: Final[Mapping[State, float]] = {
    State.RECEIVED: 60.0,
    State.VERIFIED: 7 * DAY_S,
    State.PLANNED: 6 * 3600.0,
    State.STAGED: 60.0,
    State.WAITING: 7 * DAY_S,
    State.APPLYING: 300.0,
    State.PROBING: 120.0,
}


def moment_ns(text: str) -> int:
    """Return a moment of a document, `2026-11-22T14:00:00Z`, in ns since 1970 (UTC)."""
    moment = datetime.datetime.fromisoformat(text)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (since.days * 86_400 + since.seconds) * S_NS + since.microseconds * 1000


def limit_s(state: State, apply: Apply) -> float:
    """Return how long a state may last."""
    return apply.confirm_s if state is State.PROBING else LIMITS_S[state]


def window_in_s(window: str, utc_ns: int, zone: datetime.tzinfo | None = None) -> float:
    """Return in how many seconds a window opens; 0 while it is open.

    Args:
        window: `02:00-04:00` of the device's local time; the end does not belong to it.
        utc_ns: Now.
        zone: Of the device; None: as the system says.
    """
    now = datetime.datetime.fromtimestamp(utc_ns / S_NS, tz=datetime.UTC).astimezone(zone)
    minute = now.hour * 60 + now.minute + now.second / 60
    begin, end = (int(text[:2]) * 60 + int(text[3:]) for text in window.split("-"))
    since = (minute - begin) % 1440
    return 0.0 if since < (end - begin) % 1440 else (1440 - since) * 60
