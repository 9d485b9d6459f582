"""A camera that misbehaves, over a real line: the right state in time, and every frame accounted for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from edge.domain.errors import ConfigurationError, SourceLostError
from edge.domain.frame import Thermogram
from edge.kit.clock import SystemClock
from edge.preprocess.picture_quality import QualityLimits
from edge.simulate.encoding import VideoForm
from edge.simulate.footage import Recording, drawn, plain, still
from edge.simulate.rtsp import RtspServer
from edge.simulate.stream import Stream
from edge.sources.camera_stream import StreamCamera
from edge.sources.live_books import LiveBooks
from edge.sources.rtsp.setup import Transport
from tests.builders.videos import HttpCamera
from tests.peers.watched_camera import LATE_S, OPEN_S, SILENCE_S, WatchedCamera
from tests.ports import free_port
from tests.waiting import until

FORM = VideoForm(height_px=144, width_px=256, key_interval_s=0.2)
LARGER = VideoForm(height_px=240, width_px=320, key_interval_s=0.2)
CLOCK = SystemClock()


def recording(form: VideoForm = FORM) -> Recording:
    return Recording.of(drawn("bars", form, frames=25), form)


@pytest.fixture
def stream() -> Stream:
    return Stream(recording())


@contextmanager
def watched(stream: Stream, *, transport: Transport = "tcp") -> Iterator[WatchedCamera]:
    with (
        RtspServer(streams={"/or": stream}) as server,
        WatchedCamera(server.url("/or"), transport=transport) as camera,
    ):
        camera.frames_on(3)
        camera.until_it_says("online")
        yield camera


def test_a_stream_that_changes_its_size_goes_on_without_a_word(stream: Stream) -> None:
    with watched(stream) as camera:
        stream.show(recording(LARGER))
        until(lambda: camera.frame().content.shape_px == (240, 320), within_s=5)
    assert [state for state, _ in camera.said] == ["offline", "online"]


def test_a_stream_that_falls_silent_is_offline_in_time_and_back_when_it_speaks(stream: Stream) -> None:
    with watched(stream) as camera:
        stream.faults.is_silent = True
        camera.until_it_says("offline", "no picture for 0.4 s", within_s=SILENCE_S + LATE_S)
        stream.faults.is_silent = False
        camera.until_it_says("online")


@pytest.mark.parametrize("share", ["garbage_share", "noise_share"])
def test_garbage_is_never_shown_and_said_in_time(stream: Stream, share: str) -> None:
    with watched(stream) as camera:
        setattr(stream.faults, share, 1.0)
        camera.until_it_has_said("offline", "no picture for 0.4 s", within_s=SILENCE_S + LATE_S)
        setattr(stream.faults, share, 0.0)
        camera.until_it_says("online")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_missing_packets_cost_frames_that_are_counted_and_none_is_guessed(
    stream: Stream, transport: Transport
) -> None:
    with watched(stream, transport=transport) as camera:
        stream.faults.drop_share = 0.1
        until(lambda: camera.books.losses().get("packets missing", 0) > 2, within_s=10)
        stream.faults.drop_share = 0.0
        camera.until_it_says("online")
        camera.frames_on(3)
    assert set(camera.books.losses()) <= {"packets missing", "waits for a key frame", "the stream ended"}
    assert camera.books.health().set_aside == 0


def test_packets_that_overtake_each_other_cost_nothing(stream: Stream) -> None:
    with watched(stream, transport="udp") as camera:
        stream.faults.reorder_share = 0.3
        camera.frames_on(25)
    assert camera.books.losses() == {}


@pytest.mark.parametrize("jump_s", [-60.0, 60.0])
def test_a_senders_clock_that_jumps_is_said_and_costs_no_frame(stream: Stream, jump_s: float) -> None:
    with watched(stream) as camera:
        stream.faults.rtp_jump_s = jump_s
        until(lambda: "times are taken anew" in camera.books.note(), within_s=5)
        frame = camera.frames_on(4)[-1]
        assert 0 <= CLOCK.monotonic_ns() - frame.captured_at_ns < 1e9
    assert camera.books.losses() == {}
    assert [state for state, _ in camera.said] == ["offline", "online"]


def test_a_frame_rate_that_is_a_lie_is_said() -> None:
    stream = Stream(recording())
    stream.faults.fps = 5.0
    with (
        RtspServer(streams={"/or": stream}) as server,
        WatchedCamera(server.url("/or"), rate_is_judged=True) as camera,
    ):
        camera.until_it_says("degraded", "a second, not 25", within_s=15)


@pytest.mark.parametrize(("level", "why"), [(16, "black"), (235, "blinded")])
def test_a_picture_that_shows_nothing_is_said_and_not_handed_over(level: int, why: str) -> None:
    stream = Stream(still(plain(level, FORM), FORM))
    limits = QualityLimits(hold_s=0.0)
    with (
        RtspServer(streams={"/or": stream}) as server,
        WatchedCamera(server.url("/or"), limits=limits) as camera,
    ):
        camera.until_it_says("degraded", why)
        until(lambda: camera.books.losses().get(f"{why} picture", 0) > 3, within_s=5)


def test_a_picture_that_stands_still_is_said() -> None:
    stream = Stream(still(next(iter(drawn("theatre", FORM, frames=1))), FORM))
    limits = QualityLimits(frozen_s=1.0)
    with (
        RtspServer(streams={"/or": stream}) as server,
        WatchedCamera(server.url("/or"), limits=limits) as camera,
    ):
        camera.until_it_says("degraded", "frozen")


def test_a_camera_that_cuts_the_line_is_offline_and_called_again(stream: Stream) -> None:
    with RtspServer(streams={"/or": stream}) as server, WatchedCamera(server.url("/or")) as camera:
        camera.frames_on(2)
        server.close_connections()
        until(lambda: server.connections_accepted == 2, within_s=SILENCE_S + LATE_S)
        camera.until_it_says("online")
    assert [state for state, _ in camera.said] == ["offline", "online", "offline", "online"]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_server_that_forgets_the_silent_is_told_in_time_that_we_are_here(
    stream: Stream, transport: Transport
) -> None:
    with (
        RtspServer(streams={"/or": stream}, session_timeout_s=1.0) as server,
        WatchedCamera(server.url("/or"), transport=transport) as camera,
    ):
        camera.frames_on(60)  # 2.4 s
        assert server.connections_accepted == 1
    assert [state for state, _ in camera.said] == ["offline", "online"]


@contextmanager
def listening(*answers: bytes) -> Iterator[str]:
    """Answer the requests of every call with these, one after the other, and then never anything else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        stopping = threading.Event()
        calls: list[socket.socket] = []

        def accept() -> None:
            while not stopping.is_set():
                with suppress(OSError):
                    call, _ = listener.accept()
                    calls.append(call)
                    for answer in answers:
                        call.recv(4096)
                        call.sendall(answer)

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"rtsp://127.0.0.1:{listener.getsockname()[1]}/or"
        stopping.set()
        thread.join()
        for call in calls:
            call.close()


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (b"", "accepted the connection and did not answer OPTIONS"),
        (b"\x00\xff" * 500, "did not answer OPTIONS (1000 bytes that are not RTSP)"),
        (b"\x00\xff" * 50_000, "bytes that belong to no RTSP message"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "did not answer OPTIONS"),
        (b"RTSP/1.0 200 OK\r\n\r\nRTSP/1.0 200 OK\r\n\r\n", "did not answer"),
        (b"RTSP/1.0 OK\r\n\r\n", "wanted a status"),
    ],
)
def test_whoever_listens_and_is_no_camera_is_said_within_the_deadline(answers: bytes, why: str) -> None:
    with listening(answers) as url, WatchedCamera(url, open_s=0.3) as camera:
        camera.until_it_has_said("offline", why, within_s=0.3 + LATE_S)


