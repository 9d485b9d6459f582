"""What the sink tells people, and what mosquitto tells the sink."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.domain.errors import DeliveryError, RefusedError
from edge.kit.clock import SystemClock
from edge.kit.mqtt import Message, MqttSession
from edge.sinks.mqtt import MqttSink
from tests.builders.findings import envelope
from tests.fakes.alerts import FakeAlerts
from tests.peers.broker import Mosquitto
from tests.peers.listener import Listener
from tests.waiting import until

PREFIX = "edge/v1/site/device"
FINDINGS = "edge/v1/+/+/finding/#"
ALERT = "delivery-finding-test"


@contextmanager
def sink_to(folder: Path, more: str = "") -> Iterator[tuple[Mosquitto, MqttSession, MqttSink, FakeAlerts]]:
    alerts = FakeAlerts()
    with (
        Mosquitto(folder, more=f"allow_anonymous true\n{more}") as broker,
        MqttSession(host="127.0.0.1", port=broker.port, client_id="device", clock=SystemClock()) as session,
    ):
        assert session.wait_connected(10), session.trouble
        yield broker, session, MqttSink(session, prefix=PREFIX, alerts=alerts), alerts


def test_a_finding_arrives_with_the_properties_of_the_contract(tmp_path: Path) -> None:
    one = envelope(7)
    with sink_to(tmp_path / "b") as (broker, _, sink, _), Listener(broker.port, FINDINGS) as listener:
        sink.deliver(one, timeout_s=10)
        (heard,) = listener.wait_for(1)
    assert heard.topic == f"{PREFIX}/finding/test"
    assert heard.user == {"schema": "edge.finding/1", "dedupe_id": one.dedupe_id, "seq": "7"}
    assert heard.properties["ContentType"] == "application/json"
    assert "MessageExpiryInterval" not in heard.properties, "a finding does not expire"
    assert not heard.is_retained


def test_nobody_listening_raises_an_alert_that_the_first_delivery_clears(tmp_path: Path) -> None:
    with sink_to(tmp_path / "b") as (broker, _, sink, alerts):
        with pytest.raises(DeliveryError, match="0x10"):
            sink.deliver(envelope(), timeout_s=10)
        assert "nobody listens" in alerts.raised[ALERT]
        with Listener(broker.port, FINDINGS):
            sink.deliver(envelope(), timeout_s=10)
        assert alerts.raised == {}


def test_not_being_authorised_is_tried_again_and_raises_an_alert(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic write edge/v1/site/another/#\n")
    with sink_to(tmp_path / "b", f"acl_file {rules}") as (_, session, sink, alerts):
        with pytest.raises(DeliveryError, match="0x87") as caught:
            sink.deliver(envelope(), timeout_s=10)
        assert not isinstance(caught.value, RefusedError)
        assert "not authorised" in alerts.raised[ALERT]
        assert session.connected


def test_a_payload_above_the_brokers_own_limit_is_refused_for_good(tmp_path: Path) -> None:
    """`message_size_limit` is not announced in CONNACK; PUBACK says 0x95."""
    with (
        sink_to(tmp_path / "b", "message_size_limit 1000") as (broker, _, sink, alerts),
        Listener(broker.port, FINDINGS) as listener,
    ):
        with pytest.raises(RefusedError, match="0x95"):
            sink.deliver(envelope(body=b" " * 1001), timeout_s=10)
        assert "too large" in alerts.raised[ALERT]
        sink.deliver(envelope(), timeout_s=10)
        listener.wait_for(1)


# ── what mosquitto 2.0.11 means by its answers; docs/decisions/nobody-listens-is-not-a-delivery.md ──────────


def test_a_subscriber_that_is_away_counts_as_listening_while_its_session_lasts(tmp_path: Path) -> None:
    with sink_to(tmp_path / "b") as (broker, _, sink, _):
        with Listener(broker.port, FINDINGS):
            pass
        sink.deliver(envelope(1), timeout_s=10)
        with Listener(broker.port, FINDINGS) as listener:
            listener.wait_for(1)


def test_a_retained_message_that_nobody_hears_is_answered_with_success_or_nobody(tmp_path: Path) -> None:
    with sink_to(tmp_path / "b") as (broker, session, _, _):
        retained = Message(topic=f"{PREFIX}/status", payload=b"{}", retain=True)
        code = session.publish(retained, timeout_s=10)
        with Listener(broker.port, "edge/#") as listener:
            listener.wait_for(1)
    assert code == 0x10, "kept all the same: for what is retained, 0x10 is no loss"


def test_a_full_queue_of_a_subscriber_that_is_away_is_answered_with_success(tmp_path: Path) -> None:
    """The broker drops what is beyond `max_queued_messages` and tells nobody: set it to a large number."""
    more = "max_queued_messages 3\nmax_inflight_messages 1"
    with sink_to(tmp_path / "b", more) as (broker, _, sink, _):
        with Listener(broker.port, FINDINGS):
            pass
        answered = 0
        for number in range(20):
            sink.deliver(envelope(number), timeout_s=10)
            answered += 1
        with Listener(broker.port, FINDINGS) as listener:
            until(lambda: len(listener.heard) >= 3, within_s=5)
            until(lambda: "Sending CONNACK to listener (1, 0)" in broker.log, within_s=5)
        assert answered == 20
        assert len(listener.heard) < 20


def test_a_shared_subscription_without_members_is_nobody(tmp_path: Path) -> None:
    with sink_to(tmp_path / "b") as (broker, _, sink, _):
        with Listener(broker.port, f"$share/group/{FINDINGS}", expiry_s=0) as member:
            sink.deliver(envelope(1), timeout_s=10)
            member.wait_for(1)
        until(lambda: "listener disconnected" in broker.log, within_s=5)
        with pytest.raises(DeliveryError, match="0x10"):
            sink.deliver(envelope(2), timeout_s=10)
