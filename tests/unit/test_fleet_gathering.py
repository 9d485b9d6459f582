"""What the messages of a fleet add up to, whoever they come from and in whatever order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.fleet.operator import gathering as gathering_module
from edge.fleet.operator import mqtt_desk
from edge.fleet.operator.gathering import Gathering
from edge.kit.mqtt import Message

NOW_NS = 1_800_000_000_000_000_000
ROOT = "hospital/edge"


def message(below: str, document: Any, *, retain: bool = False, expiry_s: int | None = None) -> Message:
    payload = b"" if document is None else json.dumps(document).encode()
    return Message(topic=f"{ROOT}/{below}", payload=payload, retain=retain, expiry_s=expiry_s)


@pytest.fixture
def fleet() -> Gathering:
    gathered = Gathering(ROOT, lambda: NOW_NS)
    gathered.begin()
    return gathered


def test_filters_name_every_kind_at_every_site_that_is_meant() -> None:
    assert f"{ROOT}/+/+/config/reported" in Gathering(ROOT, lambda: 0).filters()
    confined = Gathering(ROOT, lambda: 0, ["anna", "bert"]).filters()
    assert [one for one in confined if one.endswith("+/info")] == [
        f"{ROOT}/anna/+/info",
        f"{ROOT}/bert/+/info",
    ]
    assert [one for one in confined if "/+/+" in one.removesuffix("/alert/+/+")] == []
    assert f"{ROOT}/fleet/rollout/+" in confined


def test_whom_a_message_is_about(fleet: Gathering) -> None:
    told = {
        "anna/or-1/status": "anna/or-1",
        "anna/group/theatres/config/desired": "anna/group/theatres",
        "fleet/rollout/r-1": "rollout/r-1",
        "anna/group/config/desired": "",
        "fleet/desk": "",
        "an\x1b[2Jna/or-1/status": "",
        "anna/or 1/status": "",
    }
    assert {below: fleet.take(message(below, {"x": 1})) for below in told} == told
    assert list(fleet.devices()) == ["anna/or-1"]


def test_what_is_cleared_is_gone_and_nobody_appears_by_it(fleet: Gathering) -> None:
    fleet.take(message("anna/or-1/alert/error/x", {"severity": "error"}))
    fleet.take(message("anna/or-1/alert/error/x", None))
    fleet.take(message("anna/or-2/alert/error/x", None))
    assert [list(view.alerts) for view in fleet.devices().values()] == [[]]


def test_a_connection_that_comes_back_brings_what_there_is_and_no_more(fleet: Gathering) -> None:
    fleet.take(message("anna/or-1/info", {"room": "1"}, retain=True))
    fleet.take(message("anna/or-1/source/a/state", {"state": "offline"}, retain=True))
    fleet.take(message("fleet/rollout/r", {"x": 1}, retain=True))
    fleet.begin()
    fleet.take(message("anna/or-1/info", {"room": "1"}, retain=True))
    assert fleet.devices()["anna/or-1"].sources, "until it has told all"
    fleet.settle()
    assert (fleet.devices()["anna/or-1"].room, fleet.devices()["anna/or-1"].sources) == ("1", {})
    assert fleet.rollouts() == {}


def test_when_a_device_was_heard_of_is_by_its_clock_or_by_ours(fleet: Gathering) -> None:
    fleet.take(message("anna/or-1/status", {"state": "online", "at": "2026-11-22T14:00:00Z"}, retain=True))
    assert fleet.devices()["anna/or-1"].last_seen_utc_ns == 1_795_356_000_000_000_000
    fleet.take(message("anna/or-1/config/desired", {"version": 1}))
    assert fleet.devices()["anna/or-1"].last_seen_utc_ns < NOW_NS, "others write that"
    fleet.take(message("anna/or-1/health", {"session": 3}, expiry_s=90))
    view = fleet.devices()["anna/or-1"]
    assert (view.last_seen_utc_ns, view.health_until_utc_ns) == (NOW_NS, NOW_NS + 90 * 10**9)


def test_a_view_does_not_change_under_whoever_holds_it(fleet: Gathering) -> None:
    fleet.take(message("anna/or-1/info", {"room": "1", "groups": ["b", 7]}))
    before = fleet.devices()
    assert before["anna/or-1"] is fleet.devices()["anna/or-1"]
    fleet.take(message("anna/or-1/config/reported", {"groups": {"a": {}}}))
    assert (before["anna/or-1"].groups, fleet.devices()["anna/or-1"].groups) == (("b",), ("a", "b"))


def test_nobody_can_fill_the_memory(fleet: Gathering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering_module, "DEVICES_MAX", 2)
    monkeypatch.setattr(gathering_module, "TOPICS_MAX", 3)
    for number in range(5):
        fleet.take(message(f"anna/or-{number}/info", {}))
        fleet.take(message(f"anna/or-0/alert/error/{number}", {"severity": "error"}))
        fleet.take(message("anna/or-0/cmd/selftest/1", {"by": "device"}))
    assert sorted(fleet.devices()) == ["anna/or-0", "anna/or-1"]
    assert len(fleet.devices()["anna/or-0"].alerts) == 2


def test_who_listens_too_slowly_is_told_how_much_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_desk, "HEARD_MAX", 3)
    listening = mqtt_desk.Listening(lambda _: True)
    for number in range(5):
        listening.hear(message("anna/or-1/info", {"number": number}))
    assert listening.lost == 2
    assert [json.loads(one.payload)["number"] for one in listening.take()] == [2, 3, 4]
