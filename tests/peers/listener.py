"""An independent MQTT 5 subscriber with a session that outlives its connections."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any, Self

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.waiting import until


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as it arrived."""

    topic: str
    payload: bytes
    qos: int
    is_retained: bool
    properties: dict[str, Any]

    @property
    def user(self) -> dict[str, str]:
        return dict(self.properties.get("UserProperty", []))

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.payload)
        return document


class Listener:
    """Subscribed while the `with` lasts; with `expiry_s` the broker keeps what comes while it is away."""

    def __init__(
        self,
        port: int,
        *topic_filters: str,
        name: str = "listener",
        expiry_s: int = 3600,
        username: str | None = None,
    ) -> None:
        self.heard: list[Heard] = []
        self._filters = topic_filters
        self._port = port
        self._expiry_s = expiry_s
        self._subscribed = threading.Event()
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
        client.username = username or ""
        client.reconnect_delay_set(min_delay=1, max_delay=1)
        client.on_connect = self._connected
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._received

    def __enter__(self) -> Self:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own
        properties.SessionExpiryInterval = self._expiry_s
        self._client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(10), "the listener is not subscribed"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def on(self, below: str) -> list[Heard]:
        """What was heard on topics that end so."""
        return [heard for heard in list(self.heard) if heard.topic.endswith(below)]

    def publish(self, topic: str) -> None:
        """Say something without content."""
        self._client.publish(topic, b"", qos=1)

    def wait_for(self, count: int, *, within_s: float = 20.0) -> list[Heard]:
        """Return when so many messages were heard."""
        until(lambda: len(self.heard) >= count, within_s=within_s, what=f"{count} messages are heard")
        return list(self.heard)

    def _connected(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        assert not reason.is_failure, f"the listener is refused: {reason}"
        for topic_filter in self._filters:
            client.subscribe(topic_filter, options=SubscribeOptions(qos=1))

    def _received(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        known = {} if message.properties is None else vars(message.properties)
        properties = {name: value for name, value in known.items() if name[0].isupper()}
        self.heard.append(
            Heard(message.topic, bytes(message.payload), message.qos, message.retain, properties)
        )
