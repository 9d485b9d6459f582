"""The devices of the demo that are not there: cameras for colours, heat and spectra, and a spectrometer."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from edge.config.cameras import CameraSource
from edge.config.schema import Config
from edge.config.spectral import HyperspectralSource, SpectrumSource
from edge.config.thermal import ThermalSource

STOP_S = 10.0
SMALL = ("--size", "640x360", "--fps", "15")  # so that a laptop draws, encodes and looks at it


@contextmanager
def devices(config: Config, folder: Path) -> Iterator[None]:
    """Run a simulated device for each live source and folder of measurements, until the `with` ends.

    Args:
        config: Of the demo.
        folder: Where they write what they have to say.
    """
    with ExitStack() as running, (folder / "devices.log").open("ab") as log:
        for words in _commands(config):
            process = subprocess.Popen(
                [sys.executable, "-m", "edge", "simulate", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us, and we stop them in order
            )
            running.callback(_stop, process)
        yield


def _commands(config: Config) -> Iterator[list[str]]:
    """Return what each device is told, as a person would type it."""
    for source in config.sources:
        match source:
            case CameraSource(url=str(url)):
                port = str(urlsplit(url).port)
                yield ["camera", "--port", port, "--path", urlsplit(url).path, *SMALL]
            case ThermalSource(folder=Path() as pictures):
                yield ["thermal", str(pictures)]
            case HyperspectralSource():
                yield ["files", str(source.path.parent), "--cube-every", "10s"]
            case SpectrumSource():
                yield ["files", str(source.path.parent), "--spectrum-every", "5s"]
            case _:
                pass


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
