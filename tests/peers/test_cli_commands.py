"""What an operator types, and what comes back: exit codes, stdout for machines, stderr for people."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edge.config.schema import Config
from edge.findings.mqtt_json import encode
from tests.builders.findings import finding
from tests.fulfils import assert_fulfils_schema
from tests.peers.broker import Mosquitto
from tests.peers.command import edge, start
from tests.peers.listener import Listener
from tests.waiting import until

ROOT = Path(__file__).parents[2]


def documented(folder: Path) -> dict[str, Any]:
    return {
        "site": {"id": "test"},
        "device": {"id": "box-1"},
        "state": {"folder": str(folder / "state"), "reserve_mb": 16},
        "retention": {"soft_free_mb": 16},
        "sources": [{"kind": "folder", "name": "drop", "path": str(folder / "drop")}],
        "pipelines": [{"name": "brain", "bundle": "brain-mr", "select": {"modalities": ["MR"]}}],
        "bundles": {"roots": [str(folder / "not-yet-there")]},
        "mqtt": {"host": "127.0.0.1"},
        "health": {"period_s": 1},
    }


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump(documented(tmp_path)))
    return path


@pytest.mark.alone
def test_help_comes_at_once() -> None:
    edge("--help")  # the first one may have to compile
    began = time.monotonic()
    assert edge("--help").returncode == 0
    bare = time.monotonic()
    subprocess.run([sys.executable, "-c", "import typer, rich.console, rich.table"], check=True)
    assert bare - began < 0.5 + 2 * (time.monotonic() - bare)


def test_the_version_is_said() -> None:
    assert edge("--version").stdout.startswith("edge ")


def test_a_good_configuration_is_summed_up_in_one_line(config: Path) -> None:
    done = edge("check", config)
    assert done.returncode == 0
    assert "good: test/box-1; from drop (folder); to brain; findings to mqtt://127.0.0.1:1883" in done.stdout
    assert "warning: line" in done.stdout


def test_everything_wrong_is_said_with_exit_code_2(tmp_path: Path) -> None:
    broken = {**documented(tmp_path), "drain_s": -1, "log_level": "loud", "colour": "red"}
    (tmp_path / "edge.yaml").write_text(yaml.safe_dump(broken))
    done = edge("check", tmp_path / "edge.yaml")
    assert done.returncode == 2
    for part in ("drain_s: is -1", "log_level: is 'loud'", "colour: unknown key", "3 errors"):
        assert part in done.stdout


def test_a_daemon_does_not_start_on_a_bad_configuration(tmp_path: Path) -> None:
    done = edge("run", tmp_path / "absent.yaml")
    assert done.returncode == 2
    assert "absent.yaml cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_schemas_are_printed_for_both(config: Path) -> None:
    for which in ("config", "finding"):
        document = json.loads(edge("schema", which).stdout)
        jsonschema.Draft202012Validator.check_schema(document)
    described = json.loads(edge("schema", "config").stdout)
    jsonschema.validate(yaml.safe_load(config.read_text()), described)
    assert set(described["properties"]) == set(Config.model_fields)


def test_a_closed_pipe_is_no_accident() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m edge schema config | head -n 1 > /dev/null"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""


# ── status ────────────────────────────────────────────────────────────────────────────────────────────────


def written(folder: Path, **changes: Any) -> None:
    """Write a status as the daemon does."""
    status: dict[str, Any] = {
        "written_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "pid": os.getpid(),
        "version": "0.1.0",
        "stopped": False,
        "session": 7,
        "broker": True,
        "stages": [
            {
                "name": "imaging",
                "taken": 5,
                "out": 3,
                "set_aside": 1,
                "dropped": {},
                "held": 1,
                "oldest_ms": 2500.0,
                "last_move_ns": 1,
                "note": "",
            }
        ],
        "sources": [{"name": "door", "state": "online"}],
        "models": [],
        "disk_free_mb": 100_000,
    }
    (folder / "state").mkdir(exist_ok=True)
    (folder / "state" / "status.json").write_text(json.dumps({**status, **changes}))


def test_a_daemon_that_is_well_is_0(config: Path, tmp_path: Path) -> None:
    written(tmp_path)
    done = edge("status", config)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("session 7", "imaging", "broker: connected", "source door: online", "100000 MB free"):
        assert part in done.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"broker": False}, "no connection to the broker"),
        ({"disk_free_mb": 3}, "below the reserve of 16 MB"),
        (
            {"sources": [{"name": "door", "state": "offline", "why": "port taken"}]},
            "door is offline: port taken",
        ),
        ({"models": [{"name": "brain-mr", "refusal": "altered"}]}, "model brain-mr is not in use: altered"),
    ],
)
def test_a_daemon_that_needs_somebody_is_1(
    config: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    written(tmp_path, **changes)
    done = edge("status", config)
    assert done.returncode == 1
    assert words in done.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stopped": True}, "it was stopped"),
        ({"pid": 2**22 - 1}, "has ended"),
        ({"written_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}, "wanted at most 8 s"),
        ({"written_at": "yesterday"}, "no status that a daemon wrote"),
    ],
)
def test_a_daemon_that_is_gone_is_3(
    config: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    written(tmp_path, **changes)
    done = edge("status", config)
    assert done.returncode == 3
    assert words in done.stdout


def test_no_daemon_ever_is_3(config: Path) -> None:
    done = edge("status", config)
    assert done.returncode == 3
    assert "not running" in done.stdout


# ── watch ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


def watched(broker: Mosquitto, *words: str, payloads: list[bytes], last: str) -> tuple[str, str, int]:
    """Publish while `edge watch` looks on, interrupt it after it said `last`, return what it said."""
    watcher = start("watch", "--port", broker.port, *words)
    try:
        until(lambda: "edge-watch-" in broker.log and "SUBSCRIBE" in broker.log, within_s=20)
        with Listener(broker.port, "#", name="publisher") as publisher:
            for payload in payloads:
                publisher._client.publish("edge/v1/north/or-3/finding/brain-mr", payload, qos=1)
            publisher.wait_for(len(payloads))
        assert watcher.stdout is not None
        lines = [watcher.stdout.readline()]
        while last not in lines[-1]:
            lines.append(watcher.stdout.readline())
            assert lines[-1], f"{last} was not said, but: {lines}"
    finally:
        watcher.send_signal(signal.SIGINT)
    rest, err = watcher.communicate(timeout=20)
    return "".join(lines) + rest, err, watcher.returncode


def test_findings_are_shown_as_they_come_and_ctrl_c_is_clean(broker: Mosquitto) -> None:
    payload = encode(finding(), site="north", device="or-3")
    out, err, code = watched(broker, payloads=[payload, b"\x1b[2Jnoise"], last="no finding")
    assert code == 130
    for part in ("north/or-3", "brain-mr", "PRESENT", "verdict", "bytes that are no finding"):
        assert part in out
    assert "\x1b[2J" not in out
    assert "Traceback" not in err


def test_json_is_one_finding_a_line(broker: Mosquitto) -> None:
    payload = encode(finding(), site="north", device="or-3")
    out, err, _ = watched(broker, "--json", payloads=[b"noise", payload], last="edge.finding/1")
    (line,) = out.splitlines()
    assert_fulfils_schema(json.loads(line))
    assert "bytes that are no JSON" in err


def test_a_broker_that_is_not_there_is_one_clear_line() -> None:
    done = edge("watch", "--port", "1")
    assert done.returncode == 2
    assert done.stderr.startswith("edge: no connection to 127.0.0.1:1: ")
    assert len(done.stderr.splitlines()) == 1
