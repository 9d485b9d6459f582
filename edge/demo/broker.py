"""An MQTT 5 broker for the demo, on loopback: mosquitto where there is one, otherwise the embedded one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.domain.errors import ConfigurationError

START_S = 10.0
MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
log_dest file {folder}/mosquitto.log
"""
RUMQTTD = """\
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "edge-demo"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
dynamic_filters = true
"""


def check_free(port: int) -> None:
    """Go on where nobody listens on 127.0.0.1:`port`.

    Raises:
        ConfigurationError: Somebody does.
    """
    if _listens(port):
        raise ConfigurationError(
            f"port {port} on 127.0.0.1 is taken, the demo wants it for its broker: is another demo running?"
        )


@contextmanager
def broker(*, port: int, folder: Path) -> Iterator[str]:
    """Run a broker on 127.0.0.1:`port` for as long as the `with` lasts; yields its name.

    Raises:
        ConfigurationError: The port is taken, or the broker did not start.
    """
    check_free(port)
    folder.mkdir(parents=True, exist_ok=True)
    with _started(*_command(port, folder), port=port, folder=folder) as name:
        yield name


@contextmanager
def mosquitto(settings: Path, *, port: int) -> Iterator[str]:
    """Run mosquitto with settings of one's own for as long as the `with` lasts; yields its name.

    Args:
        settings: A whole mosquitto.conf; what it says goes into its folder.
        port: One at which it will listen.

    Raises:
        ConfigurationError: It is not installed, the port is taken, or it did not start.
    """
    check_free(port)
    program = _mosquitto()
    if program is None:
        raise ConfigurationError("mosquitto is not installed; wanted: apt-get install mosquitto")
    _let_root_be_root(settings)
    with _started("mosquitto", [program, "-c", str(settings)], port=port, folder=settings.parent) as name:
        yield name


@contextmanager
def _started(name: str, command: list[str], *, port: int, folder: Path) -> Iterator[str]:
    with (folder / "broker.out").open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches us, and it goes last
        )
    try:
        _await_listening(process, name=name, port=port, folder=folder)
        yield name
    finally:
        process.terminate()
        process.wait(timeout=START_S)


def _command(port: int, folder: Path) -> tuple[str, list[str]]:
    """Return the broker's name and how to start it."""
    program = _mosquitto()
    if program is not None:
        settings = folder / "mosquitto.conf"
        settings.write_text(MOSQUITTO.format(port=port, folder=folder))
        _let_root_be_root(settings)
        return "mosquitto", [program, "-c", str(settings)]
    settings = folder / "rumqttd.toml"
    settings.write_text(RUMQTTD.format(port=port))
    return "rumqttd (embedded)", [sys.executable, "-m", "iotcore", "--config", str(settings)]


def _mosquitto() -> str | None:
    """Return where mosquitto is; Debian puts it where only root's PATH looks."""
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _let_root_be_root(settings: Path) -> None:
    """Keep mosquitto from dropping to its own user, who may not read and write here."""
    if os.geteuid() == 0:
        settings.write_text(settings.read_text() + "user root\n")


def _await_listening(process: subprocess.Popen[bytes], *, name: str, port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            said = (folder / "broker.out").read_text(errors="replace").strip()
            raise ConfigurationError(f"{name} does not listen on port {port}: {said or 'it said nothing'}")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
