"""What the device says about itself, as a subscriber hears it; and docs/topics.md, compared with that."""

from __future__ import annotations

import itertools
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge.daemon.control_plane import ALERT as FLEET_START
from edge.domain.errors import DeliveryError
from edge.domain.health import StageHealth
from edge.findings.envelope import wrap
from edge.findings.json_schema import schema
from edge.fleet.agent import SUBSCRIPTION, TROUBLE
from edge.fleet.case import ALERT as CASE_ALERT
from edge.fleet.reporter import ALERT as REPORT_ALERT
from edge.fleet.voice import FALLEN_BACK, ROLLED_BACK, SIGNATURE
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.journal import Journal
from edge.kit.mqtt import MqttSession
from edge.ops.presence import CONTESTED, Presence, Vitals
from edge.sinks.mqtt import MqttSink
from edge.sinks.pump import ALERT
from tests.builders.findings import STAMP, finding
from tests.builders.fleet import desired
from tests.peers.broker import Mosquitto, broker
from tests.peers.fleet_box import PREFIX, Office, box
from tests.peers.listener import Heard, Listener
from tests.peers.test_fleet_commands import command
from tests.waiting import until

__all__ = ["broker"]
SUBSTITUTES = {
    "alert/error/": "alert/<severity>/",
    "cmd/selftest/1": "cmd/<type>/<id>",
    "reply/1": "reply/<asked for>",
}
FLEETS_ALERTS = {
    SIGNATURE,
    f"{ROLLED_BACK}-<scope>",
    FALLEN_BACK,
    SUBSCRIPTION,
    TROUBLE,
    REPORT_ALERT,
    CASE_ALERT,
    FLEET_START,
    "fleet-memory",
}
DOCUMENTED = (Path(__file__).parents[2] / "docs" / "topics.md").read_text()
INFO = {
    "site": "site",
    "device": "device",
    "room": "",
    "software": {},
    "hardware": {},
    "pipelines": [],
    "schemas": [],
}


def vitals() -> Vitals:
    stage = StageHealth(
        name="outbox", taken=3, out=1, set_aside=1, held=1, oldest_ms=5.0, last_move_ns=0, dropped={}
    )
    return Vitals(stages=[stage], free_bytes=10**9, latency_ms={"p50": 1.25})


@contextmanager
def device(
    port: int,
    folder: Path,
    number: Callable[[], int],
    *,
    period_s: float = 30.0,
    backoff: Backoff | None = None,
) -> Iterator[tuple[MqttSession, Presence]]:
    clock = SystemClock()
    soon = backoff or Backoff(min_s=0.05, max_s=0.2)
    session = MqttSession(
        host="127.0.0.1", port=port, client_id="device", clock=clock, will_delay_s=0, backoff=soon
    )
    presence = Presence(
        session,
        prefix=PREFIX,
        session_number=number,
        state_folder=folder,
        vitals=vitals,
        info=INFO,
        clock=clock,
        period_s=period_s,
    )
    with session, presence:
        yield session, presence


def counting() -> Callable[[], int]:
    return itertools.count(1).__next__


def break_line(session: MqttSession) -> None:
    assert session._line is not None
    opened = session._line._client.socket()
    assert isinstance(opened, socket.socket)
    opened.shutdown(socket.SHUT_RDWR)


def states(heard: list[Heard]) -> list[tuple[str, int]]:
    return [
        (one.document["state"], one.document["session"]) for one in heard if one.topic.endswith("/status")
    ]


def retained(port: int, topic: str) -> dict[str, Any] | None:
    """What a newcomer is told about a topic, None for nothing."""
    with Listener(port, f"{PREFIX}/{topic}", "edge/fence", name="newcomer", expiry_s=0) as newcomer:
        newcomer.publish("edge/fence")
        until(lambda: newcomer.on("/fence"), within_s=10)
        return next((heard.document for heard in newcomer.on(topic)), None)


def test_birth_will_and_stop_tell_one_story_with_growing_numbers(broker: Mosquitto, tmp_path: Path) -> None:
    number = counting()
    with Listener(broker.port, f"{PREFIX}/status") as listener:
        with device(broker.port, tmp_path, number) as (session, _):
            until(lambda: states(listener.heard) == [("online", 1)], within_s=10)
            break_line(session)
            until(lambda: len(states(listener.heard)) >= 3, within_s=10)
        with device(broker.port, tmp_path, number):
            until(lambda: states(listener.heard)[-1][0] == "online", within_s=10)
        until(lambda: states(listener.heard)[-1][0] == "stopped", within_s=10)
    story = states(listener.heard)
    assert story[:3] == [("online", 1), ("offline", 1), ("online", 2)]
    assert story[3:] == [("stopped", 2), ("online", 3), ("stopped", 3)], "no will after a stop in order"


