"""The commands, their options and their help; each loads its own module only when it is asked for."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

import edge
from edge.cli import bundle, fleet, simulate

Paths = Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders.", show_default=False)]
OptionalPaths = Annotated[
    list[Path] | None, typer.Argument(metavar="PATH…", help="Files and folders.", show_default=False)
]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file.", show_default=False)]

SpectrumKind = Literal["infrared", "raman", "reflectance"]

app = typer.Typer(
    name="edge",
    help=edge.__doc__.splitlines()[0] if edge.__doc__ else "",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(simulate.app, name="simulate")
app.add_typer(bundle.app, name="bundle")
app.add_typer(fleet.app, name="fleet")


class Schema(StrEnum):
    """Which JSON Schema to print."""

    BUNDLE = "bundle"
    CONFIG = "config"
    FINDING = "finding"
    DESIRED = "desired"
    GROUP = "group"
    CMD = "cmd"
    REPORTED = "reported"


class ScanModality(StrEnum):
    """What a file shows that does not say so itself."""

    MR = "MR"
    CT = "CT"


@app.callback(invoke_without_command=True)
def _edge(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"edge {edge.__version__}")
        raise typer.Exit


@app.command()
def run(config: ConfigFile) -> None:
    """Run the daemon in the foreground until it is told to stop."""
    from edge import daemon

    raise typer.Exit(daemon.run(config))


@app.command()
def check(config: ConfigFile) -> None:
    """Say everything that is wrong with a configuration; exit 0 when it can be used, else 2."""
    from edge.cli import check as command

    raise typer.Exit(command.run(config))


@app.command()
def schema(which: Annotated[Schema, typer.Argument(help="Of what.", show_default=False)]) -> None:
    """Print the JSON Schema of a manifest, the configuration, a finding, or of the fleet's documents."""
    from edge.cli import check as command

    raise typer.Exit(command.print_schema(which.value))


@app.command()
def send(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The DICOM peer.", show_default=False)],
    paths: Paths,
    ae_title: Annotated[str, typer.Option(help="Our AE title.")] = "EDGE-SEND",
    called: Annotated[str, typer.Option(help="The peer's AE title.")] = "EDGE",
) -> None:
    """Send DICOM files by C-STORE, each data set byte for byte as it lies in its file.

    Exit 0: everything was stored. 1: something was refused or failed. 2: something named is unreadable.
    """
    from edge.cli import send as command

    raise typer.Exit(command.run(address, paths, calling_ae=ae_title, called_ae=called))


@app.command()
def analyze(
    paths: OptionalPaths = None,
    bundle: Annotated[
        str | None, typer.Option(help="Use only this bundle; else every one that fits.")
    ] = None,
    bundles: Annotated[list[Path] | None, typer.Option(help="Folder that holds bundles; repeatable.")] = None,
    series: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=PATH", help="Several series for one bundle: T1=DIR; repeatable."),
    ] = None,
    modality: Annotated[ScanModality | None, typer.Option(help="What NIfTI files show.")] = None,
    kelvin_per_count: Annotated[
        float | None, typer.Option(help="What a count of 16-bit TIFF and PNG means: 0.01 for centikelvin.")
    ] = None,
    emissivity: Annotated[
        float | None, typer.Option(help="Of what a thermal camera sees, 0.01 to 1.")
    ] = None,
    reflected_celsius: Annotated[
        float | None, typer.Option(help="What that mirrors, as a temperature, °C.")
    ] = None,
    distance_m: Annotated[float | None, typer.Option(help="From the thermal camera to it, m.")] = None,
    measures: Annotated[
        SpectrumKind | None, typer.Option(help="What spectra show that do not say so.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array of findings on stdout.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for masks (NIfTI, PNG) and pictures.")] = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="Put frames of videos into those pictures, too.")
    ] = False,
) -> None:
    """Assess DICOM, NIfTI, videos, pictures, thermal files, cubes, spectra as the daemon would, without one.

    Exit 2: something is unreadable. 0: something was assessed. 3: nothing was.
    """
    from edge.cli import analyze as command

    thermal = command.ThermalWords(
        kelvin_per_count=kelvin_per_count,
        emissivity=emissivity,
        reflected_celsius=reflected_celsius,
        distance_m=distance_m,
    )
    asked = command.Asked(
        bundle=bundle,
        roots=tuple(bundles or ()),
        modality=modality.value if modality else None,
        thermal=thermal,
        measures=measures,
        out=out,
        has_frames=frames,
        as_json=as_json,
    )
    if series:
        from edge.cli import analyze_roles as together

        if paths:
            raise typer.BadParameter("either files and folders, or --series ROLE=PATH, not both")
        raise typer.Exit(together.run(series, asked))
    if not paths:
        raise typer.BadParameter("what? files and folders, or --series ROLE=PATH")
    raise typer.Exit(command.run(paths, asked))


@app.command()
def watch(
    host: Annotated[str, typer.Option(help="The broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its port.")] = 1883,
    root: Annotated[str, typer.Option(help="What every topic begins with.")] = "edge/v1",
    site: Annotated[str, typer.Option(help="One site; + for all.")] = "+",
    device: Annotated[str, typer.Option(help="One device; + for all.")] = "+",
    as_json: Annotated[bool, typer.Option("--json", help="One finding a line, as it came.")] = False,
    ca_file: Annotated[
        Path | None, typer.Option(help="PEM: who vouches for the broker; turns TLS on.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM: our client certificate; turns TLS on.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM: its private key.")] = None,
    username: Annotated[str | None, typer.Option(help="At the broker.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File that holds the password, mode 0600.")
    ] = None,
) -> None:
    """Show findings as they come from a broker, until Ctrl-C."""
    from edge.cli import watch as command

    broker = command.Broker(
        host=host,
        port=port,
        ca_file=ca_file,
        certificate_file=certificate,
        key_file=key,
        username=username,
        password_file=password_file,
    )
    raise typer.Exit(command.run(broker, topic=f"{root}/{site}/{device}/finding/#", as_json=as_json))


@app.command()
def status(config: ConfigFile) -> None:
    """Say how the daemon on this machine is; exit 0 well, 1 degraded, 3 not running."""
    from edge.cli import status as command

    raise typer.Exit(command.run(config))


@app.command()
def snapshot(
    config: ConfigFile,
    source: Annotated[str, typer.Argument(help="Name of the camera.", show_default=False)],
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("snapshot.png"),
) -> None:
    """Write what a camera shows now; exit 1 where its pictures may not leave, and say why."""
    from edge.cli import snapshot as command

    raise typer.Exit(command.run(config, source, out))


@app.command()
def aside(
    config: ConfigFile,
    retry: Annotated[
        str | None, typer.Option(help="Name of a group, or 'all'; with the daemon stopped.")
    ] = None,
) -> None:
    """List what was set aside, why, and where it lies; exit 0 when nothing is, else 1."""
    from edge.cli import aside as command

    raise typer.Exit(command.run(config, retry=retry))


@app.command()
def demo(
    what: Annotated[Literal["path", "fleet"], typer.Argument(help="What is shown.")] = "path",
    once: Annotated[bool, typer.Option("--once", help="Of the path: exit after one round.")] = False,
) -> None:
    """Show the product on this machine.

    path: a broker, the daemon, real studies, a subscriber. fleet: a broker with TLS and access lists, ten
    simulated devices and a real one, and what is rolled out to them.
    """
    from edge import demo as show

    raise typer.Exit(show.fleet() if what == "fleet" else show.main(once=once))
