"""An operator made of paho and a key: writes documents and commands, hears what becomes of them."""

from __future__ import annotations

import datetime
import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.bundles.package import pack
from edge.bundles.signature import make_key
from edge.bundles.store import read_manifest
from edge.fleet.signing import Signer
from tests.end_to_end.appliance import Appliance
from tests.waiting import until

KEY = "fleet-test"
DEVICE = "edge/v1/test/box-1"


class Office:
    """One device's operator; retained documents as of now, events in the order in which they came."""

    def __init__(self, port: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._port = port
        self.public_key = make_key(folder / "fleet.key", folder / "fleet.pub")
        self.signer = Signer(KEY, folder / "fleet.key")
        self._version = 0
        self._lock = threading.Lock()
        self._retained: dict[str, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._is_subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="office", protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{DEVICE}/#", qos=1)
        self._client.on_subscribe = lambda *_: self._is_subscribed.set()
        self._client.on_message = self._take

    def __enter__(self) -> Office:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        until(self._is_subscribed.is_set, within_s=10, what="subscribed")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def section(self, **more: Any) -> dict[str, Any]:
        """The section `fleet` of a device that believes this office."""
        return {"keys": [{"name": KEY, "public_key": self.public_key}], **more}

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────

    def desire(self, config: Mapping[str, Any], **others: Any) -> int:
        """Sign and publish the next version of the device's document; return it."""
        self._version += 1
        document = {
            "schema": "edge.desired/1",
            "device": "box-1",
            "version": self._version,
            "base": self._version - 1,
            "issued": now(),
            "apply": {**at_once(), "confirm_s": 30},
            "config": config,
            **others,
        }
        self.publish(f"{DEVICE}/config/desired", self.signer.sign(document))
        return self._version

    def command(self, kind: str, name: str, **args: Any) -> None:
        """Sign and publish a command."""
        document = {
            "schema": "edge.cmd/1",
            "state": "init",
            "device": "box-1",
            "cmd": f"{kind}/{name}",
            "issued": now(),
            "expires": now(ahead_s=600),
            "args": args,
        }
        self.publish(f"{DEVICE}/cmd/{kind}/{name}", self.signer.sign(document))

    def publish(self, topic: str, document: Mapping[str, Any]) -> None:
        self._client.publish(topic, json.dumps(document).encode(), qos=1, retain=True).wait_for_publish(10)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────

    def retained(self, below: str) -> dict[str, Any]:
        with self._lock:
            return self._retained.get(f"{DEVICE}/{below}", {})

    def reported(self) -> dict[str, Any]:
        return self.retained("config/reported")

    def alerts(self) -> dict[str, str]:
        with self._lock:
            return {
                topic.rpartition("/")[2]: body["text"]
                for topic, body in self._retained.items()
                if topic.startswith(f"{DEVICE}/alert/")
            }

    def states(self, version: int) -> list[str]:
        """The states of a version, in the order in which they were told."""
        with self._lock:
            return [event["status"] for event in self._events if event["version"] == version]

    def event(self, version: int) -> dict[str, Any]:
        """The last that was told of a version."""
        with self._lock:
            return [event for event in self._events if event["version"] == version][-1]

    def until_state(self, version: int, state: str, *, within_s: float = 30) -> dict[str, Any]:
        """Wait until a version is in a state; return what was told of it last."""
        until(
            lambda: self.states(version)[-1:] == [state],
            within_s=within_s,
            what=f"{state}; seen: {self.states(version)}, {self.reported()}",
        )
        return self.event(version)

    def until_done(self, kind: str, name: str, *, within_s: float = 20) -> dict[str, Any]:
        """Wait until a command has ended; return its document."""
        below = f"cmd/{kind}/{name}"
        ended = ("successful", "failed")
        until(lambda: self.retained(below).get("state") in ended, within_s=within_s, what=f"{below} ended")
        return self.retained(below)

    def _take(self, client: paho.Client, told: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload) if message.payload else {}
        with self._lock:
            if message.topic.endswith("/config/event"):
                self._events.append(body)
            elif body:
                self._retained[message.topic] = body
            else:
                self._retained.pop(message.topic, None)


def now(*, ahead_s: float = 0) -> str:
    """Return a moment of documents."""
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=ahead_s)
    return moment.isoformat(timespec="microseconds")


def at_once() -> dict[str, Any]:
    """Return when to apply: at once, whatever is under way; the window is open now and for hours."""
    hour = datetime.datetime.now().hour  # noqa: DTZ005  # windows are of the device's local time
    return {"mode": "safe_point", "window": f"{(hour - 2) % 24:02}:00-{(hour + 4) % 24:02}:00"}


def reference(folder: Path, bundle: Path) -> dict[str, Any]:
    """Pack a bundle; return how a document refers to it."""
    folder.mkdir(parents=True, exist_ok=True)
    package = pack(bundle, folder)
    content = package.read_bytes()
    return {
        "version": read_manifest(bundle)[1].version,
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "url": package.as_uri(),
        "size_bytes": len(content),
    }


def with_fleet(box: Appliance, office: Office, **more: Any) -> Appliance:
    """Let a device believe an office."""
    box.document["fleet"] = office.section(**more)
    return box
