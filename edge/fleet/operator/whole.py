"""Whether a broker has told all that it keeps, or has left something out because its queue was too short.

A broker tells what it keeps filter by filter, in the order of the subscriptions, and mosquitto drops what
exceeds its queue for one client. So there is one retained message that is subscribed to last: where it comes,
nothing was dropped before it; where it does not come, something was.
"""

from __future__ import annotations

import json
import secrets
from typing import Final

from edge.domain.ports import Clock
from edge.kit.mqtt import Message

SOON_S: Final = 0.2  # within which a broker tells the next of what it keeps, mostly
QUIET_S: Final = 1.0  # within which it does, at the latest
NOT_WHOLE: Final = (
    "the broker left out some of what it keeps: its queue for one client is too short "
    "(mosquitto: max_queued_messages 1000000)"
)
BARRED: Final = "nobody knows whether this is all that the broker keeps: it does not let us write {topic}"


class Whole:
    """What is known about one connection after the other; the lock is its owner's."""

    def __init__(self, topic: str, clock: Clock) -> None:
        """Store which topic holds the last message of all."""
        self.topic = topic
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """A connection begins."""
        self._said = ""
        self._told_ns = self._clock.monotonic_ns()
        self.is_proven = False  # the last message of all came
        self.is_barred = False  # we may not write it
        self._is_heard = False  # we wrote it, and heard it

    def mark(self) -> Message:
        """Return the last message of all, each time another one, to be left there for the next connection."""
        self._said = secrets.token_hex(8)
        document = {"schema": "edge.desk/1", "what": "behind all that the broker keeps", "said": self._said}
        return Message(topic=self.topic, payload=json.dumps(document).encode(), retain=True)

    def take(self, message: Message) -> None:
        """Take note of a message, whatever it is."""
        if message.retain:
            self._told_ns = self._clock.monotonic_ns()
        if message.topic == self.topic:
            self.is_proven |= message.retain
            self._is_heard |= not message.retain and self._said.encode() in message.payload

    def left_s(self, quiet_s: float) -> float:
        """Return how long to wait until the broker is taken to have told all; 0 where it has.

        Args:
            quiet_s: So long it may tell nothing before.
        """
        if self.is_proven:
            return 0.0
        quiet_so_far_s = (self._clock.monotonic_ns() - self._told_ns) / 1e9
        waits_s = quiet_s if self._is_heard or self.is_barred else 10 * quiet_s
        return max(0.0, waits_s - quiet_so_far_s)
