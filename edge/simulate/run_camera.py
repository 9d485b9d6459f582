"""Cameras in the foreground, until Ctrl-C or for a given time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge.simulate.encoding import VideoForm
from edge.simulate.faults import FaultName, check_possible, fault
from edge.simulate.footage import LiveFootage
from edge.simulate.foreground import say, wait
from edge.simulate.recordings import load, prepare
from edge.simulate.rtsp import RtspServer
from edge.simulate.rtsp_words import Scheme
from edge.simulate.scenes import SceneName
from edge.simulate.stream import Footage, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who may look at a camera."""

    scheme: Scheme
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A fault that comes and goes: `after_s` well, `for_s` failing, and so on."""

    name: FaultName
    after_s: float
    for_s: float


def run_camera(
    *,
    host: str,
    port: int,
    path: str,
    cameras: int,
    scene_name: SceneName,
    form: VideoForm,
    loop: Path | None = None,
    clock: Literal["monotonic", "utc"] = "monotonic",
    has_time_code: bool = True,
    login: Login | None = None,
    failing: Failing | None = None,
    for_s: float | None = None,
) -> int:
    """Serve cameras over RTSP.

    Args:
        host: Address to listen on.
        port: TCP port, 0 for a free one.
        path: Of the camera; of several, what a number is added to.
        cameras: How many, each with a scene of its own, 1 or more.
        scene_name: What they see.
        form: How they encode.
        loop: A file that is looped; made from the scene where it is missing.
        clock: Whose time is in the picture of a live scene.
        has_time_code: Whether there is one.
        login: Who may look; None for everybody.
        failing: What goes wrong with the first camera, and when.
        for_s: How long; None until Ctrl-C.

    Returns:
        0.

    Raises:
        ConfigurationError: The port is taken, or nothing can be encoded like this.
        FormatError: The file cannot be read.
    """
    paths = [path] if cameras == 1 else [f"{path}{number}" for number in range(1, cameras + 1)]
    if loop is not None and not loop.exists():
        say(f"{loop}: is made now from the scene {scene_name}")
        prepare(loop, scene_name=scene_name, form=form, has_time_code=has_time_code)

    def footage(seed: int) -> Footage:
        if loop is not None:
            return load(loop)
        return LiveFootage(scene_name, form, clock=clock, has_time_code=has_time_code, seed=seed)

    streams = {each: Stream(footage(seed)) for seed, each in enumerate(paths, start=1)}
    server = RtspServer(
        streams=streams,
        host=host,
        port=port,
        scheme=login.scheme if login else None,
        user=login.user if login else "",
        password=login.password if login else "",
    )

    def progress() -> str:
        receivers = sum(stream.subscribers for stream in streams.values())
        frames = sum(stream.frames_sent for stream in streams.values())
        missed = sum(stream.ticks_missed for stream in streams.values())
        return f"{receivers} receivers, {frames} frames sent, {missed} left out for want of time"

    with server:
        for each in paths:
            say(f"rtsp://{host}:{server.port}{each}")
        with _comes_and_goes(failing, server, paths[0]) if failing else nullcontext():
            wait(progress, for_s=for_s)
    return 0


@contextmanager
def _comes_and_goes(failing: Failing, server: RtspServer, path: str) -> Iterator[None]:
    """Let a camera fail from time to time while the `with` lasts."""
    stopping = threading.Event()

    def fail() -> None:
        while not stopping.wait(failing.after_s):
            say(f"{path}: {failing.name}")
            with fault(failing.name, server, path):
                stopping.wait(failing.for_s)
            say(f"{path}: well again")

    check_possible(failing.name, server.streams[path].footage)
    thread = threading.Thread(target=fail, name="faults", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
