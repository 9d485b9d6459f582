"""The report is said when it says something new, at most once a second, until the broker has it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any, cast

import pytest

from edge.fleet.ledger import Transition
from edge.fleet.memory import RamMemory
from edge.fleet.progress import Progress
from edge.fleet.report import (
    NOTHING_WANTED,
    ORIGINS_MAX,
    PATHS_MAX,
    TEXT_CHARACTERS_MAX,
    AtWork,
    BundleAtWork,
    BundleWish,
    Reported,
    reported,
    wishes_of,
)
from edge.fleet.reporter import ALERT, Reporter
from edge.fleet.voice import FALLEN_BACK, ROLLED_BACK, SIGNATURE, Voice
from edge.fleet.words import State
from edge.kit.mqtt import Message, MqttSession
from tests.builders.fleet import Life, desired
from tests.fakes.alerts import FakeAlerts
from tests.fakes.clock import FakeClock


class FakeLine:
    """A session that takes down what is posted; the test answers for the broker."""

    def __init__(self) -> None:
        self.connected = True
        self.posted: list[tuple[Message, Callable[[int | None], None]]] = []

    def post(self, message: Message, *, then: Callable[[int | None], None]) -> None:
        self.posted.append((message, then))

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message, _ in self.posted]


class Desk:
    """A reporter with everything around it."""

    def __init__(self, clock: FakeClock) -> None:
        self.line, self.alerts, self.woken = FakeLine(), FakeAlerts(), 0
        self.reporter = Reporter(
            cast(MqttSession, self.line), topic="t", alerts=self.alerts, wake=self.wake, clock=clock
        )

    def wake(self) -> None:
        self.woken += 1

    def say(self, what: str, *, at: int = 0, progress: int = 0) -> None:
        self.reporter.say({"what": what, "pending": [{"progress": progress}], "at": at})


def test_what_has_not_changed_is_not_said_again_until_there_is_a_new_line(clock: FakeClock) -> None:
    desk = Desk(clock)
    for at in range(3):
        desk.say("a", at=at)
        clock.advance(10)
    assert len(desk.line.posted) == 1
    desk.reporter.say_again()
    desk.say("a", at=9)
    assert [one["at"] for one in desk.line.said()] == [0, 9]


def test_it_says_how_long_it_will_not_speak_and_nothing_is_said_without_a_line(clock: FakeClock) -> None:
    desk = Desk(clock)
    desk.say("a")
    assert desk.reporter.early_s() == pytest.approx(1.0)
    clock.advance(1.0)
    assert desk.reporter.early_s() == 0.0
    desk.line.connected = False
    desk.say("b")
    assert len(desk.line.posted) == 1


def test_that_something_goes_on_is_told_less_often_than_what_has_changed(clock: FakeClock) -> None:
    desk = Desk(clock)
    for progress in range(30):
        desk.say("a", progress=progress)
        clock.advance(1.0)
    assert len(desk.line.posted) == 3
    desk.say("b", progress=31)
    assert desk.line.said()[-1]["what"] == "b"


def test_a_report_that_the_broker_does_not_take_is_an_alert_and_said_again(clock: FakeClock) -> None:
    desk = Desk(clock)
    desk.say("a")
    desk.line.posted[0][1](0x87)
    assert "0x87" in desk.alerts.raised[ALERT]
    assert desk.woken == 1
    assert desk.reporter.early_s() == pytest.approx(10.0)
    clock.advance(10)
    desk.say("a")
    desk.line.posted[1][1](0x10)
    assert desk.alerts.raised == {}
    clock.advance(10)
    desk.say("a")
    assert len(desk.line.posted) == 2


def test_the_answer_to_an_older_report_does_not_repeat_a_newer_one(clock: FakeClock) -> None:
    desk = Desk(clock)
    desk.say("a")
    clock.advance(1)
    desk.say("b")
    desk.line.posted[0][1](None)
    desk.say("b")
    assert len(desk.line.posted) == 2


# ── what it says ────────────────────────────────────────────────────────────────────────────────────────────


def progress_after(clock: FakeClock, *payloads: bytes) -> Progress:
    life = Life(RamMemory(), clock)
    for payload in payloads:
        life.offer(payload)
        life.run()
    return life.machine.snapshot()


def written(
    progress: Progress, clock: FakeClock, seen: AtWork | None = None, case: str = ""
) -> dict[str, Any]:
    return reported(progress, seen or AtWork(), device="or-3", case=case, utc_ns=clock.utc_ns())


def test_before_the_first_document_it_says_that_nothing_is_wanted(clock: FakeClock) -> None:
    said = written(progress_after(clock), clock)
    assert (said["status"], said["applied_version"], said["since"]) == ("none", 0, None)
    assert said["config_digest"] == NOTHING_WANTED
    assert list(said)[:2] == ["schema", "device"]
    Reported.model_validate_json(json.dumps(said), strict=False)


def test_it_says_what_is_at_work_and_what_became_of_the_one_that_was_refused(clock: FakeClock) -> None:
    said = written(
        progress_after(clock, desired(1), desired(2), desired(2, config={"log_level": "x"})), clock
    )
    assert (said["desired_version"], said["applied_version"], said["previous_version"]) == (2, 2, 1)
    assert (said["version"], said["status"], said["code"]) == (2, "rejected", "conflict")
    assert said["config_digest"] != NOTHING_WANTED


def test_what_differs_from_the_wish_is_drift_and_everything_is_short_enough_to_be_sent(
    clock: FakeClock,
) -> None:
    bundle = BundleAtWork(
        version="1.0.0", precision="int8", latency_ms={"p50": 1.0}, golden={"dice": 0.99, "a": math.nan}
    )
    many = AtWork(bundles={"a": bundle}, drift_paths=[f"a.{n}" for n in range(500)])
    config = {"pipelines": {f"p{n}": {"deadline_s": 1} for n in range(ORIGINS_MAX + 10)}}
    said = written(progress_after(clock, desired(1, config=config)), clock, many, case="x" * 5000)
    assert (said["drift"], len(said["drift_paths"])) == (True, PATHS_MAX)
    assert len(said["origins"]) == ORIGINS_MAX
    assert len(said["case"]) == TEXT_CHARACTERS_MAX
    assert said["bundles"]["a"]["golden"] == {"dice": 0.99}


def test_what_waits_is_pending_with_what_it_waits_for(clock: FakeClock) -> None:
    life = Life(RamMemory(), clock, groups=["boxes"])
    life.device.faults.unsafe = "an association is open"
    life.offer(desired(1))
    life.run(for_s=5)
    life.offer(desired(4, scope="group/boxes", config={"drain_s": 1}), scope="group/boxes")
    life.run(for_s=5)
    said = written(life.machine.snapshot(), clock)
    assert [(one["scope"], one["version"], one["status"]) for one in said["pending"]] == [
        ("device", 1, "waiting"),
        ("group/boxes", 4, "verified"),
    ]
    assert "an association is open" in said["pending"][0]["why"]
    assert said["groups"]["boxes"]["status"] == "verified"


def bundle(version: str) -> dict[str, Any]:
    digest = f"sha256:{version[0] * 64}"
    return {"tiny": {"version": version, "digest": digest, "url": "file:///a", "size_bytes": 1}}


def test_of_a_bundle_it_is_told_what_is_wanted_and_what_lies_ready(clock: FakeClock) -> None:
    life = Life(RamMemory(), clock)
    one, two = (
        {"version": version, "digest": bundle(version)["tiny"]["digest"]} for version in ("1.0", "2.0")
    )
    life.offer(desired(1, bundles=bundle("1.0")))
    life.run()
    assert wishes_of(life.machine.snapshot()) == {"tiny": BundleWish(desired=one)}
    life.device.faults.unsafe = "a series is in flight"
    life.offer(desired(2, bundles=bundle("2.0")))
    life.run(for_s=5)
    assert wishes_of(life.machine.snapshot()) == {"tiny": BundleWish(desired=two, staged=two)}
    life.device.faults.unsafe = ""
    life.run(for_s=5)
    assert wishes_of(life.machine.snapshot()) == {"tiny": BundleWish(desired=two)}
    life.offer(desired(3, bundles={}))
    life.run(for_s=5)
    assert wishes_of(life.machine.snapshot()) == {}


# ── alerts ──────────────────────────────────────────────────────────────────────────────────────────────────


def voice(line: FakeLine, alerts: FakeAlerts, clock: FakeClock) -> Voice:
    return Voice(
        cast(MqttSession, line), prefix="edge/v1/s/or-3", alerts=alerts, wake=lambda: None, clock=clock
    )


def step(state: State, *, code: str = "ok") -> Transition:
    return Transition(scope="group/a", version=3, state=state, code=code, message="why", at_utc_ns=0)


def test_a_version_that_was_taken_back_is_an_alert_until_one_is_committed(clock: FakeClock) -> None:
    alerts = FakeAlerts()
    speaking = voice(FakeLine(), alerts, clock)
    speaking.told(step(State.ROLLED_BACK, code="probe"))
    assert alerts.raised == {f"{ROLLED_BACK}-group-a": "group/a 3 was tried and taken back: why"}
    speaking.told(step(State.COMMITTED))
    assert alerts.raised == {}


def test_a_stranger_is_an_alert_for_an_hour(clock: FakeClock) -> None:
    alerts, progress = FakeAlerts(), progress_after(clock)
    speaking = voice(FakeLine(), alerts, clock)
    speaking.told(step(State.REJECTED, code="bad_signature"))
    clock.advance(3599)
    speaking.tell_troubles(progress)
    assert SIGNATURE in alerts.raised
    clock.advance(2)
    speaking.tell_troubles(progress)
    assert alerts.raised == {}


def test_what_was_put_in_the_place_of_what_cannot_be_used_is_an_alert_while_it_is_at_work(
    clock: FakeClock,
) -> None:
    alerts, progress = FakeAlerts(), progress_after(clock)
    speaking = voice(FakeLine(), alerts, clock)
    speaking.tell_troubles(dataclasses.replace(progress, rung="yaml", troubles={"clock": "wrong"}))
    assert alerts.raised.keys() == {FALLEN_BACK, "clock"}
    speaking.tell_troubles(progress)
    assert alerts.raised == {}


def test_transitions_that_the_line_did_not_carry_are_said_on_the_next_one(clock: FakeClock) -> None:
    line = FakeLine()
    speaking = voice(line, FakeAlerts(), clock)
    line.connected = False
    speaking.told(step(State.RECEIVED))
    speaking.say_events()
    assert line.posted == []
    line.connected = True
    speaking.say_events()
    line.posted[0][1](None)
    speaking.say_events()
    line.posted[1][1](0x10)
    speaking.say_events()
    assert [one["status"] for one in line.said()] == ["received", "received"]
