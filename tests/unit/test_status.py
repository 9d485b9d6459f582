"""The status file is whole or not there, and trouble with it stops nothing."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

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
