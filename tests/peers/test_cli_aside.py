"""`edge aside`: what a person has to look at can be found, looked at and tried again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from edge.domain.study import ClosedBecause
from edge.kit.clock import SystemClock
from edge.kit.journal import Entry, Journal
from edge.studies.role_played import RolePlayed, entry_of
from tests.peers.command import edge

REASON = "slices 3 and 4 lie at the same place\x1b[2J"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration, and a journal in which one series of two objects was set aside."""
    document = {
        "site": {"id": "test"},
        "device": {"id": "box-1"},
        "state": {"folder": str(tmp_path)},
        "sources": [{"kind": "folder", "name": "drop", "path": str(tmp_path / "drop")}],
        "pipelines": [{"name": "brain", "bundle": "brain-mr", "select": {"modalities": ["MR"]}}],
        "bundles": {"roots": [str(tmp_path / "not-yet-there")]},
        "mqtt": {"host": "127.0.0.1"},
    }
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump(document))
    with journal(tmp_path) as opened:
        for number in range(2):
            body = json.dumps({"path": f"/var/lib/edge/intake/ab/{number}"}).encode()
            opened.put(Entry("intake", f"1.2.{number}", "1.2.3", body))
        lease = opened.lease_group("intake", "1.2.3")
        assert lease is not None
        opened.set_aside(lease, reason=REASON)
    return path


def journal(folder: Path) -> Journal:
    return Journal(folder / "journal.db", SystemClock())


def test_it_is_listed_with_its_reason_and_its_files_while_the_daemon_runs(config: Path) -> None:
    with journal(config.parent):
        done = edge("aside", config)
    assert done.returncode == 1
    for part in ("intake 1.2.3", "2 items", "slices 3 and 4 lie", "files in /var/lib/edge/intake/ab"):
        assert part in done.stdout
    assert "\x1b[2J" not in done.stdout


def test_of_a_study_it_says_where_the_files_of_its_series_lie(config: Path) -> None:
    played = RolePlayed(
        pipeline="pair",
        roles=("T1",),
        series_uid="1.2.3",
        study_uid="1.2",
        modality="MR",
        number=4,
        revision=1,
        instances=2,
        closed_because=ClosedBecause.QUIET,
        received_at_ns=1,
    )
    with journal(config.parent) as opened:
        opened.take_back("intake", "1.2.3")
        series = opened.lease_group("intake", "1.2.3")
        assert series is not None
        opened.done(series, then=[entry_of(played)])
        study = opened.lease_group("together", played.group)
        assert study is not None
        opened.set_aside(study, reason="another patient")
    done = edge("aside", config)
    for part in ("together pair 1.2", "another patient", "files in /var/lib/edge/intake/ab"):
        assert part in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["1.2.3", "all"])
def test_it_is_ready_again_when_the_daemon_starts(config: Path, name: str) -> None:
    done = edge("aside", config, "--retry", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ready again: intake 1.2.3, 2 items" in done.stdout
    with journal(config.parent) as opened:
        lease = opened.lease_group("intake", "1.2.3")
    assert lease is not None
    assert [item.attempts for item in lease.items] == [1, 1]


def test_a_journal_that_is_in_use_is_not_changed(config: Path) -> None:
    with journal(config.parent):
        done = edge("aside", config, "--retry", "all")
    assert done.returncode == 2
    assert done.stderr.startswith("edge: ")
    assert "Traceback" not in done.stderr
    assert edge("aside", config).returncode == 1


def test_what_is_not_aside_cannot_be_tried_again(config: Path) -> None:
    done = edge("aside", config, "--retry", "1.2.4")
    assert done.returncode == 2
    assert "1.2.4 is not set aside; wanted 'all' or one of: 1.2.3" in done.stderr


def test_without_a_journal_it_says_so(config: Path) -> None:
    (config.parent / "journal.db").unlink()
    done = edge("aside", config)
    assert done.returncode == 2
    assert "wanted the journal of a daemon" in done.stderr
