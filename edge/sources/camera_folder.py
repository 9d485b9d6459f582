"""A folder in which pictures appear, JPEG or PNG: each is a frame once it is finished."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import av
from av.video.codeccontext import VideoCodecContext

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame
from edge.domain.ports import Clock
from edge.sources.camera_decoder import STRICT
from edge.sources.camera_picture import Scaler, VideoPicture
from edge.sources.frame_files import Fingerprint, present
from edge.sources.live_books import LiveBooks

FILE_BYTES_MAX = 64 << 20
_POLL_MAX_S = 0.1
_CODECS = {".jpg": "mjpeg", ".jpeg": "mjpeg", ".png": "png"}
_ENDS = {"mjpeg": b"\xff\xd9", "png": b"IEND\xaeB`\x82"}
_TAIL_BYTES = 32  # some cameras fill up behind the end


class FrameFolder:
    """Frames out of files, in the order of their names; a file that is written anew is a new frame."""

    def __init__(
        self,
        name: str,
        *,
        path: Path,
        after: Literal["keep", "remove"] = "keep",
        takes_present: bool = False,
        settle_s: float = 0.1,
        silence_s: float = 30.0,
        clock: Clock,
        books: LiveBooks,
    ) -> None:
        """Store what the folder needs.

        Args:
            name: Of the source in the configuration.
            path: The folder.
            after: What becomes of a file that was taken.
            takes_present: Whether what lies there at opening are frames too; else only what comes later.
            settle_s: A file whose end is not that of its format is given up when it has not changed for this
                long; one that has its end is taken at once.
            silence_s: Time until the first frame, and between two.
            clock: Time.
            books: Where losses are counted.
        """
        self.name = name
        self.books = books
        self._path = path
        self._after = after
        self._takes_present = takes_present
        self._settle_ns = settle_s * 1e9
        self._poll_s = min(_POLL_MAX_S, max(settle_s / 2, 0.005))
        self._silence_s = silence_s
        self._clock = clock
        self._scaler = Scaler()
        self._stopping = threading.Event()
        self._sequence = 0
        self._has_begun = False
        self._through: dict[str, Fingerprint] = {}
        self._growing: dict[str, tuple[Fingerprint, int]] = {}

    @contextmanager
    def frames(self) -> Iterator[Iterator[Frame]]:
        """Watch; the iterator gives each frame as its file is finished.

        Raises:
            SourceLostError: The folder cannot be read, or nothing appears in it any more.
        """
        here = present(self._path, _is_picture)
        if not (self._takes_present or self._has_begun):
            self._through = here
        self._has_begun = True
        yield self._taken()

    def interrupt(self) -> None:
        """End every wait, from another thread; the source gives nothing any more."""
        self._stopping.set()

    def _taken(self) -> Iterator[Frame]:
        last_ns = self._clock.monotonic_ns()
        while True:
            here = present(self._path, _is_picture)
            self._through = {name: seen for name, seen in self._through.items() if name in here}
            self._growing = {name: seen for name, seen in self._growing.items() if name in here}
            for name in sorted(name for name in here if here[name] != self._through.get(name)):
                frame = self._look(name, here[name])
                if frame is not None:
                    yield frame
                    last_ns = self._clock.monotonic_ns()
            if self._clock.monotonic_ns() - last_ns > self._silence_s * 1e9:
                raise SourceLostError(
                    f"{self._path}: no new picture for {self._silence_s:g} s; {len(here)} files are there"
                )
            if self._stopping.wait(self._poll_s):
                raise SourceLostError(f"{self._path}: we were told to stop")

    def _look(self, name: str, seen: Fingerprint) -> Frame | None:
        """Return the frame in a file that is finished; None where it is not, or holds none."""
        path = self._path / name
        codec = _CODECS[path.suffix.lower()]
        try:
            content = path.read_bytes() if seen.size_bytes <= FILE_BYTES_MAX else b""
        except OSError:
            return None  # it was taken away, or is not ours yet
        if (
            seen.size_bytes <= FILE_BYTES_MAX
            and _ENDS[codec] not in content[-_TAIL_BYTES:]
            and not self._settled(name, seen)
        ):
            return None
        self._growing.pop(name, None)
        self._through[name] = seen
        self._sequence += 1
        frame = self._decode(codec, content)
        if self._after == "remove":
            path.unlink(missing_ok=True)
        return frame

    def _settled(self, name: str, seen: Fingerprint) -> bool:
        """Whether a file that lacks its end has stopped growing."""
        now_ns = self._clock.monotonic_ns()
        before, since_ns = self._growing.get(name, (None, now_ns))
        if before != seen:
            self._growing[name] = seen, now_ns
            return False
        return now_ns - since_ns >= self._settle_ns

    def _decode(self, codec: str, content: bytes) -> Frame | None:
        context = av.CodecContext.create(codec, "r")
        assert isinstance(context, VideoCodecContext), "a picture codec decodes pictures"
        context.thread_type = "NONE"
        context.options = STRICT
        item = f"frame {self._sequence}"
        try:
            decoded = [*context.decode(av.Packet(content)), *context.decode(None)] if content else []
        except av.FFmpegError as trouble:
            self.books.set_aside(item, reason=f"cannot be decoded: {trouble.strerror}")
            return None
        if not decoded or decoded[0].is_corrupt:
            self.books.set_aside(item, reason=f"no whole picture in {len(content)} bytes")
            return None
        return Frame(
            source=self.name,
            sequence=self._sequence,
            captured_at_ns=self._clock.monotonic_ns(),
            timed_by="arrival",
            content=VideoPicture(decoded[0], scaler=self._scaler),
        )


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _CODECS and not path.name.startswith(".")
