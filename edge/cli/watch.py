"""`edge watch`: findings as an independent subscriber receives them."""

from __future__ import annotations

import json
import queue
import secrets
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from edge.cli.rows import cells, console, printable, table
from edge.config.fields import Secret
from edge.config.secrets import read_text
from edge.domain.errors import DeliveryError
from edge.kit.clock import SystemClock
from edge.kit.log import to_stderr
from edge.kit.mqtt import Message, MqttSession, Tls

CONNECT_S = 5.0
WAITING_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where to listen, and as whom."""

    host: str
    port: int
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None

    def session(self) -> MqttSession:
        """Return a session that leaves nothing behind at the broker.

        Raises:
            SecretError: The password file cannot be trusted.
        """
        tls = Tls(ca_file=self.ca_file, certificate_file=self.certificate_file, key_file=self.key_file)
        return MqttSession(
            host=self.host,
            port=self.port,
            client_id=f"edge-watch-{secrets.token_hex(4)}",
            clock=SystemClock(),
            tls=tls if self.ca_file or self.certificate_file else None,
            username=self.username,
            password=read_text(Secret(file=self.password_file)) if self.password_file else None,
            session_expiry_s=0,
        )


def run(broker: Broker, *, topic: str, as_json: bool) -> int:
    """Print what comes until Ctrl-C.

    Raises:
        DeliveryError: There is no broker at the start; one that goes away later is waited for.
    """
    to_stderr(level="CRITICAL")
    err = Console(stderr=True, highlight=False)
    arrivals: queue.Queue[Message] = queue.Queue(WAITING_MAX)
    session = broker.session()
    session.subscribe(topic, arrivals.put)
    with session:
        if not session.wait_connected(CONNECT_S):
            raise DeliveryError(f"no connection to {session.name}: {session.trouble}")
        err.print(f"connected to {session.name}, listening to {topic}; Ctrl-C ends it", markup=False)
        printer = _Json() if as_json else _Rows()
        is_connected = True
        while True:
            try:
                printer.show(arrivals.get(timeout=0.2))
            except queue.Empty:
                if session.connected != is_connected:
                    is_connected = session.connected
                    state = "connected again" if is_connected else f"connection lost: {session.trouble}"
                    err.print(f"{session.name}: {state}", markup=False)


class _Json:
    """One finding a line."""

    def show(self, message: Message) -> None:
        try:
            line = json.dumps(json.loads(message.payload), ensure_ascii=False)
        except ValueError:
            typer.echo(f"{message.topic}: {len(message.payload)} bytes that are no JSON", err=True)
            return
        typer.echo(line)


class _Rows:
    """A table that grows; the header stands above the first row."""

    def __init__(self) -> None:
        self._console = console()
        self._is_first = True

    def show(self, message: Message) -> None:
        row = table(("observed", 8), ("from", 20), ("series", 8), show_header=self._is_first)
        try:
            finding = json.loads(message.payload)
            place = f"{finding['site']}/{finding['device']}"
            leading = (finding["observed_at"][11:19], place, finding["subject"][:8])
            row.add_row(*(Text(printable(text)) for text in leading), *cells(finding))
        except (ValueError, KeyError, TypeError, IndexError):
            what = f"{message.topic}: {len(message.payload)} bytes that are no finding"
            self._console.print(printable(what), style="red", markup=False)
            return
        self._console.print(row)
        self._is_first = False
