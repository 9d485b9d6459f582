"""The unit under a real systemd: ready, fed by progress, killed when it stands still, restarted, stopped."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.bundles.signature import make_key
from edge.fleet.signing import Signer
from tests.builders.bundles import write_bundle
from tests.end_to_end.container import CannotBootError, Container, python_inside, unable
from tests.end_to_end.fleet_office import at_once, now
from tests.waiting import until

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "edge.service"
CONFIG = """\
site: {id: test}
device: {id: box-1}
state: {reserve_mb: 16}
retention: {soft_free_mb: 16}
sources:
  - {kind: dicom, name: door, host: 127.0.0.1, allow: [{network: 127.0.0.1}]}
  - {kind: folder, name: drop, path: /srv/edge/drop}
pipelines:
  - {name: tiny, bundle: tiny, select: {modalities: [MR]}}
bundles: {roots: [/opt/bundles]}
engine: {threads: 1}
identity: {key: {secret: identity-key}}
mqtt: {host: 127.0.0.1, port: 1883}
health: {period_s: 1}
drain_s: 5
fleet: {keys: [{name: clinic, public_key: "PUBLIC"}]}
"""
DROP_IN = """\
[Service]
ExecStart=
ExecStart={python} -m edge run ${{EDGE_CONFIG}}
Environment={environment}
WatchdogSec=8
RestartSec=100ms
ReadWritePaths=/srv/edge/drop
"""

BROKER = r"listener 1883 127.0.0.1\nallow_anonymous true\nuser root\n"

needs_analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@needs_analyze
def test_systemd_has_nothing_to_say_against_the_unit() -> None:
    verified = analyzed("verify", str(UNIT))
    assert (verified.returncode, verified.stderr) == (0, "")


@needs_analyze
def test_the_exposure_of_the_unit_is_at_most_2() -> None:
    judged = analyzed("security", "--offline=true", "--threshold=20", str(UNIT))
    assert judged.returncode == 0, judged.stdout[-200:]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A booted machine with the unit, its users and folders, a configuration, a bundle and a credential."""
    if unable():
        pytest.skip(f"no container can boot here: {unable()}")
    folder = tmp_path_factory.mktemp("box")
    write_bundle(folder / "bundles")
    mounts, python, environment = python_inside()
    words = " ".join(f"{name}={value}" for name, value in environment.items())
    files = {
        "systemd/system/edge.service": UNIT.read_text(),
        "systemd/system/edge.service.d/test.conf": DROP_IN.format(python=python, environment=words),
        "sysusers.d/edge.conf": (SYSTEMD / "edge.sysusers.conf").read_text(),
        "tmpfiles.d/edge.conf": (SYSTEMD / "edge.tmpfiles.conf").read_text(),
        "edge/edge.yaml": CONFIG.replace("PUBLIC", make_key(folder / "fleet.key", folder / "fleet.pub")),
        "credstore/edge.identity-key": "0123456789abcdef0123456789abcdef\n",
    }
    container = Container(
        folder, unit="edge.service", files=files, mounts={**mounts, folder / "bundles": "/opt/bundles"}
    )
    try:
        with container:
            yield container
    except CannotBootError as reason:
        pytest.skip(f"no container can boot here: {reason}")


@pytest.fixture
def running(box: Container) -> Container:
    """The box with its daemon ready, whatever an earlier test has done to it."""
    box.run("systemctl", "start", "edge")
    assert box.show("ActiveState")["ActiveState"] == "active", journal(box)
    return box


def journal(box: Container) -> str:
    return box.run("journalctl", "-u", "edge", "--no-pager", "-n", "400")


def test_the_daemon_tells_systemd_that_it_is_ready_and_how_it_is(running: Container) -> None:
    seen = running.show("Type", "ActiveState", "SubState", "StatusText", "User")
    assert seen["Type"] == "notify"
    assert (seen["ActiveState"], seen["SubState"], seen["User"]) == ("active", "running", "edge")
    assert seen["StatusText"]


def test_studies_are_taken_inside_the_sandbox(running: Container) -> None:
    picture = "/opt/edge/packages/pydicom/data/test_files/MR_small.dcm"
    for command in ("echoscu -aec EDGE 127.0.0.1 11112", f"storescu -aec EDGE 127.0.0.1 11112 {picture}"):
        said = running.run("sh", "-c", f"{command}; echo code $?")
        assert said.strip().endswith("code 0"), said + journal(running)
    assert running.run("stat", "-c", "%a %U", "/var/lib/edge").split() == ["700", "edge"]


def test_a_daemon_that_stands_still_is_killed_with_its_stacks_written_down_and_comes_back(
    running: Container,
) -> None:
    before = running.show("NRestarts", "MainPID")
    running.run("systemctl", "kill", "--signal=SIGSTOP", "--kill-who=main", "edge")
    until(
        lambda: int(running.show("NRestarts")["NRestarts"]) > int(before["NRestarts"]),
        within_s=40,
        what="a restart after the missed watchdog",
    )
    until(lambda: running.show("ActiveState")["ActiveState"] == "active", within_s=60, what=journal(running))
    assert running.show("MainPID")["MainPID"] != before["MainPID"]
    said = journal(running)
    assert "Watchdog timeout" in said
    assert "signal SIGABRT" in said
    assert "most recent call first" in said


def test_a_daemon_that_the_fleet_has_begin_anew_stays_the_same_to_systemd(
    running: Container,
) -> None:
    key = running.folder / "fleet.key"
    document = {
        "schema": "edge.desired/1",
        "device": "box-1",
        "version": 1,
        "base": 0,
        "issued": now(),
        "apply": at_once(),
        "config": {"engine": {"threads": 2}},
    }
    signed = json.dumps(Signer("clinic", key).sign(document))
    before = running.show("NRestarts", "MainPID", "WatchdogTimestamp")
    running.run(
        "sh", "-c", f"printf '{BROKER}' > /run/broker.conf; /usr/sbin/mosquitto -d -c /run/broker.conf"
    )
    publish = (
        "mosquitto_pub",
        "-h",
        "127.0.0.1",
        "-V",
        "mqttv5",
        "-q",
        "1",
        "-r",
        "-t",
        "edge/v1/test/box-1/config/desired",
    )
    running.run(*publish, "-m", signed)
    until(
        lambda: "state=committed" in journal(running),
        within_s=60,
        what=f"committed: {journal(running)[-3000:]}",
    )
    after = running.show("NRestarts", "MainPID", "ActiveState", "StatusText")
    assert "the process begins anew" in journal(running)
    assert (after["NRestarts"], after["MainPID"]) == (before["NRestarts"], before["MainPID"])
    assert (after["ActiveState"], after["StatusText"]) == ("active", "receiving")


def test_a_stop_is_clean(running: Container) -> None:
    running.run("systemctl", "stop", "edge")
    seen = running.show("ActiveState", "Result", "ExecMainStatus")
    assert seen == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}, journal(running)
