"""A real mosquitto on a free port of the loopback, in a folder of its own, that tests may stop and kill."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.ports import free_port
from tests.waiting import until

CONFIGURATION = """\
listener {port} 127.0.0.1
persistence true
persistence_location {folder}/
log_dest file {folder}/mosquitto.log
user root
{habits}
{more}
"""
USUAL = """\
autosave_interval 1
autosave_on_changes true
log_type all
"""
FOR_THOUSANDS = """\
autosave_interval 600
log_type error
log_type warning
max_queued_messages 100000
"""
OPEN = "allow_anonymous true"
TLS = """\
cafile {certificates}/ca.crt
certfile {certificates}/broker.crt
keyfile {certificates}/broker.key
require_certificate true
use_identity_as_username true
tls_version tlsv1.2
"""


class Mosquitto:
    """A broker with persistence; `stop` and `start` keep its port and its memory."""

    def __init__(self, folder: Path, *, more: str = OPEN, habits: str = USUAL) -> None:
        """Choose a port and write the configuration.

        Args:
            folder: Its own; made.
            more: Lines of mosquitto.conf beside the usual ones.
            habits: How it saves and what it logs: `USUAL`, or `FOR_THOUSANDS` of clients.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._configuration = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self._habits = habits
        self.configure(more)

    def configure(self, more: str) -> None:
        """Replace the configuration; valid from the next start on."""
        text = CONFIGURATION.format(port=self.port, folder=self.folder, habits=self._habits, more=more)
        self._configuration.write_text(text)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.folder / "mosquitto.log").read_text(errors="replace")

    def start(self) -> None:
        """Return when it listens."""
        assert self._process is None, "it runs already"
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [_program(), "-c", str(self._configuration)], stdout=output, stderr=output
            )
        until(self._listens, within_s=10, what=f"mosquitto listens on {self.port}")

    def stop(self) -> None:
        """End it in order: it saves its memory."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        self._process.wait(10)
        self._process = None

    def _listens(self) -> bool:
        assert self._process is not None
        said = (self.folder / "output").read_text(errors="replace")
        assert self._process.poll() is None, f"mosquitto did not start: {said}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


class Certificates:
    """An authority, a broker called localhost, and clients, in PEM files that openssl makes."""

    def __init__(self, folder: Path) -> None:
        """Make the authority and the broker's certificate."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ca_file = folder / "ca.crt"
        self._openssl("req", "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt", *NEW)
        self.issue("broker", names="DNS:localhost,IP:127.0.0.1")

    def issue(self, name: str, *, names: str = "") -> tuple[Path, Path]:
        """Make a certificate signed by the authority; returns its file and its key's."""
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key")
        self._openssl(
            *("req", "-x509", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt"),
            *signing,
            *(
                "-addext",
                f"subjectAltName={names or 'DNS:' + name}",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ),
            *NEW,
        )
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def _program() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    assert found, "mosquitto is not installed: apt-get install mosquitto"
    return found


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that lets everybody in."""
    with Mosquitto(tmp_path / "broker") as mosquitto:
        yield mosquitto
