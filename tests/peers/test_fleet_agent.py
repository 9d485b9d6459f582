"""The agent against a real broker: what goes wrong between a fleet and a device, and what comes of it."""

from __future__ import annotations

import datetime
import json
import shutil
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edge.fleet.memory import RamMemory
from edge.fleet.ports import Plan
from edge.fleet.voice import SIGNATURE
from edge.fleet.words import ProbeName
from edge.kit.backoff import Backoff
from edge.kit.mqtt import Message
from tests.builders import fleet
from tests.builders.fleet import document, signed
from tests.fakes.fleet_device import FakeFleetDevice, FakeJob
from tests.peers.broker import Mosquitto, broker
from tests.peers.fleet_box import PREFIX, SITE, Office, ShiftedClock, box
from tests.peers.listener import Listener
from tests.peers.test_mqtt_session import session_with
from tests.waiting import until

__all__ = ["broker"]


def in_s(seconds: float) -> str:
    """A time that many seconds from now."""
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)).isoformat()


def desired(version: int, **given: Any) -> bytes:
    """A signed document; the same arguments give the same bytes."""
    return fleet.desired(version, **{"config": {"log_level": f"of {version}"}, **given})


def test_a_document_is_applied_told_step_by_step_and_reported(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path) as device:
        assert office.wait_reported(status="none")["applied_version"] == 0
        office.desired(desired(1))
        said = office.wait_reported(applied_version=1, status="committed", code="ok", pending=[])
        assert device.device.config == {"log_level": "of 1"}
    assert said["origins"] == {"log_level": "device"}
    course = ["received", "verified", "planned", "staged", "waiting", "applying", "probing", "committed"]
    assert office.events() == [(1, status) for status in course]
    (last,) = office.on("config/reported")[-1:]
    assert (last.user["schema"], last.properties["ContentType"]) == ("edge.reported/1", "application/json")


