"""Our RTSP client with GStreamer's server: every codec and transport, and what a server may do to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge.sources.rtsp.setup import Transport
from tests.peers.rtsp_server import H264, H265, JPEG, WITH_SOUND, GstServer, launch, needs_gstreamer
from tests.peers.watched_camera import LATE_S, OPEN_S, SILENCE_S, WatchedCamera

pytestmark = needs_gstreamer


@pytest.fixture(scope="module")
def server() -> Iterator[GstServer]:
    mounts = {"/h264": H264, "/h265": H265, "/jpeg": JPEG, "/sound": WITH_SOUND}
    with GstServer({path: launch(line) for path, line in mounts.items()}) as running:
        yield running


@pytest.mark.parametrize("path", ["/h264", "/h265", "/jpeg", "/sound"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_in_every_codec_over_tcp_and_udp(
    server: GstServer, path: str, transport: Transport
) -> None:
    with WatchedCamera(server.url(path), transport=transport) as camera:
        frames = camera.frames_on(8)
        camera.until_it_says("online")
    assert {frame.content.shape_px for frame in frames} == {(240, 320)}
    assert {frame.timed_by for frame in frames} == {"stream"}
    assert camera.books.claimed_fps == 25.0
    assert camera.said == [("offline", "it is being opened"), ("online", "")]


def test_a_path_that_is_not_there_is_said(server: GstServer) -> None:
    with WatchedCamera(server.url("/nothing")) as camera:
        camera.until_it_says("offline", "/nothing: DESCRIBE answered 404 Not Found")


@pytest.mark.parametrize("kind", ["", ":digest"])
def test_who_is_let_in_is_let_in_and_the_password_is_never_said(kind: str) -> None:
    with GstServer({"/h264": launch(H264)}, user=f"bob:open-sesame{kind}") as server:
        with WatchedCamera(server.url("/h264"), username="bob", password="open-sesame") as camera:
            camera.frames_on(2)
            camera.until_it_says("online")
        with WatchedCamera(server.url("/h264"), username="bob", password="wrong-sesame") as camera:
            camera.until_it_says("offline", "refuses the user name or the password")
        with WatchedCamera(server.url("/h264")) as nobody:
            nobody.until_it_says("offline", "wants a user name and a password")
    assert "sesame" not in str(camera.said)


def test_a_server_that_is_killed_is_offline_and_online_again_when_it_is_back() -> None:
    with GstServer({"/h264": launch(H264)}) as server, WatchedCamera(server.url("/h264")) as camera:
        before = camera.frames_on(3)[-1]
        server.kill()
        camera.until_it_says("offline", "cannot be reached: Connection refused", within_s=SILENCE_S + LATE_S)
        server.start()
        camera.until_it_says("online")
        assert camera.frames_on(3)[-1].sequence > before.sequence


def test_a_server_that_freezes_is_offline_within_its_deadline_and_never_answers_the_next_call() -> None:
    with (
        GstServer({"/h264": launch(H264)}) as server,
        WatchedCamera(server.url("/h264"), open_s=0.5) as camera,
    ):
        camera.frames_on(3)
        server.freeze()
        camera.until_it_says("offline", "no picture for 0.4 s", within_s=SILENCE_S + LATE_S)
        camera.until_it_says("offline", "did not answer OPTIONS", within_s=OPEN_S + LATE_S)
        server.thaw()
        camera.until_it_says("online")


def test_a_camera_that_comes_back_with_another_size_goes_on() -> None:
    small, large = {"/or": launch(H264)}, {"/or": launch(H264, width=640, height=360)}
    first = GstServer(small)
    second = GstServer(large)
    second.port = first.port
    with WatchedCamera(first.url("/or")) as camera:
        with first:
            assert camera.frames_on(2)[-1].content.shape_px == (240, 320)
        with second:
            camera.until_it_says("online")
            shapes = [frame.content.shape_px for frame in camera.frames_on(4)]
    assert shapes[-1] == (360, 640)
