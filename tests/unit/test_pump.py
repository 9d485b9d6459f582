"""The outbox's workers: how they end."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge.domain.errors import StorageFullError
from edge.kit import room
from edge.kit.clock import SystemClock
from edge.kit.journal import Journal
from edge.sinks.pump import Pump
from tests.fakes.alerts import FakeAlerts
from tests.fakes.sink import FakeSink
from tests.waiting import until


def test_a_stop_on_a_full_disk_is_a_stop_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_queue: str) -> None:
        raise StorageFullError("no room")

    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    monkeypatch.setattr(room, "PAUSE_S", 0.01)
    clock = SystemClock()
    with Journal(tmp_path / "journal.db", clock) as journal:
        monkeypatch.setattr(journal, "lease_oldest", full)
        pump = Pump(journal, FakeSink(), clock=clock, alerts=FakeAlerts(), workers=2)
        with pump:
            until(lambda: pump.health().note, within_s=5.0)
    assert died == []
