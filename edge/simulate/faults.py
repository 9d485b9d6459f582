"""What cameras do when they fail, by name: begun and ended at any time while the server runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Literal

from edge.domain.errors import ConfigurationError
from edge.simulate.encoding import VideoForm
from edge.simulate.footage import LiveFootage, plain, still
from edge.simulate.rtsp import RtspServer
from edge.simulate.stream import Faults, Footage

FaultName = Literal[
    "silent",
    "deaf",
    "hung",
    "cut",
    "babble",
    "drop",
    "reorder",
    "garbage",
    "noise",
    "slow",
    "clock",
    "frozen",
    "black",
    "blinded",
    "blurred",
    "resized",
]
_SHARE = 0.1
_BLACK, _WHITE = 16, 235
_BLUR_PX = 12.0
_PACKETS: Final[dict[str, Callable[[], Faults]]] = {
    "silent": lambda: Faults(is_silent=True),
    "hung": lambda: Faults(is_silent=True),
    "drop": lambda: Faults(drop_share=_SHARE),
    "reorder": lambda: Faults(reorder_share=_SHARE),
    "garbage": lambda: Faults(garbage_share=_SHARE),
    "noise": lambda: Faults(noise_share=_SHARE),
    "slow": lambda: Faults(fps=2.0),
    "clock": lambda: Faults(rtp_jump_s=3600.0, utc_jump_s=-86_400.0),
}


@contextmanager
def fault(name: FaultName, server: RtspServer, path: str) -> Iterator[None]:
    """Let a camera fail while the `with` lasts.

    Args:
        name: `silent` sends nothing, `deaf` answers nothing, `hung` neither. Once: `cut` ends every
            connection, `babble` writes noise between the packets of each. `drop`, `reorder`, `garbage` and
            `noise` spoil a tenth of the packets, `slow` sends two frames a second, `clock` jumps. The picture
            is `frozen`, `black`, `blinded`, `blurred`, or `resized`.
        server: Where it is served; `deaf`, `hung`, `cut` and `babble` concern all of its cameras.
        path: Which camera.

    Raises:
        ConfigurationError: A recording cannot be blurred or resized as it is sent.
    """
    stream = server.streams[path]
    footage, faults = stream.footage, stream.faults
    server.is_deaf = name in ("deaf", "hung")
    if name == "cut":
        server.close_connections()
    if name == "babble":
        server.babble()
    if name in _PACKETS:
        stream.faults = _PACKETS[name]()
    shown = failing(name, footage)
    if shown is not footage:
        stream.show(shown)
    try:
        yield
    finally:
        server.is_deaf = False
        stream.faults = faults
        if shown is not footage:
            stream.show(footage)


def check_possible(name: FaultName, footage: Footage) -> None:
    """Return where footage can fail like this.

    Raises:
        ConfigurationError: It cannot.
    """
    if name in ("blurred", "resized") and not isinstance(footage, LiveFootage):
        raise ConfigurationError(f"a recording cannot be {name} while it is sent; wanted a live scene")


def failing(name: FaultName, footage: Footage) -> Footage:
    """Return what is to be seen instead of `footage`; itself where the fault is not in the picture.

    Raises:
        ConfigurationError: It cannot fail like this.
    """
    check_possible(name, footage)
    if name == "frozen":
        return still(footage.present(), footage.form)
    if name in ("black", "blinded"):
        return still(plain(_BLACK if name == "black" else _WHITE, footage.form), footage.form)
    if isinstance(footage, LiveFootage):
        if name == "blurred":
            return footage.varied(blur_px=_BLUR_PX)
        if name == "resized":
            return footage.varied(form=_other_size(footage.form))
    return footage


def _other_size(form: VideoForm) -> VideoForm:
    """Return the form at three quarters of its size, and a little narrower."""
    height_px, width_px = form.height_px * 3 // 4 // 4 * 4, form.width_px * 2 // 3 // 8 * 8
    return replace(form, height_px=max(height_px, 144), width_px=max(width_px, 256))
