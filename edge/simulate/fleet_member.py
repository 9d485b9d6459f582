"""One device that is not there: the real state machine, and its words on an MQTT line of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge import __version__
from edge.domain.ports import Clock
from edge.fleet.ledger import Transition
from edge.fleet.machine import Machine
from edge.fleet.memory import RamMemory
from edge.fleet.report import EVENT_SCHEMA, REPORTED_SCHEMA, AtWork, BundleAtWork, event_of, reported
from edge.fleet.signing import KeyRing
from edge.fleet.words import DEVICE_SCOPE, group_scope
from edge.kit.moments import told
from edge.kit.mqtt import Message
from edge.ops.presence import INFO_SCHEMA, STATUS_SCHEMA
from edge.simulate import mqtt_packets as packets
from edge.simulate.fleet_hardware import Hardware, Traits
from edge.simulate.mqtt_line import Broker, SimulatedLine

REPORTS_APART_S: Final = 1.0
SESSION_EXPIRY_S: Final = 3600
RETRY_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who a device is.

    Attributes:
        root: Begins every topic.
        site: It stands in.
        device: Its id.
        room: In which no other device is changed at the same time.
        groups: Whose layers it takes.
    """

    root: str
    site: str
    device: str
    room: str = ""
    groups: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """Begins every topic of the device."""
        return f"{self.root}/{self.site}/{self.device}"


