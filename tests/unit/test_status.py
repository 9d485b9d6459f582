"""The status file is whole or not there, and trouble with it stops nothing."""

from __future__ import annotations

import dataclasses
import errno
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.cli.status import _lines, _troubles
from edge.daemon.fleet_standing import FleetStanding
from edge.fleet.memory import RamMemory, SqliteMemory
from edge.ops import status
from edge.ops.status import FILE, StatusFile
from tests.builders.fleet import Life, desired
from tests.fakes.clock import FakeClock


def test_a_status_that_cannot_be_written_is_said_and_stops_nothing(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    file = StatusFile(tmp_path, clock=clock, stages=list, others=lambda: {"broker": True})
    with monkeypatch.context() as full:
        full.setattr(status, "write_durably", fail)
        file.write()
    assert not (tmp_path / FILE).exists()
    file.write(stopped=True)
    assert json.loads((tmp_path / FILE).read_bytes())["stopped"]


@pytest.mark.parametrize(
    ("state", "why", "told"),
    [
        ("online", "", ["gate on or: no frame of or was assessed: the runtime failed"]),
        ("offline", "no route", ["source or is offline: no route"]),
        ("disabled", "it is turned off", []),
    ],
)
def test_a_camera_that_is_online_and_at_which_nobody_can_look_is_not_well(
    state: str, why: str, told: list[str]
) -> None:
    not_assessed = {"gate on or": "no frame of or was assessed: the runtime failed"}
    source = {"name": "or", "state": state, "why": why, "not_assessed": not_assessed}
    document = {"broker": True, "stages": [], "models": [], "sources": [source], "disk_free_mb": 9000}
    assert list(_troubles(document, 100)) == told


def test_boxes_that_were_not_followed_are_told_of() -> None:
    source = {"name": "or", "state": "online", "not_followed": {"hands on or": 12}}
    document = {"broker": True, "models": [], "sources": [source], "disk_free_mb": 9000}
    assert "  hands on or: 12 boxes were not followed, there were too many at once" in list(_lines(document))


def test_studies_that_wait_for_roles_are_told_of() -> None:
    waiting = [{"pipeline": "tumour", "studies": 3, "oldest_s": 61.2, "lacks": {"FLAIR": 3, "T1": 1}}]
    told = "tumour: 3 studies wait for roles, since 61 s: FLAIR in 3, T1 in 1"
    assert told in list(_lines({**WELL, "waiting": waiting}))


OWN = {"scope": "device", "desired": 44, "applied": 42, "version": 44, "status": "waiting", "code": "ok"}
GROUP = {"scope": "group/theatres", "desired": 0, "applied": 0, "version": 0, "status": "none", "code": "ok"}
BACK = {"scope": "device", "version": 43, "status": "rolled_back", "code": "probe", "message": "engine: no"}
FLEET = {
    "line": "",
    "frozen": False,
    "rung": "committed",
    "scopes": [{**OWN, "message": ""}, {**GROUP, "message": ""}],
    "waits": "2 DICOM associations are open",
    "rolled_back": {**BACK, "at": "2026-11-22T14:00:00.000Z"},
}
WELL = {"broker": True, "stages": [], "models": [], "sources": [], "disk_free_mb": 9000}


def test_how_the_device_stands_with_its_fleet_is_shown() -> None:
    assert list(_lines({**WELL, "fleet": FLEET}))[1:-1] == [
        "fleet: connected",
        "  document: version 42 at work, 44 wanted; version 44 waiting",
        "  group/theatres: nothing of it at work",
        "  waits for: 2 DICOM associations are open",
        "  last rolled back: version 43 at 2026-11-22T14:00:00.000Z: probe: engine: no",
    ]
    assert list(_troubles({**WELL, "fleet": FLEET}, 100)) == []
    settled = {**OWN, "applied": 44, "status": "committed", "message": ""}
    assert "  document: version 44 at work" in list(
        _lines({**WELL, "fleet": {"line": "", "scopes": [settled]}})
    )
    assert "fleet" not in " ".join(_lines(WELL))
    assert "fleet: no connection to the broker" in list(
        _lines({**WELL, "fleet": {"line": "no connection to the broker"}})
    )


@pytest.mark.parametrize(
    ("fleet", "told"),
    [
        (
            {"scopes": [{**BACK, "desired": 43, "applied": 42}]},
            "fleet: version 43 rolled back: probe: engine: no",
        ),
        ({"rung": "yaml"}, "fleet: what was committed last cannot be used; at work is: yaml"),
        ({"line": "the broker does not let us hear a"}, "fleet: the broker does not let us hear a"),
        ({"troubles": ["fleet.db: disk I/O error"]}, "fleet: fleet.db: disk I/O error"),
    ],
)
def test_what_came_of_the_fleet_and_needs_a_person_is_not_well(fleet: dict[str, object], told: str) -> None:
    assert list(_troubles({**WELL, "fleet": {**FLEET, **fleet}}, 100)) == [told]


def test_what_was_rolled_back_last_is_known_after_a_start() -> None:
    standing = FleetStanding(lambda: "", lambda: "")
    assert standing.told() == {"line": "", "troubles": []}
    life = Life(RamMemory(), FakeClock(), groups=["theatre"])
    for version, config in ((1, {"a": 1}), (2, {"fault_x": "probe"}), (3, {"a": 3})):
        life.offer(desired(version, config=config, apply={"confirm_s": 1}))
        life.run()
    standing.recall(life.memory)
    standing.heed(life.machine.snapshot())
    said = standing.told()
    assert (said["rolled_back"]["version"], said["rolled_back"]["code"]) == (2, "probe")
    own = said["scopes"][0]
    assert (own["scope"], own["desired"], own["applied"], own["status"]) == ("device", 3, 3, "committed")
    assert json.dumps(said)


def test_an_agent_that_cannot_read_what_it_remembers_is_not_well() -> None:
    standing = FleetStanding(lambda: "", lambda: "the fleet's agent: fleet.db: file is not a database")
    told = {**WELL, "fleet": standing.told()}
    assert list(_troubles(told, 100)) == ["fleet: the fleet's agent: fleet.db: file is not a database"]


def test_what_is_remembered_and_cannot_be_written_down_any_more_is_not_well() -> None:
    standing = FleetStanding(lambda: "", lambda: "")
    progress = Life(RamMemory(), FakeClock()).machine.snapshot()
    standing.heed(dataclasses.replace(progress, troubles={"clock": "", "fleet-memory": "disk I/O error"}))
    assert list(_troubles({**WELL, "fleet": standing.told()}, 100)) == ["fleet: disk I/O error"]


def test_a_journal_that_cannot_be_read_keeps_nobody_from_going_on(tmp_path: Path) -> None:
    standing = FleetStanding(lambda: "", lambda: "")
    with SqliteMemory(tmp_path) as memory:
        with closing(sqlite3.connect(memory.path, isolation_level=None)) as rows:
            rows.execute("INSERT INTO journal (entry) VALUES ('of a version to come')")
        standing.recall(memory)
        standing.heed(Life(memory, FakeClock()).machine.snapshot())
    assert standing.told()["rolled_back"] is None
