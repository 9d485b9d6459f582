"""Video beside the peers: how much decoding costs up to a tensor, and how late a camera's picture is."""

from __future__ import annotations

import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain.frame import Frame, Thermogram
from edge.kit.clock import SystemClock
from edge.simulate.encoding import VideoForm
from edge.simulate.footage import drawn
from edge.simulate.time_code import read_time_code
from edge.sources.camera_file import VideoFile
from edge.sources.camera_rtsp import RtspCamera
from edge.sources.live_books import LiveBooks
from tests.bench.rows import Row

FORM = VideoForm(height_px=1080, width_px=1920, fps=30.0, bit_rate_kbps=6000)
DRAWN, ROUNDS, TIMES = 60, 5, 5
HEIGHT_PX, WIDTH_PX, SIDE_PX = 360, 640, 640
WARM_UP, MEASURED = 30, 150
CLOCK = SystemClock()

Tensor = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def run() -> list[Row]:
    """Return our throughput and our delay beside those of bare decoding, OpenCV and PyAV."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mkv"
        _write(path)
        rows = _throughput(path)
    with _sender() as url:
        return rows + _latency(url)


# ── throughput ────────────────────────────────────────────────────────────────────────────────────────────


def _throughput(path: Path) -> list[Row]:
    works = {"ours": _ours, "bare": _bare, "naive": _naive, "ours, decoding": _decoding}
    fps = dict.fromkeys(works, 0.0)
    cpu_ms = dict.fromkeys(works, float("inf"))  # of this thread
    for _ in range(TIMES):  # taking turns, so that a busy machine is busy for all of them
        for name, work in works.items():
            began, began_cpu = time.perf_counter(), time.thread_time()
            frames = work(path)
            cpu_ms[name] = min(cpu_ms[name], 1e3 * (time.thread_time() - began_cpu) / frames)
            fps[name] = max(fps[name], frames / (time.perf_counter() - began))
    what = "1080p30 H.264 to a letterboxed float32 tensor"
    decoding, bare = cpu_ms["ours, decoding"], cpu_ms["bare"]
    return [
        Row(
            f"{what}, in two threads, beside bare decoding (mark: 0.9)",
            *(fps["ours"], fps["bare"], "frames/s", fps["ours"] / fps["bare"]),
        ),
        Row(
            f"{what}, in two threads, beside cv2.read and naive steps",
            *(fps["ours"], fps["naive"], "frames/s", fps["ours"] / fps["naive"]),
        ),
        Row("CPU time of the decoding thread, a frame", decoding, bare, "ms", bare / decoding),
    ]


def _ours(path: Path) -> int:
    """Decode in the thread of the source and convert in that of the model, as the appliance does."""
    source = VideoFile("file", path=path, is_live=False, clock=CLOCK, books=LiveBooks("file", clock=CLOCK))
    handed: queue.Queue[Frame | None] = queue.Queue(maxsize=2)

    def decode() -> None:
        with source.frames() as frames:
            for frame in frames:
                handed.put(frame)
        handed.put(None)

    thread = threading.Thread(target=decode)
    thread.start()
    tensor = np.full((3, SIDE_PX, SIDE_PX), 0.5, np.float32)
    count = 0
    for frame in iter(handed.get, None):
        _fill(tensor, frame)
        count += 1
    thread.join()
    return count


def _decoding(path: Path) -> int:
    """Decode in one thread, and convert nothing."""
    books = LiveBooks("file", clock=CLOCK)
    with VideoFile("file", path=path, is_live=False, clock=CLOCK, books=books).frames() as frames:
        return sum(1 for _ in frames)


def _fill(tensor: Tensor, frame: Frame) -> None:
    assert not isinstance(frame.content, Thermogram), "a video shows pictures"
    planes = frame.content.planes(height_px=HEIGHT_PX, width_px=WIDTH_PX)
    top = (SIDE_PX - HEIGHT_PX) // 2
    np.multiply(planes, 1 / 255, out=tensor[:, top : top + HEIGHT_PX], dtype=np.float32)


def _bare(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def _naive(path: Path) -> int:
    """Do what every tutorial does."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    while True:
        is_read, picture = capture.read()
        if not is_read:
            capture.release()
            return count
        small = cv2.resize(picture, (WIDTH_PX, HEIGHT_PX))
        scaled = cv2.cvtColor(small, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
        tensor = np.full((SIDE_PX, SIDE_PX, 3), 0.5, np.float32)
        top = (SIDE_PX - HEIGHT_PX) // 2
        tensor[top : top + HEIGHT_PX] = scaled
        np.ascontiguousarray(tensor.transpose(2, 0, 1))
        count += 1


def _write(path: Path) -> None:
    """Write what a camera of 6 Mb/s records: CABAC and deblocking, which take time, and no B frames."""
    with av.open(str(path), "w") as container:
        options = {"preset": "medium", "bf": "0"}
        stream = container.add_stream("libx264", rate=Fraction(FORM.fps), options=options)
        assert isinstance(stream, av.VideoStream), "a video stream holds video"
        stream.width, stream.height, stream.pix_fmt = FORM.width_px, FORM.height_px, "yuv420p"
        stream.bit_rate, stream.gop_size = FORM.bit_rate_kbps * 1000, round(FORM.fps)
        pictures = list(drawn("theatre", FORM, frames=DRAWN))
        for number in range(DRAWN * ROUNDS):
            frame = av.VideoFrame.from_ndarray(pictures[number % DRAWN], format="yuv420p")
            frame.pts, frame.time_base = number, 1 / Fraction(FORM.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


# ── latency ───────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _sender() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.video_sender"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None, "it has a pipe"
        yield process.stdout.readline().strip()
    finally:
        process.communicate()


def _latency(url: str) -> list[Row]:
    receivers: dict[str, Callable[[str], Iterator[Pixels]]] = {
        "ours": _by_us,
        "cv2.VideoCapture": _by_opencv,
        "PyAV defaults": _by_pyav,
        "PyAV tuned": _by_pyav_tuned,
    }
    delays_ms = {name: _delays_ms(receive(url)) for name, receive in receivers.items()}
    rows = []
    for peer in list(receivers)[1:]:
        for percent in (50, 95, 99):
            ours, theirs = (float(np.percentile(delays_ms[name], percent)) for name in ("ours", peer))
            what = f"RTSP 720p30, time code drawn to pixels in hand, p{percent}, beside {peer}"
            rows.append(Row(what, ours, theirs, "ms", theirs / ours))
    return rows


def _delays_ms(pictures: Iterator[Pixels]) -> list[float]:
    """Return how old each picture was when it could be looked at."""
    delays = []
    for picture in islice(pictures, WARM_UP, WARM_UP + MEASURED):
        now_us = time.monotonic_ns() / 1e3
        code = read_time_code(picture)
        assert code is not None, "every picture has a time code"
        delays.append((now_us - code.time_us) / 1e3)
    return delays


def _by_us(url: str) -> Iterator[Pixels]:
    camera = RtspCamera("camera", url=url, clock=CLOCK, books=LiveBooks("camera", clock=CLOCK))
    with camera.frames() as frames:
        for frame in frames:
            assert not isinstance(frame.content, Thermogram), "a camera shows pictures"
            yield frame.content.planes(height_px=HEIGHT_PX, width_px=WIDTH_PX)


def _by_opencv(url: str) -> Iterator[Pixels]:
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    try:
        while capture.isOpened():
            _, picture = capture.read()
            yield np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1)
    finally:
        capture.release()


def _by_pyav(url: str) -> Iterator[Pixels]:
    with av.open(url) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8).transpose(2, 0, 1)


def _by_pyav_tuned(url: str) -> Iterator[Pixels]:
    options = {"fflags": "nobuffer", "flags": "low_delay", "probesize": "32", "rtsp_transport": "tcp"}
    with av.open(url, options=options) as container:
        container.streams.video[0].thread_type = "SLICE"
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8).transpose(2, 0, 1)
