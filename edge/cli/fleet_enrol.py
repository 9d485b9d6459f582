"""`edge fleet authority`, `keygen`, `enrol`, `revoke`: who takes part in the fleet, and with which keys."""

from __future__ import annotations

import datetime
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge.fleet.access import Access
    from edge.fleet.authority import Authority
    from edge.fleet.enrol import Enrolled

Folder = Annotated[Path, typer.Option("--out", help="Where files are written.", show_default=False)]
AuthorityFolder = Annotated[
    Path | None,
    typer.Option("--ca", help="Folder of the authority that signs; else the request is signed elsewhere."),
]
AclFile = Annotated[
    Path | None, typer.Option("--acl", help="mosquitto's acl_file; it is brought up to date.")
]
REQUEST_BYTES_MAX = 65_536


class Kind(StrEnum):
    """What takes part."""

    DEVICE = "device"
    OPERATOR = "operator"
    RECEIVER = "receiver"
    THEATRE = "theatre"
    BRIDGE = "bridge"
    ADMINISTRATOR = "administrator"
    BROKER = "broker"


def authority(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Its own.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="How certificates call it; default: as its folder.")
    ] = None,
) -> None:
    """Make an authority for a site that has none: it signs certificates, and takes them back.

    Two are wanted: one for devices, one for people and all others. Keep them off devices and brokers.
    """
    made = _authority(folder)
    made.make(name or f"edge {folder.resolve().name}")
    typer.echo(f"written: {folder}/ca.key (keep it secret and safe), ca.crt, crl.pem", err=True)


def keygen(
    name: Annotated[str, typer.Argument(help="Of the key, such as fleet-2026.", show_default=False)],
    out: Folder,
) -> None:
    """Make a key that signs documents and commands; print what devices write into their configuration."""
    from edge.bundles.signature import make_key
    from edge.domain.errors import SecretError
    from edge.fleet.access import check_name

    check_name(name, "a key")
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SecretError(f"{out}: no folder can be made there: {error.strerror}") from error
    private = out / f"{name}.key"
    short = make_key(private, out / f"{name}.pub")
    typer.echo(f"written: {private} (keep it secret), {name}.pub", err=True)
    typer.echo(f"fleet:\n  keys:\n    - name: {name}\n      public_key: {short}")


def enrol(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="SITE/DEVICE; of others a plain name.", show_default=False)
    ],
    out: Folder,
    kind: Annotated[Kind, typer.Option("--as", help="What takes part.")] = Kind.DEVICE,
    ca: AuthorityFolder = None,
    people: Annotated[
        Path | None, typer.Option(help="Of a broker: the authority that vouches for people.")
    ] = None,
    request: Annotated[
        Path | None, typer.Option(help="A request that was made elsewhere; no key is made here.")
    ] = None,
    group: Annotated[list[str] | None, typer.Option(help="Of a device; repeatable.")] = None,
    site: Annotated[list[str] | None, typer.Option(help="To which others are confined; repeatable.")] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="Of a theatre system: SITE/DEVICE; repeatable.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address of the broker; of a broker: repeatable.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65534, help="For devices; people use the next.")] = 8883,
    root: Annotated[str, typer.Option(help="What every topic begins with.")] = "edge/v1",
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how long it is believed.")] = 730,
    acl: AclFile = None,
) -> None:
    """Make somebody known: key, certificate or the request for one, and what mosquitto must be told.

    Without --ca somebody else signs the request. With --request the private key stays where it was made.
    """
    from edge.fleet.enrol import add_to_acl, enrol_broker, stem_of
    from edge.fleet.enrol import enrol as enrol_client
    from edge.fleet.mosquitto import command_line

    given = {"--group": group, "--device": device, "--site": site, "--people": people}
    _refuse_others(kind, {**given, "--request": request, "--acl": acl})
    if kind is Kind.BROKER:
        made = enrol_broker(
            name,
            hosts=host or (),
            port=port,
            folder=out,
            devices=_authority(_wanted(ca, "--ca")),
            people=_authority(_wanted(people, "--people")),
            days=days,
        )
        _tell(made, days=days)
        _tell_installing(out.resolve())
        return
    access = _access(kind, root, name, groups=group or [], sites=site or [], devices=device or [])
    signing = None if ca is None else _authority(ca)
    asked = None if request is None else _request(request)
    _tell(enrol_client(access, folder=out, authority=signing, request=asked, days=days), days=days)
    if acl is not None:
        add_to_acl(acl, access)
        typer.echo(f"{acl}: brought up to date; mosquitto reads it again on SIGHUP", err=True)
    else:
        typer.echo("the .acl goes into the acl_file of mosquitto; or, with dynamic security:", err=True)
        typer.echo(command_line(out / f"{stem_of(name)}.dynsec.json"), err=True)
    broker = (host or ["BROKER"])[0]
    _tell_settings(kind, access, out=out.resolve(), request=asked is not None, broker=broker, port=port)


