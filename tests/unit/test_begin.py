"""With what a process begins, and what it takes instead of what does not work."""

from __future__ import annotations

import dataclasses
import errno
import io
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.config.schema import Config
from edge.daemon import begin
from edge.daemon.tenancy import tenancy
from edge.domain.errors import ConfigurationError, JournalError
from edge.domain.ports import Clock
from edge.fleet import switch
from edge.fleet.ledger import Attempt, Ledger, Standing
from edge.fleet.memory import SqliteMemory
from edge.fleet.words import State
from edge.kit.inherited import Listeners
from edge.kit.log import RecentLines
from tests.builders.works import document_of, wish
from tests.fakes.clock import FakeClock
from tests.ports import free_port

UNUSABLE = {"pipelines": {"heads": {"deadline_s": -1.0}}}
GONE = {"version": "1", "digest": "sha256:" + "a" * 64, "url": "file:///nowhere", "size_bytes": 1}


def deadline(seconds: float) -> dict[str, Any]:
    return {"pipelines": {"heads": {"deadline_s": seconds}}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "edge.yaml"
    file.write_text(yaml.safe_dump(document_of(tmp_path)))
    return file


def standing(config: dict[str, Any], **bundles: Any) -> Standing:
    return Standing(wish(config, **bundles), {})


def remember(path: Path, ledger: Ledger) -> None:
    with SqliteMemory(path.parent / "state" / "fleet") as memory:
        memory.write(ledger)


def remembered(path: Path) -> Ledger:
    with SqliteMemory(path.parent / "state" / "fleet") as memory:
        return memory.read()


def trial(config: dict[str, Any], **bundles: Any) -> Attempt:
    return Attempt(
        scope="device",
        version=7,
        payload=b"{}",
        state=State.APPLYING,
        entered_utc_ns=0,
        deadline_utc_ns=0,
        wanted=wish(config, **bundles),
    )


def begun(path: Path, clock: Clock) -> tuple[float, bool, str]:
    """The deadline of the pipeline, whether it is a trial, and why it is not what was proven last."""
    start = begin.first(begin.site_of(path), clock)
    pipeline: Any = start.config.pipelines[0]
    return pipeline.deadline_s, start.boot.is_trial, start.boot.why


def test_without_a_fleet_or_with_one_that_never_spoke_the_file_counts(path: Path, clock: FakeClock) -> None:
    assert begun(path, clock) == (300.0, False, "")
    alone = document_of(path.parent)
    del alone["fleet"]
    remember(path, Ledger(committed=standing(deadline(20))))
    path.write_text(yaml.safe_dump(alone))
    assert begun(path, clock) == (300.0, False, "")


def test_what_was_proven_lies_over_the_file_and_a_trial_over_that_once(path: Path, clock: FakeClock) -> None:
    remember(path, Ledger(committed=standing(deadline(20))))
    assert begun(path, clock) == (20.0, False, "")
    remember(path, Ledger(committed=standing(deadline(20)), attempts=(trial(deadline(30)),)))
    assert begun(path, clock) == (30.0, True, "")
    seconds, is_trial, why = begun(path, clock)
    assert (seconds, is_trial) == (20.0, False)
    assert "ended twice" in why


@pytest.mark.parametrize("attempt", [trial(UNUSABLE), trial(deadline(30), tiny=GONE)])
def test_a_trial_that_cannot_be_begun_with_goes_back_at_once(
    path: Path, clock: FakeClock, attempt: Attempt
) -> None:
    remember(path, Ledger(committed=standing(deadline(20)), attempts=(attempt,)))
    seconds, is_trial, why = begun(path, clock)
    assert (seconds, is_trial) == (20.0, False)
    assert why
    assert remembered(path).attempts == ()


def test_what_was_proven_and_cannot_be_read_any_more_gives_way_to_what_was_before_and_to_the_file(
    path: Path, clock: FakeClock
) -> None:
    remember(path, Ledger(committed=standing(UNUSABLE), previous=standing(deadline(10))))
    assert begun(path, clock)[0] == 10.0
    remember(path, Ledger(committed=standing(UNUSABLE), previous=standing(UNUSABLE)))
    seconds, _, why = begun(path, clock)
    assert seconds == 300.0
    assert "the YAML alone" in why


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing can be written down."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse_rows(*_: object) -> None:
        raise JournalError("fleet.db: database or disk is full")

    monkeypatch.setattr(SqliteMemory, "write", refuse_rows)
    monkeypatch.setattr(switch, "write_durably", refuse)


@pytest.mark.parametrize("finds", [0, 1])
def test_a_trial_on_a_full_disk_gives_way_to_what_was_proven(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, finds: int
) -> None:
    found = dataclasses.replace(trial(deadline(30)), finds=finds)
    remember(path, Ledger(committed=standing(deadline(20)), attempts=(found,)))
    full(monkeypatch)
    seconds, is_trial, why = begun(path, clock)
    assert (seconds, is_trial) == (20.0, False)
    assert why


def test_what_was_proven_is_begun_with_also_where_its_bundles_cannot_be_brought_into_use(
    path: Path, clock: FakeClock
) -> None:
    found = dataclasses.replace(trial(deadline(30)), finds=1)
    remember(path, Ledger(committed=standing(deadline(20), tiny=GONE), attempts=(found,)))
    seconds, is_trial, why = begun(path, clock)
    assert (seconds, is_trial) == (20.0, False)
    assert "the bundles in use stay in use" in why


def test_a_fleet_folder_that_nobody_may_read_keeps_no_device_from_starting(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(path, Ledger(committed=standing(deadline(20))))
    lstat, stat, opened = Path.lstat, Path.stat, io.open
    monkeypatch.setattr(Path, "stat", _closed(stat))
    monkeypatch.setattr(Path, "lstat", _closed(lstat))
    monkeypatch.setattr(io, "open", _closed(opened))
    seconds, _, why = begun(path, clock)
    assert seconds == 300.0
    assert "Permission denied" in why


def _closed(call: Callable[..., Any]) -> Callable[..., Any]:
    def ask(place: object, *arguments: Any, **options: Any) -> Any:
        forbidden = Path(str(place)).parent.name == "fleet"
        found = {True: _denied, False: call}[forbidden]
        return found(place, *arguments, **options)

    return ask


def _denied(place: object, *_: Any, **__: Any) -> None:
    raise PermissionError(errno.EACCES, "Permission denied", str(place))


def test_a_second_process_is_told_at_once_and_has_touched_nothing(path: Path) -> None:
    found = dataclasses.replace(trial(deadline(30)), state=State.PROBING)
    before = Ledger(committed=standing(deadline(20)), attempts=(found,))
    remember(path, before)
    with tenancy(path.parent / "state"), pytest.raises(JournalError, match="another process uses it"):
        begin.run(path)
    assert remembered(path) == before
    assert not (path.parent / "state" / "fleet" / "switch.json").exists()


class FakeAppliance:
    """Opens with what a test lets it open with."""

    opened: list[float]

    def __init__(self, config: Config, clock: Clock, *, recent: RecentLines, listeners: Listeners) -> None:
        self.plane: object = None
        self.begins_anew = self.was_open = False
        self.config = config
        self.listeners = listeners

    def begin_anew(self) -> None:
        self.begins_anew = True

    def run(self) -> int:
        pipeline: Any = self.config.pipelines[0]
        self.opened.append(pipeline.deadline_s)
        if pipeline.deadline_s in (20.0, 30.0):
            raise ConfigurationError("door: cannot listen")
        return 0


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    FakeAppliance.opened = []
    monkeypatch.setattr(begin, "Appliance", FakeAppliance)
    monkeypatch.setattr(begin, "keep_memory_plain", lambda: None)
    monkeypatch.setattr(begin, "to_stderr", lambda **_: None)
    return FakeAppliance.opened


def test_an_appliance_that_does_not_open_is_opened_with_what_comes_next(
    path: Path, opened: list[float]
) -> None:
    ledger = Ledger(committed=standing(deadline(20)), previous=standing(deadline(10)))
    remember(path, dataclasses.replace(ledger, attempts=(trial(deadline(30)),)))
    assert begin.run(path) == 0
    assert opened == [30.0, 20.0, 10.0]


class FakeAppliancesWithADoor(FakeAppliance):
    """Is called while it opens, and serves whoever has called by then."""

    port: int
    callers: list[socket.socket]
    served: list[object]

    def run(self) -> int:
        with self.listeners.listen("127.0.0.1", self.port) as door:
            self.callers.append(socket.create_connection(("127.0.0.1", self.port), timeout=5))
            code = super().run()
            for _ in self.callers:
                connection, address = door.accept()
                connection.close()
                self.served.append(address)
        return code


def test_who_calls_an_appliance_that_does_not_open_is_served_by_what_comes_next(
    path: Path, opened: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    each = FakeAppliancesWithADoor
    each.port, each.callers, each.served = free_port(), [], []
    monkeypatch.setattr(begin, "Appliance", each)
    ledger = Ledger(committed=standing(deadline(20)), previous=standing(deadline(10)))
    remember(path, dataclasses.replace(ledger, attempts=(trial(deadline(30)),)))
    assert begin.run(path) == 0
    assert opened == [30.0, 20.0, 10.0]
    assert each.served == [caller.getsockname() for caller in each.callers]
    for caller in each.callers:
        caller.close()
    with socket.socket() as late:
        assert late.connect_ex(("127.0.0.1", each.port)) != 0


def test_a_file_that_does_not_open_is_the_persons_to_mend(path: Path, opened: list[float]) -> None:
    path.write_text(path.read_text().replace("bundle: tiny", "bundle: tiny\n  deadline_s: 20"))
    with pytest.raises(ConfigurationError, match="cannot listen"):
        begin.run(path)
    assert opened == [20.0]
    path.write_text("nothing: of ours\n")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        begin.run(path)
