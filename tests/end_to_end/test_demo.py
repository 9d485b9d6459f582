"""The parts of `make run`: its brokers, its studies, its table."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from rich.console import Console

from edge.demo.board import Board, Row
from edge.demo.broker import broker
from edge.demo.studies import studies
from edge.domain.errors import ConfigurationError
from edge.kit.clock import SystemClock
from edge.kit.mqtt import Message, MqttSession
from tests.ports import free_port
from tests.waiting import until

HEAD = {"code": {"value": "12738006"}, "reason": "", "latency_ms": {"infer": 3.0}}


def finding(**changes: Any) -> dict[str, Any]:
    total = {"of": None, "value": 1400.0, "unit": "mL"}
    return {"finding_id": "1", "verdict": "PRESENT", "measurements": [total], **HEAD, **changes}


@pytest.mark.parametrize(
    ("has_mosquitto", "name"),
    [(True, "mosquitto"), (False, "rumqttd (embedded)")],
    ids=["mosquitto", "embedded"],
)
def test_either_broker_carries_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_mosquitto: bool, name: str
) -> None:
    found = {True: shutil.which("mosquitto", path="/usr/sbin:/usr/bin"), False: None}[has_mosquitto]
    monkeypatch.setattr("edge.demo.broker.shutil.which", lambda *_, **__: found)
    arrived: list[Message] = []
    port = free_port()
    with broker(port=port, folder=tmp_path) as running:
        assert running == name
        session = MqttSession(host="127.0.0.1", port=port, client_id="both-ends", clock=SystemClock())
        session.subscribe("edge/v1/+/+/finding/#", arrived.append)
        with session:
            assert session.wait_connected(10)
            message = Message(topic="edge/v1/demo/box-1/finding/brain-mr", payload=b"{}")
            assert session.publish(message, timeout_s=5) == 0
            until(lambda: arrived, within_s=5, what="the message")
    assert arrived[0].payload == b"{}"


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    port = free_port()
    with (
        broker(port=port, folder=tmp_path / "one"),
        pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 is taken"),
        broker(port=port, folder=tmp_path / "two"),
    ):
        pass


def test_without_a_corpus_there_is_a_head_and_what_cannot_be_assessed(tmp_path: Path) -> None:
    head, *others = studies(tmp_path, None)
    assert head.is_head
    assert len(head.files) == 189
    assert {str(dcmread(path).SeriesInstanceUID) for path in head.files} == {head.series_uid}
    assert [len(other.files) for other in others] == [1, 1]


def test_the_table_shows_each_finding_once_and_the_total_only() -> None:
    row = Row("head", "189 instances", is_head=True)
    said = io.StringIO()
    board = Board(Console(file=said, width=120), {"subject": row})
    tissue = {"of": {"value": "40146001"}, "value": 500.0, "unit": "mL"}
    with board.showing():
        board.arrived(row, finding(measurements=[tissue], finding_id="0"))
        assert row.volume_ml() is None
        board.arrived(row, finding())
        board.arrived(row, finding())
    assert len(row.findings) == 2
    assert row.volume_ml() == 1400
    assert "1400" in said.getvalue()
