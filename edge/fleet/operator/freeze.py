"""Freeze windows: times in which a roll-out begins nothing, and nothing it began starts to change."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.domain.errors import ConfigurationError

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK: Final = r"([01]\d|2[0-3]):([0-5]\d)"
_DAILY: Final = re.compile(rf"{_CLOCK}-{_CLOCK}")
_WEEKLY: Final = re.compile(rf"([A-Za-z]{{3}}) {_CLOCK}-([A-Za-z]{{3}}) {_CLOCK}")
_DATES: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})")
_WANTED: Final = "wanted 07:00-18:00, 'Fri 15:00-Mon 06:00' or 2026-12-20..2027-01-06"
_WEEK_MIN: Final = 7 * 24 * 60
_AHEAD_NS: Final = 366 * 24 * 3600 * 10**9

Span = tuple[int, int]


def check(text: str) -> None:
    """Return when a text is a freeze window.

    Args:
        text: `07:00-18:00` of every day, may pass midnight; `Fri 15:00-Mon 06:00` of every week;
            `2026-12-20..2027-01-06`, both days with it.

    Raises:
        ConfigurationError: It is none.
    """
    if found := _DATES.fullmatch(text):
        try:
            first, last = map(datetime.date.fromisoformat, found.groups())
        except ValueError as error:
            raise ConfigurationError(f"freeze {text!r}: {error}; {_WANTED}") from error
        is_sound = first <= last
    elif found := _WEEKLY.fullmatch(text):
        named = {found[1].lower(), found[4].lower()} <= set(_DAYS)
        is_sound = named and _minutes(found[1], found[2], found[3]) != _minutes(found[4], found[5], found[6])
    else:
        found = _DAILY.fullmatch(text)
        is_sound = found is not None and found.group(1, 2) != found.group(3, 4)
    if not is_sound:
        raise ConfigurationError(f"freeze {text!r}: is no window; {_WANTED}")


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of that name.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"zone {name!r}: is not known here; wanted one such as Europe/Zurich"
        ) from error


def zone_here() -> str:
    """Return the name of this machine's time zone, UTC where it does not say."""
    named = (
        os.environ.get("TZ", "").lstrip(":")
        or str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    )
    try:
        ZoneInfo(named)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"
    return named


def frozen_until_ns(windows: Sequence[str], *, zone: str, now_ns: int) -> int | None:
    """Return when the windows that hold now are over (UTC, ns), or None while nothing is frozen.

    Windows that touch or overlap count as one; what lasts longer than a year is said to end then.
    """
    until_ns = now_ns
    while until_ns < now_ns + _AHEAD_NS:
        spans = [span for text in windows for span in _spans(text, zone=zone, now_ns=until_ns)]
        ends = [end_ns for start_ns, end_ns in spans if start_ns <= until_ns < end_ns]
        if not ends:
            break
        until_ns = max(ends)
    return None if until_ns == now_ns else until_ns


def next_freeze_ns(windows: Sequence[str], *, zone: str, now_ns: int) -> int | None:
    """Return when the next window begins (UTC, ns), or None where none does within a week, or by its date."""
    spans = [span for text in windows for span in _spans(text, zone=zone, now_ns=now_ns)]
    return min((start_ns for start_ns, _ in spans if start_ns > now_ns), default=None)


def _spans(text: str, *, zone: str, now_ns: int) -> list[Span]:
    """Return the occurrences of a window about now: wall-clock time of its zone, as people mean it."""
    where = zone_of(zone)
    today = datetime.datetime.fromtimestamp(now_ns / 1e9, tz=where).date()
    if found := _DATES.fullmatch(text):
        first, last = map(datetime.date.fromisoformat, found.groups())
        return [(_wall_ns(first, 0, where), _wall_ns(last, 24 * 60, where))]
    if found := _WEEKLY.fullmatch(text):
        start_min = _minutes(found[1], found[2], found[3])
        end_min = start_min + (_minutes(found[4], found[5], found[6]) - start_min) % _WEEK_MIN
        monday = today - datetime.timedelta(days=today.weekday())
        days = [monday + datetime.timedelta(weeks=week) for week in (-1, 0, 1)]
    else:
        found = _DAILY.fullmatch(text)
        assert found is not None, f"{text} was checked before"
        start_min = int(found[1]) * 60 + int(found[2])
        end_min = start_min + (int(found[3]) * 60 + int(found[4]) - start_min) % (24 * 60)
        days = [today + datetime.timedelta(days=day) for day in (-1, 0, 1)]
    return [(_wall_ns(day, start_min, where), _wall_ns(day, end_min, where)) for day in days]


def _wall_ns(day: datetime.date, minutes: int, where: ZoneInfo) -> int:
    """Return the moment at which the clocks of a zone show so many minutes after the midnight of a day."""
    wall = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(minutes=minutes)
    return round(wall.replace(tzinfo=where).timestamp() * 1e9)


def _minutes(day: str, hour: str, minute: str) -> int:
    """Return minutes since Monday 00:00."""
    return (_DAYS.index(day.lower()) * 24 + int(hour)) * 60 + int(minute)
