"""Commands and questions against a real broker."""

from __future__ import annotations

import datetime
import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.domain.errors import DocumentRefusedError
from edge.fleet.collected import collecting
from edge.fleet.commands import BEGAN_ANEW
from edge.fleet.errands import Errand, Errands
from edge.fleet.voice import SIGNATURE
from edge.kit.clock import SystemClock
from edge.kit.log import RecentLines
from tests.builders.fleet import DEVICE, signed
from tests.peers.broker import Mosquitto, broker
from tests.peers.fleet_box import PREFIX, SITE, Office, ShiftedClock, box
from tests.waiting import until

__all__ = ["broker"]


def in_s(seconds: float) -> str:
    """A time that many seconds from now."""
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return moment.isoformat()


def command(cmd: str, *, key: str = "fleet-2026", **given: Any) -> bytes:
    """A command as a requester writes it."""
    tree = {
        "schema": "edge.cmd/1",
        "state": "init",
        "device": DEVICE,
        "cmd": cmd,
        "issued": in_s(-1),
        "expires": in_s(600),
        "args": {},
        **given,
    }
    return signed(tree, key=key)


def ask(office: Office, cmd: str, **given: Any) -> None:
    office.publish(f"{PREFIX}/cmd/{cmd}", command(cmd, **given))


def ends(office: Office, cmd: str) -> list[dict[str, Any]]:
    """What the device said at the end of a command."""
    return [one for one in office.states(cmd) if one["state"] in ("successful", "failed")]


def answered(office: Office) -> set[str]:
    """The topics on which the device said the last word."""
    said = list(office._heard.heard)
    return {one.topic for one in said if b'"by": "device"' in one.payload and b"executing" not in one.payload}


def wait_ends(office: Office, cmd: str, count: int) -> None:
    until(lambda: len(ends(office, cmd)) >= count, within_s=10, what=f"{cmd} ends {count} times")


def end_of(office: Office, cmd: str) -> dict[str, Any]:
    until(lambda: ends(office, cmd), within_s=10, what=f"{cmd} ends")
    return ends(office, cmd)[-1]


