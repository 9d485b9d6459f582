"""Recordings at their own pace, folders whose files are still being written, devices that misbehave."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame, Thermogram
from edge.domain.thermal import LinearScale
from edge.kit.clock import SystemClock
from edge.preprocess.thermal_site import SiteCalibration
from edge.sources import thermal_v4l2 as v4l2
from edge.sources.live_books import LiveBooks
from edge.sources.thermal import ThermalRecording, thermograms
from edge.sources.thermal_device import ThermalDevice
from edge.sources.thermal_folder import ThermalFolder
from tests.builders.thermal import Counts, flir_file, jpeg_ls, png, ptw, ramp, tiff
from tests.fakes.clock import FakeClock
from tests.fakes.v4l2 import FakeKernel

NO_SITE = SiteCalibration()
LINEAR = SiteCalibration(scale=LinearScale(kelvin_per_count=0.015))


class WaitingClock(FakeClock):
    """A clock that a wait moves, so that no test waits."""

    def wait(self, timeout_s: float) -> bool:
        self.advance(timeout_s)
        return False


def recording(
    path: Path, clock: FakeClock, *, site: SiteCalibration = NO_SITE, **more: object
) -> ThermalRecording:
    source = ThermalRecording(
        "thermal",
        path=path,
        site=site,
        clock=clock,
        books=LiveBooks("thermal", clock=clock),
        **more,  # type: ignore[arg-type]  # what one test says otherwise
    )
    source._stopping.wait = clock.wait  # type: ignore[attr-defined, method-assign]  # waiting moves the clock
    return source


def first_count(frame: Frame) -> float:
    assert isinstance(frame.content, Thermogram)
    return float(frame.content.celsius[0, 0])


# ── recordings ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sequence_plays_at_the_pace_it_was_recorded_with(tmp_path: Path) -> None:
    path = tmp_path / "recording.seq"
    path.write_bytes(b"".join(flir_file(ramp(), time_ms=at_ms) for at_ms in (0, 40, 100, 300)))
    clock = WaitingClock()
    with recording(path, clock).frames() as frames:
        due_ms = [frame.captured_at_ns / 1e6 for frame in frames]
    assert due_ms == pytest.approx([0.0, 40.0, 100.0, 300.0], abs=0.01)


def test_a_long_pause_of_a_recording_is_shortened_and_one_back_in_time_is_a_period(tmp_path: Path) -> None:
    path = tmp_path / "recording.seq"
    times_s = (1000, 4000, 3000, 3000)
    path.write_bytes(b"".join(flir_file(ramp(), time_s=at_s) for at_s in times_s))
    clock = WaitingClock()
    with recording(path, clock, gap_max_s=0.5, frames_per_s=10.0).frames() as frames:
        due_ms = [frame.captured_at_ns / 1e6 for frame in frames]
    assert due_ms == pytest.approx([0.0, 500.0, 600.0, 700.0], abs=0.01)


def test_a_folder_of_pictures_plays_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number, low in enumerate((20_000, 20_200, 20_100)):
        (tmp_path / f"{number}.tiff").write_bytes(tiff([ramp(low=low)]))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "1b.png").write_bytes(png(ramp())[:-3])
    clock = WaitingClock()
    source = recording(tmp_path, clock, site=LINEAR, frames_per_s=4.0)
    with source.frames() as frames:
        taken = list(frames)
    assert [frame.sequence for frame in taken] == [1, 2, 4]
    assert [first_count(frame) for frame in taken] == pytest.approx([26.85, 29.85, 28.35], abs=1e-3)
    assert [frame.captured_at_ns / 1e6 for frame in taken] == pytest.approx([0.0, 250.0, 500.0], abs=0.01)
    assert source.books.health().set_aside == 1
    assert "1b.png" in source.books.note()


def test_a_loop_goes_on_with_its_numbers_and_its_pace(tmp_path: Path) -> None:
    path = tmp_path / "recording.csq"
    path.write_bytes(b"".join(flir_file(ramp(), packed=jpeg_ls(ramp()), time_ms=at_ms) for at_ms in (0, 100)))
    clock = WaitingClock()
    with recording(path, clock, loop=True, frames_per_s=10.0).frames() as frames:
        taken = [next(frames) for _ in range(5)]
    assert [frame.sequence for frame in taken] == [1, 2, 3, 4, 5]
    due_ms = [frame.captured_at_ns / 1e6 for frame in taken]
    assert due_ms == pytest.approx([0.0, 100.0, 200.0, 300.0, 400.0], abs=0.01)


def test_damage_in_a_recording_is_said_after_what_was_whole(tmp_path: Path) -> None:
    path = tmp_path / "recording.seq"
    path.write_bytes(flir_file(ramp()) + flir_file(ramp())[:-100])
    with recording(path, WaitingClock()).frames() as frames:
        assert next(frames).sequence == 1
        with pytest.raises(SourceLostError, match=r"recording\.seq: a FLIR pixel record of 16 × 12 pixels"):
            next(frames)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"recording\.seq: begins with b''"),
        (ptw([ramp()], times_s=[0.0]), r"recording\.seq: counts of Jade without a calibration; wanted"),
    ],
)
def test_a_recording_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "recording.seq"
    path.write_bytes(content)
    with pytest.raises(SourceLostError, match=said), recording(path, WaitingClock()).frames() as frames:
        next(frames)


def test_an_empty_folder_is_no_recording(tmp_path: Path) -> None:
    source = recording(tmp_path, WaitingClock())
    with pytest.raises(SourceLostError, match=r"no file called \.csq, \.fcf, \.fff"), source.frames():
        pass


def test_the_site_goes_before_the_file_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recording.seq"
    path.write_bytes(flir_file(ramp()))
    [(_, factory)] = thermograms(path, NO_SITE)
    [(_, site)] = thermograms(path, SiteCalibration(emissivity=0.9))
    assert (factory.calibration.state, site.calibration.state) == ("factory", "site")
    assert float(site.celsius[-1, -1]) > float(factory.celsius[-1, -1]) + 0.5


@pytest.mark.corpus
def test_a_real_sequence_plays_at_its_pace(corpus: Path) -> None:
    clock = WaitingClock()
    path = corpus / "thermimage-flir" / "inst" / "extdata" / "SampleCSQ.csq"
    with recording(path, clock).frames() as frames:
        taken = list(frames)
    assert len(taken) == 8
    steps_ms = np.diff([frame.captured_at_ns / 1e6 for frame in taken])
    assert steps_ms == pytest.approx(1000 / 30, abs=1.1)


# ── folders ─────────────────────────────────────────────────────────────────────────────────────────────────


def folder(path: Path, clock: FakeClock, **more: object) -> ThermalFolder:
    source = ThermalFolder(
        "thermal",
        path=path,
        site=LINEAR,
        settle_s=0.2,
        silence_s=2.0,
        clock=clock,
        books=LiveBooks("thermal", clock=clock),
        **more,  # type: ignore[arg-type]  # what one test says otherwise
    )
    source._stopping.wait = clock.wait  # type: ignore[attr-defined, method-assign]  # waiting moves the clock
    return source


def put(path: Path, content: bytes, *, changed_ns: int) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(0, changed_ns))


def test_the_newest_file_wins_and_the_others_are_counted(tmp_path: Path) -> None:
    source = folder(tmp_path, WaitingClock())
    with source.frames() as frames:
        for number in range(4):
            put(tmp_path / f"{number}.png", png(ramp(low=20_000 + 100 * number)), changed_ns=10**9 + number)
        frame = next(frames)
        assert first_count(frame) == pytest.approx(31.35, abs=1e-3)
        assert frame.sequence == 4
        assert source.books.losses() == {"a newer file came": 3}
        put(tmp_path / "4.png", png(ramp(low=20_000)), changed_ns=10**9 + 9)
        assert next(frames).sequence == 5


def test_what_lay_there_before_is_not_live(tmp_path: Path) -> None:
    put(tmp_path / "old.png", png(ramp()), changed_ns=10**9)
    source = folder(tmp_path, WaitingClock())
    with (
        source.frames() as frames,
        pytest.raises(SourceLostError, match="no new thermogram for 2 s"),
    ):
        next(frames)


@pytest.mark.parametrize(
    "whole", [flir_file(ramp()), tiff([ramp()]), png(ramp())], ids=["FFF", "TIFF", "PNG"]
)
def test_a_file_is_taken_once_it_is_whole(tmp_path: Path, whole: bytes) -> None:
    clock = WaitingClock()
    source = folder(tmp_path, clock)
    path = tmp_path / "growing.fff"
    with source.frames():
        for part in (1, len(whole) // 2, len(whole) - 1):
            put(path, whole[:part], changed_ns=10**9 + part)
            assert source._look() is None
            clock.advance(0.15)
        put(path, whole, changed_ns=2 * 10**9)
        frame = source._look()
        assert frame is not None
        assert source._look() is None
    assert source.books.health().set_aside == 0


def test_a_file_that_stays_half_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    clock = WaitingClock()
    source = folder(tmp_path, clock)
    with source.frames():
        put(tmp_path / "half.tif", tiff([ramp()])[:100], changed_ns=10**9)
        assert source._look() is None
        clock.advance(0.25)
        assert source._look() is None
    assert source.books.health().set_aside == 1
    assert "half.tif: " in source.books.note()


def test_a_sequence_in_a_folder_is_set_aside_for_it_is_no_moment(tmp_path: Path) -> None:
    clock = WaitingClock()
    source = folder(tmp_path, clock)
    with source.frames():
        put(tmp_path / "film.seq", flir_file(ramp()) * 2, changed_ns=10**9)
        assert source._look() is None
        clock.advance(0.25)
        assert source._look() is None
    assert "a sequence, wanted one picture" in source.books.note()


def test_what_was_taken_is_removed_where_the_site_says_so(tmp_path: Path) -> None:
    source = folder(tmp_path, WaitingClock(), after="remove")
    with source.frames():
        put(tmp_path / "0.png", png(ramp()), changed_ns=10**9)
        put(tmp_path / "1.png", png(ramp()), changed_ns=10**9 + 1)
        assert source._look() is not None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_written_anew_is_a_new_frame(tmp_path: Path) -> None:
    source = folder(tmp_path, WaitingClock())
    with source.frames():
        for number in range(3):
            put(tmp_path / "latest.png", png(ramp(low=20_000 + number)), changed_ns=10**9 + number)
            frame = source._look()
            assert frame is not None
            assert frame.sequence == number + 1


def test_a_folder_that_goes_away_is_said(tmp_path: Path) -> None:
    path = tmp_path / "pictures"
    path.mkdir()
    source = folder(path, WaitingClock())
    with source.frames() as frames:
        path.rmdir()
        with pytest.raises(SourceLostError, match="cannot be read: No such file"):
            next(frames)


# ── devices ─────────────────────────────────────────────────────────────────────────────────────────────────


def device(kernel: FakeKernel, **more: object) -> ThermalDevice:
    clock = SystemClock()
    return ThermalDevice(
        "thermal",
        device=v4l2.V4l2Y16("/dev/video9", kernel=kernel),
        clock=clock,
        books=LiveBooks("thermal", clock=clock),
        **{"site": LINEAR, "open_s": 0.2, "silence_s": 0.2, **more},  # type: ignore[arg-type]  # defaults of a test
    )


def now_ns() -> int:
    return SystemClock().monotonic_ns()


def test_numbers_and_layouts_are_those_of_the_kernel() -> None:
    """As a C program printed them: gcc 12, linux/videodev2.h of Debian 12, x86-64."""
    assert (v4l2.QUERYCAP, v4l2.G_FMT, v4l2.S_FMT) == (0x80685600, 0xC0D05604, 0xC0D05605)
    assert (v4l2.REQBUFS, v4l2.QUERYBUF, v4l2.QBUF) == (0xC0145608, 0xC0585609, 0xC058560F)
    assert (v4l2.DQBUF, v4l2.STREAMON, v4l2.STREAMOFF) == (0xC0585611, 0x40045612, 0x40045613)
    assert v4l2.Y16.to_bytes(4, "little") == b"Y16 "
    sizes = {request >> 16 & 0x3FFF for request in (v4l2.QUERYCAP, v4l2.S_FMT, v4l2.REQBUFS, v4l2.QBUF)}
    assert sizes == {104, 208, 20, 88}


@pytest.mark.parametrize("pixels", [v4l2.Y16, v4l2.Y16_BE])
@pytest.mark.parametrize("padding_bytes", [0, 32])
def test_counts_come_as_they_were_sent(pixels: int, padding_bytes: int) -> None:
    kernel = FakeKernel(pixels=pixels, row_padding_bytes=padding_bytes)
    captured_ns = now_ns() // 1000 * 1000
    kernel.pictures.append((ramp(low=20_000), 5, captured_ns))
    with device(kernel).frames() as frames:
        frame = next(frames)
    assert isinstance(frame.content, Thermogram)
    wanted = ramp(low=20_000).astype(float) * 0.015 - 273.15
    assert frame.content.celsius == pytest.approx(wanted, abs=2e-3)
    assert (frame.captured_at_ns, frame.timed_by) == (captured_ns, "stream")


def test_a_driver_with_another_clock_is_timed_by_arrival() -> None:
    kernel = FakeKernel(clock_flags=0)
    kernel.pictures.append((ramp(), 0, 12345))
    with device(kernel).frames() as frames:
        frame = next(frames)
    assert frame.timed_by == "arrival"
    assert 0 <= now_ns() - frame.captured_at_ns < 10**9


def test_all_that_is_opened_is_given_back() -> None:
    kernel = FakeKernel()
    kernel.pictures.append((ramp(), 0, now_ns()))
    with device(kernel).frames() as frames:
        next(frames)
        assert (kernel.open_devices, kernel.mapped) == (1, v4l2.BUFFERS)
    assert (kernel.open_devices, kernel.mapped) == (0, 0)
    assert kernel.calls[-1] == v4l2.STREAMOFF


def test_what_the_driver_dropped_and_what_waits_too_long_is_counted() -> None:
    kernel = FakeKernel()
    kernel.pictures.append((ramp(), 10, now_ns()))
    source = device(kernel)
    with source.frames() as frames:
        assert next(frames).sequence == 1
        kernel.pictures += [(ramp(), number, now_ns()) for number in (13, 14, 15)]
        frame = next(frames)
    assert frame.sequence == 6
    assert source.books.losses() == {"the driver dropped it": 2, "we are behind": 2}


def test_a_damaged_picture_is_set_aside_and_the_next_one_taken() -> None:
    kernel = FakeKernel(damaged={0})
    kernel.pictures.append((ramp(), 0, now_ns()))
    source = device(kernel, silence_s=5.0, open_s=5.0)
    stream = source._device.opened()
    with stream as opened:
        damaged = opened.read(timeout_s=0.0)
    assert damaged is not None
    assert damaged.is_damaged
    assert source._frame(damaged) is None
    assert source.books.health().set_aside == 1


def test_telemetry_is_no_picture() -> None:
    kernel = FakeKernel()
    kernel.pictures.append((ramp(), 0, now_ns()))
    with device(kernel, telemetry_rows=2).frames() as frames:
        content = next(frames).content
    assert isinstance(content, Thermogram)
    assert content.shape_px == (10, 16)


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (FakeKernel(trouble_opening=errno.ENOENT), "/dev/video9: cannot be opened: No such file"),
        (FakeKernel(trouble_opening=errno.EBUSY), "/dev/video9: cannot be opened: Device or resource busy"),
        (FakeKernel(capabilities=0x1), "/dev/video9: can 0x1, wanted a device that captures and streams"),
        (FakeKernel(pixels=0x56595559), "/dev/video9: gives 'YUYV', wanted 'Y16 '"),
        (FakeKernel(width=0), "/dev/video9: 0 × 12 pixels"),
        (FakeKernel(is_gone=True), "/dev/video9: cannot be opened: No such device"),
    ],
)
def test_a_device_that_cannot_be_used_says_why(kernel: FakeKernel, said: str) -> None:
    with pytest.raises(SourceLostError, match=said), device(kernel).frames():
        pass
    assert (kernel.open_devices, kernel.mapped) == (0, 0)


def test_a_device_that_is_unplugged_is_lost() -> None:
    kernel = FakeKernel()
    kernel.pictures.append((ramp(), 0, now_ns()))
    with device(kernel).frames() as frames:
        next(frames)
        kernel.is_gone = True
        with pytest.raises(SourceLostError, match="/dev/video9: is gone: No such device"):
            next(frames)


def test_a_device_needs_a_scale_for_it_says_none() -> None:
    with (
        pytest.raises(SourceLostError, match="a device says no scale"),
        device(FakeKernel(), site=NO_SITE).frames(),
    ):
        pass


def test_what_is_no_device_is_refused_by_the_real_kernel(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.write_bytes(b"not a device")
    with (
        pytest.raises(SourceLostError, match="cannot be opened: Inappropriate ioctl for device"),
        v4l2.V4l2Y16(str(path)).opened(),
    ):
        pass


def test_counts_of_any_size_fit() -> None:
    large: Counts = ramp(480, 640)
    kernel = FakeKernel(width=640, height=480)
    kernel.pictures.append((large, 0, now_ns()))
    with device(kernel).frames() as frames:
        content = next(frames).content
    assert isinstance(content, Thermogram)
    assert content.shape_px == (480, 640)
