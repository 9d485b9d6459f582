"""One round of the demo, and serving after it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from edge.config.load import load
from edge.config.pipelines import ImagingPipeline
from edge.config.schema import Config
from edge.config.sources import DicomSource
from edge.demo.board import Board, Row
from edge.demo.broker import broker, check_free
from edge.demo.daemon import READY_S, daemon
from edge.demo.devices import devices
from edge.demo.studies import HEAD, Study, studies
from edge.domain.errors import ConfigurationError
from edge.findings.identity import KeyedHash, load_or_create_key
from edge.kit.clock import SystemClock
from edge.kit.mqtt import Message, MqttSession

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config" / "site.demo.yaml"
ANSWER_S = 300.0
ARRIVALS_MAX = 10_000


def main(*, once: bool) -> int:
    """Run the demo.

    Args:
        once: Leave after the round instead of serving until Ctrl-C.

    Returns:
        0 if the head came back PRESENT with a brain volume, every other series ended in a finding, and
        something was seen by the camera, by the thermal camera, in a cube and in a spectrum.

    Raises:
        ConfigurationError: A port is taken, or something that is needed is not installed.
    """
    signal.signal(signal.SIGTERM, _leave)  # so that what was started is stopped, as after Ctrl-C
    console = Console(width=None if sys.stdout.isatty() else 140)
    config = load(CONFIG)
    folder = config.state.folder.parent
    check_free(config.mqtt.port)  # a demo that runs lives in that folder
    shutil.rmtree(folder, ignore_errors=True)  # the demo's own, so that the same studies are new again
    arrivals: queue.Queue[Mapping[str, Any]] = queue.Queue(ARRIVALS_MAX)
    with ExitStack() as running:
        name = running.enter_context(broker(port=config.mqtt.port, folder=folder / "broker"))
        console.print(f"broker: {name} on 127.0.0.1:{config.mqtt.port}")
        running.enter_context(_subscriber(config, arrivals))
        console.print(f"daemon: edge run {CONFIG.relative_to(ROOT)}, log in {folder / 'daemon.log'}")
        running.enter_context(daemon(CONFIG, folder))
        running.enter_context(devices(config, folder))
        console.print("devices: edge simulate camera, thermal, files")
        to_send = studies(folder / "studies", _corpus())
        rows = {**_device_rows(config), **_rows(config, to_send)}
        board = Board(console, rows)
        with board.showing():
            sender = threading.Thread(target=_send, args=(config, to_send, board, folder), name="sender")
            sender.start()
            _collect(arrivals, rows, board)
            sender.join()
        code = _summary(console, config, rows)
        if not once:
            _serve(console, config, arrivals)
    return code


def _leave(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _rows(config: Config, to_send: Sequence[Study]) -> dict[str, Row]:
    """Return a row per series, by the keyed hash under which its findings will come."""
    identity = KeyedHash(load_or_create_key(config.state.folder / "identity.key"))
    return {
        identity.subject(study.series_uid): Row(study.name, f"{len(study.files)} instances", study.is_head)
        for study in to_send
    }


def _device_rows(config: Config) -> dict[str, Row]:
    """Return a row per pipeline that looks at devices, by its name."""
    return {
        pipeline.name: Row(
            f"{', '.join(pipeline.sources)}: {pipeline.name}", pipeline.kind, must_be_assessed=True
        )
        for pipeline in config.pipelines
        if not isinstance(pipeline, ImagingPipeline)
    }


@contextmanager
def _subscriber(config: Config, arrivals: queue.Queue[Mapping[str, Any]]) -> Iterator[None]:
    """Receive findings as any receiver at the site would: from the broker, with a client of its own."""

    def take(message: Message) -> None:
        arrivals.put(json.loads(message.payload))

    session = MqttSession(
        host=config.mqtt.host, port=config.mqtt.port, client_id="demo-receiver", clock=SystemClock()
    )
    session.subscribe(f"{config.mqtt.root}/+/+/finding/#", take)
    with session:
        if not session.wait_connected(READY_S):
            raise ConfigurationError(f"no connection to the broker: {session.trouble}")
        yield


def _send(config: Config, to_send: Sequence[Study], board: Board, folder: Path) -> None:
    """Send every series over TCP with `edge send`, one call a series, the head first."""
    door = next(source for source in config.sources if isinstance(source, DicomSource))
    for number, study in enumerate(to_send, start=1):
        board.sending(f"sending {number}/{len(to_send)}: {study.name}, {len(study.files)} instances")
        command = [sys.executable, "-m", "edge", "send", f"{door.host}:{door.port}"]
        with (folder / "send.log").open("ab") as log:
            sent = subprocess.run([*command, *map(str, study.files)], stdout=log, stderr=log, check=False)
        if sent.returncode:
            board.sending(f"{study.name}: edge send ended with {sent.returncode}, see {folder / 'send.log'}")
    board.sending("all sent")


def _collect(arrivals: queue.Queue[Mapping[str, Any]], rows: Mapping[str, Row], board: Board) -> None:
    """Take findings until every series has one, or for as long as a slow machine may need."""
    deadline = time.monotonic() + ANSWER_S
    while not all(row.is_answered for row in rows.values()) and time.monotonic() < deadline:
        try:
            finding = arrivals.get(timeout=0.2)
        except queue.Empty:
            continue
        row = rows.get(finding["pipeline"]) or rows.get(finding["subject"])
        if row is not None:
            board.arrived(row, finding)


def _summary(console: Console, config: Config, rows: Mapping[str, Row]) -> int:
    """Say what happened and return the exit code."""
    findings = sum(len(row.findings) for row in rows.values())
    delivery = _delivery(config, findings)
    studies = [row for row in rows.values() if not row.must_be_assessed]
    console.print(
        f"\n{len(studies)} series in, {len(rows) - len(studies)} pipelines on devices, "
        f"{findings} findings out"
    )
    for what, name in (
        ("last instance received to finding acknowledged", "delivery_ms"),
        ("frame captured to finding acknowledged", "live_delivery_ms"),
    ):
        measured = delivery[name]
        console.print(f"{what}: p50 {measured.get('p50', 0):.0f} ms, p99 {measured.get('p99', 0):.0f} ms")
    for row in rows.values():
        if not row.is_answered:
            console.print(f"MISSING: {row.name}: {row.reason() or 'no finding'}", style="red")
    head = next(row for row in rows.values() if row.is_head)
    seen = head.volume_ml()
    if head.verdict() != "PRESENT" or seen is None:
        console.print(f"WRONG: {HEAD} must be PRESENT with a brain volume: {head.reason()}", style="red")
        return 1
    return 0 if all(row.is_answered for row in rows.values()) else 1


def _delivery(config: Config, findings: int) -> Mapping[str, Mapping[str, float]]:
    """Return what the daemon measured, once its status speaks of all findings; it writes one each period."""
    deadline = time.monotonic() + 3 * config.health.period_s
    while True:
        status: Mapping[str, Any] = json.loads((config.state.folder / "status.json").read_text())
        delivered = sum(stage["out"] for stage in status["stages"] if stage["name"] == "outbox")
        if delivered >= findings or time.monotonic() > deadline:
            return status
        time.sleep(0.1)


def _serve(console: Console, config: Config, arrivals: queue.Queue[Mapping[str, Any]]) -> None:
    """Keep everything running and print what else arrives, until Ctrl-C."""
    door = next(source for source in config.sources if isinstance(source, DicomSource))
    console.print(f"serving: edge send {door.host}:{door.port} PATH…; Ctrl-C ends it")
    try:
        while True:
            try:
                finding = arrivals.get(timeout=0.5)
            except queue.Empty:
                continue
            numbers = ", ".join(f"{m['value']:.4g} {m['unit']}" for m in finding["measurements"][:1])
            phase = finding["stream"]["phase"] if finding["stream"] else ""
            said = (finding["pipeline"], phase, finding["verdict"], numbers, finding["reason"])
            console.print(" ".join(word for word in said if word), markup=False)
    except KeyboardInterrupt:
        console.print("stopping")


def _corpus() -> Path | None:
    folder = Path(os.environ.get("EDGE_CORPUS", ROOT.parent / "shared" / "corpus"))
    return folder if folder.is_dir() else None
