"""The appliance's own threads and limits, without the rest of it."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path
from typing import cast

import pytest

from edge.config.load import check_text
from edge.config.schema import Config
from edge.daemon.appliance import Appliance
from edge.daemon.parts import patience_s
from edge.daemon.studies import IMAGING
from edge.daemon.threads import Threads
from edge.kit.inherited import Listeners
from edge.ops.watchdog import Watchdog
from edge.sources.dicom import DicomDoor
from tests.fakes.clock import FakeClock
from tests.unit.test_config import GOOD

LUNG = "  - {name: lung, bundle: lung, deadline_s: 40, select: {modalities: [MR]}}\n"
LIVER = "  - {name: liver, bundle: liver, deadline_s: 50, select: {modalities: [MR]}}\nbundles:"


def config_of(text: str) -> Config:
    config = check_text(text, folder=Path("/nowhere")).config
    assert config is not None
    return config


def test_the_watchdog_waits_for_every_pipeline_that_may_look_at_one_series() -> None:
    assert patience_s(config_of(GOOD)) >= 300.0
    assert patience_s(config_of(GOOD.replace("bundles:", LUNG + LIVER))) >= 300.0 + 40.0 + 50.0 + 300.0


def test_a_signal_that_comes_when_the_process_is_about_to_begin_anew_ends_it(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    hook = threading.excepthook
    box = Appliance(config_of(GOOD), clock)
    monkeypatch.setattr(box, "_open", lambda _: box.begin_anew())
    try:
        box.run()
        assert box.begins_anew
        assert {signal.getsignal(number) for number in kept} == {signal.SIG_DFL}
    finally:
        threading.excepthook = hook
        for number, handler in kept.items():
            signal.signal(number, handler)


def test_a_stop_while_callers_are_waited_for_keeps_nobody_waiting(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Door:
        """Somebody is in, and while we wait for them we are asked to stop."""

        def let_nobody_in(self) -> None:
            told.append("nobody is let in")

        @property
        def callers(self) -> int:
            box._asked_to_stop()
            return 1

    with Listeners() as listeners:
        box = Appliance(config_of(GOOD), clock, listeners=listeners)
        box._doors = [cast(DicomDoor, Door())]
        monkeypatch.setattr(box._watchdog, "stopping", lambda: told.append("it stops"))
        monkeypatch.setattr(box._threads, "end", told.append)
        box.begin_anew()
        with listeners.listen("127.0.0.1", 0) as door:
            port = door.getsockname()[1]
        box._part_with_callers()
        assert told == ["fleet", IMAGING, "nobody is let in", "it stops"]
        with socket.socket() as late:
            assert late.connect_ex(("127.0.0.1", port)) != 0


def test_who_must_have_ended_before_another_begins_gets_its_time_whatever_drain_s_says(
    clock: FakeClock,
) -> None:
    told, ended = threading.Event(), threading.Event()

    def body() -> None:
        assert told.wait(10)
        threading.Event().wait(0.02)
        ended.set()

    threads = Threads(Watchdog(clock), drain_s=lambda: 0.0)
    with threads.running("look", body, told.set, at_least_s=10.0):
        pass
    assert ended.is_set()


def test_a_thread_may_end_before_its_turn_and_is_told_once(clock: FakeClock) -> None:
    told = threading.Event()
    ends: list[str] = []

    def body() -> None:
        assert told.wait(10)

    def stop() -> None:
        ends.append("told")
        told.set()

    watchdog = Watchdog(clock)
    threads = Threads(watchdog, drain_s=lambda: 10.0)
    with threads.running("look", body, stop):
        threads.end("look")
        threads.end("nobody")
        assert ends == ["told"]
        assert watchdog.overdue() == []  # it is not missed
    assert ends == ["told"]
    threads.end("look")
    assert ends == ["told"]
