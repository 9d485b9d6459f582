"""The status file is whole or not there, and trouble with it stops nothing."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from edge.cli.status import _lines, _troubles
from edge.ops import status
from edge.ops.status import FILE, StatusFile
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