def test_nobody_there_is_said() -> None:
    with listening(b"") as url:
        pass
    with WatchedCamera(url) as camera:
        camera.until_it_says("offline", "cannot be reached: Connection refused", within_s=OPEN_S)


def moved(url: str) -> tuple[bytes, bytes]:
    """Return answers to OPTIONS and to DESCRIBE."""
    return OPTIONS_OK, f"RTSP/1.0 302 Moved\r\nCSeq: 2\r\nLocation: {url}\r\n\r\n".encode()


OPTIONS_OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"


def test_a_redirect_is_followed() -> None:
    with (
        RtspServer(streams={"/or": Stream(recording())}) as server,
        listening(*moved(server.url("/or"))) as url,
        WatchedCamera(url) as camera,
    ):
        camera.frames_on(2)


@pytest.mark.parametrize("target", ["http://elsewhere/x", "", "rtsp://bob:secret@elsewhere/x"])
def test_a_redirect_to_what_is_no_camera_is_said(target: str) -> None:
    with listening(*moved(target)) as url, WatchedCamera(url) as camera:
        camera.until_it_has_said("offline", "redirects (302) to")
    assert "secret" not in str(camera.said)


def test_redirects_that_go_round_end() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as listener:
        stopping = threading.Event()

        def answer() -> None:
            while not stopping.is_set():
                with suppress(OSError), listener.accept()[0] as call:
                    for one in moved(f"rtsp://127.0.0.1:{port}/or"):
                        call.recv(4096)
                        call.sendall(one)

        listener.settimeout(0.05)
        thread = threading.Thread(target=answer)
        thread.start()
        with WatchedCamera(f"rtsp://127.0.0.1:{port}/or") as camera:
            camera.until_it_has_said("offline", "more than 5 redirects")
        stopping.set()
        thread.join()


