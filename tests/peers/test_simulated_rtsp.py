"""What the simulated camera answers, word for word, to a receiver that knows nothing but sockets."""

from __future__ import annotations

import itertools
import re
import socket
import struct
import time
from collections.abc import Iterator
from typing import Self

import numpy as np
import pytest

from edge.simulate.encoding import VideoForm
from edge.simulate.faults import fault
from edge.simulate.footage import Recording, drawn
from edge.simulate.rtsp import SESSIONS_MAX, RtspServer
from edge.simulate.stream import Stream
from tests.waiting import until

FORM = VideoForm(height_px=144, width_px=256, fps=50, key_interval_s=0.1, bit_rate_kbps=300)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording.of(drawn("bars", FORM, frames=10), FORM)


@pytest.fixture
def stream(recording: Recording) -> Stream:
    return Stream(recording)


@pytest.fixture
def server(stream: Stream) -> Iterator[RtspServer]:
    with RtspServer(streams={"/or": stream}) as running:
        yield running


class Caller:
    """A connection on which requests are said as text."""

    def __init__(self, server: RtspServer) -> None:
        self.url = server.url("/or")
        self._line = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        self._read = b""
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def ask(self, method: str, url: str, *headers: str) -> str:
        """Say a request and return the answer; media that comes between is skipped."""
        self._number += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._number}", *headers, "", ""]
        self.say("\r\n".join(lines).encode())
        while self._need(1) == b"$":
            self.packet()
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        body = self._take(int(length[1]) if length else 0)
        assert f"CSeq: {self._number}".encode() in head
        return (head + b"\r\n\r\n" + body).decode()

    def packet(self) -> tuple[int, bytes]:
        """Return the channel and content of the next interleaved packet."""
        mark, channel, length = struct.unpack(">cBH", self._take(4))
        assert mark == b"$"
        return channel, self._take(length)

    def play(self, *, timeout_s: float = 5) -> str:
        """Set up inside the connection and play; return the name of the session."""
        self._line.settimeout(timeout_s)
        said = self.ask("SETUP", f"{self.url}/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=4-5")
        session = name_of(said)
        assert self.ask("PLAY", self.url, f"Session: {session}").startswith("RTSP/1.0 200 OK")
        return session

    def say(self, content: bytes) -> None:
        self._line.sendall(content)

    def _take(self, count: int) -> bytes:
        self._need(count)
        taken, self._read = self._read[:count], self._read[count:]
        return taken

    def _need(self, count: int) -> bytes:
        while len(self._read) < count:
            self._more()
        return self._read[:count]

    def _more(self) -> None:
        more = self._line.recv(65_536)
        if not more:
            raise EOFError
        self._read += more


def name_of(answer: str) -> str:
    found = re.search(r"Session: (\w+)", answer)
    assert found, answer
    return found[1]


def test_it_says_what_it_can(server: RtspServer) -> None:
    with Caller(server) as caller:
        said = caller.ask("OPTIONS", caller.url)
    assert "Public: OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN" in said


def test_it_describes_the_stream(server: RtspServer) -> None:
    with Caller(server) as caller:
        said = caller.ask("DESCRIBE", caller.url, "Accept: application/sdp")
    assert f"Content-Base: {caller.url}/" in said
    assert "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;" in said
    assert re.search(r"profile-level-id=[0-9a-f]{6};sprop-parameter-sets=[\w+/]+=*,[\w+/]+=*\r\n", said)
    assert "a=framerate:50\r\na=control:trackID=0\r\n" in said


def test_media_and_reports_come_in_the_channels_that_were_asked_for(server: RtspServer) -> None:
    with Caller(server) as caller:
        caller.play()
        packets = [caller.packet() for _ in range(20)]
    media = [content for channel, content in packets if channel == 4]
    reports = [content for channel, content in packets if channel == 5]
    assert [packet[0] for packet in media] == [0x80] * len(media)
    assert reports[0][:2] == b"\x80\xc8"
    ntp_s, report_timestamp = struct.unpack_from(">I4xI", reports[0], 8)
    assert abs(ntp_s - 2_208_988_800 - time.time()) < 3
    timestamps = sorted({struct.unpack_from(">I", packet, 4)[0] for packet in media})
    assert timestamps[1] - timestamps[0] == pytest.approx(90_000 / 50, abs=1)
    assert report_timestamp in timestamps


