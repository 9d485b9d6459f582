"""A client is made known: its key, its certificate, and what the broker must be told, as files in a folder.

<name>.key            its private key, for its owner only
<name>.csr            the request for its certificate, for whoever signs
<name>.crt, ca.crt    its certificate, and who vouches for the broker; where an authority is at hand
<name>.acl            what it may do, as lines for mosquitto's acl_file
<name>.dynsec.json    … as a command for mosquitto's dynamic security
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.domain.errors import ConfigurationError, SecretError
from edge.fleet.access import Access
from edge.fleet.authority import Authority, Use, Whom
from edge.fleet.certificates import make_request
from edge.fleet.mosquitto import acl_with, acl_without, broker_settings, dynamic_security, mosquitto_acl
from edge.kit.files import write_durably

DAYS: Final = 730
ACL_BYTES_MAX: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What enrolling has left behind.

    Attributes:
        name: Of the client or the broker.
        files: What was written.
        is_signed: It has its certificate; otherwise somebody must sign its request.
    """

    name: str
    files: tuple[Path, ...]
    is_signed: bool


def enrol(
    access: Access,
    *,
    folder: Path,
    authority: Authority | None = None,
    request: bytes | None = None,
    days: int = DAYS,
) -> Enrolled:
    """Make a client known.

    Args:
        access: Who it is, and what it may do.
        folder: Where files are written; made.
        authority: Signs its certificate; None where somebody else does.
        request: That it has made itself, PEM; None: its key is made here.
        days: For how long the certificate is believed.

    Raises:
        ConfigurationError: The request or the name cannot be used, or the authority is for others.
        SecretError: A key is there already, or something cannot be read or written.
    """
    stem, files = stem_of(access.name), []
    if authority is not None:
        authority.keep_for(Whom.DEVICES if "/" in access.name else Whom.PEOPLE)
    _make_folder(folder)
    if request is None:
        key_file, request_file = folder / f"{stem}.key", folder / f"{stem}.csr"
        request = make_request(access.name, key_file=key_file, request_file=request_file)
        files += [key_file, request_file]
    if authority is not None:
        certificate = authority.sign(request, name=access.name, days=days)
        files.append(_write(folder / f"{stem}.crt", certificate))
        files.append(replace_file(authority.certificate_file, folder / "ca.crt"))
    files.append(_write(folder / f"{stem}.acl", mosquitto_acl(access).encode()))
    files.append(write_command(folder / f"{stem}.dynsec.json", dynamic_security(access)))
    return Enrolled(access.name, tuple(files), is_signed=authority is not None)


def enrol_broker(
    name: str,
    *,
    hosts: Sequence[str],
    port: int,
    folder: Path,
    devices: Authority,
    people: Authority,
    days: int = DAYS,
) -> Enrolled:
    """Give a broker its certificates, and write a configuration in which it asks everybody for theirs.

    Args:
        name: Of the broker.
        hosts: Names and addresses under which it is reached.
        port: Where it will listen for devices; for people at the next one.
        folder: Where files are written, and where mosquitto will read them; made.
        devices: Vouches for devices, and to them for the broker.
        people: Vouches for all others, and to them for the broker.
        days: For how long the certificates are believed.

    Raises:
        ConfigurationError: A name cannot be used, or none is given; or the two authorities are one, or one
            is for the others.
        SecretError: Its key is there already, or something cannot be read or written.
    """
    if not hosts:
        raise ConfigurationError(f"{name}: is reached under no name; wanted at least one")
    if devices.folder.resolve() == people.folder.resolve():
        raise ConfigurationError(
            f"{devices.folder}: vouches for devices; wanted another authority for people"
        )
    devices.keep_for(Whom.DEVICES)
    people.keep_for(Whom.PEOPLE)
    _make_folder(folder)
    files: list[Path] = []
    for stem, authority in (("devices", devices), ("people", people)):
        key_file, request_file = folder / f"{stem}.key", folder / f"{stem}.csr"
        request = make_request(name, key_file=key_file, request_file=request_file)
        signed = authority.sign(request, name=name, use=Use.BROKER, hosts=hosts, days=days)
        files += [key_file, request_file, _write(folder / f"{stem}.crt", signed)]
        files.append(replace_file(authority.certificate_file, folder / f"{stem}-ca.crt"))
        files.append(replace_file(authority.revoked_file, folder / f"{stem}-crl.pem"))
    files.append(_write(folder / "acl", _text(folder / "acl").encode()))
    settings = broker_settings(folder.resolve(), port=port)
    files.append(_write(folder / "mosquitto.conf", settings.encode()))
    return Enrolled(name, tuple(files), is_signed=True)


def add_to_acl(file: Path, access: Access) -> None:
    """Write into an `acl_file` what a client may do, in place of what was said about it.

    Raises:
        ConfigurationError: It cannot be read or written.
    """
    _write(file, acl_with(_text(file), access).encode())


def take_from_acl(file: Path, name: str) -> None:
    """Take a client out of an `acl_file`.

    Raises:
        ConfigurationError: It cannot be read or written.
    """
    _write(file, acl_without(_text(file), name).encode())


def replace_file(source: Path, file: Path) -> Path:
    """Give a file the content of another; its permissions stay.

    Raises:
        SecretError: The other cannot be read.
        ConfigurationError: It cannot be written.
    """
    try:
        content = source.read_bytes()
    except OSError as error:
        raise SecretError(f"{source}: {error.strerror}; wanted an authority's") from error
    return _write(file, content)


def write_command(file: Path, command: Mapping[str, Any]) -> Path:
    """Write commands for dynamic security.

    Raises:
        ConfigurationError: It cannot be written.
    """
    return _write(file, json.dumps(command).encode() + b"\n")


def stem_of(name: str) -> str:
    """Return how the files of a client are called: a device's without its site."""
    return name.rpartition("/")[2]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SecretError(f"{folder}: no folder can be made there: {error.strerror}") from error


def _text(file: Path) -> str:
    try:
        return file.read_bytes()[:ACL_BYTES_MAX].decode() if file.exists() else ""
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: cannot be read: it is not UTF-8 text") from error


def _write(file: Path, content: bytes) -> Path:
    """Replace a file's content; its permissions stay."""
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        write_durably(file, content, mode=mode)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written: {error.strerror}") from error
    return file