def test_the_session_number_survives_a_restart(broker: Mosquitto, tmp_path: Path) -> None:
    seen = []
    for _ in range(3):
        with ExitStack() as rooms:
            journal = rooms.enter_context(Journal(tmp_path / "journal.db", SystemClock()))
            number = partial(journal.counter, "session")
            session, presence = rooms.enter_context(device(broker.port, tmp_path, number))
            assert session.wait_connected(10)
            seen.append(presence.session)
    assert seen == sorted(set(seen))


def test_what_is_retained_is_there_for_a_newcomer_also_after_the_broker_forgot_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with device(broker.port, tmp_path, counting()) as (session, presence):
        presence.source("door", "offline", why="port taken")
        presence.model("brain-mr", active=STAMP, latency_ms={"p50": 602.04})
        assert session.wait_connected(10)
        broker.kill()
        (broker.folder / "mosquitto.db").unlink(missing_ok=True)
        presence.source("door", "online")
        broker.start()
        until(lambda: retained(broker.port, "source/door/state"), within_s=10)
        until(lambda: retained(broker.port, "info"), within_s=10)
        assert (retained(broker.port, "source/door/state") or {})["state"] == "online"
        assert (retained(broker.port, "model/brain-mr/state") or {})["latency_ms"] == {"p50": 602.0}
        assert (retained(broker.port, "status") or {})["state"] == "online"
        assert (retained(broker.port, "info") or {})["device"] == "device"


