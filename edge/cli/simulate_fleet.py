"""`edge simulate fleet`: devices of a fleet that are not there."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli.times import For
from edge.domain.errors import ConfigurationError
from edge.kit.topics import ROOT

if TYPE_CHECKING:
    from edge.fleet.signing import KeyRing
    from edge.simulate.fleet_member import Person


def share(text: str | float) -> float:
    """Read `5%` or `0.05`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", str(text).strip())
    value = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"{text}: wanted a share such as 5% or 0.05")
    return value


def fleet(
    devices: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 10,
    host: Annotated[str, typer.Option(help="Of the broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the broker.")] = 1883,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=ed25519:…, whose documents they believe; may be given again.", metavar="NAME=KEY"
        ),
    ] = None,
    root: Annotated[str, typer.Option(help="What every topic begins with.")] = ROOT,
    site: Annotated[str, typer.Option(help="They stand in.")] = "simulated",
    name: Annotated[str, typer.Option(help="What their ids begin with; a number follows.")] = "box-",
    group: Annotated[list[str] | None, typer.Option(help="All are in it; may be given again.")] = None,
    per_room: Annotated[int, typer.Option(min=1, help="Devices in one room.")] = 2,
    certificates: Annotated[
        Path | None,
        typer.Option(help="Folder of `edge fleet enrol`: TLS with the certificate of each.", metavar="DIR"),
    ] = None,
    failing: Annotated[
        float, typer.Option(parser=share, metavar="SHARE", help="Their probes fail after every change.")
    ] = 0.0,
    lying: Annotated[
        float, typer.Option(parser=share, metavar="SHARE", help="… and they report that all went well.")
    ] = 0.0,
    slow: Annotated[
        float, typer.Option(parser=share, metavar="SHARE", help="They take ten times as long.")
    ] = 0.0,
    restless: Annotated[
        float,
        typer.Option(parser=share, metavar="SHARE", help="They lose their line for 20 s, once a minute."),
    ] = 0.0,
    bad: Annotated[
        list[str] | None,
        typer.Option(help="A bundle that none can use; may be given again.", metavar="NAME@VERSION"),
    ] = None,
    seed: Annotated[int, typer.Option(help="For who fails.")] = 0,
    for_s: For = None,
) -> None:
    """Be a fleet: devices with the real state machine, whose configuration changes nothing.

    They take documents and layers, not commands. At the end it tells as JSON what has happened.

    edge simulate fleet --devices 1000 --key fleet-2026=ed25519:…

    edge simulate fleet --devices 200 --key fleet-2026=ed25519:… --failing 2% --restless 10%
    """
    from edge.kit.clock import SystemClock
    from edge.kit.mqtt import Tls
    from edge.simulate.fleet import SimulatedFleet, Unrest
    from edge.simulate.fleet_hardware import Traits
    from edge.simulate.fleet_member import Person
    from edge.simulate.mqtt_line import Broker
    from edge.simulate.run_fleet import run_fleet

    digits = len(str(devices))
    people = [
        Person(
            root=root,
            site=site,
            device=f"{name}{number:0{digits}d}",
            room=f"room-{(number - 1) // per_room + 1:0{digits}d}",
            groups=tuple(group or ()),
        )
        for number in range(1, devices + 1)
    ]
    chosen = _chosen(people, {"failing": failing, "lying": lying, "slow": slow}, seed)

    def traits(person: Person) -> Traits:
        slowness = 10.0 if person.device in chosen["slow"] else 1.0
        return Traits(
            stage_s=0.2 * slowness,
            apply_s=0.1 * slowness,
            probe_s=0.2 * slowness,
            is_failing=person.device in chosen["failing"],
            is_lying=person.device in chosen["lying"],
            bad=frozenset(bad or ()),
        )

    def broker(person: Person) -> Broker:
        if certificates is None:
            return Broker(host=host, port=port)
        tls = Tls(
            ca_file=certificates / "ca.crt",
            certificate_file=certificates / f"{person.device}.crt",
            key_file=certificates / f"{person.device}.key",
        )
        return Broker(host=host, port=port, tls=tls.context())

    simulated = SimulatedFleet(
        people,
        broker=broker,
        keys=_keys(key or [], site),
        traits=traits,
        clock=SystemClock(),
        unrest=Unrest(share=restless),
        seed=seed,
    )
    raise typer.Exit(run_fleet(simulated, for_s=for_s))


def _chosen(people: list[Person], shares: dict[str, float], seed: int) -> dict[str, set[str]]:
    """Say which devices fail in which way; the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311  # for a simulation, not for secrets
    names = [person.device for person in people]
    return {how: set(chance.sample(names, round(part * len(names)))) for how, part in shares.items()}


def _keys(texts: list[str], site: str) -> KeyRing:
    from edge.bundles.signature import TrustRoot, public_key_of
    from edge.fleet.signing import KeyRing

    roots = []
    for text in texts:
        name, _, public = text.partition("=")
        try:
            roots.append(TrustRoot(name, public_key_of(public)))
        except ValueError as trouble:
            raise ConfigurationError(f"--key {name}: {trouble}; wanted NAME=ed25519:…") from trouble
    return KeyRing(roots, site=site)
