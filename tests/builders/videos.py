"""Video files and streams of a moving scene, made by the simulator's encoder."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av

from edge.simulate.encoding import VideoForm
from edge.simulate.footage import drawn, encoded

FORM = VideoForm(height_px=144, width_px=256, key_interval_s=0.2)


def write_video(target: Path | BytesIO, *, frames: int, form: VideoForm = FORM, kind: str = "mpegts") -> None:
    """Write a moving scene into a container.

    Args:
        target: Where to.
        frames: How many.
        form: How they are encoded.
        kind: FFmpeg's name of the container: `mpegts`, `mp4`, `matroska`.
    """
    codec = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg"}[form.codec]
    with av.open(target, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=Fraction(form.fps))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = form.width_px, form.height_px
        stream.pix_fmt = "yuvj420p" if form.codec == "mjpeg" else "yuv420p"
        ticks = 90_000 / form.fps
        for number, unit in enumerate(encoded(drawn("bars", form, frames=frames), form)):
            packet = av.Packet(unit.content)
            packet.stream = stream
            packet.time_base = Fraction(1, 90_000)
            packet.dts = round(number * ticks)
            packet.pts = round((number + unit.shown_after_s * form.fps) * ticks)
            packet.is_keyframe = unit.is_key
            container.mux(packet)


class HttpCamera:
    """Sends MPEG-TS over HTTP at its own pace; `is_silent` keeps the line open and sends nothing."""

    def __init__(self, *, login: str = "") -> None:
        """Encode what is sent.

        Args:
            login: The `Authorization` header that lets somebody in; "" lets everybody in.
        """
        self.is_silent = False
        self.is_garbage = False
        self.login = login
        self.path = "/stream.ts"
        self._stopping = threading.Event()
        content = BytesIO()
        write_video(content, frames=100)
        self._content = content.getvalue()
        self._server: http.server.ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        assert self._server is not None, "it runs"
        return f"http://127.0.0.1:{self._server.server_port}{self.path}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve while the `with` lasts."""
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # http.server's name
                camera.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """Send one receiver its stream."""
        if self.login and request.headers.get("Authorization") != self.login:
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="camera"')
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if request.path.partition("?")[0] != self.path:
            request.send_error(404)
            return
        request.send_response(200)
        request.send_header("Content-Type", "video/mp2t")
        request.end_headers()
        began = time.monotonic()
        try:
            for at in range(0, len(self._content), 188 * 20):
                while self.is_silent and not self._stopping.wait(0.02):
                    pass
                if self._stopping.is_set():
                    return
                chunk = self._content[at : at + 188 * 20]
                request.wfile.write(bytes(len(chunk)) if self.is_garbage else chunk)
                due = began + 4.0 * at / len(self._content)
                self._stopping.wait(max(0.0, due - time.monotonic()))
        except OSError:
            return  # the receiver went away
