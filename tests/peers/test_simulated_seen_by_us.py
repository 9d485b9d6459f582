"""Our own camera looks at the simulated one: the time code says whether our clocks are right."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import Literal

import pytest

from edge.domain.frame import Frame, Thermogram
from edge.kit.clock import SystemClock
from edge.simulate.encoding import Codec, VideoForm
from edge.simulate.footage import LiveFootage
from edge.simulate.rtsp import RtspServer
from edge.simulate.stream import Stream
from edge.simulate.time_code import TimeCode, read_time_code
from edge.sources.camera_rtsp import RtspCamera
from edge.sources.live_books import LiveBooks

CLOCK = SystemClock()
FRAMES = 20


def looked_at(url: str, transport: Literal["tcp", "udp"]) -> list[tuple[Frame, TimeCode, float]]:
    """Frames with their time codes, and their age in ms when they were handed on."""
    camera = RtspCamera("or", url=url, transport=transport, clock=CLOCK, books=LiveBooks("or", clock=CLOCK))
    seen = []
    with camera.frames() as frames:
        for frame in itertools.islice(frames, FRAMES):
            now_ms = time.monotonic_ns() / 1e6
            assert not isinstance(frame.content, Thermogram)
            code = read_time_code(frame.content.luma(height_px=360, width_px=640))
            assert code is not None
            seen.append((frame, code, now_ms - code.time_ms))
    return seen


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
def test_frames_come_whole_in_order_and_with_the_time_of_the_sender(
    codec: Codec, transport: Literal["tcp", "udp"]
) -> None:
    form = VideoForm(codec=codec, height_px=360, width_px=640, fps=25, key_interval_s=0.2)
    with RtspServer(streams={"/or": Stream(LiveFootage("bars", form))}) as server:
        seen = looked_at(server.url("/or"), transport)
    numbers = [code.frame_number for _, code, _ in seen]
    assert all(after > before for before, after in itertools.pairwise(numbers))
    assert {frame.timed_by for frame, _, _ in seen[2:]} == {"stream"}
    off_ms = [abs(frame.captured_at_ns / 1e6 - code.time_ms) for frame, code, _ in seen]
    assert statistics.median(off_ms) < 100  # on a busy machine; a few ms where it is not
    assert statistics.median(age_ms for _, _, age_ms in seen) < 300