def test_an_alert_stays_until_it_is_cleared_and_says_the_same_thing_once(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Listener(broker.port, f"{PREFIX}/alert/#") as listener:
        with device(broker.port, tmp_path, counting()) as (session, presence):
            assert session.wait_connected(10)
            for _ in range(5):
                presence.raise_alert("disk", "8 MB are left, wanted 2048 MB")
            until(lambda: retained(broker.port, "alert/error/disk"), within_s=10)
            presence.raise_alert("disk", "1 GB is left", severity="warning")
            until(lambda: retained(broker.port, "alert/warning/disk"), within_s=10)
            assert retained(broker.port, "alert/error/disk") is None
            presence.clear_alert("disk")
            presence.clear_alert("disk")
            until(lambda: retained(broker.port, "alert/warning/disk") is None, within_s=10)
        told = [(heard.topic.removeprefix(PREFIX), bool(heard.payload)) for heard in listener.heard]
    error, warning = "/alert/error/disk", "/alert/warning/disk"
    assert told == [(error, True), (error, False), (warning, True), (warning, False)]


def test_an_alert_of_an_earlier_run_that_is_over_does_not_stay_for_ever(
    broker: Mosquitto, tmp_path: Path
) -> None:
    number = counting()
    with device(broker.port, tmp_path, number) as (session, presence):
        assert session.wait_connected(10)
        presence.raise_alert("disk", "full")
        until(lambda: retained(broker.port, "alert/error/disk"), within_s=10)
    assert retained(broker.port, "alert/error/disk"), "the process is gone, the alert is not"
    with device(broker.port, tmp_path, number):
        until(lambda: retained(broker.port, "alert/error/disk") is None, within_s=10)


def test_an_alert_that_was_cleared_while_the_broker_was_away_is_gone_when_it_is_back(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with device(broker.port, tmp_path, counting()) as (session, presence):
        assert session.wait_connected(10)
        presence.raise_alert("disk", "full")
        until(lambda: retained(broker.port, "alert/error/disk"), within_s=10)
        broker.stop()
        presence.clear_alert("disk")
        broker.start()
        until(lambda: retained(broker.port, "alert/error/disk") is None, within_s=10)


def test_health_comes_each_period_and_expires(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Listener(broker.port, f"{PREFIX}/health") as listener,
        device(broker.port, tmp_path, counting(), period_s=0.2),
    ):
        first, second = listener.wait_for(2)[:2]
    assert (first.qos, first.is_retained) == (0, False)
    assert first.properties["MessageExpiryInterval"] == 1, "three periods of 0.2 s, at least a second"
    assert second.document["stages"][0]["set_aside"] == 1
    assert second.document["latency_ms"] == {"p50": 1.2}


def test_what_a_device_says_of_itself_may_change_while_it_runs(broker: Mosquitto, tmp_path: Path) -> None:
    with device(broker.port, tmp_path, counting()) as (session, presence):
        assert session.wait_connected(10)
        presence.model("tiny", active=None, why="refused", latency_ms={})
        presence.introduce({**INFO, "room": "theatre 3"})
        presence.prove_line(timeout_s=10)
        assert (retained(broker.port, "info") or {})["room"] == "theatre 3"
        assert retained(broker.port, "model/tiny/state")
        presence.forget_model("tiny")
        presence.prove_line(timeout_s=10)
        assert retained(broker.port, "model/tiny/state") is None
        with Listener(broker.port, f"{PREFIX}/health") as listener:
            presence.tell_health_every(0.05)
            listener.wait_for(3)
        broker.stop()
        with pytest.raises(DeliveryError):
            presence.prove_line(timeout_s=0.5)


def test_a_contested_client_id_is_an_alert(broker: Mosquitto, tmp_path: Path) -> None:
    number = counting()
    (tmp_path / "other").mkdir()
    quick = Backoff(min_s=0.02, max_s=0.05)
    with (
        device(broker.port, tmp_path, number, backoff=quick),
        device(broker.port, tmp_path / "other", number, backoff=quick),
    ):
        until(lambda: retained(broker.port, f"alert/error/{CONTESTED}"), within_s=20)


def test_a_full_disk_delays_remembering_and_nothing_else(broker: Mosquitto, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with device(broker.port, folder, counting(), period_s=0.05) as (session, presence):
        presence.source("door", "online")
        assert session.wait_connected(10)
        until(lambda: retained(broker.port, "source/door/state"), within_s=10)
        folder.mkdir()
        until(lambda: (folder / "retained-topics.json").exists(), within_s=5)


# ── docs/topics.md ──────────────────────────────────────────────────────────────────────────────────────────


def everything_said(broker: Mosquitto, folder: Path) -> list[Heard]:
    with Listener(broker.port, f"{PREFIX}/#") as listener:
        with device(broker.port, folder, counting()) as (session, presence):
            assert session.wait_connected(10)
            presence.source("<source>", "online")
            presence.model("<bundle>", active=STAMP, latency_ms={})
            presence.raise_alert("<alert>", "text")
            sink = MqttSink(session, prefix=PREFIX, alerts=presence)
            one = finding(pipeline="<pipeline>")
            sink.deliver(wrap(one, site="site", device="device", sequence=1), timeout_s=10)
            until(lambda: listener.on("/health"), within_s=10)
        talk_with_the_fleet(broker, folder)
        until(lambda: listener.on("/status")[-1].document["state"] == "stopped", within_s=10)
        return [one for one in listener.heard if one.user]  # what the fleet says here has no such properties


def talk_with_the_fleet(broker: Mosquitto, folder: Path) -> None:
    """Have a device that takes part in a fleet say each kind of thing."""
    executors = {"selftest": lambda args: {"passed": list(args["probe"])}}
    with Office(broker.port) as office, box(broker.port, folder / "fleet", executors=executors):
        office.desired(desired(1))
        office.publish(f"{PREFIX}/cmd/selftest/1", command("selftest/1"))
        office.publish(f"{PREFIX}/rpc/methods", b"", retain=False, response_topic=f"{PREFIX}/reply/1")
        until(lambda: office.on("reply/1") and len(office.states("selftest/1")) == 3, within_s=10)
        office.wait_reported(status="committed")


def _below(topic: str) -> str:
    below = topic.removeprefix(f"{PREFIX}/")
    for said, documented in SUBSTITUTES.items():
        below = below.replace(said, documented)
    return below


def test_the_page_lists_the_topics_that_are_used_with_their_qos_and_payload(
    broker: Mosquitto, tmp_path: Path
) -> None:
    heard = everything_said(broker, tmp_path)
    table = dict(
        re.findall(r"^\| `([a-z]+[^`]*)` \| (?:yes|no|until cleared) \| ([01]) \|", DOCUMENTED, re.M)
    )
    assert {_below(one.topic): str(one.qos) for one in heard} == table
    sections = re.findall(r"^## `(.+?)`\n\n(.+?)\n\n```json\n(.+?)```", DOCUMENTED, re.M | re.S)
    assert {topic for topic, _, _ in sections} == table.keys()
    by_topic = {_below(one.topic): one for one in reversed(heard)}
    for topic, terms, example in sections:
        said = by_topic[topic]
        assert f"QoS {said.qos}" in terms
        assert f"`{said.user['schema']}`" in terms
        assert list(json.loads(example)) == list(said.document), topic


def test_the_page_says_rightly_what_is_retained(broker: Mosquitto, tmp_path: Path) -> None:
    everything_said(broker, tmp_path)
    rows = re.findall(r"^\| `([a-z]+[^`<]*(?:<source>/state|<pipeline>)?)` \| (yes|no) \|", DOCUMENTED, re.M)
    says = {topic: said == "yes" for topic, said in rows}
    assert says.keys() > {"status", "health", "finding/<pipeline>", "config/reported", "config/event"}
    assert {topic: retained(broker.port, topic) is not None for topic in says} == says


def test_the_example_of_a_finding_fulfils_its_schema() -> None:
    (example,) = re.findall(r'```json\n(\{"schema": "edge.finding/1".+?)```', DOCUMENTED, re.S)
    jsonschema.Draft202012Validator(schema()).validate(json.loads(example))


def test_the_page_names_every_alert_of_the_code() -> None:
    listed = set(re.findall(r"^\| `([a-z]+-[a-z<>-]+)` \|", DOCUMENTED, re.M))
    assert {CONTESTED, ALERT, "delivery-finding-<pipeline>"} <= listed
    assert listed >= FLEETS_ALERTS
