"""Thermal far sides of the contract of frame sources: a recording, a folder that fills, a device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from edge.domain.ports import Clock
from edge.domain.thermal import LinearScale
from edge.kit.clock import SystemClock
from edge.preprocess.thermal_site import SiteCalibration
from edge.sources.live_books import LiveBooks
from edge.sources.thermal import ThermalRecording
from edge.sources.thermal_device import ThermalDevice
from edge.sources.thermal_folder import ThermalFolder
from edge.sources.thermal_v4l2 import V4l2Y16
from tests.builders.thermal import flir_file, png, ramp
from tests.fakes.v4l2 import FakeKernel

NAME = "theatre 1"
SILENCE_S = 0.4
LOST, OVER = "lost", "over"
CLOCK: Clock = SystemClock()
SITE = SiteCalibration(scale=LinearScale(kelvin_per_count=0.015), emissivity=0.98)


def books() -> LiveBooks:
    """Books of its own for each source."""
    return LiveBooks(NAME, clock=CLOCK)


class _Showing:
    """Shows pictures until it is told to stop."""

    def __init__(self, show: Callable[[int], None]) -> None:
        self._show = show
        self._stopping = threading.Event()

    def start(self, rooms: ExitStack) -> None:
        showing = threading.Thread(target=self._run, daemon=True)
        showing.start()
        rooms.callback(showing.join)
        rooms.callback(self._stopping.set)

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        for number in count():
            if self._stopping.wait(0.02):
                return
            self._show(number)


class OfThermalRecording:
    ends = OVER

    def __init__(self, folder: Path) -> None:
        self._path = folder / "recording.seq"
        self._path.write_bytes(b"".join(flir_file(ramp(), time_ms=number * 30) for number in range(12)))
        self.source = ThermalRecording(NAME, path=self._path, site=SITE, clock=CLOCK, books=books())

    def start(self, rooms: ExitStack) -> None:
        """It is there."""

    def fall_silent(self) -> None:
        """It ends."""

    def go_away(self) -> None:
        self._path.unlink()


class OfThermalFolder:
    ends = LOST

    def __init__(self, folder: Path) -> None:
        self._path = folder / "thermograms"
        self._path.mkdir()
        self._showing = _Showing(self._write)
        self.source = ThermalFolder(
            NAME, path=self._path, site=SITE, silence_s=SILENCE_S, clock=CLOCK, books=books()
        )

    def start(self, rooms: ExitStack) -> None:
        self._showing.start(rooms)

    def fall_silent(self) -> None:
        self._showing.stop()

    def go_away(self) -> None:
        for path in self._path.iterdir():
            path.unlink()
        self._path.rmdir()

    def _write(self, number: int) -> None:
        (self._path / f"{number:06}.png").write_bytes(png(ramp(low=20_000 + number % 100)))


class OfThermalDevice:
    ends = LOST

    def __init__(self, _: Path) -> None:
        self._kernel = FakeKernel()
        self._showing = _Showing(self._show)
        self.source = ThermalDevice(
            NAME,
            device=V4l2Y16("/dev/video9", kernel=self._kernel),
            site=SITE,
            open_s=2.0,
            silence_s=SILENCE_S,
            clock=CLOCK,
            books=books(),
        )

    def start(self, rooms: ExitStack) -> None:
        self._showing.start(rooms)

    def fall_silent(self) -> None:
        self._showing.stop()

    def go_away(self) -> None:
        self._kernel.is_gone = True

    def _show(self, number: int) -> None:
        self._kernel.pictures.append((ramp(), number, CLOCK.monotonic_ns()))


THERMAL = [OfThermalRecording, OfThermalFolder, OfThermalDevice]