def revoke(
    name: Annotated[str, typer.Argument(help="SITE/DEVICE, or a plain name.", show_default=False)],
    ca: Annotated[Path, typer.Option("--ca", help="Folder of the authority.", show_default=False)],
    acl: AclFile = None,
    crl: Annotated[Path | None, typer.Option(help="mosquitto's crlfile; it is brought up to date.")] = None,
) -> None:
    """Take back every certificate of somebody, and say what the broker must be told."""
    from edge.fleet.enrol import replace_file, stem_of, take_from_acl, write_command
    from edge.fleet.mosquitto import command_line, dynamic_security_without

    signing = _authority(ca)
    typer.echo(f"{name}: {signing.revoke(name)} taken back now; the list is {signing.revoked_file}", err=True)
    if acl is not None:
        take_from_acl(acl, name)
    if crl is not None:
        replace_file(signing.revoked_file, crl)
    for option, file in (("--acl", acl), ("--crl", crl)):
        typer.echo(f"{file}: brought up to date" if file else f"no {option}: do that by hand", err=True)
    command = ca / f"{stem_of(name)}.revoked.dynsec.json"
    write_command(command, dynamic_security_without(name))
    typer.echo(
        f"mosquitto reads both again on SIGHUP; with dynamic security: {command_line(command)}", err=True
    )


def _access(
    kind: Kind, root: str, name: str, *, groups: list[str], sites: list[str], devices: list[str]
) -> Access:
    """Return what somebody may do."""
    from edge.domain.errors import ConfigurationError
    from edge.fleet import access

    match kind:
        case Kind.OPERATOR:
            return access.of_operator(root, name, sites)
        case Kind.RECEIVER:
            return access.of_receiver(root, name, sites)
        case Kind.ADMINISTRATOR:
            return access.of_administrator(root, name)
        case Kind.THEATRE:
            return access.of_theatre(root, name, devices)
        case Kind.BRIDGE:
            if len(sites) != 1:
                raise ConfigurationError(f"{name}: a bridge is of one site; wanted --site once")
            return access.of_bridge(root, name, sites[0])
        case _:
            return access.of_device(root, name, groups)


def _refuse_others(kind: Kind, given: dict[str, object]) -> None:
    """Refuse an option that is for somebody else, and would be passed over.

    Raises:
        ConfigurationError: There is one.
    """
    from edge.domain.errors import ConfigurationError

    others = (Kind.OPERATOR, Kind.RECEIVER, Kind.BRIDGE)
    clients = (Kind.DEVICE, *others, Kind.THEATRE, Kind.ADMINISTRATOR)
    meant: dict[str, tuple[Kind, ...]] = {
        "--group": (Kind.DEVICE,),
        "--device": (Kind.THEATRE,),
        "--site": others,
        "--people": (Kind.BROKER,),
        "--request": clients,
        "--acl": clients,
    }
    for option, value in given.items():
        if value and kind not in meant[option]:
            whose = ", ".join(meant[option])
            raise ConfigurationError(f"{option}: is for {whose}, and not for --as {kind.value}")


def _authority(folder: Path) -> Authority:
    from edge.fleet.authority import Authority

    return Authority(folder, now=lambda: datetime.datetime.now(datetime.UTC))


def _wanted(given: Path | None, option: str) -> Path:
    if given is None:
        raise typer.BadParameter(f"a broker needs {option}: `edge fleet authority DIR` makes one")
    return given


def _request(file: Path) -> bytes:
    from edge.domain.errors import ConfigurationError

    try:
        with file.open("rb") as opened:
            return opened.read(REQUEST_BYTES_MAX)
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}; wanted a request for a certificate") from error


def _tell(made: Enrolled, *, days: int) -> None:
    """Say what was written, until when it counts, and what is still missing."""
    typer.echo(f"{made.name}: written: {', '.join(str(file) for file in made.files)}", err=True)
    if made.is_signed:
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        typer.echo(f"{made.name}: believed until {until:%Y-%m-%d}; enrol again before", err=True)
    for file in made.files:
        if file.suffix == ".csr" and not made.is_signed:
            typer.echo(f"have {file} signed, and put the certificate beside it as {file.stem}.crt", err=True)


def _tell_installing(folder: Path) -> None:
    """Say how a broker is installed: as root mosquitto becomes another user, who cannot read our folder."""
    here, there = shlex.quote(str(folder)), "/etc/mosquitto/edge"
    lines = (
        "install it as root, on the machine of the broker:",
        f"  install -d -m 700 -o mosquitto {there}",
        f"  cp {here}/* {there}/ && chown mosquitto: {there}/*",
        f"  sed -i {shlex.quote(f's|{folder}|{there}|')} {there}/mosquitto.conf",
        f"  mosquitto -c {there}/mosquitto.conf",
        f"only to try it, here and not as root: mosquitto -c {here}/mosquitto.conf",
    )
    typer.echo("\n".join(lines), err=True)


def _tell_settings(kind: Kind, access: Access, *, out: Path, request: bool, broker: str, port: int) -> None:
    """Print what goes into the client's own configuration, and what the broker is sent."""
    from edge.fleet.enrol import stem_of
    from edge.fleet.mosquitto import bridge_settings

    stem = stem_of(access.name)
    where = "." if request else str(out)
    files = [f"{where}/{name}" for name in ("ca.crt", f"{stem}.crt", f"{stem}.key")]
    if kind is Kind.DEVICE:
        tls = ("ca_file", "certificate_file", "key")
        shown = (*files[:2], f"{{file: {files[2]}}}")
        lines = [f"    {key}: {value}" for key, value in zip(tls, shown, strict=True)]
        typer.echo("\n".join(["mqtt:", f"  host: {broker}", f"  port: {port}", "  tls:", *lines]))
    elif kind is Kind.BRIDGE:
        typer.echo(bridge_settings(access, address=f"{broker}:{port + 1}", files=files), nl=False)
    else:
        keys = ("ca_file", "certificate_file", "key_file")
        lines = [f"  {key}: {value}" for key, value in zip(keys, files, strict=True)]
        typer.echo("\n".join(["broker:", f"  host: {broker}", f"  port: {port + 1}", *lines]))
