"""The daemon of a demo, in a process of its own, as systemd would run it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.domain.errors import ConfigurationError

READY_S = 180.0


@contextmanager
def daemon(config: Path, folder: Path) -> Iterator[None]:
    """Run the daemon until the `with` ends; entered when it says READY=1, as it says to systemd.

    Args:
        config: Its YAML file.
        folder: Where its log goes.

    Raises:
        ConfigurationError: It did not become ready.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ear_path = folder / "ready.socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, (folder / "daemon.log").open("ab") as log:
        ear.bind(str(ear_path))
        ear.settimeout(0.2)
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", "run", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "NOTIFY_SOCKET": str(ear_path)},
            start_new_session=True,  # Ctrl-C reaches us, and we stop it in order
        )
        try:
            _await_ready(process, ear, folder / "daemon.log")
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _await_ready(process: subprocess.Popen[bytes], ear: socket.socket, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if b"READY=1" in ear.recv(4096):
                return
        except TimeoutError:
            continue
    last = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
    raise ConfigurationError(f"the daemon did not become ready within {READY_S:.0f} s; it said:\n{last}")