class Member:
    """Comes and goes as it is told to; whatever happens to it, it remembers what it had accepted.

    Attributes:
        person: Who it is.
        is_up: It is connected and has said so.
        connections: How often it was accepted.
        trouble: Why its last connection is over.
    """

    def __init__(
        self,
        person: Person,
        *,
        broker: Broker,
        keys: KeyRing,
        traits: Traits,
        clock: Clock,
        keep_alive_s: int,
        will_delay_s: int,
        told: Callable[[Member, Transition], None],
    ) -> None:
        """Store what it is made of.

        Args:
            person: Who it is.
            broker: Whom it speaks to.
            keys: Whose documents it believes.
            traits: How it behaves.
            clock: Of the machine.
            keep_alive_s: Seconds after which the broker misses it; whoever owns it calls `ping` in time.
            will_delay_s: Seconds after which the broker tells of a broken line.
            told: Hears each of its transitions.
        """
        self.person = person
        self.is_up = False
        self.connections = 0
        self.trouble = ""
        self._broker = broker
        self._traits = traits
        self._clock = clock
        self._keep_alive_s = keep_alive_s
        self._will_delay_s = will_delay_s
        self._told = told
        self._line: SimulatedLine | None = None
        self._hardware = Hardware(traits, clock)
        self._machine = Machine(
            RamMemory(),
            self._hardware,
            keys,
            device_id=person.device,
            groups=person.groups,
            clock=clock,
            frozen=False,
            told=self._transition,
        )
        self._machine.recover()
        self._scopes = {f"{person.prefix}/config/desired": DEVICE_SCOPE} | {
            f"{person.root}/{person.site}/group/{group}/config/desired": group_scope(group)
            for group in person.groups
        }
        self._turn_due: asyncio.TimerHandle | None = None
        self._said: Mapping[str, Any] | None = None
        self._said_s = 0.0

    # ── coming and going ──────────────────────────────────────────────────────────────────────────────────

    async def come(self) -> bool:
        """Connect; returns whether there was somebody to connect to. `is_up` follows."""
        if self._line is not None:
            return True
        self.connections += 1
        hello = packets.connect(
            self.person.device,
            keep_alive_s=self._keep_alive_s,
            session_expiry_s=SESSION_EXPIRY_S,
            will=self._message("status", STATUS_SCHEMA, {"state": "offline", "session": self.connections}),
            will_delay_s=self._will_delay_s,
            username=self._broker.username,
            password=self._broker.password,
        )
        line = SimulatedLine(
            hello, filters=list(self._scopes), hear=self._hear, is_open=self._open, is_over=self._over
        )
        self._line = line
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: line,
                self._broker.host,
                self._broker.port,
                ssl=self._broker.tls,
                server_hostname=self._broker.host if self._broker.tls else None,
            )
        except OSError as trouble:
            self._over(f"{type(trouble).__name__}: {trouble}")
            return False
        return True

    def break_off(self) -> None:
        """Lose the line, as a pulled cable does."""
        if self._line is not None:
            self._line.hang_up()

    def stop(self) -> None:
        """Say goodbye."""
        if self._turn_due is not None:
            self._turn_due.cancel()
        if self._line is None:
            return
        if self.is_up:
            self._say("status", STATUS_SCHEMA, {"state": "stopped", "session": self.connections})
            self._line.say_goodbye()
        else:
            self._line.hang_up()

    def ping(self) -> None:
        """Show the broker that the line lives."""
        if self._line is not None and self.is_up:
            self._line.ping()

    # ── called by the line ────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> None:
        assert self._line is not None, "it calls us"
        if self._line.refused:
            self.trouble = ", ".join(f"{topic}: 0x{code:02x}" for topic, code in self._line.refused)
        self.is_up = True
        online = {"state": "online", "session": self.connections, "software": __version__}
        self._say("status", STATUS_SCHEMA, online)
        self._say("info", INFO_SCHEMA, self._info())
        self._said = None
        self._turn()

    def _over(self, why: str) -> None:
        self.is_up, self._line, self.trouble = False, None, why

    def _hear(self, message: Message) -> None:
        self._machine.offer(self._scopes[message.topic], message.payload)
        self._turn()

    # ── its own life ──────────────────────────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        """Let the state machine go on, say what is new, and come again when there is something to do."""
        if self._turn_due is not None:
            self._turn_due.cancel()
        again_s = self._machine.step()
        while again_s <= 0:
            again_s = self._machine.step()
        wait_s = self._report()
        self._turn_due = asyncio.get_running_loop().call_later(min(again_s, wait_s or again_s), self._turn)

    def _report(self) -> float:
        """Say how far everything is, if that is new; returns how long to wait where it is too early, in s."""
        if not self.is_up:
            return 0.0
        now_s = asyncio.get_running_loop().time()
        early_s = self._said_s + REPORTS_APART_S - now_s
        if self._said is not None and early_s > 0:
            return early_s
        document = self._reported()
        content = {name: value for name, value in document.items() if name != "at"}
        if content != self._said:
            self._said, self._said_s = content, now_s
            self._say("config/reported", REPORTED_SCHEMA, document)
        return 0.0

    def _reported(self) -> dict[str, Any]:
        wanted = self._hardware.at_work
        bundles = {} if wanted is None else wanted.bundles
        seen = {
            name: BundleAtWork(version=one.version, digest=one.digest, precision="int8", provider="CPU")
            for name, one in bundles.items()
        }
        document = reported(
            self._machine.snapshot(),
            AtWork(bundles=seen),
            device=self.person.device,
            case="",
            utc_ns=self._clock.utc_ns(),
        )
        return _as_a_liar(document) if self._traits.is_lying else document

    def _transition(self, transition: Transition) -> None:
        self._told(self, transition)
        event = event_of(transition, device=self.person.device)
        self._say("config/event", EVENT_SCHEMA, event, retain=False)

    # ── how it is said ────────────────────────────────────────────────────────────────────────────────────

    def _info(self) -> Mapping[str, Any]:
        return {
            "site": self.person.site,
            "device": self.person.device,
            "room": self.person.room,
            "groups": list(self.person.groups),
            "software": {"edge": __version__},
            "hardware": {"machine": "simulated"},
            "pipelines": [],
            "schemas": [REPORTED_SCHEMA],
            "at": told(self._clock.utc_ns()),
        }

    def _say(self, below: str, schema: str, document: Mapping[str, Any], *, retain: bool = True) -> None:
        if self._line is not None and self.is_up:
            self._line.send(self._message(below, schema, document, retain=retain))

    def _message(
        self, below: str, schema: str, document: Mapping[str, Any], *, retain: bool = True
    ) -> Message:
        body = json.dumps({"schema": schema, **document}, ensure_ascii=False).encode()
        topic = f"{self.person.prefix}/{below}"
        return Message(topic=topic, payload=body, retain=retain, user_properties=(("schema", schema),))


def _as_a_liar(document: dict[str, Any]) -> dict[str, Any]:
    """Say that all went well, whatever happened; only the digest still shows what is at work."""
    version = document["desired_version"]
    return {**document, "applied_version": version, "version": version, "status": "committed", "code": "ok"}
