"""Nothing that entered the outbox is lost, doubled under another id, or overtaken, whatever happens."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.errors import DeliveryError, RefusedError
from edge.domain.finding import Envelope
from edge.domain.ports import Sink
from edge.kit import room
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.journal import Journal
from edge.kit.mqtt import MqttSession
from edge.sinks.mqtt import MqttSink
from edge.sinks.outbox import Parcel, from_row, to_entry
from edge.sinks.pump import ALERT, Pump
from tests.builders.findings import envelope
from tests.fakes.alerts import FakeAlerts
from tests.fakes.full import Full
from tests.fakes.sink import FakeSink
from tests.peers.broker import Mosquitto, broker
from tests.peers.listener import Heard, Listener
from tests.waiting import until

__all__ = ["broker"]
SOON = Backoff(min_s=0.05, max_s=0.2)
FINDINGS = "edge/v1/+/+/finding/#"
ROOT = Path(__file__).parents[2]


class Outbox:
    """A journal, a pump and its sink, and what was put into it."""

    def __init__(self, folder: Path, sink: Sink, is_open: Callable[[], bool] = lambda: True) -> None:
        self.clock = SystemClock()
        self.journal = Journal(folder / "journal.db", self.clock)
        self.alerts = FakeAlerts()
        self.pump = Pump(
            self.journal, sink, clock=self.clock, alerts=self.alerts, backoff=SOON, is_open=is_open
        )
        self.put: list[Envelope] = []

    def add(self, one: Envelope) -> Envelope:
        self.journal.put(to_entry(one, received_at_ns=self.clock.utc_ns()))
        self.put.append(one)
        return one

    def stream(self, count: int, *, subjects: int) -> None:
        """Add envelopes numbered per subject, the subjects taking turns; goes on where the last one ended."""
        for number in range(len(self.put), len(self.put) + count):
            self.add(envelope(number // subjects, subject=f"subject-{number % subjects}"))


@pytest.fixture
def rooms() -> Iterator[ExitStack]:
    with ExitStack() as rooms:
        yield rooms


def with_fake(rooms: ExitStack, folder: Path, sink: Sink) -> Outbox:
    outbox = Outbox(folder, sink)
    rooms.enter_context(outbox.journal)
    rooms.enter_context(outbox.pump)
    return outbox


@contextmanager
def to_broker(folder: Path, port: int) -> Iterator[Outbox]:
    session = MqttSession(host="127.0.0.1", port=port, client_id="device", clock=SystemClock(), backoff=SOON)
    alerts = FakeAlerts()
    sink = MqttSink(session, prefix="edge/v1/site/device", alerts=alerts)
    outbox = Outbox(folder, sink, is_open=lambda: session.connected)
    outbox.alerts = alerts
    session.on_connect(outbox.pump.wake)
    with outbox.journal, session, outbox.pump:
        yield outbox


def assert_nothing_lost_nothing_overtaken(heard: Sequence[Heard], put: Sequence[Envelope]) -> None:
    """Each id at least once, always with the same body; the first arrivals of a subject in order."""
    bodies: dict[str, set[bytes]] = defaultdict(set)
    order: dict[str, list[int]] = defaultdict(list)
    for one in heard:
        if one.user["dedupe_id"] not in bodies:
            order[one.document["subject"]].append(one.document["number"])
        bodies[one.user["dedupe_id"]].add(one.payload)
    assert bodies == {one.dedupe_id: {one.body} for one in put}
    assert all(numbers == sorted(numbers) for numbers in order.values()), order


def arrived(listener: Listener) -> int:
    return len({heard.user["dedupe_id"] for heard in list(listener.heard)})


def has_arrived(listener: Listener, count: int) -> bool:
    return arrived(listener) >= count


@pytest.mark.parametrize("end", [Mosquitto.stop, Mosquitto.kill], ids=["stopped", "killed"])
def test_a_broker_away_in_the_middle_loses_nothing_and_reorders_nothing(
    tmp_path: Path, broker: Mosquitto, end: Callable[[Mosquitto], None]
) -> None:
    with Listener(broker.port, FINDINGS) as listener, to_broker(tmp_path, broker.port) as outbox:
        outbox.stream(60, subjects=5)
        until(lambda: arrived(listener) >= 20, within_s=20)
        end(broker)
        outbox.stream(60, subjects=5)
        until(lambda: outbox.pump.health().held >= 60, within_s=10)
        broker.start()
        until(lambda: outbox.pump.health().held == 0, within_s=30)
        until(lambda: arrived(listener) == 120, within_s=20)
        assert_nothing_lost_nothing_overtaken(listener.heard, outbox.put)
        assert outbox.pump.health().balances


def test_nobody_listening_keeps_the_finding_until_somebody_does(tmp_path: Path, broker: Mosquitto) -> None:
    with to_broker(tmp_path, broker.port) as outbox:
        outbox.stream(12, subjects=3)
        until(lambda: outbox.alerts.raised, within_s=10)
        assert outbox.pump.health().held == 12
        with Listener(broker.port, FINDINGS) as listener:
            until(lambda: arrived(listener) == 12, within_s=20)
            until(lambda: outbox.pump.health().held == 0, within_s=10)
        assert outbox.alerts.raised == {}
        assert_nothing_lost_nothing_overtaken(listener.heard, outbox.put)


def test_while_the_broker_is_away_nothing_is_tried_and_stopping_is_quick(tmp_path: Path) -> None:
    with to_broker(tmp_path, 1) as outbox:
        outbox.stream(20, subjects=2)
        until(lambda: outbox.pump.health().held == 20, within_s=5)
        before = time.process_time()
        time.sleep(0.05)
        assert {item.attempts for item in outbox.journal.items("outbox")} == {0}
        assert outbox.journal.count("outbox", "leased") == 0
        assert time.process_time() - before < 0.04, "no busy loop"
        assert not outbox.pump.flush(30)
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 5


def test_a_process_that_is_killed_again_and_again_delivers_everything_in_order(
    tmp_path: Path, broker: Mosquitto
) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.faults.outbox_process",
        str(broker.port),
        str(tmp_path),
        "300",
        "7",
    ]
    with Listener(broker.port, FINDINGS) as listener:
        for enough in (5, 60, 150):
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
            until(partial(has_arrived, listener, enough), within_s=30)
            time.sleep(random.uniform(0, 0.05))
            process.kill()
            process.wait(10)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == "empty\n"
        until(lambda: arrived(listener) == 300, within_s=20)
    with Journal(tmp_path / "journal.db", SystemClock()) as journal:
        put = [from_row(item.body).envelope for item in journal.items("outbox", states=("done",))]
    assert len(put) == 300
    assert_nothing_lost_nothing_overtaken(listener.heard, put)


class Moody(FakeSink):
    """Takes nothing of the subjects it is told not to like, refuses what is `poison` for good."""

    def __init__(self) -> None:
        super().__init__()
        self.disliked: set[str] = set()
        self.poison: set[str] = set()

    def deliver(self, envelope: Envelope, *, timeout_s: float) -> None:
        if envelope.dedupe_id in self.poison:
            raise RefusedError("never")
        if envelope.subject in self.disliked:
            raise DeliveryError("not this subject, not now")
        super().deliver(envelope, timeout_s=timeout_s)


def test_a_subject_that_fails_waits_alone(tmp_path: Path, rooms: ExitStack) -> None:
    sink = Moody()
    sink.disliked = {"subject-1"}
    outbox = with_fake(rooms, tmp_path, sink)
    outbox.stream(30, subjects=3)
    until(lambda: len(sink.taken) == 20, within_s=10)
    until(lambda: outbox.pump.health().held == 10, within_s=5)
    sink.disliked = set()
    until(lambda: len(sink.taken) == 30, within_s=10)
    numbers = [one.body for one in sink.taken if one.subject == "subject-1"]
    assert numbers == sorted(numbers, key=len), "in the order in which they came"


def test_what_is_refused_for_good_is_set_aside_told_of_and_in_nobodys_way(
    tmp_path: Path, rooms: ExitStack
) -> None:
    sink = Moody()
    outbox = Outbox(tmp_path, sink)
    rooms.enter_context(outbox.journal)
    outbox.stream(9, subjects=1)
    sink.poison = {outbox.put[3].dedupe_id}
    rooms.enter_context(outbox.pump)
    assert outbox.pump.flush(10)
    assert [one.dedupe_id for one in sink.taken] == [
        one.dedupe_id for one in outbox.put if one.dedupe_id not in sink.poison
    ]
    (kept,) = outbox.journal.items("outbox", states=("set_aside",))
    assert (kept.key, kept.reason) == (outbox.put[3].dedupe_id, "never")
    assert "1, kept on disk" in outbox.alerts.raised[ALERT]
    books = outbox.pump.health()
    assert (books.taken, books.out, books.set_aside, books.held) == (9, 8, 1, 0)


def test_an_error_nobody_expected_sets_one_envelope_aside_and_the_pump_goes_on(
    tmp_path: Path, rooms: ExitStack
) -> None:
    class Broken(FakeSink):
        def deliver(self, envelope: Envelope, *, timeout_s: float) -> None:
            assert timeout_s > 0
            {"good": None}[envelope.subject]
            super().deliver(envelope, timeout_s=timeout_s)

    sink = Broken()
    outbox = with_fake(rooms, tmp_path, sink)
    outbox.add(envelope(subject="bad"))
    good = outbox.add(envelope(subject="good"))
    assert outbox.pump.flush(10)
    assert sink.taken == [good]
    assert "KeyError" in outbox.journal.items("outbox", states=("set_aside",))[0].reason


def test_what_was_in_hand_at_a_crash_is_delivered_by_the_next_run(tmp_path: Path, rooms: ExitStack) -> None:
    first = Outbox(tmp_path, FakeSink())
    with first.journal:
        first.stream(4, subjects=2)
        assert first.journal.lease_oldest("outbox"), "and the process dies"
    sink = FakeSink()
    second = with_fake(rooms, tmp_path, sink)
    assert second.pump.flush(10)
    assert sorted(one.dedupe_id for one in sink.taken) == sorted(one.dedupe_id for one in first.put)


def test_attempts_are_never_given_up(tmp_path: Path, rooms: ExitStack) -> None:
    sink = FakeSink()
    sink.is_away = True
    outbox = with_fake(rooms, tmp_path, sink)
    outbox.add(envelope())
    until(lambda: sink.attempts >= 8, within_s=20)
    assert outbox.journal.count("outbox", "set_aside") == 0
    sink.is_away = False
    assert outbox.pump.flush(10)


def test_the_latency_counts_from_the_last_instance_to_the_acknowledgement(
    tmp_path: Path, rooms: ExitStack
) -> None:
    outbox = with_fake(rooms, tmp_path, FakeSink())
    assert outbox.pump.latency_ms.percentile(50) is None
    one = envelope()
    outbox.journal.put(to_entry(one, received_at_ns=outbox.clock.utc_ns() - 5_000_000_000))
    assert outbox.pump.flush(10)
    until(lambda: outbox.pump.latency_ms.percentile(50) is not None, within_s=5)
    assert 5_000 <= (outbox.pump.latency_ms.percentile(99) or 0.0) < 15_000


def test_hundreds_of_findings_leave_in_seconds(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, FINDINGS) as listener, to_broker(tmp_path, broker.port) as outbox:
        outbox.stream(400, subjects=40)
        until(lambda: arrived(listener) == 400, within_s=30)
        assert_nothing_lost_nothing_overtaken(listener.heard, outbox.put)


@given(
    body=st.binary(max_size=200),
    subject=st.text(max_size=40),
    properties=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
    received_at_ns=st.integers(0, 2**62),
)
def test_a_row_holds_any_envelope_and_gives_it_back(
    body: bytes, subject: str, properties: dict[str, str], received_at_ns: int
) -> None:
    one = replace(envelope(subject=subject, body=body), properties=properties)
    entry = to_entry(one, received_at_ns=received_at_ns)
    assert (entry.queue, entry.key, entry.group) == ("outbox", one.dedupe_id, one.subject)
    assert from_row(entry.body) == Parcel(envelope=one, received_at_ns=received_at_ns)


@pytest.mark.parametrize("step", ["lease_oldest", "done"])
def test_a_full_disk_ends_no_worker_and_sets_nothing_aside(
    tmp_path: Path, rooms: ExitStack, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(room, "PAUSE_S", 0.02)
    outbox = Outbox(tmp_path, sink := FakeSink())
    rooms.enter_context(outbox.journal)
    full = Full(getattr(outbox.journal, step), times=3)
    monkeypatch.setattr(outbox.journal, step, full)
    one = outbox.add(envelope(1))
    rooms.enter_context(outbox.pump)
    until(lambda: outbox.pump.flush(0.1), within_s=5)
    assert full.times == 0
    assert outbox.journal.count("outbox", "done") == 1
    assert sink.taken == [one]
    until(lambda: outbox.pump.health().note == "", within_s=5)
