"""The MQTT session against a real broker."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from edge.domain.errors import ConfigurationError, DeliveryError, RefusedError
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.mqtt import Message, MqttSession, Tls
from tests.peers.broker import TLS, Certificates, Mosquitto, broker
from tests.peers.listener import Listener
from tests.ports import free_port
from tests.waiting import until

__all__ = ["broker"]
TOPIC = "edge/v1/site/device/finding/test"
SOON = Backoff(min_s=0.1, max_s=0.5)


def session_with(port: int, **options: Any) -> MqttSession:
    settings = {"host": "127.0.0.1", "client_id": "device", "clock": SystemClock(), "backoff": SOON}
    return MqttSession(**{**settings, "port": port, **options})


@pytest.fixture
def session(broker: Mosquitto) -> Iterator[MqttSession]:
    with session_with(broker.port) as session:
        assert session.wait_connected(10), session.trouble
        yield session


def test_a_message_arrives_with_all_its_properties(broker: Mosquitto, session: MqttSession) -> None:
    message = Message(topic=TOPIC, payload="{}°".encode(), user_properties=(("schema", "x/1"), ("seq", "7")))
    with Listener(broker.port, "edge/v1/+/+/finding/#") as listener:
        assert session.publish(message, timeout_s=10) == 0x00
        (heard,) = listener.wait_for(1)
    assert heard.payload == message.payload
    assert heard.qos == 1
    assert heard.properties["PayloadFormatIndicator"] == 1
    assert heard.properties["ContentType"] == "application/json"
    assert "MessageExpiryInterval" not in heard.properties
    assert heard.user == {"schema": "x/1", "seq": "7"}


def test_a_process_with_a_thousand_open_files_reaches_its_broker(broker: Mosquitto) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limits[1]), limits[1]))
    with ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        for _ in range(1100):
            opened.enter_context(Path("/dev/null").open())
        session = opened.enter_context(session_with(broker.port))
        assert session.wait_connected(10), session.trouble
        assert session.publish(Message(topic=TOPIC, payload=b"{}"), timeout_s=10) == 0x10


def test_the_terms_of_the_session_are_those_of_the_contract(broker: Mosquitto, session: MqttSession) -> None:
    until(lambda: "New client connected" in broker.log, within_s=5)
    connected = next(line for line in broker.log.splitlines() if "New client connected" in line)
    assert "as device (p5, c0, k30)" in connected, "MQTT 5, Clean Start 0, keep-alive 30 s"


def test_the_socket_sends_at_once(broker: Mosquitto, session: MqttSession) -> None:
    assert session._line is not None
    opened = session._line._client.socket()
    assert isinstance(opened, socket.socket)
    assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_nobody_listening_is_told_apart_from_a_delivery(session: MqttSession) -> None:
    assert session.publish(Message(topic=TOPIC, payload=b"{}"), timeout_s=10) == 0x10


def test_a_refused_publish_is_told_apart_from_a_delivery(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic write edge/v1/site/device/#\ntopic read #\n")
    with (
        Mosquitto(tmp_path / "broker", more=f"allow_anonymous true\nacl_file {rules}") as broker,
        session_with(broker.port) as session,
    ):
        assert session.wait_connected(10)
        foreign = Message(topic="edge/v1/site/other/finding/test", payload=b"{}")
        assert session.publish(foreign, timeout_s=10) == 0x87


def test_a_message_larger_than_the_broker_takes_is_not_even_sent(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path / "broker", more="allow_anonymous true\nmax_packet_size 2000") as broker,
        session_with(broker.port) as session,
        Listener(broker.port, "#") as listener,
    ):
        assert session.wait_connected(10)
        with pytest.raises(RefusedError, match=r"message has 20\d\d bytes, .* takes up to 2000"):
            session.publish(Message(topic=TOPIC, payload=b" " * 2000), timeout_s=10)
        largest = Message(topic=TOPIC, payload=b"")
        largest = Message(topic=TOPIC, payload=b" " * (2000 - largest.packet_bytes() - 1))
        assert largest.packet_bytes() == 2000, "the size of the length itself grew by one"
        assert session.publish(largest, timeout_s=10) == 0x00
        listener.wait_for(1)
        assert session.connected


def test_more_publishers_than_the_broker_wants_in_flight_wait_for_their_turn(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path / "broker", more="allow_anonymous true\nmax_inflight_messages 2") as broker,
        session_with(broker.port) as session,
        Listener(broker.port, "edge/#") as listener,
        ThreadPoolExecutor(24) as pool,
    ):
        assert session.wait_connected(10)
        assert session._line is not None
        assert session._line.window == 2
        messages = [Message(topic=TOPIC, payload=str(n).encode()) for n in range(200)]
        for n in range(20):
            session.post(Message(topic=f"edge/posted/{n}", payload=b"x", retain=True))
        codes = list(pool.map(lambda message: session.publish(message, timeout_s=20), messages))
        assert codes == [0x00] * 200
        listener.wait_for(220)
        assert "receive maximum" not in broker.log.lower()


def test_without_a_broker_publishing_fails_at_once_and_says_why() -> None:
    with session_with(free_port()) as session:
        until(lambda: "refused" in session.trouble, within_s=5)
        with pytest.raises(DeliveryError, match=r"no connection to 127\.0\.0\.1:.*refused"):
            session.publish(Message(topic=TOPIC, payload=b"{}"), timeout_s=10)


def test_the_session_comes_back_after_the_broker_did(broker: Mosquitto, session: MqttSession) -> None:
    with Listener(broker.port, "edge/#") as listener:
        broker.kill()
        until(lambda: not session.connected, within_s=10)
        broker.start()
        assert session.wait_connected(10), session.trouble
        until(lambda: session.publish(Message(topic=TOPIC, payload=b"2"), timeout_s=5) == 0, within_s=10)
        listener.wait_for(1)


def test_a_broker_that_holds_the_line_and_says_nothing_fails_the_delivery_in_time(
    broker: Mosquitto, session: MqttSession
) -> None:
    broker.freeze()
    with pytest.raises(DeliveryError, match=r"gave no answer within 0\.3 s"):
        session.publish(Message(topic=TOPIC, payload=b"{}"), timeout_s=0.3, key="a")
    broker.thaw()


def test_a_message_still_on_its_way_is_waited_for_and_not_sent_twice(
    broker: Mosquitto, session: MqttSession
) -> None:
    message = Message(topic=TOPIC, payload=b"once")
    with Listener(broker.port, "edge/#") as listener:
        broker.freeze()
        for _ in range(3):
            with pytest.raises(DeliveryError):
                session.publish(message, timeout_s=0.1, key="one")
        broker.thaw()
        assert session.publish(message, timeout_s=10, key="one") == 0x00
        assert session.publish(Message(topic=TOPIC, payload=b"two"), timeout_s=10, key="two") == 0x00
        heard = listener.wait_for(2)
    assert [one.payload for one in heard] == [b"once", b"two"]


def test_the_will_speaks_for_a_client_whose_line_breaks(broker: Mosquitto) -> None:
    will = Message(topic="edge/v1/site/device/status", payload=b'{"state":"offline"}', retain=True)
    with Listener(broker.port, "edge/#") as listener:
        session = session_with(broker.port, will_delay_s=0, backoff=Backoff(min_s=30, max_s=30))
        session.last_will(lambda: will)
        with session:
            assert session.wait_connected(10)
            assert session._line is not None
            opened = session._line._client.socket()
            assert isinstance(opened, socket.socket)
            opened.shutdown(socket.SHUT_RDWR)
            (heard,) = listener.wait_for(1)
    assert heard.document == {"state": "offline"}


def test_the_will_is_forgotten_by_a_client_that_says_goodbye(broker: Mosquitto) -> None:
    with Listener(broker.port, "edge/#") as listener:
        session = session_with(broker.port, will_delay_s=0)
        session.last_will(lambda: Message(topic="edge/will", payload=b"x"))
        with session:
            assert session.wait_connected(10)
        with session_with(broker.port, client_id="other") as other:
            assert other.wait_connected(10)
            assert other.publish(Message(topic="edge/last", payload=b"x"), timeout_s=10) == 0
        listener.wait_for(1)
    assert [heard.topic for heard in listener.heard] == ["edge/last"]


def test_another_client_with_our_id_is_noticed_and_not_fought(broker: Mosquitto) -> None:
    """mosquitto 2.0.11 does not say 0x8E, it hangs up."""
    noticed: list[str] = []
    session, intruder = (session_with(broker.port, backoff=Backoff(min_s=0.05, max_s=0.1)) for _ in "ab")
    session.on_contested(noticed.append)
    with session, intruder:
        until(lambda: noticed, within_s=20)


def test_a_broker_that_says_taken_over_is_believed_at_once() -> None:
    noticed: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        session = session_with(listening.getsockname()[1], backoff=Backoff(min_s=0.1, max_s=60))
        session.on_contested(noticed.append)
        with session:
            line, _ = listening.accept()
            with line:
                assert line.recv(1000)[0] == 0x10, "CONNECT"
                line.sendall(b"\x20\x03\x00\x00\x00")
                assert session.wait_connected(10)
                line.sendall(b"\xe0\x01\x8e")
                until(lambda: noticed, within_s=5)
    assert noticed == ["the broker says: Session taken over"]


def test_a_subscriber_hears_and_acknowledges(broker: Mosquitto, session: MqttSession) -> None:
    heard: list[Message] = []
    subscriber = session_with(broker.port, client_id="watch")
    subscriber.subscribe("edge/v1/+/+/finding/#", heard.append)
    subscriber.subscribe("$share/group/edge/v1/+/+/shared/#", heard.append)
    with subscriber:
        assert subscriber.wait_connected(10)
        sent = Message(topic=TOPIC, payload=b"{}", user_properties=(("a", "b"),))
        until(lambda: session.publish(sent, timeout_s=10) == 0, within_s=5)
        session.publish(Message(topic="edge/v1/s/d/shared/x", payload=b"2"), timeout_s=10)
        until(lambda: len(heard) >= 2, within_s=10)
    assert heard[0] == sent
    assert heard[-1].payload == b"2"


def test_what_we_publish_ourselves_is_kept_from_us_where_we_asked_for_that(broker: Mosquitto) -> None:
    heard: list[str] = []
    session = session_with(broker.port)
    session.subscribe("edge/own", lambda message: heard.append(message.topic), no_local=True)
    session.subscribe("edge/fence", lambda message: heard.append(message.topic))
    with session:
        assert session.wait_connected(10)
        for topic in ("edge/own", "edge/fence"):
            session.publish(Message(topic=topic, payload=b"1", retain=True), timeout_s=10)
        until(lambda: heard, within_s=10)
    assert heard == ["edge/fence"]


def test_a_question_carries_where_and_to_what_the_answer_belongs(
    broker: Mosquitto, session: MqttSession
) -> None:
    asked: list[Message] = []
    other = session_with(broker.port, client_id="other")
    other.subscribe("edge/rpc/+", asked.append)
    sent = Message(
        topic="edge/rpc/a", payload=b"", response_topic="edge/reply/1", correlation_data=b"\x00\xff"
    )
    with other:
        assert other.wait_connected(10)
        session.publish(sent, timeout_s=10)
        until(lambda: asked, within_s=10)
    assert asked == [sent]


def test_what_is_larger_than_we_want_is_kept_from_us_and_the_next_one_comes(
    broker: Mosquitto, session: MqttSession
) -> None:
    heard: list[int] = []
    small = session_with(broker.port, client_id="small", incoming_bytes_max=2000)
    small.subscribe("edge/#", lambda message: heard.append(len(message.payload)))
    with small:
        assert small.wait_connected(10)
        for size in (1000, 3000, 500):
            session.publish(Message(topic="edge/a", payload=b"x" * size), timeout_s=10)
        until(lambda: len(heard) == 2, within_s=10)
        assert small.connected
    assert heard == [1000, 500]


def test_whoever_posts_may_learn_what_became_of_it(broker: Mosquitto, session: MqttSession) -> None:
    broker.configure("allow_anonymous true\nmax_packet_size 2000")
    told: list[tuple[str, int | None]] = []

    def post(name: str, size: int) -> None:
        message = Message(topic=f"edge/{name}", payload=b"x" * size, retain=True)
        session.post(message, then=lambda code: told.append((name, code)))

    post("kept", 10)
    until(lambda: told == [("kept", 0x10)], within_s=10)
    broker.kill()
    until(lambda: not session.connected, within_s=10)
    post("without a line", 10)
    broker.start()
    assert session.wait_connected(10)
    post("too large", 3000)
    assert told[1:] == [("without a line", None), ("too large", 0x95)]


def test_whoever_posted_learns_that_the_line_broke_before_the_answer() -> None:
    told: list[int | None] = []
    with scripted() as (line, session, _):
        assert session.wait_connected(10)
        session.post(Message(topic="edge/a", payload=b"x"), then=told.append)
        assert line.recv(1000)[0] == 0x32, "PUBLISH"
        line.shutdown(socket.SHUT_RDWR)
        until(lambda: told, within_s=10)
    assert told == [None]


@contextmanager
def scripted(*subscriptions: str) -> Iterator[tuple[socket.socket, MqttSession, list[Message]]]:
    """A session, and the other end of its line, where CONNECT and each SUBSCRIBE were read."""
    heard: list[Message] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        session = session_with(listening.getsockname()[1], incoming_bytes_max=2000)
        for topic_filter in subscriptions:
            session.subscribe(topic_filter, heard.append)
        with session:
            line, _ = listening.accept()
            with line:
                assert line.recv(1000)[0] == 0x10, "CONNECT"
                line.sendall(b"\x20\x03\x00\x00\x00")
                seen = b""
                while seen.count(b"edge/") < len(subscriptions):
                    seen += line.recv(1000)
                yield line, session, heard


def test_a_subscription_that_is_refused_is_told_and_one_publishes_nevertheless() -> None:
    refused: list[Mapping[str, str]] = []
    with scripted("edge/a", "edge/b") as (line, session, _):
        session.on_subscribed(refused.append)
        line.sendall(b"\x90\x04\x00\x01\x00\x01")
        assert not session.wait_connected(0.1), "there is no answer yet to the second one"
        line.sendall(b"\x90\x04\x00\x02\x00\x87")
        assert session.wait_connected(10)
    assert refused == [{"edge/b": "Not authorized"}]


def test_where_the_line_ends_when_we_subscribe_we_speak_without_listening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some brokers hang up on whoever asks for what he may not hear; findings leave nevertheless."""
    monkeypatch.setattr("edge.kit.mqtt.DEAF_S", 0.2)
    refused: list[Mapping[str, str]] = []
    asked: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        session = session_with(listening.getsockname()[1], backoff=Backoff(min_s=0.02, max_s=0.05))
        session.subscribe("edge/a", lambda _: None)
        session.on_subscribed(lambda found: refused.append(dict(found)))

        def hang_up_on_who_subscribes() -> bool:
            line, _ = listening.accept()
            with line:
                assert line.recv(1000)[0] == 0x10, "CONNECT"
                line.sendall(b"\x20\x03\x00\x00\x00")
                line.settimeout(0.1)
                with suppress(TimeoutError):
                    return b"edge/a" in line.recv(1000)
                assert session.wait_connected(5)
                line.settimeout(5)
                line.recv(1000)
            return False

        with session:
            asked += [hang_up_on_who_subscribes() for _ in range(4)]
    assert asked == [True, True, False, True]
    assert "the line ends when we ask for it: the line broke" in refused[0]["edge/a"]


