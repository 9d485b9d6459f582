"""A device that talks with its fleet over a real broker, and the fleet's end, as far as tests need it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.domain.ports import Clock
from edge.fleet.agent import Agent
from edge.fleet.case import Case
from edge.fleet.commands import Executor
from edge.fleet.machine import Machine, Transition
from edge.fleet.memory import Memory, RamMemory
from edge.fleet.questions import Answering
from edge.fleet.report import AtWork
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.mqtt import MqttSession
from tests.builders.fleet import DEVICE, key_ring
from tests.fakes.alerts import FakeAlerts
from tests.fakes.fleet_device import FakeFleetDevice
from tests.peers.listener import Heard, Listener
from tests.waiting import until

SITE = "edge/v1/site"
PREFIX = f"{SITE}/{DEVICE}"
SOON = Backoff(min_s=0.05, max_s=0.2)


class ShiftedClock(SystemClock):
    """The clock of the machine, as late or early as the test says; it goes on by itself."""

    def __init__(self, *, utc_s: float = 0.0) -> None:
        self._elapsed_ns = 0
        self._utc_ns = round(utc_s * 1e9)

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self._elapsed_ns

    def utc_ns(self) -> int:
        return super().utc_ns() + self._elapsed_ns + self._utc_ns

    def pass_by(self, seconds: float) -> None:
        """Let time pass at once."""
        self._elapsed_ns += round(seconds * 1e9)


class Box:
    """A device: session, agent, state machine, and something to configure."""

    def __init__(
        self, session: MqttSession, agent: Agent, device: FakeFleetDevice, alerts: FakeAlerts
    ) -> None:
        self.session = session
        self.agent = agent
        self.device = device
        self.alerts = alerts


@contextmanager
def box(
    port: int,
    folder: Path,
    *,
    memory: Memory | None = None,
    clock: Clock | None = None,
    groups: Sequence[str] = (),
    executors: Mapping[str, Executor] | None = None,
    answers: Mapping[str, Answering] | None = None,
    device: FakeFleetDevice | None = None,
    is_frozen: bool = False,
    connects: bool = True,
    username: str | None = None,
) -> Iterator[Box]:
    """Run a device until the `with` ends."""
    clock = clock or SystemClock()
    device, alerts, kept = device or FakeFleetDevice(), FakeAlerts(), memory or RamMemory()
    session = MqttSession(
        host="127.0.0.1",
        port=port,
        client_id=DEVICE,
        clock=SystemClock(),
        backoff=SOON,
        will_delay_s=0,
        username=username,
    )
    case = Case(folder, quiet_min=10, inside=dict, alerts=alerts, clock=clock)

    def machine(told: Callable[[Transition], None]) -> Machine:
        return Machine(
            kept,
            device,
            key_ring(),
            device_id=DEVICE,
            groups=groups,
            clock=clock,
            frozen=is_frozen,
            told=told,
        )

    agent = Agent(
        session,
        prefix=PREFIX,
        root_prefix=SITE,
        groups=groups,
        machine=machine,
        keys=key_ring(),
        case=case,
        at_work=AtWork,
        executors=executors or {},
        answers=answers or {},
        folder=folder,
        alerts=alerts,
        clock=clock,
        is_frozen=is_frozen,
    )
    thread = threading.Thread(target=agent.run, name="fleet")
    with session:
        assert not connects or session.wait_connected(10), session.trouble
        thread.start()
        try:
            yield Box(session, agent, device, alerts)
        finally:
            agent.stop()
            thread.join(10)
            assert not thread.is_alive()


class Office:
    """The fleet's end: publishes, and hears what the device says."""

    def __init__(self, port: int, *, username: str = "") -> None:
        self._heard = Listener(
            port, f"{PREFIX}/#", "edge/fence", name="office", expiry_s=0, username=username
        )
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="office-out", protocol=MQTTv5)
        self._client.username = username
        self._port = port

    def __enter__(self) -> Office:
        self._heard.__enter__()
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._heard.__exit__()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = True,
        expiry_s: int | None = None,
        response_topic: str = "",
        correlation: bytes = b"",
    ) -> int:
        """Publish below the site, and return the reason code of PUBACK."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's own
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        if response_topic:
            properties.ResponseTopic = response_topic
            properties.CorrelationData = correlation
        codes: list[int] = []
        is_answered = threading.Event()

        def answered(*given: Any) -> None:
            codes.append(given[3].value)
            is_answered.set()

        self._client.on_publish = answered
        self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        assert is_answered.wait(10), f"no answer to {topic}"
        return codes[0]

    def desired(self, payload: bytes) -> None:
        self.publish(f"{PREFIX}/config/desired", payload)

    def on(self, below: str) -> list[Heard]:
        """What was said below the prefix of the device."""
        return [one for one in list(self._heard.heard) if one.topic == f"{PREFIX}/{below}"]

    def reported(self) -> dict[str, Any]:
        """The newest report, {} before the first."""
        said = self.on("config/reported")
        return said[-1].document if said else {}

    def events(self) -> list[tuple[int, str]]:
        """Version and status of each transition heard."""
        return [(one.document["version"], one.document["status"]) for one in self.on("config/event")]

    def wait_reported(self, within_s: float = 15.0, **wanted: Any) -> dict[str, Any]:
        """Return the report as soon as it says all that."""

        def is_so() -> bool:
            said = self.reported()
            return all(said.get(name) == value for name, value in wanted.items())

        try:
            until(is_so, within_s=within_s)
        except AssertionError as late:
            raise AssertionError(f"wanted {wanted}, reported {json.dumps(self.reported())}") from late
        return self.reported()

    def wait_ends(self, *ends: tuple[int, str], within_s: float = 15.0) -> None:
        """Return when each version came to its end, and nothing else did."""
        until(lambda: len(self.ends()) >= len(ends), within_s=within_s, what=f"{ends} of {self.events()}")
        assert self.ends() == list(ends)

    def ends(self) -> list[tuple[int, str]]:
        """How versions ended, in the order in which they did."""
        found = {"committed", "rejected", "rolled_back", "superseded"}
        return [event for event in self.events() if event[1] in found]

    def states(self, cmd: str) -> list[dict[str, Any]]:
        """What was heard of a command, from whomever, as far as it is an object."""
        return [one.document for one in self.on(f"cmd/{cmd}") if one.payload.startswith(b"{")]
