"""Who is believed, over TLS with access lists: keys that change during a roll-out, and old documents."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.bundles.signature import TrustRoot, make_key, public_key_of
from edge.fleet.access import of_device, of_operator
from edge.fleet.agent import Agent
from edge.fleet.case import Case
from edge.fleet.machine import Machine, Transition
from edge.fleet.memory import Memory, RamMemory
from edge.fleet.report import AtWork
from edge.fleet.signing import KeyRing, Signer
from edge.kit.clock import SystemClock
from edge.kit.mqtt import Message
from tests.fakes.alerts import FakeAlerts
from tests.fakes.fleet_device import FakeFleetDevice
from tests.peers.fleet_site import ROOT, Client, FleetSite
from tests.waiting import until

DEVICES = ("or-1", "or-2", "or-3")


class Keys:
    """Keys of the fleet, in files as `edge fleet keygen` makes them."""

    def __init__(self, folder: Path, *names: str) -> None:
        self._folder = folder
        self._public = {
            name: public_key_of(make_key(folder / f"{name}.key", folder / f"{name}.pub")) for name in names
        }

    def ring(self, *names: str) -> KeyRing:
        return KeyRing([TrustRoot(name, self._public[name]) for name in names], site="st-anna")

    def sign(self, name: str, document: Mapping[str, Any]) -> bytes:
        return json.dumps(Signer(name, self._folder / f"{name}.key").sign(document)).encode()


def document(name: str, version: int, **given: Any) -> dict[str, Any]:
    """What the fleet wants of a device; `log_level` tells which version it is."""
    return {
        "schema": "edge.desired/1",
        "device": name,
        "version": version,
        "base": version - 1,
        "issued": "2026-01-01T00:00:00Z",
        "config": {"log_level": f"of {version}"},
        **given,
    }


class Running:
    """A device that runs."""

    def __init__(self, device: FakeFleetDevice, alerts: FakeAlerts) -> None:
        self.device = device
        self.alerts = alerts


@contextmanager
def running(site: FleetSite, device: str, ring: KeyRing, memory: Memory, folder: Path) -> Iterator[Running]:
    """A device with its certificate at the broker, until the `with` ends."""
    clock, alerts, at_work = SystemClock(), FakeAlerts(), FakeFleetDevice()
    session = site.session(f"st-anna/{device}", client_id=device)
    case = Case(folder, quiet_min=10, inside=dict, alerts=alerts, clock=clock)

    def machine(told: Callable[[Transition], None]) -> Machine:
        return Machine(
            memory, at_work, ring, device_id=device, groups=(), clock=clock, frozen=False, told=told
        )

    agent = Agent(
        session,
        prefix=f"{ROOT}/st-anna/{device}",
        root_prefix=f"{ROOT}/st-anna",
        groups=(),
        machine=machine,
        keys=ring,
        case=case,
        at_work=AtWork,
        executors={},
        answers={},
        folder=folder,
        alerts=alerts,
        clock=clock,
        is_frozen=False,
    )
    thread = threading.Thread(target=agent.run, name=f"fleet {device}")
    with session:
        assert session.wait_connected(10), session.trouble
        thread.start()
        try:
            yield Running(at_work, alerts)
        finally:
            agent.stop()
            thread.join(10)


class Desk:
    """The operator, with the right to write documents and to read reports."""

    def __init__(self, client: Client, reports: dict[str, dict[str, Any]]) -> None:
        self._client = client
        self._reports = reports
        self.events: list[tuple[str, int, str, str]] = []

    def hear(self, message: Message) -> None:
        """Take in a report, or what happened."""
        device, said = message.topic.split("/")[3], json.loads(message.payload)
        if message.topic.endswith("/event"):
            self.events.append((device, said["version"], said["status"], said["code"]))
        else:
            self._reports[device] = said

    def publish(self, device: str, payload: bytes) -> None:
        code = self._client.say(f"{ROOT}/st-anna/{device}/config/desired", retain=True, payload=payload)
        assert code < 0x80

    def wait(self, device: str, **wanted: object) -> dict[str, Any]:
        """Return the report of a device as soon as it says all that."""

        def is_so() -> bool:
            said = self._reports.get(device, {})
            return all(said.get(name) == value for name, value in wanted.items())

        until(is_so, within_s=10, what=f"{device}: {wanted} of {self._reports.get(device)}")
        return self._reports[device]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetSite]:
    with FleetSite(tmp_path_factory.mktemp("site")) as made:
        made.admit(*(of_device(ROOT, f"st-anna/{device}") for device in DEVICES), of_operator(ROOT, "alice"))
        yield made


@pytest.fixture
def site(standing: FleetSite) -> Iterator[FleetSite]:
    """A broker that keeps nothing of an earlier test."""
    yield standing
    with standing.client("tester") as tester:
        for device in DEVICES:
            for what in ("desired", "reported"):
                tester.say(f"{ROOT}/st-anna/{device}/config/{what}", retain=True, payload=b"")


@contextmanager
def at_the_desk(site: FleetSite) -> Iterator[Desk]:
    session = site.session("alice")
    desk = Desk(Client(session), {})
    session.subscribe(f"{ROOT}/+/+/config/reported", desk.hear)
    session.subscribe(f"{ROOT}/+/+/config/event", desk.hear)
    with session:
        assert session.wait_connected(5), session.trouble
        yield desk


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path, "fleet-2026", "fleet-2027", "stranger")


def memories(names: Sequence[str] = DEVICES) -> dict[str, Memory]:
    return {name: RamMemory() for name in names}


def folder_of(tmp_path: Path, device: str) -> Path:
    folder = tmp_path / device
    folder.mkdir(exist_ok=True)
    return folder


def test_keys_may_change_in_the_middle_of_a_rollout(site: FleetSite, keys: Keys, tmp_path: Path) -> None:
    both, old, new = keys.ring("fleet-2026", "fleet-2027"), keys.ring("fleet-2026"), keys.ring("fleet-2027")
    kept = memories()

    def start(device: str, ring: KeyRing) -> Any:
        return running(site, device, ring, kept[device], folder_of(tmp_path, device))

    with at_the_desk(site) as desk:
        # the first ring is signed with the old key, the second with the new one; or-3 was forgotten
        with start("or-1", both) as first, start("or-2", both) as second, start("or-3", old) as forgotten:
            desk.publish("or-1", keys.sign("fleet-2026", document("or-1", 1)))
            desk.wait("or-1", applied_version=1, status="committed")
            for device in ("or-2", "or-3"):
                desk.publish(device, keys.sign("fleet-2027", document(device, 1)))
            desk.wait("or-2", applied_version=1, status="committed")
            desk.wait("or-3", status="rejected", code="bad_signature", path="signature.key")
            assert "fleet-2027" in forgotten.alerts.raised["fleet-signature"]
            assert (first.alerts.raised, second.alerts.raised) == ({}, {})
            assert forgotten.device.config == {}
        # its YAML is mended; what is kept at the broker is believed now, and nobody must send it again
        with start("or-3", both) as mended:
            desk.wait("or-3", applied_version=1, status="committed")
            assert mended.device.config == {"log_level": "of 1"}
        # the old key is believed no longer: what was taken from it stays, nothing new is taken from it
        with start("or-1", new) as first:
            desk.publish("or-1", keys.sign("fleet-2026", document("or-1", 2)))
            refused = ("or-1", 2, "rejected", "bad_signature")
            until(lambda: refused in desk.events, within_s=10, what=f"{refused} of {desk.events}")
            assert desk.wait("or-1", applied_version=1)["status"] == "committed"
            assert "fleet-2026" in first.alerts.raised["fleet-signature"]
            desk.publish("or-1", keys.sign("fleet-2027", document("or-1", 2)))
            desk.wait("or-1", applied_version=2, status="committed")


def test_a_device_that_believes_a_new_key_only_is_not_disturbed_by_what_the_old_one_signed(
    site: FleetSite, keys: Keys, tmp_path: Path
) -> None:
    kept = memories()["or-1"]
    folder = folder_of(tmp_path, "or-1")
    with at_the_desk(site) as desk:
        with running(site, "or-1", keys.ring("fleet-2026"), kept, folder):
            desk.publish("or-1", keys.sign("fleet-2026", document("or-1", 1)))
            desk.wait("or-1", applied_version=1, status="committed")
        with running(site, "or-1", keys.ring("fleet-2027"), kept, folder) as restarted:
            said = desk.wait("or-1", applied_version=1)
            desk.publish("or-1", keys.sign("fleet-2027", document("or-1", 2)))
            desk.wait("or-1", applied_version=2, status="committed")
            assert said["code"] == "ok"
            assert "fleet-signature" not in dict(restarted.alerts.ever)


def test_an_old_signed_document_brings_nothing_back(site: FleetSite, keys: Keys, tmp_path: Path) -> None:
    kept, ring = memories()["or-1"], keys.ring("fleet-2026")
    folder = folder_of(tmp_path, "or-1")
    first, second = (keys.sign("fleet-2026", document("or-1", version)) for version in (1, 2))
    with at_the_desk(site) as desk:
        with running(site, "or-1", ring, kept, folder) as device:
            for version, payload in ((1, first), (2, second)):
                desk.publish("or-1", payload)
                desk.wait("or-1", applied_version=version, status="committed")
            refused = ("or-1", 1, "rejected", "superseded")
            desk.publish("or-1", first)
            until(lambda: refused in desk.events, within_s=10, what=f"{refused} of {desk.events}")
            assert device.device.config == {"log_level": "of 2"}
            assert desk.wait("or-1", applied_version=2)["status"] == "committed"
        desk.events.clear()
        with running(site, "or-1", ring, kept, folder):  # and it still lies at the broker
            until(lambda: refused in desk.events, within_s=10, what=f"{refused} of {desk.events}")
            desk.publish("or-1", keys.sign("fleet-2026", document("or-1", 3)))
            desk.wait("or-1", applied_version=3, status="committed")


@pytest.mark.parametrize(
    ("key", "change", "code", "path"),
    [
        ("stranger", {}, "bad_signature", "signature.key"),
        ("fleet-2026", {"device": "or-2"}, "schema", "device"),
        ("fleet-2026", {"site": "north"}, "bad_signature", "site"),
    ],
)
def test_what_was_not_meant_for_this_device_is_refused(
    site: FleetSite, keys: Keys, tmp_path: Path, key: str, change: dict[str, str], code: str, path: str
) -> None:
    payload = keys.sign(key, document("or-1", 1, **change))
    folder = folder_of(tmp_path, "or-1")
    with (
        at_the_desk(site) as desk,
        running(site, "or-1", keys.ring("fleet-2026"), RamMemory(), folder) as device,
    ):
        desk.publish("or-1", payload)
        desk.wait("or-1", status="rejected", code=code, path=path)
        assert ("fleet-signature" in device.alerts.raised) == (code == "bad_signature")
        assert device.device.config == {}


def test_a_document_that_was_altered_on_the_way_is_refused_and_a_person_is_told(
    site: FleetSite, keys: Keys, tmp_path: Path
) -> None:
    payload = keys.sign("fleet-2026", document("or-1", 1)).replace(b"of 1", b"DEBUG")
    folder = folder_of(tmp_path, "or-1")
    with (
        at_the_desk(site) as desk,
        running(site, "or-1", keys.ring("fleet-2026"), RamMemory(), folder) as device,
    ):
        desk.publish("or-1", payload)
        desk.wait("or-1", status="rejected", code="bad_signature", path="signature.value")
        assert "altered" in device.alerts.raised["fleet-signature"]