def test_a_broker_that_does_not_heed_our_limit_costs_no_line() -> None:
    with scripted("edge/a") as (line, session, heard):
        line.sendall(b"\x90\x04\x00\x01\x00\x01")
        large = b"\x00\x06edge/a\x00" + b"x" * 3000
        line.sendall(b"\x30" + bytes([len(large) % 128 + 128, len(large) // 128]) + large)
        line.sendall(b"\x30\x0a\x00\x06edge/a\x001")
        until(lambda: heard, within_s=10)
        assert session.connected
    assert [message.payload for message in heard] == [b"1"]


def test_tls_with_client_certificates_lets_in_who_has_one(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certificates")
    own, key = certificates.issue("device")
    tls = Tls(ca_file=certificates.ca_file, certificate_file=own, key_file=key)
    with ExitStack() as rooms:
        broker = Mosquitto(tmp_path / "broker", more=TLS.format(certificates=certificates.folder))
        rooms.enter_context(broker)
        session = rooms.enter_context(session_with(broker.port, host="localhost", tls=tls))
        assert session.wait_connected(10), session.trouble
        assert session.publish(Message(topic=TOPIC, payload=b"{}"), timeout_s=10) == 0x10
        without = Tls(ca_file=certificates.ca_file)
        stranger = session_with(broker.port, host="localhost", tls=without, gives_up=True)
        rooms.enter_context(stranger)
        assert not stranger.wait_connected(60)
        assert stranger.trouble.startswith("refused after TLS: is our certificate revoked, expired,")


def test_a_broker_with_a_certificate_of_nobody_we_know_is_not_talked_to(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certificates")
    others = Certificates(tmp_path / "others")
    with (
        Mosquitto(tmp_path / "broker", more=TLS.format(certificates=certificates.folder)) as broker,
        session_with(
            broker.port, host="localhost", tls=Tls(ca_file=others.ca_file), gives_up=True
        ) as session,
    ):
        assert not session.wait_connected(60)
        assert session.trouble.startswith("the broker's certificate is not by the authority in ")
        assert "certificate verify failed" in session.trouble


def test_a_missing_certificate_is_said_before_anything_is_tried(tmp_path: Path) -> None:
    missing = Tls(ca_file=tmp_path / "none.crt")
    with pytest.raises(ConfigurationError, match=r"none\.crt"), session_with(1, tls=missing):
        pass


def test_a_password_is_asked_for_and_given(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "box", "secret"], check=True)
    with (
        Mosquitto(tmp_path / "broker", more=f"password_file {passwords}") as broker,
        session_with(broker.port, username="box", password="secret") as known,
        session_with(broker.port, client_id="x", username="box", password="wrong") as unknown,
    ):
        assert known.wait_connected(10), known.trouble
        until(lambda: "Not authorized" in unknown.trouble, within_s=5)
        assert "secret" not in json.dumps([known.trouble, unknown.trouble])
