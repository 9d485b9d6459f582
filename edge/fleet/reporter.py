"""Says the reported document whenever it has changed, at most once a second, until the broker has it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from edge.domain.ports import Alerts, Clock
from edge.fleet.report import REPORTED_SCHEMA
from edge.kit.mqtt import FAILURE, Message, MqttSession

ALERT: Final = "fleet-report"
APART_S: Final = 1.0
LOOKED_APART_S: Final = 0.25
FURTHER_APART_S: Final = 10.0
AGAIN_S: Final = 10.0


class Reporter:
    """Publishes for one thread; the broker's answers may come in another."""

    def __init__(
        self,
        session: MqttSession,
        *,
        topic: str,
        alerts: Alerts,
        wake: Callable[[], None],
        clock: Clock,
    ) -> None:
        """Store where to speak.

        Args:
            session: What it speaks through.
            topic: Of the document; retained.
            alerts: Where it is raised that the broker does not take it.
            wake: Is called when there is something to be tried again.
            clock: Of the machine.
        """
        self._session = session
        self._topic = topic
        self._alerts = alerts
        self._wake = wake
        self._clock = clock
        self._lock = threading.Lock()
        self._said: Mapping[str, Any] | None = None
        self._not_before_ns = 0
        self._further_ns = 0
        self._sent = 0

    def say_again(self) -> None:
        """Say the next document although nothing has changed: there is a new line."""
        with self._lock:
            self._said, self._not_before_ns = None, 0

    def early_s(self) -> float:
        """Return for how long nothing is said; whoever makes the document need not make it before."""
        with self._lock:
            return max(0.0, (self._not_before_ns - self._clock.monotonic_ns()) / 1e9)

    def say(self, document: Mapping[str, Any]) -> None:
        """Say a document if it says something new; that only `at` differs is nothing new.

        What is under way being further than before is told less often than what has changed.
        """
        content = {name: value for name, value in document.items() if name != "at"}
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            self._not_before_ns = now_ns + round(LOOKED_APART_S * 1e9)
            if content == self._said or not self._session.connected:
                return
            is_further = self._said is not None and _settled(content) == _settled(self._said)
            if is_further and now_ns < self._further_ns:
                return
            self._said = content
            self._not_before_ns = now_ns + round(APART_S * 1e9)
            self._further_ns = now_ns + round(FURTHER_APART_S * 1e9)
            self._sent += 1
            number = self._sent
        body = json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
        properties = (("schema", REPORTED_SCHEMA),)
        message = Message(topic=self._topic, payload=body, retain=True, user_properties=properties)
        self._session.post(message, then=lambda code: self._answered(number, code))

    def _answered(self, number: int, code: int | None) -> None:
        """Have it said again where the broker has not taken it; never waits."""
        if code is not None and code < FAILURE:
            self._alerts.clear_alert(ALERT)
            return
        with self._lock:
            if number == self._sent:
                self._said = None
                self._not_before_ns = self._clock.monotonic_ns() + round(AGAIN_S * 1e9)
        if code is not None:
            text = f"{self._topic}: the broker does not take it (0x{code:02x}); the fleet sees an old report"
            self._alerts.raise_alert(ALERT, text)
        self._wake()


def _settled(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document without how far it is with what is under way."""
    pending = [
        {name: value for name, value in one.items() if name != "progress"} for one in content["pending"]
    ]
    return {**content, "pending": pending}
