"""Findings per second from an outbox on disk to a real broker: `python -m tests.bench.outbox`."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from edge.kit.clock import SystemClock
from edge.kit.journal import Journal
from edge.kit.mqtt import Message, MqttSession
from edge.sinks.mqtt import MqttSink
from edge.sinks.outbox import to_entry
from edge.sinks.pump import Pump
from tests.builders.findings import envelope
from tests.fakes.alerts import FakeAlerts
from tests.peers.broker import Mosquitto
from tests.peers.listener import Listener
from tests.waiting import until

COUNT = 500
BODY = b"{" + b" " * 1500 + b"}"


def main() -> None:
    """Print one line for the wire alone, and one for the outbox with each number of workers."""
    clock = SystemClock()
    with ExitStack() as rooms:
        folder = Path(rooms.enter_context(tempfile.TemporaryDirectory()))
        broker = rooms.enter_context(Mosquitto(folder / "broker"))
        listener = rooms.enter_context(Listener(broker.port, "edge/#"))
        session = rooms.enter_context(
            MqttSession(host="127.0.0.1", port=broker.port, client_id="device", clock=clock)
        )
        assert session.wait_connected(10)
        started = time.perf_counter()
        for _ in range(COUNT):
            session.publish(Message(topic="edge/v1/s/d/finding/x", payload=BODY), timeout_s=10)
        tell("wire alone, one after the other", time.perf_counter() - started)
        for workers in (1, 4, 8, 16):
            with Journal(folder / f"{workers}.db", clock) as journal:
                for number in range(COUNT):
                    one = envelope(number, subject=f"subject-{number % 100}", body=BODY)
                    journal.put(to_entry(one, received_at_ns=clock.utc_ns()))
                sink = MqttSink(session, prefix="edge/v1/s/d", alerts=FakeAlerts())
                alerts = FakeAlerts()
                started = time.perf_counter()
                with Pump(journal, sink, clock=clock, alerts=alerts, workers=workers) as pump:
                    assert pump.flush(120)
                    tell(f"outbox, {workers} workers", time.perf_counter() - started)
        until(lambda: len(listener.heard) == 5 * COUNT, within_s=20)


def tell(what: str, seconds: float) -> None:
    """Print one line."""
    sys.stdout.write(f"{what:<40} {COUNT / seconds:8.0f} findings/s\n")


if __name__ == "__main__":
    main()
