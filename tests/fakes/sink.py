"""A sink that hands what it takes to a list, and can be told to fail."""

from __future__ import annotations

import threading

from edge.domain.errors import DeliveryError, RefusedError
from edge.domain.finding import Envelope


class FakeSink:
    """Takes everything unless `away`, nobody `listens`, or it is larger than `body_bytes_max`."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.attempts = 0
        self.is_away = False
        self.has_listener = True
        self.body_bytes_max = 1_000_000
        self._lock = threading.Lock()

    def deliver(self, envelope: Envelope, *, timeout_s: float) -> None:
        with self._lock:
            self.attempts += 1
            if self.is_away:
                raise DeliveryError(f"{envelope.channel}: away")
            if len(envelope.body) > self.body_bytes_max:
                raise RefusedError(
                    f"{envelope.channel}: {len(envelope.body)} bytes, takes {self.body_bytes_max}"
                )
            if not self.has_listener:
                raise DeliveryError(f"{envelope.channel}: nobody listens")
            self.taken.append(envelope)
