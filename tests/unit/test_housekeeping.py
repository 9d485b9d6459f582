"""The thread that keeps house: in which order, and how often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.config.schema import Config
from edge.daemon import housekeeping
from edge.daemon.housekeeping import SWEEP_S, Housekeeping
from edge.kit.journal import Journal
from edge.ops.status import StatusFile
from tests.fakes.clock import FakeClock
from tests.unit.test_appliance import config_of
from tests.unit.test_config import GOOD

Turn = Callable[[], None]


def house_of(
    folder: Path, config: Config, clock: FakeClock, *, stopping: threading.Event, write_down: list[Turn]
) -> Housekeeping:
    return Housekeeping(
        Journal(folder / "journal.db", clock),
        folder=folder,
        status=StatusFile(folder, clock=clock, stages=list, others=dict),
        write_down=write_down,
        now=lambda: config,
        stopping=stopping,
        clock=clock,
    )


def test_retention_has_its_turn_at_once_for_room_may_be_what_is_missing(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    stopping = threading.Event()

    def write(_: StatusFile) -> None:
        done.append("status")
        stopping.set()

    monkeypatch.setattr(housekeeping, "sweep", lambda *_: done.append("sweep"))
    monkeypatch.setattr(StatusFile, "write", write)
    more: list[Turn] = [lambda: done.append("drift")]
    house_of(tmp_path, config_of(GOOD), clock, stopping=stopping, write_down=more).run()
    assert done == ["sweep", "drift", "status"]


def test_retention_has_its_turn_each_minute_however_rarely_the_device_says_how_it_is(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept_ns: list[int] = []
    stopping = threading.Event()
    then: Iterator[Callable[[], object]] = iter([bool, bool, stopping.set])

    def wait(seconds: float) -> bool:
        clock.advance(seconds)
        return stopping.is_set()

    def sweep(*_: object) -> None:
        swept_ns.append(clock.monotonic_ns())
        next(then)()

    monkeypatch.setattr(stopping, "wait", wait)
    monkeypatch.setattr(housekeeping, "sweep", sweep)
    config = config_of(GOOD + "health: {period_s: 3600}\n")
    house_of(tmp_path, config, clock, stopping=stopping, write_down=[]).run()
    first, second, third = swept_ns
    assert [(second - first) / 1e9, (third - second) / 1e9] == [pytest.approx(SWEEP_S)] * 2