class Counting:
    """Executes by saying how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []

    def __call__(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(args)
        return {"times": len(self.asked)}


class Waiting(Counting):
    """Executes for as long as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def __call__(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = super().__call__(args)
        assert self.let_go.wait(20)
        return asked


def test_a_command_goes_from_init_to_executing_to_successful_and_is_cleared_by_its_requester(
    broker: Mosquitto, tmp_path: Path
) -> None:
    doing = Counting()
    with Office(broker.port) as office, box(broker.port, tmp_path, executors={"restart-pipeline": doing}):
        ask(office, "restart-pipeline/1", args={"pipeline": "brain-mr"})
        end = end_of(office, "restart-pipeline/1")
        office.publish(f"{PREFIX}/cmd/restart-pipeline/1", b"")
    states = dict.fromkeys(one["state"] for one in office.states("restart-pipeline/1"))
    assert list(states) == ["init", "executing", "successful"]
    assert (end["by"], end["code"], end["result"]) == ("device", "ok", {"times": 1})
    assert doing.asked == [{"pipeline": "brain-mr"}]
    (last,) = office.on("cmd/restart-pipeline/1")[-2:-1]
    assert last.user["schema"] == "edge.cmd/1"
    assert last.properties["MessageExpiryInterval"] == pytest.approx(3600, abs=5)
    with Office(broker.port) as late:
        late.publish("edge/fence", b"", retain=False)
        assert late.states("restart-pipeline/1") == []


def test_an_id_is_executed_once_however_often_it_comes_also_after_a_restart(
    broker: Mosquitto, tmp_path: Path
) -> None:
    doing = Counting()
    asked = command("selftest/1")
    with Office(broker.port) as office:
        for times in (1, 2):
            with box(broker.port, tmp_path, executors={"selftest": doing}):
                office.publish(f"{PREFIX}/cmd/selftest/1", asked)
                wait_ends(office, "selftest/1", times)
                ask(office, "selftest/1")
                wait_ends(office, "selftest/1", times + 1)
    assert len(doing.asked) == 1
    assert {one["state"] for one in ends(office, "selftest/1")} == {"successful"}
    assert doing.asked[0] == {"probe": ["ingest", "engine", "golden", "mqtt"]}


def test_what_was_executed_when_the_power_went_has_failed_and_is_not_done_again(
    broker: Mosquitto, tmp_path: Path
) -> None:
    doing = Counting()
    with Errands(tmp_path, SystemClock()) as errands:
        begun = Errand(cmd="selftest/1", state="executing", expires_ns=2**62, document={"state": "executing"})
        errands.take_up(begun, issued_ns=0)
    with Office(broker.port) as office:
        ask(office, "selftest/1")
        with box(broker.port, tmp_path, executors={"selftest": doing}):
            end = end_of(office, "selftest/1")
    assert (end["state"], end["code"], end["message"]) == ("failed", "interrupted", BEGAN_ANEW)
    assert doing.asked == []


def test_a_command_that_the_device_will_not_execute_is_answered_with_the_reason(
    broker: Mosquitto, tmp_path: Path
) -> None:
    doing = Counting()
    with Office(broker.port) as office, box(broker.port, tmp_path, executors={"selftest": doing}) as device:
        ask(office, "selftest/signed", key="stranger")
        ask(office, "selftest/late", issued=in_s(-700), expires=in_s(-100))
        ask(office, "selftest/early", issued=in_s(3000), expires=in_s(3600))
        ask(office, "selftest/long", expires=in_s(90_000))
        ask(office, "selftest/args", args={"probe": ["engine"], "more": 1})
        ask(office, "snapshot/known", args={"source": "camera"})
        ask(office, "reboot/unknown")
        office.publish(f"{PREFIX}/cmd/selftest/other", command("selftest/signed"))
        office.publish(f"{PREFIX}/cmd/selftest/device", command("selftest/device", device="or-4"))
        office.publish(f"{PREFIX}/cmd/selftest/nonsense", b"[" * 60_000)
        told = ["signed", "late", "early", "long", "args", "other", "device", "nonsense"]
        codes = {name: end_of(office, f"selftest/{name}")["code"] for name in told}
        assert codes == {
            "signed": "bad_signature",
            "late": "expired",
            "early": "clock",
            "long": "schema",
            "args": "schema",
            "other": "schema",
            "device": "schema",
            "nonsense": "schema",
        }
        assert end_of(office, "snapshot/known")["code"] == "unsupported"
        assert "wanted one of fetch" in end_of(office, "reboot/unknown")["message"]
        assert "args.more" in end_of(office, "selftest/args")["message"]
        assert "stranger" in device.alerts.raised[SIGNATURE]
    assert doing.asked == []


def test_one_after_the_other_and_what_expired_meanwhile_or_was_taken_back_is_not_begun(
    broker: Mosquitto, tmp_path: Path
) -> None:
    doing, clock = Waiting(), ShiftedClock()
    with Office(broker.port) as office:
        with box(broker.port, tmp_path, executors={"selftest": doing}, clock=clock) as device:
            ask(office, "selftest/first")
            until(lambda: doing.asked, within_s=10)
            ask(office, "selftest/expires", expires=in_s(60))
            ask(office, "selftest/taken-back")
            ask(office, "selftest/last")
            office.publish(f"{PREFIX}/cmd/selftest/taken-back", b"")
            office.publish(f"{PREFIX}/cmd/selftest/first", b"")
            until(lambda: device.agent._commands._is_cleared, within_s=10)
            clock.pass_by(120)
            doing.let_go.set()
            assert end_of(office, "selftest/last")["state"] == "successful"
            assert end_of(office, "selftest/expires")["code"] == "expired"
            assert end_of(office, "selftest/first")["state"] == "successful"
        assert ends(office, "selftest/taken-back") == []
        assert len(doing.asked) == 2
    with Office(broker.port) as late:
        late.publish("edge/fence", b"", retain=False)
        until(lambda: late.states("selftest/last"), within_s=10)
        assert late.states("selftest/first") == [], "nobody wants to know how it ended"


def test_what_ended_while_the_line_was_broken_is_told_when_it_is_back(
    broker: Mosquitto, tmp_path: Path
) -> None:
    doing = Waiting()
    with box(broker.port, tmp_path, executors={"selftest": doing}) as device:
        with Office(broker.port) as office:
            ask(office, "selftest/1")
            until(lambda: doing.asked, within_s=10)
        broker.kill()
        until(lambda: not device.session.connected, within_s=10)
        doing.let_go.set()
        broker.start()
        with Office(broker.port) as office:
            assert end_of(office, "selftest/1")["state"] == "successful"


def test_a_command_that_fails_says_why_and_the_next_is_executed(broker: Mosquitto, tmp_path: Path) -> None:
    def refuses(args: Mapping[str, Any]) -> Mapping[str, Any]:
        raise DocumentRefusedError("digest", "the package is another one")

    def breaks(args: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ZeroDivisionError("oh")

    def says_too_much(args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"text": "x" * 200_000}

    def says_nonsense(args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"number": float("nan")}

    executors = {
        "snapshot": refuses,
        "selftest": breaks,
        "retry-set-aside": says_too_much,
        "restart-pipeline": says_nonsense,
    }
    args = {
        "snapshot": {"source": "a"},
        "retry-set-aside": {"queue": "intake"},
        "restart-pipeline": {"pipeline": "a"},
    }
    with Office(broker.port) as office, box(broker.port, tmp_path, executors=executors):
        for kind in executors:
            ask(office, f"{kind}/1", args=args.get(kind, {}))
        found = {kind: end_of(office, f"{kind}/1") for kind in executors}
    assert [(one["state"], one["code"]) for one in found.values()] == [
        ("failed", "digest"),
        ("failed", "failed"),
        ("failed", "failed"),
        ("failed", "failed"),
    ]
    assert "ZeroDivisionError" in found["selftest"]["message"]
    assert "200000" in found["retry-set-aside"]["message"]
    assert "no JSON" in found["restart-pipeline"]["message"]


def test_a_frozen_site_executes_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    doing = Counting()
    with (
        Office(broker.port) as office,
        box(broker.port, tmp_path, executors={"selftest": doing}, is_frozen=True),
    ):
        ask(office, "selftest/1")
        assert end_of(office, "selftest/1")["code"] == "local_lock"
    assert doing.asked == []


def test_too_many_commands_at_once_are_answered_and_those_taken_are_executed(
    broker: Mosquitto, tmp_path: Path
) -> None:
    doing, clock = Waiting(), ShiftedClock()
    with Office(broker.port) as office:
        for number in range(100):
            ask(office, f"selftest/{number}")
        with box(broker.port, tmp_path, executors={"selftest": doing}, clock=clock) as device:
            until(lambda: doing.asked, within_s=10)
            doing.let_go.set()
            clock.pass_by(60)
            device.agent.wake()
            until(lambda: len(answered(office)) == 100, within_s=15)
    codes = [end_of(office, f"selftest/{number}")["code"] for number in range(100)]
    assert set(codes) == {"ok", "busy"}
    assert codes.count("ok") == len(doing.asked)
    assert len(doing.asked) >= 60


def test_what_devices_said_and_nobody_cleared_takes_no_room_and_is_left_as_it_is(
    broker: Mosquitto, tmp_path: Path
) -> None:
    said = json.dumps({"schema": "edge.cmd/1", "state": "successful", "by": "device", "result": "x" * 1000})
    with Office(broker.port) as office:
        for number in range(100):
            office.publish(f"{PREFIX}/cmd/selftest/{number}", said.encode())
        with box(broker.port, tmp_path, executors={"selftest": Counting()}):
            ask(office, "selftest/new")
            assert end_of(office, "selftest/new")["state"] == "successful"
        assert all(len(office.states(f"selftest/{number}")) == 1 for number in range(100))


def test_a_command_whose_message_expired_at_the_broker_is_never_seen(
    broker: Mosquitto, tmp_path: Path
) -> None:
    clock = SystemClock()
    with Office(broker.port) as office:
        office.publish(f"{PREFIX}/cmd/selftest/1", command("selftest/1"), expiry_s=1)
        began_ns = clock.monotonic_ns()
        until(lambda: clock.monotonic_ns() - began_ns > 2.1e9, within_s=5)
        with box(broker.port, tmp_path, executors={"selftest": Counting()}):
            ask(office, "selftest/2")
            end_of(office, "selftest/2")
    assert ends(office, "selftest/1") == []


def test_the_log_is_collected_without_the_words_of_others(broker: Mosquitto, tmp_path: Path) -> None:
    recent = RecentLines()
    with (
        Office(broker.port) as office,
        box(broker.port, tmp_path, executors={"collect-logs": collecting(recent)}),
    ):
        for number in range(1000):
            text = f"set aside because=unexpected ValueError: DOE^JANE {number}"
            recent.handle(logging.LogRecord("edge.imaging", logging.ERROR, "", 0, text, (), None))
        ask(office, "collect-logs/1", args={"lines": 700, "level": "WARNING"})
        result = end_of(office, "collect-logs/1")["result"]
    assert len(result["lines"]) == 700
    assert "JANE" not in json.dumps(result)
    assert "ERROR edge.imaging: set aside because=unexpected ValueError (its words" in result["lines"][-1]


# ── questions ───────────────────────────────────────────────────────────────────────────────────────────────


def question(
    office: Office, method: str, *, to: str = f"{PREFIX}/reply/office/1", retain: bool = False
) -> None:
    office.publish(f"{PREFIX}/rpc/{method}", b"", retain=retain, response_topic=to, correlation=b"\x00\x01")


def test_a_question_is_answered_where_it_asks_for_it(broker: Mosquitto, tmp_path: Path) -> None:
    def breaks() -> Mapping[str, Any]:
        raise OSError("no disk")

    answers = {"status": lambda: {"stages": []}, "config": breaks, "models": lambda: {"a": "x" * 200_001}}
    with Office(broker.port) as office, box(broker.port, tmp_path, answers=answers):
        for method in ("status", "config", "models", "methods", "nonsense", "transitions"):
            question(office, method)
        until(lambda: len(office.on("reply/office/1")) == 6, within_s=10)
    heard = office.on("reply/office/1")
    said = {one.document["method"]: one.document for one in heard}
    assert said["status"]["answer"] == {"stages": []}
    assert (said["config"]["code"], said["config"]["answer"]) == ("failed", None)
    assert "200000" in said["models"]["message"]
    assert said["methods"]["answer"] == {"methods": ["config", "methods", "models", "status", "transitions"]}
    assert said["nonsense"]["code"] == "unsupported"
    assert said["transitions"]["answer"] == {"transitions": []}
    assert heard[0].properties["CorrelationData"] == b"\x00\x01"
    assert heard[0].user == {"schema": "edge.answer/1"}
    assert not any(one.is_retained for one in heard)


def test_nobody_makes_the_device_speak_on_somebody_elses_topic(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path):
        for topic in (
            f"{PREFIX}/status",
            f"{PREFIX}/reply/",
            f"{SITE}/or-4/reply/1",
            "",
            f"{PREFIX}/replyx/1",
        ):
            question(office, "methods", to=topic)
        question(office, "methods", retain=True)
        question(office, "methods", to=f"{PREFIX}/reply/last")
        until(lambda: office.on("reply/last"), within_s=10)
        with Office(broker.port):
            pass
    topics = {one.topic for one in office._heard.heard if b"edge.answer/1" in one.payload}
    assert topics == {f"{PREFIX}/reply/last", f"{PREFIX}/reply/office/1"}
