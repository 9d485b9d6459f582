"""The appliance's own threads and limits, without the rest of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config.load import check_text
from edge.config.schema import Config
from edge.daemon import appliance
from edge.daemon.appliance import Appliance
from edge.daemon.parts import patience_s
from edge.kit.journal import Journal
from edge.ops.status import StatusFile
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


def test_retention_has_its_turn_at_once_for_room_may_be_what_is_missing(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    box = Appliance(config_of(GOOD), clock)

    def write(_: StatusFile) -> None:
        done.append("status")
        box._stopping.set()

    monkeypatch.setattr(appliance, "sweep", lambda *_: done.append("sweep"))
    monkeypatch.setattr(StatusFile, "write", write)
    box._keep_house(
        Journal(tmp_path / "journal.db", clock), StatusFile(tmp_path, clock=clock, stages=list, others=dict)
    )
    assert done == ["sweep", "status"]
