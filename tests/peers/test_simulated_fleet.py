"""Devices that are not there on a real broker: they come, take documents, fail, lie and go as told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.bundles.signature import TrustRoot, make_key, public_key_of
from edge.fleet.signing import KeyRing, Signer
from edge.fleet.words import State
from edge.kit.clock import SystemClock
from edge.kit.moments import told
from edge.kit.mqtt import Message, MqttSession
from edge.simulate.fleet import SimulatedFleet, Unrest
from edge.simulate.fleet_hardware import Traits
from edge.simulate.fleet_member import Person
from edge.simulate.mqtt_line import Broker
from edge.simulate.run_fleet import summary
from tests.peers.broker import Mosquitto, broker  # noqa: F401  # a fixture
from tests.peers.listener import Heard, Listener
from tests.waiting import until

COUNT = 12
FAILING, LYING, SLOW = "box-02", "box-03", "box-04"
TRAITS = {
    FAILING: Traits(is_failing=True),
    LYING: Traits(is_lying=True),
    SLOW: Traits(apply_s=0.6, probe_s=0.4),
}
QUICK = Traits(stage_s=0.02, apply_s=0.02, probe_s=0.02, bad=frozenset({"chest@2.0.0"}))


class Scene:
    """A broker, a key, and a fleet that believes it."""

    def __init__(self, mosquitto: Mosquitto, folder: Path) -> None:
        public = make_key(folder / "fleet.key", folder / "fleet.pub")
        self.port = mosquitto.port
        self.signer = Signer("fleet", folder / "fleet.key")
        self.keys = KeyRing([TrustRoot("fleet", public_key_of(public))])
        self.people = [
            Person(root="edge/v1", site="sim", device=f"box-{number:02d}", room=f"r{number}", groups=("all",))
            for number in range(1, COUNT + 1)
        ]

    def fleet(self, *, unrest: Unrest | None = None) -> SimulatedFleet:
        return SimulatedFleet(
            self.people,
            broker=lambda _: Broker(host="127.0.0.1", port=self.port),
            keys=self.keys,
            traits=lambda person: TRAITS.get(person.device, QUICK),
            clock=SystemClock(),
            unrest=unrest,
            will_delay_s=0,
        )

    def want(self, session: MqttSession, topic: str, **said: Any) -> None:
        issued = told(SystemClock().utc_ns())
        document = {"base": 0, "version": 1, "issued": issued, "apply": {"confirm_s": 1.0}, **said}
        payload = json.dumps(self.signer.sign(document)).encode()
        session.publish(Message(topic=topic, payload=payload, retain=True), timeout_s=10)

    def want_of_all(self, session: MqttSession, **said: Any) -> None:
        for person in self.people:
            own = {"schema": "edge.desired/1", "device": person.device, **said}
            self.want(session, f"{person.prefix}/config/desired", **own)


@pytest.fixture
def scene(broker: Mosquitto, tmp_path: Path) -> Scene:  # noqa: F811
    return Scene(broker, tmp_path)


@pytest.fixture
def operator(scene: Scene) -> Iterator[MqttSession]:
    with MqttSession(host="127.0.0.1", port=scene.port, client_id="operator", clock=SystemClock()) as session:
        assert session.wait_connected(10)
        yield session


def all_at_an_end(listener: Listener) -> bool:
    said = last_of(listener.heard).values()
    return all(one["desired_version"] == 1 and not one["pending"] for one in said)


def last_of(heard: list[Heard]) -> dict[str, dict[str, Any]]:
    return {one.topic.split("/")[3]: one.document for one in heard}


def test_each_goes_its_way(scene: Scene, operator: MqttSession) -> None:
    with Listener(scene.port, "edge/v1/sim/+/config/reported") as listener, scene.fleet() as fleet:
        until(lambda: fleet.tally().up == COUNT, within_s=10, what="all are connected")
        scene.want_of_all(operator, config={"log_level": "DEBUG"})
        until(lambda: sum(fleet.tally().ends.values()) == COUNT, within_s=15, what="all are at an end")
        tally = fleet.tally()
        until(lambda: all_at_an_end(listener), within_s=10, what="all have reported")
        said = last_of(listener.heard)
    assert tally.ends == {State.COMMITTED: COUNT - 2, State.ROLLED_BACK: 2}
    assert len(tally.applied_ms) == COUNT - 2
    assert summary(tally)["went_back_ms"]["max"] < 5000
    good, failing, lying = (said[name] for name in ("box-01", FAILING, LYING))
    assert (good["status"], failing["status"], lying["status"]) == ("committed", "rolled_back", "committed")
    assert failing["code"] == "probe"
    assert failing["config_digest"] == lying["config_digest"] != good["config_digest"]


def test_a_layer_reaches_all_and_a_bad_bundle_none(scene: Scene, operator: MqttSession) -> None:
    bundle = {"version": "2.0.0", "digest": "sha256:" + "0" * 64, "url": "file:///x", "size_bytes": 1}
    with scene.fleet() as fleet:
        until(lambda: fleet.tally().up == COUNT, within_s=10, what="all are connected")
        layer = {"schema": "edge.group/1", "group": "all", "priority": 1, "config": {"drain_s": 5.0}}
        scene.want(operator, "edge/v1/sim/group/all/config/desired", **layer)
        until(lambda: sum(fleet.tally().ends.values()) == COUNT, within_s=15, what="the layer is at an end")
        assert fleet.tally().ends[State.COMMITTED] == COUNT - 2
        fleet.forget_times()
        scene.want_of_all(operator, config={}, bundles={"chest": bundle})
        until(lambda: sum(fleet.tally().ends.values()) == COUNT, within_s=15, what="all are at an end")
        assert fleet.tally().ends.get(State.COMMITTED, 0) == 1  # the slow one, to which nothing is bad


def test_who_is_pulled_off_is_offline_and_comes_back_with_a_higher_session(scene: Scene) -> None:
    with Listener(scene.port, "edge/v1/sim/+/status") as listener, scene.fleet() as fleet:
        until(lambda: fleet.tally().up == COUNT, within_s=10, what="all are connected")
        gone = [person.device for person in scene.people[:5]]
        fleet.keep_away(gone)
        until(lambda: states(listener).count("offline") == 5, within_s=10, what="five are offline")
        assert fleet.tally().up == COUNT - 5
        fleet.let_back()
        until(lambda: states(listener).count("online") == COUNT, within_s=10, what="all are back")
        sessions = {name: document["session"] for name, document in last_of(listener.heard).items()}
    assert {sessions[name] for name in gone} == {2}


def test_restless_devices_come_and_go(scene: Scene) -> None:
    with scene.fleet(unrest=Unrest(share=0.5, away_s=0.1, every_s=0.3)) as fleet:
        until(
            lambda: max(member.connections for member in fleet.members.values()) > 2,
            within_s=20,
            what="some have come back twice",
        )


def states(listener: Listener) -> list[str]:
    return [str(document["state"]) for document in last_of(listener.heard).values()]
