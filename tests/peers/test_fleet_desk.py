"""The operator's desk against a real broker: what it gathers, and how it knows that this is all."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.domain.errors import DeliveryError, DocumentRefusedError, RefusedError
from edge.fleet.operator.edit import drafted
from edge.fleet.operator.whole import NOT_WHOLE
from tests.peers.broker import OPEN, Mosquitto, broker
from tests.peers.fleet_operator import NAME, Seat, paper, seat
from tests.ports import free_port
from tests.waiting import until

__all__ = ["broker"]
FILES = "acl_file {rules}\nallow_anonymous true"


def draft(seat: Seat, *, base: int = 0, name: str = NAME) -> dict[str, object]:
    priority = {"priority": 1} if "/group/" in name else {}
    return drafted(name, {"config": {}, "bundles": {}, **priority}, base=base, now_ns=seat.desk.now_ns())


def test_a_desk_shows_what_the_broker_keeps_as_soon_as_it_is_open(broker: Mosquitto, tmp_path: Path) -> None:
    with paper(broker.port, present=["anna/or-1", "anna/or-2"]) as devices:
        devices.say("anna/or-1/config/reported", {"applied_version": 4, "desired_version": 5})
        devices.say("anna/or-1/model/brain-mr/state", {"state": "active"})
        devices.say("anna/or-1/alert/error/outbox", {"severity": "error", "text": "3 findings"})
        devices.say("anna/group/theatres/config/desired", {"version": 7})
        devices.say("fleet/rollout/r-1", {"state": "running"})
        with seat(broker.port, tmp_path) as at:
            views = at.desk.devices()
            assert sorted(views) == ["anna/or-1", "anna/or-2"]
            assert (views["anna/or-1"].presence, views["anna/or-1"].version) == ("online", 5)
            assert (list(views["anna/or-1"].models), list(views["anna/or-1"].alerts)) == (
                ["brain-mr"],
                ["outbox"],
            )
            assert at.desk.groups() == {"anna/group/theatres": {"version": 7}}
            assert at.desk.rollouts() == {"r-1": {"state": "running"}}
            assert at.desk.trouble == ""


def test_a_broker_that_leaves_something_out_is_told(tmp_path: Path) -> None:
    more = f"{OPEN}\nmax_queued_messages 20"
    with Mosquitto(tmp_path / "broker", more=more) as broker, paper(broker.port) as devices:
        for number in range(40):
            devices.presence(f"anna/or-{number}")
        with seat(broker.port, tmp_path / "jane") as at:
            assert len(at.desk.devices()) < 80
            assert at.desk.trouble == NOT_WHOLE
        broker.stop()
        broker.configure(f"{OPEN}\nmax_queued_messages 1000000")
        broker.start()
        with seat(broker.port, tmp_path / "jane") as at:
            assert (len(at.desk.devices()), at.desk.trouble) == (40, "")


def test_the_will_of_an_old_session_does_not_count(broker: Mosquitto, tmp_path: Path) -> None:
    with paper(broker.port, present=[NAME]) as device, seat(broker.port, tmp_path) as at:
        device.presence(NAME, session=8)
        device.say(f"{NAME}/status", {"state": "offline", "session": 7})
        device.say(f"{NAME}/alert/error/x", {"severity": "error"})
        until(lambda: at.desk.devices()[NAME].alerts, within_s=5)
        assert (at.desk.devices()[NAME].presence, at.desk.devices()[NAME].session) == ("online", 8)
        device.say(f"{NAME}/status", {"state": "offline", "session": 8})
        until(lambda: at.desk.devices()[NAME].presence == "offline", within_s=5)
        device.say(f"{NAME}/health", {"session": 9}, retain=False)
        until(lambda: at.desk.devices()[NAME].presence == "online", within_s=5, what="it speaks in a new one")


def test_what_was_cleared_while_we_were_away_is_gone(broker: Mosquitto, tmp_path: Path) -> None:
    with paper(broker.port, present=[NAME]) as device:
        device.say(f"{NAME}/alert/error/x", {"severity": "error"})
        device.say("fleet/rollout/r-1", {"state": "running"})
    with seat(broker.port, tmp_path) as at:
        assert (list(at.desk.rollouts()), list(at.desk.devices()[NAME].alerts)) == (["r-1"], ["x"])
        broker.kill()
        (broker.folder / "mosquitto.db").unlink()
        broker.start()
        with paper(broker.port, present=[NAME]):
            pass
        until(lambda: not at.desk.devices()[NAME].alerts and not at.desk.rollouts(), within_s=20)


def test_what_is_published_is_seen_at_once_and_signed(broker: Mosquitto, tmp_path: Path) -> None:
    with seat(broker.port, tmp_path) as at:
        for base in range(3):
            signed = at.desk.publish(NAME, draft(at, base=base))
            assert at.desk.devices()[NAME].desired == signed
        at.where.keys().check(signed)
        assert signed["site"] == "site"
        layer = at.desk.publish("anna/group/theatres", draft(at, name="anna/group/theatres"))
        assert at.desk.groups() == {"anna/group/theatres": layer}


def test_a_document_that_is_not_made_from_the_newest_is_not_published(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with paper(broker.port) as device, seat(broker.port, tmp_path) as at:
        at.desk.publish(NAME, draft(at))
        with pytest.raises(DocumentRefusedError, match="made from version 0, and by now there is version 1"):
            at.desk.publish(NAME, draft(at))
        device.say(f"{NAME}/config/reported", {"desired_version": 9, "groups": {"g": {"desired_version": 4}}})
        until(lambda: at.desk.version_of(NAME) == 9, within_s=5, what="the device knows more than the broker")
        assert at.desk.version_of("site/group/g") == 4


def test_a_refusal_of_the_broker_is_told_with_its_reason(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic read #\ntopic write edge/v1/fleet/#\n")
    with (
        Mosquitto(tmp_path / "broker", more=FILES.format(rules=rules)) as broker,
        seat(broker.port, tmp_path) as at,
        pytest.raises(RefusedError, match=r"config/desired: the broker refuses it \(0x87\): not authorised"),
    ):
        at.desk.publish(NAME, draft(at))


def test_who_may_not_ask_whether_it_is_all_is_told_so(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic read #\n")
    with (
        Mosquitto(tmp_path / "broker", more=FILES.format(rules=rules)) as broker,
        seat(broker.port, tmp_path) as at,
    ):
        assert at.desk.trouble.startswith("nobody knows whether this is all that the broker keeps")
        assert not at.desk.catch_up()


def test_no_broker_is_an_error_and_no_empty_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.fleet.operator.mqtt_desk.CONNECT_S", 0.3)
    with pytest.raises(DeliveryError, match="no connection to"), seat(free_port(), tmp_path):
        raise AssertionError("there is no broker")


def test_bytes_that_are_no_document_are_told(broker: Mosquitto, tmp_path: Path) -> None:
    with paper(broker.port, present=[NAME]) as device, seat(broker.port, tmp_path) as at:
        device.say_bytes(f"{NAME}/config/reported", b"[" * 100_000)
        until(lambda: at.desk.devices()[NAME].unreadable, within_s=5)
        assert at.desk.devices()[NAME].unreadable == {"config/reported": "100000 bytes that are no JSON"}