def test_what_came_while_the_device_was_away_waits_for_it(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as office:
        office.desired(desired(1))
        with box(broker.port, tmp_path, memory=(memory := RamMemory())):
            office.wait_ends((1, "committed"))
        office.desired(desired(2))
        with box(broker.port, tmp_path, memory=memory):
            office.wait_ends((1, "committed"), (2, "committed"))


def test_a_document_that_comes_many_times_is_taken_once(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path) as device:
        for _ in range(5):
            office.desired(desired(1))
        office.wait_ends((1, "committed"))
        broker.restart()
        assert device.session.wait_connected(10)
        office.desired(desired(2))
        office.wait_ends((1, "committed"), (2, "committed"))
        assert device.device.calls.count("apply") == 2


def test_documents_that_overtake_each_other_leave_the_newest_at_work(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path) as device:
        office.desired(desired(3, base=0))
        office.wait_ends((3, "committed"))
        for version in (2, 1, 3):
            office.desired(desired(version, base=0))
        office.wait_ends((3, "committed"), (2, "rejected"), (1, "rejected"))
        assert device.device.config == {"log_level": "of 3"}
    codes = {
        one.document["code"] for one in office.on("config/event") if one.document["status"] == "rejected"
    }
    assert codes == {"superseded"}


def test_a_broker_that_lost_what_it_kept_changes_nothing_and_hears_all_again(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with box(broker.port, tmp_path) as device:
        with Office(broker.port) as office:
            office.desired(desired(1))
            office.wait_reported(status="committed", applied_version=1)
        broker.kill()
        (broker.folder / "mosquitto.db").unlink(missing_ok=True)
        broker.start()
        assert device.session.wait_connected(10)
        with Office(broker.port) as office:
            office.wait_reported(status="committed", applied_version=1)
            assert device.device.config == {"log_level": "of 1"}
            office.desired(desired(2))
            office.wait_ends((2, "committed"))


def test_a_broker_that_comes_back_with_an_old_backup_brings_nothing_old_back(
    broker: Mosquitto, tmp_path: Path
) -> None:
    backup, kept = tmp_path / "backup.db", broker.folder / "mosquitto.db"
    with box(broker.port, tmp_path / "state") as device:
        with Office(broker.port) as office:
            office.desired(desired(1))
            office.wait_ends((1, "committed"))
            broker.stop()
            shutil.copy(kept, backup)
            broker.start()
        with Office(broker.port) as office:
            office.desired(desired(2))
            office.wait_ends((2, "committed"))
        broker.stop()
        shutil.copy(backup, kept)
        broker.start()
        with Office(broker.port) as office:
            said = office.wait_reported(applied_version=2, version=2, status="committed")
            assert said["desired_version"] == 2
            assert device.device.config == {"log_level": "of 2"}
            office.desired(desired(1, base=0, config={"log_level": "old"}))
            until(lambda: (1, "rejected") in office.events(), within_s=10)
            office.desired(desired(3))
            until(lambda: (3, "committed") in office.events(), within_s=10)


def test_a_document_that_has_expired_is_refused_and_said_so(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path):
        office.desired(desired(1, expires=in_s(-1)))
        said = office.wait_reported(status="rejected", code="expired", applied_version=0)
        assert said["path"] == "expires"


def test_an_hour_without_a_line_ends_what_had_an_end_and_nothing_else(
    broker: Mosquitto, tmp_path: Path
) -> None:
    clock = ShiftedClock()
    with box(broker.port, tmp_path, clock=clock) as device:
        broker.stop()
        until(lambda: not device.session.connected, within_s=10)
        clock.pass_by(3600)
        broker.start()
        with Office(broker.port) as office:
            office.desired(desired(1, issued=in_s(0), expires=in_s(1800)))
            office.wait_ends((1, "rejected"))
            office.desired(desired(2, base=0, issued=in_s(0), expires=in_s(5400)))
            office.wait_ends((1, "rejected"), (2, "committed"))


def test_one_that_is_too_large_is_refused_and_one_that_is_enormous_never_comes(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path) as device:
        office.desired(b'{"a":"' + b"x" * 70_000 + b'"}')
        said = office.wait_reported(status="rejected", code="schema")
        assert "65536" in said["message"]
        office.desired(b'{"a":"' + b"x" * 300_000 + b'"}')
        office.desired(desired(1))
        office.wait_ends((0, "rejected"), (1, "committed"))
        assert device.session.connected


def test_deep_and_broken_ones_are_refused_without_harm(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path) as device:
        for nonsense in (b"[" * 60_000, b'{"a":' * 10_000, b"\xff\xfe", b"{", b"null"):
            office.desired(nonsense)
        office.wait_ends(*[(0, "rejected")] * 5)
        office.desired(desired(1))
        until(lambda: (1, "committed") in office.events(), within_s=10)
        assert device.alerts.raised == {}


def test_another_client_with_our_id_costs_time_and_no_version(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path) as device:
        until(lambda: office.reported(), within_s=10)
        intruder = session_with(broker.port, client_id="or-3", backoff=Backoff(min_s=0.02, max_s=0.05))
        with intruder:
            until(lambda: not device.session.connected, within_s=10)
            office.desired(desired(1))
        office.wait_ends((1, "committed"), within_s=30)


def test_a_wrong_clock_is_an_alert_and_keeps_nobody_from_mending_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path, clock=ShiftedClock(utc_s=-1200)) as device:
        office.desired(desired(1, issued=in_s(0)))
        office.wait_ends((1, "committed"))
        until(lambda: "clock" in device.alerts.raised, within_s=10)


def test_of_two_who_write_at_once_one_is_told_of_a_conflict(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as one, box(broker.port, tmp_path) as device:
        one.desired(desired(1))
        one.wait_ends((1, "committed"))
        one.desired(desired(2))
        one.desired(desired(2, config={"log_level": "mine"}))
        until(lambda: len(one.ends()) == 3, within_s=15, what="all are at an end")
        assert set(one.ends()) == {
            (1, "committed"),
            (2, "rejected"),
            (2, "committed"),
        }  # of two at once, whichever
        said = one.wait_reported(version=2, status="rejected", code="conflict", applied_version=2)
        assert said["desired_version"] == 2
        assert device.device.config == {"log_level": "of 2"}


def test_what_an_unknown_key_signed_is_refused_and_a_person_is_told(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path) as device:
        office.desired(signed(document(1), key="stranger"))
        office.wait_reported(status="rejected", code="bad_signature", path="signature.key")
        assert "stranger" in device.alerts.raised[SIGNATURE]


def test_a_layer_of_a_group_comes_on_its_own_topic(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path, groups=["boxes"]) as device:
        layer = desired(7, scope="group/boxes", config={"log_level": "of all", "drain_s": 5})
        office.publish(f"{SITE}/group/boxes/config/desired", layer)
        office.desired(desired(1))
        said = office.wait_reported(applied_version=1, pending=[])
        assert said["groups"]["boxes"]["applied_version"] == 7
        assert said["origins"] == {"drain_s": "group/boxes", "log_level": "device"}
        assert device.device.config == {"drain_s": 5, "log_level": "of 1"}


def test_a_document_that_the_broker_keeps_no_more_is_reported_and_stays_at_work(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path) as device:
        office.desired(desired(1))
        office.wait_reported(applied_version=1, cleared=False)
        office.desired(b"")
        office.wait_reported(applied_version=1, cleared=True)
        assert device.device.config == {"log_level": "of 1"}


def test_what_comes_faster_than_is_looked_at_ends_with_the_newest(broker: Mosquitto, tmp_path: Path) -> None:
    """Thirty a minute are looked at; who sends more is not refused, the newest is looked at later."""
    clock = ShiftedClock()
    with Office(broker.port) as office, box(broker.port, tmp_path, clock=clock) as device:
        for version in range(1, 61):
            office.desired(desired(version))
        until(lambda: len({version for version, _ in office.events()}) >= 30, within_s=15)
        assert (60, "committed") not in office.events()
        clock.pass_by(60)
        device.agent.wake()
        until(lambda: (60, "committed") in office.events(), within_s=15)


class Hanging(FakeFleetDevice):
    """Does not come back from its probes until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_hanging = threading.Event()
        self.let_go = threading.Event()

    def probe(self, plan: Plan, names: Sequence[ProbeName]) -> FakeJob:
        self.is_hanging.set()
        assert self.let_go.wait(20)
        return super().probe(plan, names)


def test_an_agent_that_hangs_keeps_no_finding_from_leaving(broker: Mosquitto, tmp_path: Path) -> None:
    slow = Hanging()
    with Office(broker.port) as office, box(broker.port, tmp_path, device=slow) as device:
        office.desired(desired(1))
        until(slow.is_hanging.is_set, within_s=10)
        for version in range(2, 40):
            office.desired(desired(version))
            office.publish(f"{PREFIX}/cmd/selftest/{version}", b"x" * 60_000)
            office.publish(f"{PREFIX}/rpc/config", b"", retain=False)
        with Listener(broker.port, f"{PREFIX}/finding/#") as receiver:
            finding = Message(topic=f"{PREFIX}/finding/brain-mr", payload=b"{}")
            assert device.session.publish(finding, timeout_s=5) == 0
            receiver.wait_for(1)
        slow.let_go.set()
        until(lambda: (39, "committed") in office.events(), within_s=15)


def test_a_frozen_site_takes_nothing_and_says_so(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path, is_frozen=True) as device:
        office.desired(desired(1))
        office.wait_reported(status="rejected", code="local_lock", frozen=True)
        assert device.device.config == {}


def test_a_case_that_is_open_is_reported(broker: Mosquitto, tmp_path: Path) -> None:
    with Office(broker.port) as office, box(broker.port, tmp_path):

        def is_so(is_open: bool) -> bool:
            return bool(office.reported().get("case")) is is_open

        for said, is_open in [
            (b"open", True),
            (b'{"state":"closed"}', False),
            (b"maybe", True),
            (b"", False),
        ]:
            office.publish(f"{PREFIX}/case", said)
            until(partial(is_so, is_open), within_s=10)


def test_a_device_without_a_line_works_and_tells_later(broker: Mosquitto, tmp_path: Path) -> None:
    memory = RamMemory()
    with Office(broker.port) as office, box(broker.port, tmp_path, memory=memory):
        office.desired(desired(1, apply={"confirm_s": 1}))
        office.wait_ends((1, "committed"))
    broker.stop()
    with box(broker.port, tmp_path, memory=memory, connects=False) as device:
        until(lambda: device.agent._machine is not None, within_s=10)
        broker.start()
        with Office(broker.port) as office:
            office.wait_reported(applied_version=1)
            assert json.loads(office.on("config/reported")[-1].payload)["status"] == "committed"
