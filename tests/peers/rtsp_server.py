"""GStreamer's RTSP server on a free port of the loopback, that tests may kill and start again."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from tests.ports import free_port

PROGRAM = Path(__file__).with_name("rtsp_program.py")
SYSTEM_PYTHON = "/usr/bin/python3"
SOURCE = "videotestsrc is-live=true ! video/x-raw,width={width},height={height},framerate=25/1"
X264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 bframes=0"
H264 = f"( {SOURCE} ! {X264} ! rtph264pay name=pay0 pt=96 config-interval=1 )"
H265 = (
    f"( {SOURCE} ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=10"
    " ! rtph265pay name=pay0 pt=96 config-interval=1 )"
)
JPEG = f"( {SOURCE},format=I420 ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
WITH_SOUND = (
    "( audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0 pt=8 "
    f"{SOURCE} ! {X264} ! rtph264pay name=pay1 pt=97 )"
)


def launch(line: str, *, width: int = 320, height: int = 240) -> str:
    """Return a pipeline for the server."""
    return line.format(width=width, height=height)


class GstServer:
    """The server; `stop` and `start` keep its port."""

    def __init__(self, mounts: Mapping[str, str], *, user: str = "") -> None:
        """Choose a port.

        Args:
            mounts: Pipelines by path.
            user: `name:password` for Basic, `name:password:digest`; "" lets everybody in.
        """
        self.port = free_port()
        self._mounts = mounts
        self._user = [f"--user={user}"] if user else []
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str) -> str:
        """Return the address of a stream."""
        return f"rtsp://127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Return when it listens."""
        mounts = [f"{path}={line}" for path, line in self._mounts.items()]
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(PROGRAM), str(self.port), *mounts, *self._user],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said == "listening\n", (
            "GStreamer's RTSP server did not start: see tools/setup.sh for its packages"
        )

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """Let it hold its connections and send nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def is_installed() -> bool:
    """Whether the server can be started here."""
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, check=False).returncode == 0


needs_gstreamer = pytest.mark.skipif(not is_installed(), reason="GStreamer's RTSP server is not installed")
