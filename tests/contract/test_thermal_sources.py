"""What every thermal source promises: a recording, a folder, and a device behind a fake kernel."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame, Thermogram
from edge.domain.ports import FrameSource
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

SITE = SiteCalibration(scale=LinearScale(kelvin_per_count=0.015), emissivity=0.98)
CLOCK = SystemClock()


class Source(FrameSource, Protocol):
    """A FrameSource as the daemon sees it."""

    name: str
    books: LiveBooks

    def interrupt(self) -> None:
        """End every wait."""


class Camera(Protocol):
    """Whoever is on the far side of a source."""

    source: Source
    is_endless: bool

    def show(self, picture: int) -> None:
        """Let the source see one more picture: its first count is 20000 + `picture`."""

    def vanish(self) -> None:
        """Be gone."""


def counts(picture: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    return ramp(low=20_000 + picture, high=21_000)


class FromRecording:
    is_endless = False

    def __init__(self, folder: Path, *, silence_s: float) -> None:
        self._path = folder / "recording.seq"
        self._path.write_bytes(b"")
        self.source: Source = ThermalRecording(
            "thermal", path=self._path, site=SITE, clock=CLOCK, books=LiveBooks("thermal", clock=CLOCK)
        )

    def show(self, picture: int) -> None:
        with self._path.open("ab") as file:
            file.write(flir_file(counts(picture), time_ms=picture * 20))

    def vanish(self) -> None:
        self._path.unlink()


class FromFolder:
    is_endless = True

    def __init__(self, folder: Path, *, silence_s: float) -> None:
        self._path = folder / "pictures"
        self._path.mkdir()
        self.source: Source = ThermalFolder(
            "thermal",
            path=self._path,
            site=SITE,
            takes_present=True,
            settle_s=0.05,
            silence_s=silence_s,
            clock=CLOCK,
            books=LiveBooks("thermal", clock=CLOCK),
        )

    def show(self, picture: int) -> None:
        written = self._path / "picture.part"
        written.write_bytes(png(counts(picture)))
        os.utime(written, ns=(0, 1_000_000_000 + picture))
        written.rename(self._path / f"{picture:06d}.png")

    def vanish(self) -> None:
        for path in self._path.iterdir():
            path.unlink()
        self._path.rmdir()


class FromDevice:
    is_endless = True

    def __init__(self, folder: Path, *, silence_s: float) -> None:
        self._kernel = FakeKernel()
        self.source: Source = ThermalDevice(
            "thermal",
            device=V4l2Y16("/dev/video9", kernel=self._kernel),
            site=SITE,
            open_s=silence_s,
            silence_s=silence_s,
            clock=CLOCK,
            books=LiveBooks("thermal", clock=CLOCK),
        )

    def show(self, picture: int) -> None:
        self._kernel.pictures.append((counts(picture), picture, CLOCK.monotonic_ns()))

    def vanish(self) -> None:
        self._kernel.is_gone = True


MAKERS = [FromRecording, FromFolder, FromDevice]
Maker = Callable[..., Camera]


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Maker:
    maker: Maker = request.param
    return maker


def seen(frame: Frame) -> int:
    """Which picture it was, by its upper left corner."""
    assert isinstance(frame.content, Thermogram)
    bare = LinearScale(kelvin_per_count=0.015)
    assert frame.content.calibration.emissivity == SITE.emissivity
    return round(float(frame.content.celsius[0, 0] + 273.15) / bare.kelvin_per_count)


def test_a_picture_becomes_a_frame_with_name_number_time_and_degrees(make: Maker, tmp_path: Path) -> None:
    camera = make(tmp_path, silence_s=5.0)
    camera.show(0)
    with camera.source.frames() as frames:
        frame = next(frames)
    assert isinstance(frame.content, Thermogram)
    assert frame.source == camera.source.name == "thermal"
    assert frame.sequence == 1
    assert 0 <= CLOCK.monotonic_ns() - frame.captured_at_ns < 5_000_000_000
    assert frame.timed_by in ("stream", "arrival")
    assert frame.content.shape_px == (12, 16)
    assert not frame.content.celsius.flags.writeable
    assert frame.content.calibration.state == "assumed"  # a linear scale that nobody checked
    assert frame.content.calibration.uncertainty_celsius > 1.0


def test_frames_come_in_order_each_once_and_every_gap_is_a_counted_loss(make: Maker, tmp_path: Path) -> None:
    camera = make(tmp_path, silence_s=5.0)
    for picture in range(3):
        camera.show(picture)
    with camera.source.frames() as frames:
        taken = [next(frames)]
        while taken[-1].sequence < 3:
            taken.append(next(frames))
    assert [seen(frame) for frame in taken] == sorted({seen(frame) for frame in taken})
    lost = sum(camera.source.books.losses().values())
    assert taken[-1].sequence == len(taken) + lost == 3


def test_what_is_not_there_is_said_at_once(make: Maker, tmp_path: Path) -> None:
    camera = make(tmp_path, silence_s=5.0)
    camera.vanish()
    with pytest.raises(SourceLostError), camera.source.frames() as frames:
        next(frames)


def test_a_source_that_is_lost_can_be_opened_again(make: Maker, tmp_path: Path) -> None:
    camera = make(tmp_path, silence_s=5.0)
    camera.show(0)
    with camera.source.frames() as frames:
        first = next(frames)
    camera.show(1)
    with camera.source.frames() as frames:
        second = next(frames)
    assert second.sequence > first.sequence


def test_silence_is_said_within_its_time(make: Maker, tmp_path: Path) -> None:
    """A recording is over instead: nobody waits for more of it."""
    camera = make(tmp_path, silence_s=0.2)
    camera.show(0)
    begun = time.monotonic()
    with camera.source.frames() as frames:
        assert next(frames).sequence == 1
        said = until_it_ends(frames)
    assert time.monotonic() - begun < 3.0
    assert bool(said) == camera.is_endless


def until_it_ends(frames: Iterator[Frame]) -> str:
    """Return what a source says when nothing comes any more, or "" where it is over."""
    try:
        return str(next(frames, ""))
    except SourceLostError as trouble:
        return str(trouble)


def test_an_interrupt_ends_a_wait_from_another_thread(make: Maker, tmp_path: Path) -> None:
    camera = make(tmp_path, silence_s=30.0)
    camera.show(0)
    ended = threading.Event()
    begun = threading.Event()

    def read(frames: AbstractContextManager[Iterator[Frame]]) -> None:
        with frames as opened:
            next(opened)
            begun.set()
            until_it_ends(opened)
        ended.set()

    reader = threading.Thread(target=read, args=(camera.source.frames(),))
    reader.start()
    assert begun.wait(10)
    camera.source.interrupt()
    assert ended.wait(5)
    reader.join()
