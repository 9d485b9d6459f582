"""`edge fleet`: what an operator does with all devices; the work loads when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cli import fleet_enrol, fleet_rollout
from edge.cli.fleet_options import Device, DeviceOrGroup, FleetFile, Json, Patterns, StateFolder

app = typer.Typer(help="All devices at a broker: see, configure, roll out.", no_args_is_help=True)


@app.callback()
def _fleet() -> None:
    """All devices at a broker: see, configure, roll out."""


app.command()(fleet_enrol.authority)
app.command()(fleet_enrol.keygen)
app.command()(fleet_enrol.enrol)
app.command()(fleet_enrol.revoke)
app.command()(fleet_rollout.rollout)


@app.command()
def ls(
    patterns: Patterns = None,
    watch: Annotated[bool, typer.Option("--watch", help="Until Ctrl-C, what needs a person first.")] = False,
    trouble: Annotated[bool, typer.Option("--trouble", help="Only those that need a person.")] = False,
    as_json: Json = False,
    fleet: FleetFile = None,
) -> None:
    """Show devices: whether they are there, which version is at work, drift, bundles, health.

    Exit 0: all that are shown are well. 1: a person must look at one.
    """
    from edge.cli import fleet_ls as command
    from edge.cli.fleet_desk import place

    code = command.run(place(fleet), patterns or (), only_trouble=trouble, is_watched=watch, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def show(device: Device, as_json: Json = False, fleet: FleetFile = None) -> None:
    """Show everything that is known about one device; exit 0 it is well, 1 a person must look at it."""
    from edge.cli import fleet_show as command
    from edge.cli.fleet_desk import place

    raise typer.Exit(command.run(place(fleet), device, as_json=as_json))


@app.command("set")
def set_(
    device: DeviceOrGroup,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH=VALUE…",
            help="pipelines.brain-mr.deadline_s=60; PATH= takes it out. Else $EDITOR opens.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The whole content, YAML or JSON; - for stdin.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only have it said whether it could be applied.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Of a device or group that nobody has heard of.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Never ask.")] = False,
    wait_s: Annotated[float, typer.Option(min=0, help="To follow what becomes of it, s.")] = 600.0,
    fleet: FleetFile = None,
    state: StateFolder = None,
) -> None:
    """Edit what a device or a group shall be, sign it, publish it, and follow what becomes of it.

    Exit 0: it is at work. 1: it came to nothing. 3: that is not known yet. 4: conflict, somebody else was
    first; what you wrote is kept.
    """
    from edge.cli import fleet_set as command
    from edge.cli.fleet_desk import place

    asked = command.Asked(
        file=file, assignments=values or (), is_dry=dry_run, is_new=new, is_certain=yes, wait_s=wait_s
    )
    raise typer.Exit(command.run(place(fleet, state), device, asked))


@app.command()
def get(
    device: DeviceOrGroup,
    version: Annotated[
        int | None, typer.Option(min=1, help="An earlier one that this machine has seen.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, with its signature.")] = False,
    fleet: FleetFile = None,
    state: StateFolder = None,
) -> None:
    """Print the document of a device or a group, as `set` edits it."""
    from edge.cli import fleet_diff as command
    from edge.cli.fleet_desk import place

    raise typer.Exit(command.get(place(fleet, state), device, version=version, as_json=as_json))


@app.command()
def diff(
    device: DeviceOrGroup,
    other: Annotated[
        str | None, typer.Argument(metavar="OTHER", help="Of whom, else what is at work.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="What `set --file` would change.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="What has changed since that one.")] = None,
    fleet: FleetFile = None,
    state: StateFolder = None,
) -> None:
    """Compare what is wanted of a device with what is at work there, with another one, a file or a version.

    Exit 0: no difference. 1: some.
    """
    from edge.cli import fleet_diff as command
    from edge.cli.fleet_desk import place

    against = command.With(other=other, file=file, version=version)
    raise typer.Exit(command.diff(place(fleet, state), device, against))


@app.command()
def cmd(
    device: Device,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="COMMAND",
            help="fetch, restart-pipeline, snapshot, selftest, retry-set-aside or collect-logs.",
            show_default=False,
        ),
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE…", help="pipeline=brain-mr, lines=200.", show_default=False),
    ] = None,
    args: Annotated[Path | None, typer.Option(help="Arguments in YAML or JSON.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the picture of a snapshot goes.")] = None,
    life_s: Annotated[float, typer.Option(min=1, max=86_400, help="It is not begun later, s.")] = 600.0,
    wait_s: Annotated[
        float, typer.Option(min=0, help="For its end, s; what was not begun is taken back.")
    ] = 120.0,
    as_json: Json = False,
    fleet: FleetFile = None,
    state: StateFolder = None,
) -> None:
    """Have one device do one thing once; exit 0 it succeeded, 1 it failed, 3 not known yet."""
    from edge.cli import fleet_cmd as command
    from edge.cli.fleet_desk import place

    asked = command.Asked(
        kind=kind, values=values or (), file=args, out=out, life_s=life_s, wait_s=wait_s, as_json=as_json
    )
    raise typer.Exit(command.run(place(fleet, state), device, asked))


@app.command()
def ask(
    device: Device,
    method: Annotated[
        str, typer.Argument(metavar="QUESTION", help="config, status, models, transitions, methods.")
    ],
    as_json: Json = False,
    fleet: FleetFile = None,
) -> None:
    """Ask one device something that only it knows, such as every value of its configuration."""
    from edge.cli import fleet_cmd as command
    from edge.cli.fleet_desk import place

    raise typer.Exit(command.run_question(place(fleet), device, method, as_json=as_json))


@app.command()
def watch(patterns: Patterns = None, as_json: Json = False, fleet: FleetFile = None) -> None:
    """Show what happens, a line for each thing, until Ctrl-C."""
    from edge.cli import fleet_watch as command
    from edge.cli.fleet_desk import place

    raise typer.Exit(command.run(place(fleet), patterns or (), as_json=as_json))


@app.command()
def history(
    patterns: Patterns = None,
    last: Annotated[int, typer.Option(min=1, help="So many entries.")] = 50,
    verify: Annotated[
        bool, typer.Option("--verify", help="Whether nothing was changed or taken out.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write all of it to a new file, an entry a line.")
    ] = None,
    check: Annotated[Path | None, typer.Option(help="Verify such a file.")] = None,
    as_json: Json = False,
    fleet: FleetFile = None,
    state: StateFolder = None,
) -> None:
    """Show what was done and seen from this machine; each entry is signed, and names the one before.

    Exit 0: it is whole, or nobody asked. 1: it is not.
    """
    from edge.cli import fleet_history as command
    from edge.cli.fleet_desk import place

    where = place(fleet, state)
    if verify or check is not None:
        raise typer.Exit(command.verify(where, check))
    if export is not None:
        raise typer.Exit(command.export(where, export))
    raise typer.Exit(command.run(where, patterns or (), last=last, as_json=as_json))
