"""What every command of `edge fleet` begins with: the settings, the desk at the broker, the history."""

from __future__ import annotations

import datetime
import getpass
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from edge.bundles.signature import TrustRoot, private_key_of, public_key_of
from edge.config.document import parse
from edge.config.fields import Secret
from edge.config.secrets import read_text
from edge.domain.errors import ConfigurationError
from edge.fleet.operator.history import History
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.settings import FleetSettings, settings_of
from edge.fleet.signing import KeyRing, Signer
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.log import to_stderr
from edge.kit.mqtt import MqttSession, Tls

SETTINGS: Final = Path("~/.config/edge/fleet.yaml")
STATE: Final = Path("~/.local/state/edge-fleet")
SETTINGS_BYTES_MAX: Final = 65_536
INCOMING_BYTES_MAX: Final = 16 << 20  # the state of a roll-out over thousands of devices
_AGAIN: Final = Backoff(min_s=0.5, max_s=5.0)  # a person waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an operator works.

    Attributes:
        settings: Of `fleet.yaml`.
        state: Folder of the history and the roll-outs; made when something is written.
        operator: Who is at work, for the history.
    """

    settings: FleetSettings
    state: Path
    operator: str

    @property
    def signer(self) -> Signer | None:
        """What signs, or None for somebody who only looks."""
        signing = self.settings.signing
        return None if signing is None else Signer(signing.key, signing.private_file)

    def signing(self) -> tuple[Signer, KeyRing]:
        """Return what signs, and the keys that are believed: our own and those of other operators.

        Raises:
            ConfigurationError: The settings name no key.
            SecretError: The key cannot be used.
        """
        signer = self.signer
        if signer is None:
            raise ConfigurationError(
                "fleet.yaml names no key to sign with; wanted 'signing' with key and private_file"
            )
        own = TrustRoot(signer.name, private_key_of(signer.private_file).public_key().public_bytes_raw())
        _check_pair(signer.private_file, own)
        return signer, KeyRing([root for root in self.settings.roots() if root.name != own.name] + [own])

    def keys(self) -> KeyRing:
        """Return the keys that are believed, also for somebody who has none.

        Raises:
            SecretError: The own key cannot be used.
        """
        return KeyRing(self.settings.roots()) if self.signer is None else self.signing()[1]


def place(fleet: Path | None, state: Path | None = None) -> Place:
    """Read the settings.

    Args:
        fleet: `--fleet`; None: the usual file.
        state: `--state`; None: as the settings say, else the usual folder.

    Raises:
        ConfigurationError: They cannot be used; the message names everything that is wrong.
    """
    path = (fleet or SETTINGS).expanduser()
    settings = read_settings(path)
    folder = state or settings.state or STATE
    who = settings.operator or f"{_user()}@{socket.gethostname()}"
    return Place(settings=settings, state=folder.expanduser(), operator=who)


@contextmanager
def opened(where: Place, *, more: Sequence[str] = ()) -> Iterator[MqttDesk]:
    """Open a desk at the broker of the settings, with all that there is gathered.

    Args:
        where: What `place` returned.
        more: Further filters below the site, for those who listen.

    Raises:
        ConfigurationError: A certificate or key cannot be used.
        SecretError: The password cannot be used.
        DeliveryError: There is no broker, or it does not let us in.
    """
    to_stderr(level="CRITICAL")
    check_certificate(where.settings.broker.certificate_file, SystemClock().utc_ns())
    desk = MqttDesk(
        partial(session_of, where.settings, "edge-fleet"),
        root=where.settings.root,
        clock=SystemClock(),
        signer=where.signer,
        sites=where.settings.sites,
        more=more,
    )
    with desk:
        yield desk


@contextmanager
def written_down(where: Place, signer: Signer | None) -> Iterator[History]:
    """Open the history.

    Raises:
        JournalError: It cannot be used.
    """
    with History(where.state, signer=signer, by=where.operator, clock=SystemClock()) as history:
        yield history


def session_of(settings: FleetSettings, name: str) -> MqttSession:
    """Return a session that leaves nothing behind at the broker.

    Raises:
        SecretError: The password file cannot be trusted.
    """
    broker = settings.broker
    tls = Tls(ca_file=broker.ca_file, certificate_file=broker.certificate_file, key_file=broker.key_file)
    return MqttSession(
        host=broker.host,
        port=broker.port,
        client_id=f"{name}-{secrets.token_hex(4)}",
        clock=SystemClock(),
        tls=tls if broker.tls else None,
        username=broker.username,
        password=read_text(Secret(file=broker.password_file)) if broker.password_file else None,
        session_expiry_s=0,
        incoming_bytes_max=INCOMING_BYTES_MAX,
        backoff=_AGAIN,
        gives_up=True,
    )


def check_certificate(file: Path | None, now_ns: int) -> None:
    """Go on where the own certificate counts now, or there is none: a broker does not say why it refuses it.

    Raises:
        ConfigurationError: It does not; the message says since or until when.
        SecretError: It cannot be read.
    """
    if file is None:
        return
    from edge.fleet.certificates import certificate_in

    certificate, now = certificate_in(file), datetime.datetime.fromtimestamp(now_ns / 1e9, tz=datetime.UTC)
    after, before = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if now > after:
        raise ConfigurationError(f"{file} expired on {after:%Y-%m-%d}; wanted another one: edge fleet enrol")
    if now < before:
        seen = f"{file} counts from {before:%Y-%m-%d %H:%M} UTC on, and it is {now:%Y-%m-%d %H:%M}"
        raise ConfigurationError(f"{seen}; is the clock right?")


def read_settings(path: Path) -> FleetSettings:
    """Read `fleet.yaml`.

    Raises:
        ConfigurationError: It cannot be used; the message names everything that is wrong.
    """
    try:
        with path.open("rb") as opened_file:
            text = opened_file.read(SETTINGS_BYTES_MAX).decode()
    except OSError as trouble:
        raise ConfigurationError(
            f"{path}: {trouble.strerror}; wanted the settings of the fleet, there or with --fleet"
        ) from trouble
    except UnicodeDecodeError as trouble:
        raise ConfigurationError(f"{path}: is no text; wanted YAML") from trouble
    document = parse(text)
    if document.problems:
        raise ConfigurationError(f"{path}: " + "; ".join(map(str, document.problems)))
    if not isinstance(document.value, dict):
        raise ConfigurationError(f"{path}: is no mapping; wanted at least 'broker'")
    try:
        return settings_of(document.value, folder=path.parent)
    except ConfigurationError as trouble:
        raise ConfigurationError(f"{path}: {trouble}") from trouble


def _check_pair(private: Path, own: TrustRoot) -> None:
    """Refuse a key file that is not the other half of the public one beside it: no device would believe it.

    Raises:
        ConfigurationError: It is not.
    """
    public = private.with_suffix(".pub")
    try:
        with public.open("rb") as opened_file:
            text = opened_file.read(SETTINGS_BYTES_MAX).decode()
        beside = public_key_of(text)
    except (OSError, ValueError):
        return  # there is none, or something else
    if beside != own.public_key:
        raise ConfigurationError(
            f"{private}: is not the private half of {public.name} beside it, which is the key {own.name!r}; "
            "wanted the two that `edge fleet keygen` wrote"
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
