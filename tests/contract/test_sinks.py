"""What every sink promises; the real one in front of a real broker, and the fake that other tests use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from edge.domain.errors import DeliveryError, RefusedError
from edge.domain.finding import Envelope
from edge.domain.ports import Sink
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.mqtt import MqttSession
from edge.sinks.mqtt import MqttSink
from tests.builders.findings import envelope
from tests.fakes.alerts import FakeAlerts
from tests.fakes.sink import FakeSink
from tests.peers.broker import Mosquitto
from tests.peers.listener import Listener
from tests.waiting import until

SECONDS = 10.0
LARGE = b" " * 20_000


class FarSide(Protocol):
    """What is behind a sink, for a test to look at and to break."""

    sink: Sink

    def taken(self) -> list[tuple[str, bytes]]:
        """(dedupe id, body) of what has arrived."""

    def lose_listener(self) -> None: ...

    def go_away(self) -> None: ...

    def come_back(self) -> None: ...


class BehindMqtt:
    """A mosquitto that takes packets of 16 kB, and a subscriber."""

    def __init__(self, folder: Path, rooms: ExitStack) -> None:
        self._rooms = rooms
        self._listening = ExitStack()
        more = "allow_anonymous true\nmax_packet_size 16000"
        self._broker = rooms.enter_context(Mosquitto(folder, more=more))
        self._listener = Listener(self._broker.port, "edge/v1/+/+/finding/#", expiry_s=0)
        self._listening.enter_context(self._listener)
        rooms.callback(self._listening.close)
        self.session = MqttSession(
            host="127.0.0.1",
            port=self._broker.port,
            client_id="device",
            clock=SystemClock(),
            backoff=Backoff(min_s=0.05, max_s=0.2),
        )
        rooms.enter_context(self.session)
        assert self.session.wait_connected(SECONDS), self.session.trouble
        self.alerts = FakeAlerts()
        self.sink: Sink = MqttSink(self.session, prefix="edge/v1/site/device", alerts=self.alerts)

    def taken(self) -> list[tuple[str, bytes]]:
        return [(heard.user["dedupe_id"], heard.payload) for heard in list(self._listener.heard)]

    def lose_listener(self) -> None:
        self._listening.close()
        until(lambda: "listener disconnected" in self._broker.log, within_s=SECONDS)

    def go_away(self) -> None:
        self._broker.stop()

    def come_back(self) -> None:
        self._broker.start()
        assert self.session.wait_connected(SECONDS), self.session.trouble


class BehindFake:
    """The fake's own switches."""

    def __init__(self) -> None:
        self._fake = FakeSink()
        self._fake.body_bytes_max = 16_000
        self.sink: Sink = self._fake

    def taken(self) -> list[tuple[str, bytes]]:
        return [(taken.dedupe_id, taken.body) for taken in self._fake.taken]

    def lose_listener(self) -> None:
        self._fake.has_listener = False

    def go_away(self) -> None:
        self._fake.is_away = True

    def come_back(self) -> None:
        self._fake.is_away = False


@pytest.fixture(params=["mqtt", "fake"])
def far_side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarSide]:
    with ExitStack() as rooms:
        kinds: dict[str, Callable[[], FarSide]] = {
            "mqtt": lambda: BehindMqtt(tmp_path / "broker", rooms),
            "fake": BehindFake,
        }
        yield kinds[request.param]()


def deliver(far_side: FarSide, one: Envelope) -> None:
    far_side.sink.deliver(one, timeout_s=SECONDS)


def test_when_it_returns_the_far_side_has_it(far_side: FarSide) -> None:
    one = envelope(1)
    deliver(far_side, one)
    until(lambda: far_side.taken() == [(one.dedupe_id, one.body)], within_s=SECONDS)


def test_it_is_safe_to_repeat_and_the_id_stays_the_same(far_side: FarSide) -> None:
    one = envelope(1)
    deliver(far_side, one)
    deliver(far_side, one)
    until(lambda: far_side.taken() == [(one.dedupe_id, one.body)] * 2, within_s=SECONDS)


def test_nobody_listening_is_not_a_delivery(far_side: FarSide) -> None:
    far_side.lose_listener()
    with pytest.raises(DeliveryError, match="nobody listens") as caught:
        deliver(far_side, envelope())
    assert not isinstance(caught.value, RefusedError)
    assert far_side.taken() == []


def test_what_is_too_large_is_refused_for_good_and_the_next_one_goes(far_side: FarSide) -> None:
    with pytest.raises(RefusedError, match="bytes"):
        deliver(far_side, envelope(body=LARGE))
    deliver(far_side, envelope(2))
    until(lambda: len(far_side.taken()) == 1, within_s=SECONDS)


def test_a_far_side_that_is_away_fails_the_delivery_until_it_is_back(far_side: FarSide) -> None:
    far_side.go_away()
    with pytest.raises(DeliveryError) as caught:
        deliver(far_side, envelope())
    assert not isinstance(caught.value, RefusedError)
    far_side.come_back()


@pytest.mark.parametrize("body", [b"", b"{}", '{"note":"16.5° – ja"}'.encode()])
def test_a_body_arrives_byte_for_byte(far_side: FarSide, body: bytes) -> None:
    deliver(far_side, envelope(body=body))
    until(lambda: [taken for _, taken in far_side.taken()] == [body], within_s=SECONDS)
