"""Access units to frames: one thread, no frame held back, and nothing shown that rests on what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import cast

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame, TimedBy
from edge.sources.camera_picture import Scaler, VideoPicture
from edge.sources.live_books import LiveBooks

WAITS_FOR_KEY = "waits for a key frame"
FAILURES_MAX = 50
STRICT = {
    "err_detect": "explode",  # a damaged picture is an error, not a guess
    "max_pixels": "34000000",  # 8K; a header that claims more takes no memory
}
_FPS_MAX = 1000
_INSIDE_MAX = 64  # more than any codec reorders
_NAMES = {"H264": "h264", "H265": "hevc", "JPEG": "mjpeg"}


class LiveDecoder:
    """Decodes one stream for one source; what cannot be decoded is counted, and never guessed at."""

    def __init__(
        self, context: VideoCodecContext, *, stands_alone: bool, source: str, books: LiveBooks, scaler: Scaler
    ) -> None:
        """Make the decoder ready.

        Args:
            context: A decoder that is not open yet.
            stands_alone: Every picture can be decoded by itself.
            source: Name of the source.
            books: Where losses are counted.
            scaler: For the pictures.
        """
        context.thread_type = "NONE"  # frame threads hold a frame back for each thread
        context.thread_count = 1
        context.flags |= Flags.low_delay
        context.options = STRICT
        self._context = context
        self._source = source
        self._books = books
        self._scaler = scaler
        self._needs_key = True
        self._stands_alone = stands_alone
        self._failures = 0
        self._shown = 0
        self._ahead = b""
        self._inside: dict[int, tuple[int, TimedBy]] = {}
        self.last_trouble = ""

    @classmethod
    def of(cls, encoding: str, *, source: str, books: LiveBooks, scaler: Scaler) -> LiveDecoder:
        """Make a decoder for `H264`, `H265` or `JPEG` as it comes out of RTP."""
        context = av.CodecContext.create(_NAMES[encoding], "r")
        assert isinstance(context, VideoCodecContext), "a video codec decodes video"
        return cls(context, stands_alone=encoding == "JPEG", source=source, books=books, scaler=scaler)

    def announce(self, parameter_sets: bytes) -> None:
        """Take in parameter sets that come ahead of the stream, as a byte stream; it may have its own."""
        self._ahead = parameter_sets

    def skip(self, reason: str) -> None:
        """Count an access unit that will not be decoded; what follows rests on it."""
        self._books.lost(reason)
        self._needs_key = not self._stands_alone

    @property
    def needs_key(self) -> bool:
        """Nothing can be decoded before the next key frame."""
        return self._needs_key

    @property
    def frames_per_s(self) -> float | None:
        """What the stream itself says, once its parameter sets have come."""
        rate = self._context.framerate
        return float(rate) if rate and 0 < rate <= _FPS_MAX else None

    def decode(
        self,
        content: bytes | av.Packet[av.VideoStream],
        *,
        is_key: bool,
        sequence: int,
        captured_at_ns: int,
        timed_by: TimedBy,
    ) -> Iterator[Frame]:
        """Decode one access unit and yield what comes out: as a rule its own frame.

        Args:
            content: As the codec wants it.
            is_key: A decoder can begin with it.
            sequence: Its number.
            captured_at_ns: When it was captured.
            timed_by: How that is known.

        Raises:
            SourceLostError: Too many in a row could not be decoded.
        """
        if self._needs_key and not is_key:
            self._books.lost(WAITS_FOR_KEY)
            return
        self._inside[sequence] = captured_at_ns, timed_by
        try:
            decoded = self._decoded(content, sequence)
        except av.FFmpegError as trouble:
            self._fail(sequence, str(trouble.strerror))
            return
        self._needs_key = False
        for picture in decoded:
            yield from self._frame(picture)
        self._forget_stuck()

    def _decoded(self, content: bytes | av.Packet[av.VideoStream], sequence: int) -> list[av.VideoFrame]:
        """Decode with what was announced, the first time; without it, where it is damaged."""
        ahead, self._ahead = self._ahead, b""
        if ahead and isinstance(content, bytes):
            with suppress(av.FFmpegError):
                return self._context.decode(_packet(ahead + content, sequence))
        return self._context.decode(_packet(content, sequence))

    def _frame(self, picture: av.VideoFrame) -> Iterator[Frame]:
        sequence = picture.pts
        if sequence is None or sequence not in self._inside:
            return
        captured_at_ns, timed_by = self._inside.pop(sequence)
        if picture.is_corrupt:
            self._books.lost(WAITS_FOR_KEY)  # a stream that is refreshed in parts is not whole yet
            return
        self._failures = 0
        self._shown = max(self._shown + 1, sequence)  # B frames come before what they are shown after
        yield Frame(
            source=self._source,
            sequence=self._shown,
            captured_at_ns=captured_at_ns,
            timed_by=timed_by,
            content=VideoPicture(picture, scaler=self._scaler),
        )

    def _fail(self, sequence: int, reason: str) -> None:
        self._inside.pop(sequence, None)
        self._needs_key = not self._stands_alone
        self._failures += 1
        self.last_trouble = reason
        self._books.set_aside(f"frame {sequence}", reason=f"cannot be decoded: {reason}")
        if self._failures >= FAILURES_MAX:
            raise SourceLostError(f"{self._source}: {self._failures} access units in a row {reason}")

    def _forget_stuck(self) -> None:
        """Count what the decoder took in and will not give out: a codec drops without a word."""
        while len(self._inside) > _INSIDE_MAX:
            del self._inside[min(self._inside)]
            self._books.lost("not given out by the decoder")

    def rest(self) -> Iterator[Frame]:
        """Yield what is inside at the end of a recording; nothing can be decoded afterwards."""
        try:
            for picture in self._context.decode(None):
                yield from self._frame(picture)
        except av.FFmpegError as trouble:
            self.last_trouble = str(trouble.strerror)

    def close(self) -> None:
        """Count what is inside: nobody will see it."""
        if self._inside:
            self._books.lost("the stream ended", frames=len(self._inside))
        self._inside.clear()


def _packet(content: bytes | av.Packet[av.VideoStream], sequence: int) -> av.Packet[av.VideoStream]:
    if not isinstance(content, bytes):
        content.pts = content.dts = sequence
        return content
    packet = cast("av.Packet[av.VideoStream]", av.Packet(content))  # it belongs to no stream
    packet.pts = packet.dts = sequence
    return packet
