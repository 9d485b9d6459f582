"""The real daemon in its own process, to be started, killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.ports import free_port

START_S = 60.0
STOP_S = 90.0  # as systemd waits: TimeoutStopSec of systemd/edge.service


class Appliance:
    """`edge run` on a configuration of its own; it tells us that it is ready as it tells systemd."""

    def __init__(
        self, folder: Path, *, broker_port: int, bundles: Path, bundle: str, modality: str = "MR"
    ) -> None:
        self.folder = folder
        self.dicom_port = free_port()
        self.config = folder / "edge.yaml"
        self.state = folder / "state"
        self.inbox = folder / "inbox"
        self.log = folder / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.document: dict[str, object] = {
            "site": {"id": "test"},
            "device": {"id": "box-1"},
            "state": {"folder": str(self.state), "reserve_mb": 64},
            "sources": [
                {
                    "kind": "dicom",
                    "name": "door",
                    "host": "127.0.0.1",
                    "port": self.dicom_port,
                    "ae_title": "EDGE",
                    "allow": [{"network": "127.0.0.0/8"}],
                },
                {
                    "kind": "folder",
                    "name": "inbox",
                    "path": str(self.inbox),
                    "settle_s": 0.2,
                    "after": "keep",
                },
            ],
            "assembly": {"quiet_s": 0.3, "deadline_s": 60},
            "pipelines": [{"name": bundle, "bundle": bundle, "select": {"modalities": [modality]}}],
            "bundles": {"roots": [str(bundles)], "allow_unsigned": True},
            "engine": {"threads": 1},
            "mqtt": {
                "host": "127.0.0.1",
                "port": broker_port,
                "acknowledge_s": 5.0,
                "retry_min_s": 0.05,
                "retry_max_s": 0.5,
                "will_delay_s": 0,
            },
            "health": {"period_s": 0.5},
            "retention": {"soft_free_mb": 64},
            "drain_s": 5,
        }

    def add(self, *, source: Mapping[str, object], pipeline: Mapping[str, object] | None = None) -> None:
        """Add a source, and whoever looks at it, before the start."""
        for section, entry in (("sources", source), ("pipelines", pipeline)):
            listed = self.document[section]
            assert isinstance(listed, list)
            listed += [dict(entry)] if entry is not None else []

    def start(self) -> None:
        """Start the daemon and wait until it says READY=1."""
        self.config.write_text(yaml.safe_dump(self.document))
        notices = self.folder / "notify"
        notices.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, self.log.open("ab") as log:
            ear.bind(str(notices))
            ear.settimeout(0.2)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge", "run", str(self.config)],
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": str(notices)},
            )
            self._await_ready(ear)

    def kill(self) -> None:
        """Pull the plug: no handler runs, nothing is flushed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=STOP_S)

    def stop(self) -> int:
        """Ask it to end, as systemd does; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended; return its exit code."""
        assert self.process is not None
        return self.process.wait(timeout=STOP_S)

    def signal_last_thread(self, number: signal.Signals) -> None:
        """Send a signal to the process by the thread that it started last: Linux lets that one take it."""
        assert self.process is not None
        os.kill(max(int(task.name) for task in Path(f"/proc/{self.process.pid}/task").iterdir()), number)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def cpu_s(self) -> float:
        """Return the processor time it has used so far, in seconds."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def said(self) -> str:
        """Return what it wrote to its log."""
        return self.log.read_text(errors="replace")

    def __enter__(self) -> Appliance:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.is_running():
                self.stop()
        finally:
            if self.is_running():  # it did not end: that is told, and it does not live on beside other tests
                self.kill()

    def _await_ready(self, ear: socket.socket) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if b"READY=1" in ear.recv(4096):
                    return
            except TimeoutError:
                continue
        raise AssertionError(f"the daemon is not ready; it said:\n{self.said()[-4000:]}")