def test_timestamps_grow_on_when_the_loop_begins_again(server: RtspServer) -> None:
    with Caller(server) as caller:
        caller.play()
        media = [content for channel, content in (caller.packet() for _ in range(60)) if channel == 4]
    timestamps = [struct.unpack_from(">I", packet, 4)[0] for packet in media]
    steps = {(after - before) & 0xFFFFFFFF for before, after in itertools.pairwise(timestamps)}
    assert max(steps) < 1 << 31, "never back"
    assert {step % (90_000 // 50) for step in steps} == {0}  # whole frames; a busy machine leaves some out


def test_a_receiver_that_does_not_read_loses_whole_pictures_and_disturbs_nobody() -> None:
    form = VideoForm(height_px=144, width_px=256, fps=100, key_interval_s=0.05, bit_rate_kbps=100_000)
    noise = np.random.default_rng(5).integers(16, 235, (10, 216, 256), dtype=np.uint8)
    stream = Stream(Recording.of(iter(noise), form))
    with RtspServer(streams={"/or": stream}) as server, Caller(server) as idle, Caller(server) as busy:
        idle.play()
        busy.play()
        heard = sum(busy.packet()[0] == 4 for _ in until_dropped(stream))
        assert heard > 100
        unread = [idle.packet() for _ in range(heard // 2)]
    assert {channel for channel, _ in unread} <= {4, 5}


def until_dropped(stream: Stream) -> Iterator[None]:
    """Yield until somebody was too slow."""
    ends_s = time.monotonic() + 20
    while not stream.frames_dropped:
        assert time.monotonic() < ends_s
        yield


def test_a_clock_that_jumps_takes_the_timestamps_with_it(server: RtspServer) -> None:
    with Caller(server) as caller:
        caller.play()
        before = struct.unpack_from(">I", caller.packet()[1], 4)[0]
        with fault("clock", server, "/or"):
            until(lambda: jumped(caller.packet(), before), within_s=5)


def jumped(packet: tuple[int, bytes], before: int) -> bool:
    return (
        packet[0] == 4 and (struct.unpack_from(">I", packet[1], 4)[0] - before) & 0xFFFFFFFF > 3599 * 90_000
    )


def test_pause_rests_and_teardown_ends(server: RtspServer, stream: Stream) -> None:
    with Caller(server) as caller:
        session = caller.play()
        until(lambda: stream.subscribers == 1, within_s=5)
        assert "200 OK" in caller.ask("PAUSE", caller.url, f"Session: {session}")
        assert stream.subscribers == 0
        assert "200 OK" in caller.ask("PLAY", caller.url, f"Session: {session}")
        assert "200 OK" in caller.ask("TEARDOWN", caller.url, f"Session: {session}")
        assert stream.subscribers == 0
        assert "454 Session Not Found" in caller.ask("PLAY", caller.url, f"Session: {session}")


@pytest.mark.parametrize(
    ("method", "where", "header", "answer"),
    [
        ("DESCRIBE", "/nowhere", "", "404 Not Found"),
        (
            "SETUP",
            "/or/trackID=0",
            "Transport: RTP/AVP;multicast;port=5000-5001",
            "461 Unsupported Transport",
        ),
        ("PLAY", "/or", "Session: 12345678", "454 Session Not Found"),
        ("RECORD", "/or", "", "501 Not Implemented"),
    ],
)
def test_what_it_cannot_do_is_refused(
    server: RtspServer, method: str, where: str, header: str, answer: str
) -> None:
    with Caller(server) as caller:
        assert caller.ask(method, f"rtsp://127.0.0.1{where}", header or "X: y").startswith(
            f"RTSP/1.0 {answer}"
        )


def test_one_connection_does_not_take_sessions_without_end(server: RtspServer) -> None:
    with Caller(server) as caller:
        said = [
            caller.ask("SETUP", f"{caller.url}/trackID=0", "Transport: RTP/AVP;unicast;client_port=5000-5001")
            for _ in range(SESSIONS_MAX + 1)
        ]
    assert [line.split()[1] for line in said] == ["200"] * SESSIONS_MAX + ["453"]


def test_who_talks_no_rtsp_is_told_so(server: RtspServer) -> None:
    with Caller(server) as caller:
        caller.say(b"GET / HTTP/1.1\r\n\r\n")
        assert caller._need(16) == b"RTSP/1.0 400 Bad"


def test_a_session_that_says_nothing_runs_out(server: RtspServer, stream: Stream) -> None:
    server.session_timeout_s = 0.3
    with Caller(server) as caller:
        caller.play()
        until(lambda: stream.frames_sent > 0, within_s=5)
        until(lambda: stream.subscribers == 0, within_s=5)


@pytest.mark.parametrize("word", [b"$\5\0\4abcd", b"request"])
def test_a_session_lives_on_reports_and_requests(server: RtspServer, stream: Stream, word: bytes) -> None:
    server.session_timeout_s = 0.4
    with Caller(server) as caller:
        session = caller.play()
        request = f"GET_PARAMETER {caller.url} RTSP/1.0\r\nCSeq: 9\r\nSession: {session}\r\n\r\n".encode()
        ends_s = time.monotonic() + 1.0
        while time.monotonic() < ends_s:
            caller.say({b"request": request}.get(word, word))
            time.sleep(0.05)
        assert stream.subscribers == 1


def test_babble_stands_between_the_packets(server: RtspServer) -> None:
    with Caller(server) as caller:
        caller.play()
        with fault("babble", server, "/or"), pytest.raises((AssertionError, TimeoutError)):
            [caller.packet() for _ in range(500)]


def test_a_deaf_camera_says_nothing_and_hears_again_later(server: RtspServer) -> None:
    with Caller(server) as caller:
        with fault("deaf", server, "/or"):
            caller._line.settimeout(0.2)
            with pytest.raises(TimeoutError):
                caller.ask("OPTIONS", caller.url)
        caller._line.settimeout(5)
        assert "200 OK" in caller.ask("OPTIONS", caller.url)
