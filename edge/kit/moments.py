"""Times as documents, findings and reports write them."""

from __future__ import annotations

import datetime
from typing import Final, Literal

_BEGINNING: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def told(utc_ns: int, *, to: Literal["milliseconds", "seconds"] = "milliseconds") -> str:
    """Return a time as we write it everywhere, such as `2026-11-22T14:00:00.000Z`.

    Args:
        utc_ns: Since 1970-01-01T00:00:00Z, of the years 1 to 9999.
        to: How exactly; what is finer is cut off, never rounded up into what has not come yet.
    """
    moment = _BEGINNING + datetime.timedelta(microseconds=utc_ns // 1000)
    return moment.isoformat(timespec=to).replace("+00:00", "Z")
