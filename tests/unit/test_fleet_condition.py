"""How a device is, in a few words, from what it says and what the broker holds."""

from __future__ import annotations

from typing import Any

import pytest

from edge.fleet.operator.condition import Level, condition, lasting
from edge.fleet.operator.edit import digest_of_signed
from edge.fleet.operator.inventory import DeviceView
from tests.builders.fleet_documents import desired

NOW_NS = 1_800_000_000_000_000_000
TAKEN = desired(version=5)


def report(**given: Any) -> dict[str, Any]:
    usual = {"desired_version": 5, "applied_version": 5, "version": 5, "status": "committed", "code": "ok"}
    return {**usual, **given}


def view(**given: Any) -> DeviceView:
    usual: dict[str, Any] = {"presence": "online", "reported": report(), "desired": TAKEN}
    return DeviceView(site="anna", device="or-3", **{**usual, **given})


def test_a_device_that_is_as_it_should_be_needs_no_word() -> None:
    how = condition(view(), now_ns=NOW_NS)
    assert (how.presence.text, how.version, how.remarks, how.level) == ("online", "5", (), Level.WELL)


@pytest.mark.parametrize(
    ("given", "version", "words", "level"),
    [
        ({"reported": None, "desired": None}, "–", "", Level.WELL),
        ({"reported": None}, "–→5", "5 not taken", Level.LOOK),
        ({"desired": desired(version=6)}, "5→6", "6 not taken", Level.LOOK),
        ({"desired": desired(version=6), "presence": "stopped"}, "5→6", "6 not taken", Level.LOOK),
        ({"desired": desired(version=4)}, "5", "broker holds 4", Level.LOOK),
        ({"desired": None}, "5", "broker holds none", Level.LOOK),
        (
            {"reported": report(desired_version=5, applied_version=4, status="rolled_back", code="probe")},
            "4",
            "5 rolled back: probe",
            Level.ACT,
        ),
        (
            {
                "reported": report(version=6, status="rejected", code="local_lock"),
                "desired": desired(version=6),
            },
            "5",
            "6 rejected: local_lock",
            Level.ACT,
        ),
        (
            {"reported": report(version=5, status="rejected", code="conflict")},
            "5",
            "another 5 refused",
            Level.LOOK,
        ),
        (
            {"reported": report(status="rejected", code="conflict", desired_digest=digest_of_signed(TAKEN))},
            "5",
            "",
            Level.WELL,
        ),
        (
            {"reported": report(applied_version=4, status="rejected", code="ok")},
            "4",
            "5 validated",
            Level.WELL,
        ),
        (
            {
                "reported": report(
                    applied_version=4,
                    pending=[
                        {
                            "scope": "device",
                            "version": 5,
                            "status": "planned",
                            "why": "",
                            "progress": {"doing": "fetching brain-mr", "done": 25, "of": 100},
                        }
                    ],
                )
            },
            "4→5",
            "planned: fetching brain-mr 25 %",
            Level.BUSY,
        ),
        (
            {
                "groups": ("theatres",),
                "reported": report(
                    groups={"theatres": {"version": 7, "status": "rejected", "code": "schema"}}
                ),
            },
            "5",
            "group/theatres 7 rejected: schema",
            Level.ACT,
        ),
        (
            {
                "reported": report(
                    drift=True, drift_paths=["log_level", "bundles.a"], frozen=True, case="open"
                )
            },
            "5",
            "drift 2, frozen, case",
            Level.LOOK,
        ),
        (
            {
                "alerts": {"b": {"severity": "warning"}, "z": {"severity": "error"}},
                "models": {"m": {"state": "refused"}, "n": {"state": "active"}},
                "sources": {"c": {"state": "degraded"}, "d": {"state": "disabled"}},
                "unreadable": {"info": "7 bytes that are no JSON"},
            },
            "5",
            "z, b, model m refused, source c degraded, unreadable info",
            Level.ACT,
        ),
        ({"health": {}, "health_until_utc_ns": NOW_NS - 10**9}, "5", "silent", Level.LOOK),
    ],
)
def test_what_is_said_of_a_device(given: dict[str, Any], version: str, words: str, level: Level) -> None:
    how = condition(view(**given), now_ns=NOW_NS)
    assert (how.version, ", ".join(remark.text for remark in how.remarks)) == (version, words)
    assert how.level == level


@pytest.mark.parametrize(
    ("presence", "words", "level"),
    [
        ("stopped", "stopped 3 h", Level.LOOK),
        ("offline", "offline 3 h", Level.ACT),
        ("unknown", "never heard", Level.LOOK),
    ],
)
def test_a_device_that_is_away_says_since_when(presence: Any, words: str, level: Level) -> None:
    away = view(presence=presence, last_seen_utc_ns=NOW_NS - 3 * 3600 * 10**9)
    how = condition(away, now_ns=NOW_NS)
    assert (how.presence.text, how.level) == (words, level)


def test_times_are_said_as_people_say_them() -> None:
    said = [lasting(age_s) for age_s in (-3, 40, 119, 720, 7200, 100_000, 200_000)]
    assert said == ["0 s", "40 s", "119 s", "12 min", "2 h", "28 h", "2 d"]
