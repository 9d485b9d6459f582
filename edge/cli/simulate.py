"""`edge simulate`: devices that are not there, for tests, demonstrations and a first look at the product."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edge.cli import simulate_fleet
from edge.cli.times import For, seconds
from edge.domain.errors import ConfigurationError

app = typer.Typer(
    help="Devices that are not there: cameras, a thermal camera, a scanner, a hyperspectral camera, a fleet.",
    no_args_is_help=True,
)


class Scene(StrEnum):
    """What a camera sees."""

    CASE = "case"
    THEATRE = "theatre"
    INSIDE = "inside"
    BARS = "bars"


class VideoCodec(StrEnum):
    """How a camera encodes."""

    H264 = "h264"
    H265 = "h265"
    MJPEG = "mjpeg"


class TimeOf(StrEnum):
    """Whose time is in the picture."""

    MONOTONIC = "monotonic"
    UTC = "utc"
    NOTHING = "none"


class Fault(StrEnum):
    """How a camera fails."""

    SILENT = "silent"
    DEAF = "deaf"
    HUNG = "hung"
    CUT = "cut"
    BABBLE = "babble"
    DROP = "drop"
    REORDER = "reorder"
    GARBAGE = "garbage"
    NOISE = "noise"
    SLOW = "slow"
    CLOCK = "clock"
    FROZEN = "frozen"
    BLACK = "black"
    BLINDED = "blinded"
    BLURRED = "blurred"
    RESIZED = "resized"


class Picture(StrEnum):
    """Which files a thermal camera writes."""

    TIFF = "tiff"
    PNG = "png"


class CubeFile(StrEnum):
    """Which files hold cubes."""

    ENVI = "envi"
    NPZ = "npz"


def size_px(text: str) -> tuple[int, int]:
    """Read `1280x720` as (height, width)."""
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if found is None:
        raise ConfigurationError(f"{text}: wanted WIDTHxHEIGHT in pixels, such as 1280x720")
    return int(found[2]), int(found[1])


@contextmanager
def _plain_troubles() -> Iterator[None]:
    """Turn trouble with files into one line.

    Raises:
        ConfigurationError: There was some.
    """
    try:
        yield
    except OSError as trouble:
        raise ConfigurationError(f"{trouble.filename}: {trouble.strerror}") from trouble


app.command()(simulate_fleet.fleet)


@app.command()
def camera(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 for a free one.")] = 8554,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    path: Annotated[str, typer.Option(help="Of the stream; begins with a slash.")] = "/or",
    cameras: Annotated[int, typer.Option(min=1, max=32, help="How many; /or1, /or2 …")] = 1,
    scene: Annotated[Scene, typer.Option(help="What it sees.")] = Scene.CASE,
    size: Annotated[str, typer.Option(metavar="WxH", help="In pixels.")] = "1280x720",
    fps: Annotated[float, typer.Option(min=0.1, max=120, help="Frames a second.")] = 25.0,
    codec: Annotated[VideoCodec, typer.Option(help="How it encodes.")] = VideoCodec.H264,
    bit_rate: Annotated[int, typer.Option(min=100, max=100_000, help="In kbit/s.")] = 3000,
    key_every: Annotated[
        float, typer.Option(parser=seconds, metavar="TIME", help="Between key frames.")
    ] = 1.0,
    loop: Annotated[
        Path | None,
        typer.Option(help="File to send again and again; made from the scene where it is missing."),
    ] = None,
    time_code: Annotated[TimeOf, typer.Option(help="Whose time is in the picture.")] = TimeOf.MONOTONIC,
    user: Annotated[str | None, typer.Option(help="Who may look; turns Digest on.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File that holds the password.")] = None,
    basic: Annotated[bool, typer.Option("--basic", help="Basic instead of Digest.")] = False,
    fault: Annotated[Fault | None, typer.Option(help="Let the first camera fail, again and again.")] = None,
    fault_after: Annotated[
        float, typer.Option(parser=seconds, metavar="TIME", help="How long it is well.")
    ] = 20.0,
    fault_for: Annotated[
        float, typer.Option(parser=seconds, metavar="TIME", help="How long it fails.")
    ] = 10.0,
    for_s: For = None,
) -> None:
    """Be cameras: serve a rendered scene, or a file, over RTSP.

    edge simulate camera --scene inside --fps 50

    edge simulate camera --cameras 3 --loop case.ts

    edge simulate camera --fault frozen --fault-after 10s --fault-for 5s
    """
    from edge.simulate.encoding import VideoForm
    from edge.simulate.run_camera import Failing, Login, run_camera

    login = None
    if user is not None:
        with _plain_troubles():
            password = password_file.read_text().strip() if password_file else ""
        login = Login(scheme="basic" if basic else "digest", user=user, password=password)
    failing = Failing(name=fault.value, after_s=fault_after, for_s=fault_for) if fault else None
    height_px, width_px = size_px(size)
    form = VideoForm(
        codec=codec.value,
        height_px=height_px,
        width_px=width_px,
        fps=fps,
        bit_rate_kbps=bit_rate,
        key_interval_s=key_every,
    )
    with _plain_troubles():
        code = run_camera(
            host=host,
            port=port,
            path=path,
            cameras=cameras,
            scene_name=scene.value,
            form=form,
            loop=loop,
            clock="utc" if time_code is TimeOf.UTC else "monotonic",
            has_time_code=time_code is not TimeOf.NOTHING,
            login=login,
            failing=failing,
            for_s=for_s,
        )
    raise typer.Exit(code)


@app.command()
def thermal(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where pictures appear.", show_default=False)],
    fps: Annotated[float, typer.Option(min=0.1, max=60, help="Pictures a second.")] = 9.0,
    size: Annotated[str, typer.Option(metavar="WxH", help="In pixels.")] = "320x240",
    planck: Annotated[
        str | None, typer.Option(metavar="R1,B,F,O,R2", help="Counts of these constants; else centikelvin.")
    ] = None,
    emissivity: Annotated[float, typer.Option(min=0.1, max=1.0, help="Of the skin, with --planck.")] = 0.98,
    picture: Annotated[Picture, typer.Option(help="Kind of file.")] = Picture.TIFF,
    keep: Annotated[int, typer.Option(min=1, max=100_000, help="How many files stay.")] = 50,
    for_s: For = None,
) -> None:
    """Be a thermal camera: write 16-bit pictures of a warm body into a folder.

    edge simulate thermal /srv/edge/thermal

    edge simulate thermal /srv/edge/thermal --planck 21106.77,1501,1,-7340,0.012545258
    """
    from edge.simulate.run_thermal import parse_planck, run_thermal
    from edge.simulate.thermal import CENTIKELVIN

    height_px, width_px = size_px(size)
    scale = CENTIKELVIN if planck is None else parse_planck(planck)
    with _plain_troubles():
        code = run_thermal(
            folder,
            fps=fps,
            height_px=height_px,
            width_px=width_px,
            scale=scale,
            emissivity=emissivity,
            kind=picture.value,
            files_kept=keep,
            for_s=for_s,
        )
    raise typer.Exit(code)


@app.command()
def scanner(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The DICOM peer.", show_default=False)],
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH…", help="Files and folders; else a made-up head.")
    ] = None,
    every: Annotated[
        float, typer.Option(parser=seconds, metavar="TIME", help="From one study to the next.")
    ] = 30.0,
    studies: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    same: Annotated[
        bool, typer.Option("--same", help="The same objects again, not a new patient each.")
    ] = False,
    ae_title: Annotated[str, typer.Option(help="Our AE title.")] = "EDGE-SIM",
    called: Annotated[str, typer.Option(help="The peer's AE title.")] = "EDGE",
    for_s: For = None,
) -> None:
    """Be a scanner: send studies by C-STORE, each as that of a new patient.

    Exit 0: everything was stored. 1: something was refused or failed. 2: something named is unreadable.

    edge simulate scanner 127.0.0.1:11112

    edge simulate scanner 127.0.0.1:11112 /data/head --every 30s --for 10min
    """
    from edge.cli.paths import files_of, missing
    from edge.cli.send import parse_address
    from edge.simulate.run_scanner import run_scanner
    from edge.simulate.scu import Peer

    host, port = parse_address(address)
    unreadable = missing(paths or ())
    if unreadable:
        raise ConfigurationError("; ".join(unreadable))
    peer = Peer(host=host, port=port, called_ae=called, calling_ae=ae_title)
    files = [file for path in paths or () for file in files_of(path)]
    with _plain_troubles():
        code = run_scanner(peer, files, every_s=every, studies_max=studies, are_new=not same, for_s=for_s)
    raise typer.Exit(code)


@app.command()
def files(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where files appear.", show_default=False)],
    cube_every: Annotated[
        float | None, typer.Option(parser=seconds, metavar="TIME", help="From cube to cube, in DIR/cubes.")
    ] = None,
    spectrum_every: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="TIME", help="From spectrum to spectrum, in DIR/spectra."),
    ] = None,
    cube: Annotated[CubeFile, typer.Option(help="Kind of file.")] = CubeFile.ENVI,
    for_s: For = None,
) -> None:
    """Be a hyperspectral camera and a Raman spectrometer: write cubes and spectra into a folder.

    Without --cube-every and --spectrum-every, a cube every 10 s and a spectrum every 5 s.

    edge simulate files /srv/edge/measured --cube-every 30s
    """
    from edge.simulate.run_files import run_files

    if cube_every is None and spectrum_every is None:
        cube_every, spectrum_every = 10.0, 5.0
    with _plain_troubles():
        code = run_files(
            folder, cube_every_s=cube_every, spectrum_every_s=spectrum_every, kind=cube.value, for_s=for_s
        )
    raise typer.Exit(code)
