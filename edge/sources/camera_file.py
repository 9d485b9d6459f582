"""A video file that takes the place of a camera: at its own pace, or as fast as it is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import av

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame
from edge.domain.ports import Clock
from edge.sources.camera_container import OpenVideo, opened, words
from edge.sources.camera_decoder import LiveDecoder
from edge.sources.camera_picture import Scaler
from edge.sources.live_books import LiveBooks

_OPTIONS = {"protocol_whitelist": "file"}  # a playlist in disguise opens nothing else
_FPS_UNKNOWN = 25.0


class VideoFile:
    """Frames of the first video track of a file."""

    def __init__(
        self,
        name: str,
        *,
        path: Path,
        is_live: bool = True,
        loop: bool = False,
        open_s: float = 10.0,
        silence_s: float = 5.0,
        clock: Clock,
        books: LiveBooks,
    ) -> None:
        """Store what the file needs.

        Args:
            name: Of the source in the configuration.
            path: The file.
            is_live: Each frame comes when it is due; else as soon as it is asked for.
            loop: Whether it begins anew at its end.
            open_s: Time it may take to open.
            silence_s: Time a frame may take to be read.
            clock: Time.
            books: Where losses are counted.
        """
        self.name = name
        self.books = books
        self._path = path
        self._is_live = is_live
        self._loop = loop
        self._open_s = open_s
        self._silence_s = silence_s
        self._clock = clock
        self._scaler = Scaler()
        self._stopping = threading.Event()
        self._sequence = self._shown = 0

    @contextmanager
    def frames(self) -> Iterator[Iterator[Frame]]:
        """Play; each frame is captured when it is due, counted from the first.

        Raises:
            SourceLostError: It cannot be opened, or be read any further.
        """
        with self._opened() as video:
            self.books.claim(video.frames_per_s)
            yield self._played(video)

    def interrupt(self) -> None:
        """End every wait, from another thread; the source gives nothing any more."""
        self._stopping.set()

    def _opened(self) -> AbstractContextManager[OpenVideo]:
        return opened(
            f"file:{self._path}",
            where=self._path.name,
            options=_OPTIONS,
            open_s=self._open_s,
            silence_s=self._silence_s,
        )

    def _played(self, first: OpenVideo) -> Iterator[Frame]:
        yield from self._play(first)
        while self._loop:
            before = self._shown
            with self._opened() as video:
                yield from self._play(video)
            if self._shown == before:
                raise SourceLostError(f"{self._path.name}: holds no picture that can be decoded")

    def _play(self, video: OpenVideo) -> Iterator[Frame]:
        decoder = LiveDecoder(
            video.stream.codec_context,
            stands_alone=video.stands_alone,
            source=self.name,
            books=self.books,
            scaler=self._scaler,
        )
        try:
            for frame in self._decoded(video, decoder):
                self._shown += 1
                self._sequence = max(self._sequence, frame.sequence)
                self._wait_until(frame.captured_at_ns)
                yield frame
        except (av.FFmpegError, OSError) as trouble:
            raise SourceLostError(
                f"{self._path.name}: cannot be read any further: {words(trouble)}"
            ) from None
        finally:
            decoder.close()

    def _decoded(self, video: OpenVideo, decoder: LiveDecoder) -> Iterator[Frame]:
        start_ns = self._clock.monotonic_ns()
        first_s: float | None = None
        period_s = 1 / (video.frames_per_s or _FPS_UNKNOWN)
        for number, packet in enumerate(video.packets()):
            self._sequence += 1
            seconds = video.seconds(packet)
            seconds = (first_s or 0.0) + number * period_s if seconds is None else seconds
            first_s = seconds if first_s is None else first_s
            yield from decoder.decode(
                packet,
                is_key=packet.is_keyframe,
                sequence=self._sequence,
                captured_at_ns=start_ns + round((seconds - first_s) * 1e9),
                timed_by="stream",
            )
        yield from decoder.rest()

    def _wait_until(self, due_ns: int) -> None:
        wait_s = (due_ns - self._clock.monotonic_ns()) / 1e9 if self._is_live else 0.0
        if self._stopping.wait(max(wait_s, 0.0)):
            raise SourceLostError(f"{self._path.name}: we were told to stop")