def test_one_camera_that_misbehaves_does_not_touch_another(stream: Stream) -> None:
    other = Stream(recording())
    with watched(other) as whole, watched(stream) as broken:
        stream.faults.garbage_share = 1.0
        broken.until_it_has_said("offline", "no picture")
        before = whole.books.health()
        whole.frames_on(10)
        assert whole.said[-1] == ("online", "")
        assert whole.books.health().out > before.out
    assert whole.books.losses() == {}


# ── over HTTP ─────────────────────────────────────────────────────────────────────────────────────────────


def http_source(url: str, *, username: str = "", password: str = "") -> StreamCamera:
    return StreamCamera(
        "camera",
        url=url,
        username=username,
        password=password,
        silence_s=SILENCE_S,
        open_s=1.0,
        clock=CLOCK,
        books=LiveBooks("camera", clock=CLOCK),
    )


def test_a_stream_over_http_lets_us_in_and_never_shows_the_password() -> None:
    camera = HttpCamera(login="Basic Ym9iOnNlLyVjcmV0")
    with camera.running():
        with http_source(camera.url, username="bob", password="se/%cret").frames() as frames:
            content = next(frames).content
            assert not isinstance(content, Thermogram)
            assert content.rgb().shape == (144, 256, 3)
        stranger = http_source(camera.url, username="bob", password="secret")
        with pytest.raises(SourceLostError) as refused, stranger.frames():
            pass
    assert "cannot be opened" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("fault", ["is_silent", "is_garbage"])
def test_a_stream_over_http_that_says_nothing_of_use_is_lost_in_time(fault: str) -> None:
    camera = HttpCamera()
    setattr(camera, fault, True)
    with camera.running(), pytest.raises(SourceLostError), http_source(camera.url).frames() as frames:
        next(frames)


def test_a_stream_over_http_that_is_not_there_is_said() -> None:
    camera = HttpCamera()
    with camera.running():
        camera.path = "/elsewhere.ts"
        missing = camera.url.replace("elsewhere", "stream")
        with pytest.raises(SourceLostError, match="cannot be opened"), http_source(missing).frames():
            pass


def test_an_address_with_a_password_in_it_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError) as refused:
        http_source("http://bob:secret@camera/x")
    assert "secret" not in str(refused.value)
