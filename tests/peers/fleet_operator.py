"""An operator at a real broker: settings, a key that devices know, a desk, and devices on paper."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge.cli.fleet_desk import Place, place, session_of
from edge.fleet.operator.history import History
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.writing import Writing
from edge.kit.clock import SystemClock
from edge.kit.mqtt import Message, MqttSession
from tests.builders.fleet import KEY
from tests.peers.test_mqtt_session import session_with

ROOT = "edge/v1"
NAME = "site/or-3"  # of the device that `fleet_box` runs


def operator(port: int, folder: Path, *, who: str = "jane") -> Path:
    """Write the settings of an operator with a key of their own making, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "key.pem"
    key.touch(mode=0o600)
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))  # which the devices of the tests believe
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file = folder / "fleet.yaml"
    file.write_text(
        f"broker: {{host: 127.0.0.1, port: {port}, tls: false}}\n"
        f"operator: {who}\n"
        f"signing: {{key: {KEY}, private_file: key.pem}}\n"
        "state: state\n"
    )
    return file


class Seat:
    """An open desk with a history: what `edge fleet set` works with."""

    def __init__(self, where: Place, desk: MqttDesk, history: History) -> None:
        self.where = where
        self.desk = desk
        self.history = history

    def writing(self, name: str = NAME) -> Writing:
        """Begin to write for a device."""
        return Writing(self.desk, self.history, self.where.keys(), name)

    def told(self, name: str = NAME) -> list[tuple[str, int]]:
        """What the history says of a device: what, and of which version."""
        return [(each.what, each.version) for each in self.history.entries(name)]


@contextmanager
def seat(port: int, folder: Path, *, who: str = "jane") -> Iterator[Seat]:
    """Open a desk and a history for one operator."""
    where = place(operator(port, folder, who=who))
    signer, _ = where.signing()
    clock = SystemClock()
    desk = MqttDesk(
        lambda: session_of(where.settings, f"desk-{who}"),
        root=ROOT,
        clock=clock,
        signer=signer,
        more=("+/config/event",),
    )
    with desk, History(where.state, signer=signer, by=who, clock=clock) as history:
        yield Seat(where, desk, history)


class Paper:
    """Says what devices would say."""

    def __init__(self, session: MqttSession) -> None:
        self._session = session

    def say(self, below: str, document: Mapping[str, Any] | None, *, retain: bool = True) -> None:
        """Publish below the root; None clears."""
        self.say_bytes(below, b"" if document is None else json.dumps(document).encode(), retain=retain)

    def say_bytes(self, below: str, payload: bytes, *, retain: bool = True) -> None:
        """Publish what may be no document."""
        self._session.publish(Message(topic=f"{ROOT}/{below}", payload=payload, retain=retain), timeout_s=10)

    def presence(self, name: str, state: str = "online", *, session: int = 1, room: str = "") -> None:
        """Say that a device is there, or is not."""
        site, _, device = name.partition("/")
        at = "2026-11-22T14:00:00.000Z"
        self.say(f"{name}/status", {"schema": "edge.status/1", "state": state, "session": session, "at": at})
        self.say(
            f"{name}/info", {"site": site, "device": device, "room": room, "software": {"edge": "0.1.0"}}
        )


@contextmanager
def paper(port: int, *, present: Sequence[str] = ()) -> Iterator[Paper]:
    """Open what speaks for devices; some of them are there."""
    with session_with(port, client_id="paper") as session:
        assert session.wait_connected(10), session.trouble
        devices = Paper(session)
        for name in present:
            devices.presence(name)
        yield devices
