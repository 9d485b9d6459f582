"""A process that fills an outbox and empties it towards a broker, made to be killed.

`python -m tests.faults.outbox_process PORT FOLDER COUNT SUBJECTS` puts COUNT envelopes, numbered per subject,
and goes on from where an earlier run was killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.journal import Journal
from edge.kit.mqtt import MqttSession
from edge.sinks.mqtt import MqttSink
from edge.sinks.outbox import to_entry
from edge.sinks.pump import Pump
from tests.builders.findings import envelope
from tests.fakes.alerts import FakeAlerts

SOON = Backoff(min_s=0.05, max_s=0.3)


def main(port: int, folder: Path, count: int, subjects: int) -> None:
    """Put what has not been put, deliver everything, say `empty`."""
    clock = SystemClock()
    session = MqttSession(host="127.0.0.1", port=port, client_id="device", clock=clock, backoff=SOON)
    sink = MqttSink(session, prefix="edge/v1/site/device", alerts=FakeAlerts())
    with Journal(folder / "journal.db", clock) as journal, session:
        pump = Pump(
            journal, sink, clock=clock, alerts=FakeAlerts(), backoff=SOON, is_open=lambda: session.connected
        )
        session.on_connect(pump.wake)
        states = ("ready", "leased", "interrupted", "done", "set_aside")
        with pump:
            for number in range(len(journal.items("outbox", states=states)), count):
                one = envelope(number // subjects, subject=f"subject-{number % subjects}")
                journal.put(to_entry(one, received_at_ns=clock.utc_ns()))
            session.wait_connected(20)
            assert pump.flush(60), pump.health()
    print("empty")  # for the test that waits for it


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
