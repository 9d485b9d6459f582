"""What every source of pictures promises: cameras, recordings, folders of frames, and the fake.

A new source is done when a far side for it is listed in `FAR_SIDES` and everything here passes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice, pairwise
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pytest

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame, Thermogram
from edge.domain.ports import FrameSource
from edge.kit.clock import SystemClock
from edge.simulate.encoding import VideoForm
from edge.simulate.footage import Recording, drawn
from edge.simulate.rtsp import RtspServer
from edge.simulate.stream import Stream
from edge.sources.camera_device import DeviceCamera
from edge.sources.camera_file import VideoFile
from edge.sources.camera_folder import FrameFolder
from edge.sources.camera_rtsp import RtspCamera
from edge.sources.camera_stream import StreamCamera
from edge.sources.live_books import LiveBooks
from tests.builders.thermal_far_sides import THERMAL
from tests.builders.videos import HttpCamera, write_video
from tests.fakes.frame_source import FakeFrameSource
from tests.fakes.video_device import FakeVideoDevice

NAME = "theatre 1"
CLOCK = SystemClock()
SILENCE_S = 0.4
LOST, OVER = "lost", "over"


class FarSide(Protocol):
    """Whatever a source takes its frames from, and the source.

    Attributes:
        source: Named `NAME`; falls silent after `SILENCE_S`.
        ends: What becomes of it when nothing comes any more: `LOST` or `OVER`.
        is_away: What makes it impossible to open; called before `frames`.
    """

    source: FrameSource
    ends: str

    def start(self, rooms: ExitStack) -> None:
        """Begin to give frames, at least 10 and 10 a second, until the rooms close."""

    def fall_silent(self) -> None:
        """Give nothing any more, but do not say so; a recording ends by itself."""

    def go_away(self) -> None:
        """Be not there: it cannot be opened."""


class OfFake:
    ends = LOST

    def __init__(self, _: Path) -> None:
        self.source = self._fake = FakeFrameSource(NAME, clock=CLOCK, silence_s=SILENCE_S)
        self._stopping = threading.Event()

    def start(self, rooms: ExitStack) -> None:
        showing = threading.Thread(target=self._show, daemon=True)
        showing.start()
        rooms.callback(showing.join)
        rooms.callback(self._stopping.set)

    def fall_silent(self) -> None:
        self._stopping.set()

    def go_away(self) -> None:
        self._fake.refusals = [SourceLostError("not there")]

    def _show(self) -> None:
        while not self._stopping.wait(0.01):
            self._fake.show()


class OfRtsp:
    ends = LOST

    def __init__(self, _: Path) -> None:
        form = VideoForm(height_px=144, width_px=256, key_interval_s=0.2)
        self._stream = Stream(Recording.of(drawn("bars", form, frames=50), form))
        self._server = RtspServer(streams={"/camera": self._stream})
        self._rooms = ExitStack()
        self._rooms.enter_context(self._server)
        self.source = RtspCamera(
            NAME,
            url=self._server.url("/camera"),
            open_s=2.0,
            silence_s=SILENCE_S,
            clock=CLOCK,
            books=LiveBooks(NAME, clock=CLOCK),
        )

    def start(self, rooms: ExitStack) -> None:
        rooms.callback(self._rooms.close)

    def fall_silent(self) -> None:
        self._stream.faults.is_silent = True

    def go_away(self) -> None:
        self._rooms.close()


class OfHttp:
    ends = LOST

    def __init__(self, _: Path) -> None:
        self._camera = HttpCamera()
        self._rooms = ExitStack()
        self._rooms.enter_context(self._camera.running())
        self.source = StreamCamera(
            NAME,
            url=self._camera.url,
            open_s=5.0,
            silence_s=SILENCE_S,
            clock=CLOCK,
            books=LiveBooks(NAME, clock=CLOCK),
        )

    def start(self, rooms: ExitStack) -> None:
        rooms.callback(self._rooms.close)

    def fall_silent(self) -> None:
        self._camera.is_silent = True

    def go_away(self) -> None:
        self._rooms.close()


class OfFile:
    ends = OVER

    def __init__(self, folder: Path) -> None:
        self._path = folder / "recording.mp4"
        write_video(self._path, frames=15, kind="mp4")
        self.source = VideoFile(NAME, path=self._path, clock=CLOCK, books=LiveBooks(NAME, clock=CLOCK))

    def start(self, rooms: ExitStack) -> None:
        """It is there."""

    def fall_silent(self) -> None:
        """It ends."""

    def go_away(self) -> None:
        self._path.unlink()


class OfFolder:
    ends = LOST

    def __init__(self, folder: Path) -> None:
        self._path = folder / "frames"
        self._path.mkdir()
        self._stopping = threading.Event()
        self._number = 0
        self.source = FrameFolder(
            NAME, path=self._path, silence_s=SILENCE_S, clock=CLOCK, books=LiveBooks(NAME, clock=CLOCK)
        )

    def start(self, rooms: ExitStack) -> None:
        writing = threading.Thread(target=self._write, daemon=True)
        writing.start()
        rooms.callback(writing.join)
        rooms.callback(self._stopping.set)

    def fall_silent(self) -> None:
        self._stopping.set()

    def go_away(self) -> None:
        self._path.rmdir()

    def _write(self) -> None:
        while not self._stopping.wait(0.02):
            self._number += 1
            picture = np.full((48, 64, 3), self._number % 250, np.uint8)
            cv2.imwrite(str(self._path / f"{self._number:06}.png"), picture)


class OfDevice:
    ends = LOST

    def __init__(self, _: Path) -> None:
        self._device = FakeVideoDevice()
        self.source = DeviceCamera(
            NAME,
            device="/dev/video0",
            open_s=2.0,
            silence_s=SILENCE_S,
            clock=CLOCK,
            books=LiveBooks(NAME, clock=CLOCK),
            opens=self._device.opens,
        )

    def start(self, rooms: ExitStack) -> None:
        rooms.callback(self._device.wake)

    def fall_silent(self) -> None:
        self._device.hangs = True

    def go_away(self) -> None:
        self._device.is_there = False


CAMERAS = [OfFake, OfRtsp, OfHttp, OfFile, OfFolder, OfDevice]
FAR_SIDES = [*CAMERAS, *THERMAL]


@pytest.fixture
def rooms() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=FAR_SIDES)
def far_side(request: pytest.FixtureRequest, tmp_path: Path, rooms: ExitStack) -> FarSide:
    made: FarSide = request.param(tmp_path)
    made.start(rooms)
    return made


def first(source: FrameSource, count: int) -> list[Frame]:
    with source.frames() as frames:
        return list(islice(frames, count))


def test_frames_come_with_their_source_their_number_and_their_time(far_side: FarSide) -> None:
    began_ns = time.monotonic_ns()
    frames = first(far_side.source, 8)
    assert {frame.source for frame in frames} == {NAME}
    assert all(earlier.sequence < later.sequence for earlier, later in pairwise(frames))
    assert all(earlier.captured_at_ns <= later.captured_at_ns for earlier, later in pairwise(frames))
    assert began_ns - 1e9 <= frames[0].captured_at_ns
    assert frames[-1].captured_at_ns <= time.monotonic_ns()
    assert {frame.timed_by for frame in frames} <= {"stream", "arrival"}


@pytest.mark.parametrize("far_side", CAMERAS, indirect=True)
def test_a_picture_can_be_looked_at_again_whatever_was_done_to_the_first_look(
    far_side: FarSide,
) -> None:
    [frame] = first(far_side.source, 1)
    picture = frame.content
    assert not isinstance(picture, Thermogram)
    height_px, width_px = picture.shape_px
    rgb = picture.rgb()
    assert (rgb.shape, rgb.dtype.name) == ((height_px, width_px, 3), "uint8")
    planes = picture.planes(height_px=24, width_px=40)
    assert (planes.shape, planes.dtype.name) == ((3, 24, 40), "uint8")
    luma = picture.luma(height_px=12, width_px=20)
    assert (luma.shape, luma.dtype.name) == ((12, 20), "uint8")
    kept = planes.copy()
    planes[:] = 0
    assert np.array_equal(picture.planes(height_px=24, width_px=40), kept)


@pytest.mark.parametrize("far_side", THERMAL, indirect=True)
def test_a_thermogram_comes_with_what_its_degrees_rest_on(far_side: FarSide) -> None:
    [frame] = first(far_side.source, 1)
    thermogram = frame.content
    assert isinstance(thermogram, Thermogram)
    assert thermogram.shape_px == (12, 16)
    assert not thermogram.celsius.flags.writeable
    assert thermogram.calibration.emissivity == 0.98
    assert thermogram.calibration.uncertainty_celsius > 0


def test_a_far_side_that_gives_nothing_any_more_ends_the_source_in_time(far_side: FarSide) -> None:
    with far_side.source.frames() as frames:
        next(frames)
        far_side.fall_silent()
        assert ending(frames) == far_side.ends


def ending(frames: Iterator[Frame]) -> str:
    """Take what still comes; return how it ended, within its time."""
    last = time.monotonic()
    try:
        for _ in frames:
            last = time.monotonic()
        ended = OVER
    except SourceLostError:
        ended = LOST
    assert time.monotonic() - last < SILENCE_S + 1.0
    return ended


def test_a_far_side_that_is_not_there_is_said_in_time(far_side: FarSide, rooms: ExitStack) -> None:
    far_side.fall_silent()
    rooms.close()
    far_side.go_away()
    began = time.monotonic()
    with pytest.raises(SourceLostError, match=r"\w"):
        first(far_side.source, 1)
    assert time.monotonic() - began < 5.0


def test_a_source_can_be_opened_again_and_goes_on_counting(far_side: FarSide) -> None:
    before = first(far_side.source, 3)
    after = first(far_side.source, 3)
    assert after[0].sequence > before[-1].sequence
    assert after[0].captured_at_ns > before[0].captured_at_ns
