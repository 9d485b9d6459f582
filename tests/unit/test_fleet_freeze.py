"""Freeze windows are times of a zone, as people say them: of a day, of a week, by date."""

from __future__ import annotations

import datetime

import pytest

from edge.domain.errors import ConfigurationError
from edge.fleet.operator.freeze import check, frozen_until_ns, next_freeze_ns, zone_here, zone_of

ZURICH = "Europe/Zurich"


def ns(text: str) -> int:
    """Return a moment in ns."""
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1e9)


@pytest.mark.parametrize(
    ("window", "now", "until"),
    [
        ("07:00-18:00", "2026-11-23T06:59:59+01:00", None),
        ("07:00-18:00", "2026-11-23T07:00:00+01:00", "2026-11-23T18:00:00+01:00"),
        ("07:00-18:00", "2026-11-23T18:00:00+01:00", None),
        ("22:00-06:00", "2026-11-23T23:00:00+01:00", "2026-11-24T06:00:00+01:00"),
        ("22:00-06:00", "2026-11-23T05:00:00+01:00", "2026-11-23T06:00:00+01:00"),
        ("22:00-06:00", "2026-11-23T12:00:00+01:00", None),
        ("Fri 15:00-Mon 06:00", "2026-11-22T12:00:00+01:00", "2026-11-23T06:00:00+01:00"),
        ("Fri 15:00-Mon 06:00", "2026-11-23T07:00:00+01:00", None),
        ("Sun 22:00-Mon 06:00", "2026-11-23T05:00:00+01:00", "2026-11-23T06:00:00+01:00"),
        ("2026-12-20..2027-01-06", "2027-01-06T23:59:00+01:00", "2027-01-07T00:00:00+01:00"),
        ("2026-12-20..2027-01-06", "2027-01-07T00:00:00+01:00", None),
        # the clock is put forward on 28 March 2027 at 2, and back on 25 October 2026 at 3
        ("20:00-06:00", "2027-03-27T21:00:00+01:00", "2027-03-28T06:00:00+02:00"),
        ("20:00-06:00", "2026-10-24T21:00:00+02:00", "2026-10-25T06:00:00+01:00"),
    ],
)
def test_a_window_holds_until_its_end(window: str, now: str, until: str | None) -> None:
    said = frozen_until_ns([window], zone=ZURICH, now_ns=ns(now))
    assert said == (until and ns(until))


def test_windows_that_touch_hold_together() -> None:
    windows = ["07:00-12:00", "12:00-18:00", "Mon 18:00-Tue 03:00"]
    until = frozen_until_ns(windows, zone=ZURICH, now_ns=ns("2026-11-23T08:00:00+01:00"))
    assert until == ns("2026-11-24T03:00:00+01:00")


def test_what_is_always_frozen_is_so_for_a_year_at_least() -> None:
    now_ns = ns("2026-11-23T08:00:00+01:00")
    until_ns = frozen_until_ns(["00:00-12:00", "12:00-00:00"], zone=ZURICH, now_ns=now_ns)
    assert until_ns is not None
    assert until_ns - now_ns > 365 * 86_400 * 10**9


def test_the_next_window_is_the_one_that_begins_first() -> None:
    windows = ["07:00-18:00", "2026-11-23..2026-11-23", "Fri 15:00-Mon 06:00"]
    now_ns = ns("2026-11-21T20:00:00+01:00")
    assert next_freeze_ns(windows, zone=ZURICH, now_ns=now_ns) == ns("2026-11-22T07:00:00+01:00")
    assert next_freeze_ns(windows[1:2], zone=ZURICH, now_ns=now_ns) == ns("2026-11-23T00:00:00+01:00")
    assert next_freeze_ns(windows[1:2], zone=ZURICH, now_ns=ns("2026-11-24T00:00:00+01:00")) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7:00-18:00",
        "07:00-07:00",
        "24:00-01:00",
        "Fri 15:00",
        "Fry 15:00-Mon 06:00",
        "2026-13-01..2026-13-02",
    ],
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="wanted 07:00-18:00"):
        check(text)


@pytest.mark.parametrize("name", ["", "Nowhere/At all", "../etc/passwd"])
def test_a_zone_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is not known here"):
        zone_of(name)


def test_this_machine_stands_in_some_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":America/New_York")
    assert zone_here() == "America/New_York"
    monkeypatch.setenv("TZ", "whatever it is")
    assert zone_here() == "UTC"
