"""What the broker keeps for us: said again at every connection, and cleared when it is true no longer.

A retained message outlives the process that published it. The topics ever used are written down, so that an
alert or a source of an earlier run does not stay before people's eyes for ever.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from edge.kit.files import write_durably
from edge.kit.log import Log
from edge.kit.mqtt import Message, MqttSession


class Retained:
    """Retained messages by topic, safe to use from several threads; only `write_down` waits."""

    def __init__(self, session: MqttSession, memory: Path) -> None:
        """Store where to speak and where to remember.

        Args:
            session: What it speaks through.
            memory: File with the topics ever used; made when there is a first one.
        """
        self._session = session
        self._memory = memory
        self._log = Log("presence")
        self._lock = threading.Lock()
        self._messages: dict[str, Message] = {}
        self._topics: set[str] | None = None
        self._is_dirty = False

    def keep(self, message: Message) -> None:
        """Say it now, if one can, and at every connection from now on."""
        with self._lock:
            self._messages[message.topic] = message
            if message.topic not in self._recalled():
                self._recalled().add(message.topic)
                self._is_dirty = True
            self._session.post(message)

    def clear(self, topic: str) -> None:
        """Have the broker forget it, now or at the next connection."""
        with self._lock:
            self._messages.pop(topic, None)
            self._session.post(_empty(topic))

    def say_again(self) -> None:
        """Say all that is true, and clear what was once said and is not."""
        with self._lock:
            for message in self._messages.values():
                self._session.post(message)
            for topic in sorted(self._recalled() - self._messages.keys()):
                self._session.post(_empty(topic))

    def write_down(self) -> None:
        """Remember the topics across a restart; waits for the disk. What fails is tried again next time."""
        with self._lock:
            if not self._is_dirty:
                return
            topics = sorted(self._recalled())
            self._is_dirty = False
        try:
            write_durably(self._memory, json.dumps(topics, indent=1).encode())
        except OSError as trouble:
            self._log.error("retained topics not written down", file=self._memory, because=trouble)
            with self._lock:
                self._is_dirty = True

    def _recalled(self) -> set[str]:
        if self._topics is None:
            self._topics = set()
            if self._memory.exists():
                try:
                    self._topics.update(map(str, json.loads(self._memory.read_bytes())))
                except (OSError, ValueError) as trouble:
                    self._log.error("retained topics forgotten", file=self._memory, because=trouble)
        return self._topics


def _empty(topic: str) -> Message:
    return Message(topic=topic, payload=b"", retain=True)
