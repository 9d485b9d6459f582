"""The simulated camera against receivers that are not ours: FFmpeg through PyAV and through OpenCV."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.simulate.encoding import Codec, VideoForm
from edge.simulate.faults import FaultName, fault
from edge.simulate.footage import LiveFootage, Recording, drawn
from edge.simulate.rtsp import RtspServer
from edge.simulate.rtsp_words import Scheme
from edge.simulate.stream import Stream
from edge.simulate.time_code import TimeCode, read_time_code
from tests.ports import free_port
from tests.waiting import until

FORM = VideoForm(height_px=240, width_px=320, fps=50, key_interval_s=0.1, bit_rate_kbps=900)
FRAMES = 30


def live(codec: Codec = "h264") -> Stream:
    return Stream(LiveFootage("bars", replace(FORM, codec=codec)))


def loop(codec: Codec = "h264") -> Stream:
    form = replace(FORM, codec=codec)
    return Stream(Recording.of(drawn("bars", form, frames=FRAMES), form))


def pictures(url: str, *, transport: str = "tcp", timeout_s: float = 10) -> Iterator[NDArray[np.uint8]]:
    """The luma of what PyAV reads from a camera, picture by picture."""
    options = {"rtsp_transport": transport, "fflags": "nobuffer", "probesize": "32", "analyzeduration": "0"}
    with av.open(url, options=options, timeout=timeout_s) as camera:
        for frame in camera.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8)


def codes(url: str, count: int, *, transport: str = "tcp") -> list[TimeCode]:
    """So many time codes; a picture without one fails the test."""
    read = [read_time_code(luma) for luma in itertools.islice(pictures(url, transport=transport), count)]
    assert None not in read
    return [code for code in read if code is not None]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
@pytest.mark.parametrize("camera", [live, loop])
def test_pyav_sees_every_frame_in_its_order(
    camera: Callable[[Codec], Stream], codec: Codec, transport: str
) -> None:
    with RtspServer(streams={"/or": camera(codec)}) as server:
        numbers = [code.frame_number for code in codes(server.url("/or"), FRAMES + 5, transport=transport)]
    assert {(after - before) % FRAMES for before, after in itertools.pairwise(numbers)} == {1}


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
def test_opencv_reads_it(monkeypatch: pytest.MonkeyPatch, codec: Codec, transport: str) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"rtsp_transport;{transport}")
    with RtspServer(streams={"/or": loop(codec)}) as server:
        camera = cv2.VideoCapture(server.url("/or"), cv2.CAP_FFMPEG)
        read = [camera.read() for _ in range(10)]
        camera.release()
    assert [is_there for is_there, _ in read] == [True] * 10
    luma = cv2.cvtColor(np.asarray(read[-1][1]), cv2.COLOR_BGR2GRAY)
    assert read_time_code(np.asarray(luma, dtype=np.uint8)) is not None


def test_the_time_in_the_picture_is_the_time_of_its_making() -> None:
    with RtspServer(streams={"/or": live()}) as server:
        for luma in itertools.islice(pictures(server.url("/or")), 12):
            code = read_time_code(luma)
            now_ms = time.monotonic_ns() / 1e6
    assert code is not None
    assert code.clock == "monotonic"
    assert 0 < now_ms - code.time_ms < 1000


def test_a_loop_says_when_each_frame_was_sent() -> None:
    stream = loop()
    with RtspServer(streams={"/or": stream}) as server:
        for code in codes(server.url("/or"), 12):
            sent_ns = stream.sent_at_ns(code.frame_number)
    assert sent_ns is not None
    assert 0 < time.monotonic_ns() - sent_ns < 1e9
    assert stream.sent_at_ns(FRAMES) is None


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_a_login_is_wanted_and_accepted(scheme: Scheme) -> None:
    with RtspServer(streams={"/or": loop()}, scheme=scheme, user="or", password="b: /?@") as server:
        assert len(codes(server.url("/or"), 3)) == 3
        with pytest.raises(av.HTTPUnauthorizedError):
            next(pictures(f"rtsp://or:wrong@127.0.0.1:{server.port}/or"))


def test_a_camera_that_is_not_there_is_not_found() -> None:
    with RtspServer(streams={"/or": loop()}) as server, pytest.raises(av.HTTPNotFoundError):
        next(pictures(server.url("/elsewhere")))


def test_several_receivers_see_the_same() -> None:
    stream = loop()
    with RtspServer(streams={"/or": stream}) as server:
        receivers = [pictures(server.url("/or"), transport=how) for how in ("tcp", "udp", "tcp")]
        for receiver in receivers:
            assert read_time_code(next(receiver)) is not None
        assert stream.subscribers == 3
        for receiver in receivers:
            receiver.close()  # type: ignore[attr-defined]  # a generator closes
        until(lambda: stream.subscribers == 0, within_s=5)


def test_a_camera_that_was_killed_comes_back_at_the_same_address() -> None:
    port = free_port()
    for _ in range(2):
        with RtspServer(streams={"/or": loop()}, port=port) as server:
            assert len(codes(server.url("/or"), 2)) == 2


def test_no_thread_and_no_receiver_outlives_the_server() -> None:
    before = set(threading.enumerate())
    stream = live()
    with RtspServer(streams={"/or": stream}) as server:
        receiver = pictures(server.url("/or"))
        next(receiver)
    assert set(threading.enumerate()) - before == set()
    assert stream.subscribers == 0
    with pytest.raises(StopIteration):
        [next(receiver) for _ in range(100)]


STILLS = ("frozen", "black", "blinded")


@pytest.mark.parametrize("name", STILLS)
@pytest.mark.parametrize("camera", [live, loop])
def test_a_picture_that_stands_still_differs_from_one_that_moves(
    camera: Callable[[], Stream], name: FaultName
) -> None:
    with RtspServer(streams={"/or": camera()}) as server:
        receiver = pictures(server.url("/or"))
        next(receiver)
        with fault(name, server, "/or"):
            failing = [luma.astype(int) for luma in itertools.islice(receiver, 30)][-5:]
        assert max(np.abs(after - before).mean() for before, after in itertools.pairwise(failing)) < 1
        well = list(itertools.islice(receiver, 30))[-2:]
        assert [code for luma in well if (code := read_time_code(luma))][1:] != []
        assert np.any(well[0] != well[1])


@pytest.mark.parametrize(("name", "darkest", "brightest"), [("black", 0, 5), ("blinded", 250, 255)])
def test_black_is_black_and_blinded_is_white(name: FaultName, darkest: int, brightest: int) -> None:
    with RtspServer(streams={"/or": loop()}) as server, fault(name, server, "/or"):
        receiver = pictures(server.url("/or"))
        assert darkest <= next(receiver).mean() <= brightest


def test_a_blurred_picture_has_no_edges() -> None:
    with RtspServer(streams={"/or": live()}) as server:
        receiver = pictures(server.url("/or"))
        sharp = edges(next(receiver))
        with fault("blurred", server, "/or"):
            blurred = [edges(luma) for luma in itertools.islice(receiver, 20)][-1]
    assert blurred < sharp / 3


def edges(luma: NDArray[np.uint8]) -> float:
    """How sharp the sharpest edge below the time code is."""
    return float(np.abs(cv2.Laplacian(luma[40:], cv2.CV_32F)).max())


def test_the_size_changes_in_the_middle_of_a_stream() -> None:
    with RtspServer(streams={"/or": live()}) as server:
        receiver = pictures(server.url("/or"))
        assert next(receiver).shape == (240, 320)
        with fault("resized", server, "/or"):
            assert [luma.shape for luma in itertools.islice(receiver, 20)][-1] == (180, 256)


@pytest.mark.parametrize("name", ["silent", "deaf", "hung"])
def test_a_camera_that_accepts_and_never_sends(name: FaultName) -> None:
    with (
        RtspServer(streams={"/or": loop()}) as server,
        fault(name, server, "/or"),
        pytest.raises((av.FFmpegError, StopIteration)),
    ):
        next(pictures(server.url("/or"), timeout_s=0.5))


def test_cut_connections_end_and_new_ones_are_welcome() -> None:
    with RtspServer(streams={"/or": loop()}) as server:
        receiver = pictures(server.url("/or"))
        next(receiver)
        with fault("cut", server, "/or"), pytest.raises((StopIteration, av.FFmpegError)):
            [next(receiver) for _ in range(100)]
        assert len(codes(server.url("/or"), 2)) == 2


def test_a_slow_camera_sends_two_frames_a_second() -> None:
    stream = loop("mjpeg")
    with RtspServer(streams={"/or": stream}) as server, fault("slow", server, "/or"):
        began_s = time.monotonic()
        assert len(codes(server.url("/or"), 3)) == 3
        assert time.monotonic() - began_s > 0.9
