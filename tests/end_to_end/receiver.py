"""An independent receiver: paho itself, a persistent session, everything it ever got."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.waiting import until


class Receiver:
    """Subscribes to all findings of a broker and keeps them in order of arrival."""

    def __init__(
        self, port: int, *, client_id: str = "receiver", topic: str = "edge/v1/+/+/finding/#"
    ) -> None:
        self.port = port
        self._lock = threading.Lock()
        self._arrived: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self._is_subscribed = threading.Event()
        self._topic = topic
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic, qos=1)
        self._client.on_subscribe = lambda *_: self._is_subscribed.set()
        self._client.on_message = self._take
        self._client.reconnect_delay_set(0, 1)

    def __enter__(self) -> Receiver:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own gap
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", self.port, clean_start=False, properties=properties)
        self._client.loop_start()
        until(self._is_subscribed.is_set, within_s=10, what="subscribed")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def findings(self) -> list[dict[str, Any]]:
        """Every finding in the order in which it came, repeats included."""
        with self._lock:
            return [body for _, body, _ in self._arrived]

    def arrived(self, finding: dict[str, Any]) -> None:
        """Be told of a finding in the moment in which it came; for whoever measures."""

    def topics(self) -> list[str]:
        with self._lock:
            return [topic for topic, _, _ in self._arrived]

    def dedupe_ids(self) -> dict[str, set[str]]:
        """The dedupe_ids under which each finding came."""
        ids: dict[str, set[str]] = defaultdict(set)
        with self._lock:
            for _, body, properties in self._arrived:
                ids[body["finding_id"]].add(properties["dedupe_id"])
        return ids

    def sequence_numbers(self) -> set[int]:
        """The device's own count of its findings; a gap is one that never came."""
        with self._lock:
            return {int(properties["seq"]) for _, _, properties in self._arrived}

    def _take(self, client: paho.Client, told: Any, message: paho.MQTTMessage) -> None:
        properties = dict(getattr(message.properties, "UserProperty", []))
        if not message.payload:
            return  # what was retained is taken back
        body = json.loads(message.payload)
        with self._lock:
            self._arrived.append((message.topic, body, properties))
        self.arrived(body)
