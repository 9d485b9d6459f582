"""A small site as its operator makes it: two authorities, a mosquitto with TLS and access lists, clients."""

from __future__ import annotations

import contextlib
import datetime
import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge.fleet.access import Access
from edge.fleet.authority import Authority
from edge.fleet.enrol import add_to_acl, enrol, enrol_broker, stem_of
from edge.fleet.mosquitto import CONTROL, dynamic_security
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.mqtt import Message, MqttSession, Tls
from tests.peers.broker import Mosquitto
from tests.ports import free_port
from tests.waiting import until

PLUGINS = list(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
ROOT = "edge/v1"
EVERYTHING = Access("tester", ("#",), ("#",))
ADMINISTRATOR = "admin"


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class FleetSite:
    """A broker made by `enrol_broker`, and everybody who was enrolled; use it with `with`."""

    def __init__(self, folder: Path, *, is_dynamic: bool = False) -> None:
        """Make the authorities, the broker's files, and the tester who may do everything.

        Args:
            folder: Its own.
            is_dynamic: Dynamic security in place of the access list.
        """
        self.folder = folder
        self.is_dynamic = is_dynamic
        self.broker = Mosquitto(folder / "broker")
        self.devices, self.people = (Authority(folder / name, now=now) for name in ("devices", "people"))
        self.devices.make("devices")
        self.people.make("people")
        self.broker.port = _two_free_ports()
        enrol_broker(
            "broker",
            hosts=("localhost", "127.0.0.1"),
            port=self.broker.port,
            folder=self.broker.folder,
            devices=self.devices,
            people=self.people,
        )
        settings = self.broker.folder / "mosquitto.conf"
        text = settings.read_text()
        if is_dynamic:
            admitted = folder / "dynsec.json"
            subprocess.run(
                ["mosquitto_ctrl", "dynsec", "init", admitted, ADMINISTRATOR, "unused"],
                check=True,
                capture_output=True,
            )
            asking = f"plugin {PLUGINS[0]}\nplugin_opt_config_file {admitted}"
            text = text.replace(f"acl_file {self.broker.folder}/acl", asking)
        settings.write_text(
            f"{text}user root\nlog_type all\nlog_dest file {self.broker.folder}/mosquitto.log\n"
        )

    def __enter__(self) -> FleetSite:
        self.broker.start()
        try:
            until(self._people_may_come, within_s=10)
            if self.is_dynamic:
                self.issue(Access(ADMINISTRATOR, (), ()))
            self.admit(EVERYTHING)
        except BaseException:
            self.broker.stop()
            raise
        return self

    def _people_may_come(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.broker.port + 1), 1):
            return True
        return False

    def __exit__(self, *_: object) -> None:
        self.broker.stop()

    def files_of(self, name: str) -> Path:
        """Where somebody's key and certificate lie."""
        return self.folder / "clients" / name.replace("/", "-")

    def issue(self, access: Access) -> None:
        """Give somebody a certificate."""
        authority = self.devices if "/" in access.name else self.people
        enrol(access, folder=self.files_of(access.name), authority=authority)

    def admit(self, *accesses: Access) -> None:
        """Give somebody a certificate, and tell the broker what they may do."""
        for access in accesses:
            self.issue(access)
            if self.is_dynamic:
                self.tell(dynamic_security(access))
            else:
                add_to_acl(self.broker.folder / "acl", access)
        self.read_again()

    def read_again(self) -> None:
        """Let mosquitto read its lists once more."""
        process = self.broker._process
        if process is not None:
            seen = self.broker.log.count("Reloading config")
            process.send_signal(signal.SIGHUP)
            until(lambda: self.broker.log.count("Reloading config") > seen, within_s=5)

    def tell(self, command: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Send a command for dynamic security as an operator types it; returns the broker's answers."""
        asked = ["mosquitto_rr", "-V", "5", "-q", "1", "-W", "5", "-t", CONTROL, "-e", f"{CONTROL}/response"]
        files = self.files_of(ADMINISTRATOR)
        named = (("--cafile", "ca.crt"), ("--cert", "admin.crt"), ("--key", "admin.key"))
        ours = [word for option, file in named for word in (option, str(files / file))]
        where = ["-h", "localhost", "-p", str(self.broker.port + 1)]
        said = subprocess.run(
            [*asked, *where, *ours, "-m", json.dumps(command)], check=True, capture_output=True, timeout=20
        )
        answers: list[dict[str, Any]] = json.loads(said.stdout)["responses"]
        return answers

    def session(
        self, name: str, *, client_id: str = "", port: int | None = None, files: Path | None = None
    ) -> MqttSession:
        """Return a session that is not open yet, with the certificate that was issued."""
        stem, folder = stem_of(name), files or self.files_of(name)
        authority = self.devices if "/" in name else self.people
        usual = self.broker.port + (authority is self.people)
        return MqttSession(
            host="localhost",
            port=usual if port is None else port,
            client_id=client_id or stem,
            clock=SystemClock(),
            tls=Tls(
                ca_file=folder / "ca.crt",
                certificate_file=folder / f"{stem}.crt",
                key_file=folder / f"{stem}.key",
            ),
            session_expiry_s=0,
            backoff=Backoff(min_s=0.05, max_s=0.1),
        )

    @contextmanager
    def client(self, name: str, *filters: str, **options: Any) -> Iterator[Client]:
        """Connect somebody, who listens."""
        session = self.session(name, **options)
        client = Client(session)
        for topic_filter in filters:
            session.subscribe(topic_filter, client.hear)
        session.on_subscribed(client.note_refused)
        with session:
            assert session.wait_connected(5), session.trouble
            until(lambda: client.has_subscribed, within_s=5)
            yield client


class Client:
    """Somebody who is connected.

    Attributes:
        heard: Topic of each message that came.
        questions: Of each that wants an answer: where to, and what it is known by.
        refused: Filters that the broker refused.
    """

    def __init__(self, session: MqttSession) -> None:
        self.session = session
        self.heard: list[str] = []
        self.questions: list[tuple[str, bytes]] = []
        self.refused: set[str] = set()
        self.has_subscribed = False
        self._lock = threading.Lock()

    def hear(self, message: Message) -> None:
        with self._lock:
            self.heard.append(message.topic)
            if message.response_topic:
                self.questions.append((message.response_topic, message.correlation_data))

    def note_refused(self, refused: Mapping[str, str]) -> None:
        self.refused = set(refused)
        self.has_subscribed = True

    def say(self, topic: str, *, retain: bool = False, payload: bytes = b"{}") -> int:
        """Publish; returns the broker's word."""
        return self.session.publish(Message(topic=topic, payload=payload, retain=retain), timeout_s=5)

    def ask(self, topic: str, response_topic: str) -> int:
        """Publish something that wants an answer."""
        asked = Message(topic=topic, payload=b"{}", response_topic=response_topic, correlation_data=b"7")
        return self.session.publish(asked, timeout_s=5)


def cannot_connect(session: MqttSession) -> str:
    """Return why somebody cannot connect."""
    with session:
        assert not session.wait_connected(0.5)
        return session.trouble


def _two_free_ports() -> int:
    """Return a port that is free, and the one after it, too."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
            return port
