"""When the watchdog is fed, and that feeding it never holds anybody up."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edge.ops.watchdog import Watchdog
from tests.fakes.clock import FakeClock


def test_it_is_fed_while_everything_beats(clock: FakeClock) -> None:
    watchdog = Watchdog(clock)
    beat = watchdog.watch("imaging", limit_s=10)
    clock.advance(9)
    beat()
    clock.advance(9)
    assert watchdog.feed()


def test_it_is_not_fed_once_a_beat_is_overdue_and_says_whose(clock: FakeClock) -> None:
    watchdog = Watchdog(clock)
    watchdog.watch("imaging", limit_s=10)
    clock.advance(11)
    assert not watchdog.feed()
    assert watchdog.overdue() == ["imaging has not moved for 11 s, 10 s are allowed"]


def test_it_is_not_fed_once_something_is_gone(clock: FakeClock) -> None:
    watchdog = Watchdog(clock)
    watchdog.expect("the journal", lambda: False)
    assert not watchdog.feed()
    assert watchdog.overdue() == ["the journal is gone"]


@pytest.mark.timeout(10)
def test_somebody_who_no_longer_reads_holds_nobody_up(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        watchdog = Watchdog(clock)
        watchdog.ready("receiving")
        assert all(watchdog.feed() for _ in range(2000))
        watchdog.stopping()
        assert deaf.recv(100) == b"READY=1\nSTATUS=receiving"


def test_what_ended_as_it_should_is_not_missed_and_a_late_beat_of_it_means_nothing(clock: FakeClock) -> None:
    watchdog = Watchdog(clock)
    beat = watchdog.watch("light on or", limit_s=10)
    watchdog.expect("light on or", lambda: False)
    watchdog.release("light on or")
    beat()
    clock.advance(60)
    assert watchdog.overdue() == []


def test_somebody_may_be_given_another_time(clock: FakeClock) -> None:
    watchdog = Watchdog(clock)
    beat = watchdog.watch("imaging", limit_s=10)
    watchdog.allow("imaging", limit_s=100)
    beat()
    clock.advance(60)
    assert watchdog.overdue() == []


def test_a_process_that_begins_anew_may_be_silent_until_it_is_ready(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        Watchdog(clock).begin_anew(within_s=600)
        Watchdog(clock).ready("receiving")
        assert systemd.recv(100) == b"RELOADING=1\nSTATUS=beginning anew\nWATCHDOG_USEC=600000000"
        assert systemd.recv(100) == b"READY=1\nSTATUS=receiving\nWATCHDOG_USEC=30000000"
