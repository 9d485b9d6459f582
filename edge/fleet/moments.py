"""Times as documents write them."""

from __future__ import annotations

import datetime


def told(utc_ns: int) -> str:
    """Return a time as documents write it, such as `2026-11-22T14:00:00.000Z`."""
    moment = datetime.datetime.fromtimestamp(utc_ns / 1e9, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
