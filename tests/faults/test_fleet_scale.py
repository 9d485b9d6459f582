"""A thousand devices take a roll-out, ten thousand are held: in processes of their own, on a real mosquitto.

pytest -m proof tests/faults/test_fleet_scale.py -s
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.bundles.signature import make_key
from edge.simulate.fleet import allow_files
from tests.peers.broker import FOR_THOUSANDS, Mosquitto
from tests.peers.listener import Listener
from tests.waiting import until

SITE = "edge/v1/simulated"
EVERYWHERE_S, APPLIED_MS, BACK_MS = 60.0, 2000.0, 5000.0
MANY, VERY_MANY = 1000, 10_000
HELD_S = 60.0


class Crowd:
    """`edge simulate fleet` in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def end(self) -> dict[str, Any]:
        """End it in order; return what it tells."""
        self.process.send_signal(signal.SIGINT)
        told, _ = self.process.communicate(timeout=60)
        summary: dict[str, Any] = json.loads(told)
        return summary

    def kill(self) -> None:
        """End it as a power cut of the whole site does."""
        self.process.kill()
        self.process.wait()


class Office:
    """A broker for thousands, and an operator."""

    def __init__(self, folder: Path) -> None:
        allow_files(VERY_MANY + 1000)  # of the broker, which inherits that
        self.public_key = make_key(folder / "fleet.key", folder / "fleet.pub")
        self.broker = Mosquitto(folder / "broker", habits=FOR_THOUSANDS)
        self._folder = folder

    def write(self) -> None:
        settings = {
            "broker": {"host": "127.0.0.1", "port": self.broker.port, "tls": False},
            "signing": {"key": "fleet", "private_file": str(self._folder / "fleet.key")},
            "state": str(self._folder / "operator"),
        }
        (self._folder / "fleet.yaml").write_text(yaml.safe_dump(settings))

    @contextmanager
    def crowd(self, count: int, *words: str) -> Iterator[Crowd]:
        key = f"fleet={self.public_key}"
        asked = ["--devices", str(count), "--port", str(self.broker.port), "--key", key, "--per-room", "1"]
        command = [sys.executable, "-m", "edge", "simulate", "fleet", *asked, *words]
        log = (self._folder / "crowd.log").open("ab")
        with log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process:
            yield Crowd(process)
            process.kill()

    def roll_out(self, name: str, config: dict[str, Any], *words: str) -> tuple[int, float, str]:
        """Roll a configuration out at once; return the exit code, how long it took in s, and what it said."""
        path = self._folder / f"{name}.yaml"
        brought = {"select": {"sites": ["*"]}, "config": config, "apply": {"confirm_s": 2.0}}
        path.write_text(yaml.safe_dump(brought))
        asked = ["rollout", str(path), "--ring", "all=100%", "--soak", "0", "--yes", *words]
        command = [sys.executable, "-m", "edge", "fleet", *asked, "--fleet", str(self._folder / "fleet.yaml")]
        began_s = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, time.monotonic() - began_s, done.stdout + done.stderr


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    office.write()
    with office.broker:
        yield office


def presence(listener: Listener) -> Counter[str]:
    """What each device was said to be last, counted."""
    last = {heard.topic: heard.document["state"] for heard in list(listener.heard)}
    return Counter(last.values())


@pytest.mark.proof
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_a_thousand_devices_take_a_configuration_within_a_minute(office: Office) -> None:
    with Listener(office.broker.port, f"{SITE}/+/status") as listener, office.crowd(MANY) as crowd:
        until(lambda: presence(listener)["online"] == MANY, within_s=60, what="all are online")
        code, took_s, said = office.roll_out("debug", {"log_level": "DEBUG"}, "--at-once", str(MANY))
        told = crowd.end()
    print(f"\n{MANY} devices: rolled out in {took_s:.1f} s; at the device {told['applied_ms']} ms")
    assert code == 0, said
    assert told["ends"] == {"committed": MANY}
    assert took_s < EVERYWHERE_S
    assert told["applied_ms"]["p99"] <= APPLIED_MS


@pytest.mark.proof
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_devices_whose_probes_fail_go_back_within_seconds(office: Office) -> None:
    failing = ("--failing", "10%", "--lying", "5%", "--slow", "5%")
    with Listener(office.broker.port, f"{SITE}/+/status") as listener, office.crowd(MANY, *failing) as crowd:
        until(lambda: presence(listener)["online"] == MANY, within_s=60, what="all are online")
        stop = ("--at-once", str(MANY), "--stop-errors", "100000", "--success", "50%")
        code, took_s, said = office.roll_out("debug", {"log_level": "DEBUG"}, *stop)
        told = crowd.end()
    back = told["ends"]["rolled_back"]
    print(f"\n{MANY} devices, {back} fail: over in {took_s:.1f} s; they went back {told['went_back_ms']} ms")
    assert code == 1, said
    assert back >= MANY // 10
    assert f"{back} failed, {MANY - back} ok" in said  # also those that lie
    assert sum(told["ends"].values()) == MANY
    assert told["went_back_ms"]["max"] <= BACK_MS


@pytest.mark.proof
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_ten_thousand_devices_are_held_and_each_is_known_to_be_there_or_not(office: Office) -> None:
    with Listener(office.broker.port, f"{SITE}/+/status") as listener:
        with office.crowd(VERY_MANY) as crowd:
            began_s = time.monotonic()
            everybody = {"online": VERY_MANY}
            until(lambda: presence(listener) == everybody, within_s=120, what="all are online")
            came_s = time.monotonic() - began_s
            heard = len(listener.heard)
            held_until_s = time.monotonic() + HELD_S
            until(lambda: time.monotonic() > held_until_s, within_s=2 * HELD_S, what="a while has passed")
            assert presence(listener) == everybody
            assert len(listener.heard) == heard  # nobody was away in between
            killed_s = time.monotonic()
            crowd.kill()
        until(
            lambda: presence(listener) == {"offline": VERY_MANY},
            within_s=120,
            what="all are known to be away",
        )
        away_s = time.monotonic() - killed_s
        with office.crowd(VERY_MANY) as crowd:
            until(lambda: presence(listener) == everybody, within_s=120, what="all are back")
            told = crowd.end()
        until(lambda: presence(listener) == {"stopped": VERY_MANY}, within_s=120, what="all have stopped")
    print(
        f"\n{VERY_MANY} devices: online within {came_s:.1f} s, held for {HELD_S:.0f} s, after a power cut "
        f"offline within {away_s:.1f} s, back, and stopped in order"
    )
    assert told["up"] == VERY_MANY
