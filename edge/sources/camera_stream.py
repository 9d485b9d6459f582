"""A camera over HTTP: MPEG-TS, or whatever else FFmpeg finds there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit, urlunsplit

import av

from edge.domain.errors import ConfigurationError, SourceLostError
from edge.domain.frame import Frame, TimedBy
from edge.domain.ports import Clock
from edge.sources.camera_container import OpenVideo, opened, words
from edge.sources.camera_decoder import LiveDecoder
from edge.sources.camera_picture import Scaler
from edge.sources.capture_time import CaptureTime
from edge.sources.live_books import LiveBooks

LATE = "late"
DAMAGED = "damaged on the way"
_MICROSECONDS = 1_000_000
_OPTIONS = {
    "fflags": "nobuffer",  # give packets on at once
    "flags": "low_delay",
    "probesize": "1000000",
    "analyzeduration": "1000000",
    "user_agent": "edge",
    "protocol_whitelist": "http,https,tls,tcp,httpproxy",  # what is found there may name nothing of ours
}


class StreamCamera:
    """Frames of the first video track."""

    def __init__(
        self,
        name: str,
        *,
        url: str,
        username: str = "",
        password: str = "",
        open_s: float = 10.0,
        silence_s: float = 5.0,
        lag_max_s: float = 1.0,
        clock: Clock,
        books: LiveBooks,
    ) -> None:
        """Store what the camera needs.

        Args:
            name: Of the source in the configuration.
            url: `http://…` or `https://…`, without user name and password.
            username: Who we are, or "".
            password: Of that user; never written anywhere.
            open_s: Time until it is known what is there, and as much again until the first picture.
            silence_s: Time between two pictures, and for anything at all to come.
            lag_max_s: A picture that is older is not decoded, nor what rests on it: we have fallen behind.
            clock: Time.
            books: Where losses are counted.

        Raises:
            ConfigurationError: The address is none of ours.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"{name}: an address that begins {parts.scheme!r}, wanted http or https")
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError(f"{name}: there is a user name in its address, wanted `username`")
        login = f"{quote(username, safe='')}:{quote(password, safe='')}@" if username else ""
        self.name = name
        self.books = books
        self._target = urlunsplit(parts._replace(netloc=login + parts.netloc))
        self._where = url.partition("?")[0]
        self._open_s = open_s
        self._silence_s = silence_s
        self._lag_max_ns = lag_max_s * 1e9
        self._clock = clock
        self._scaler = Scaler()
        self._stopping = threading.Event()
        self._sequence = 0

    @contextmanager
    def frames(self) -> Iterator[Iterator[Frame]]:
        """Receive; the iterator gives each frame as it comes.

        Raises:
            SourceLostError: It cannot be opened, falls silent, ends, or sends what cannot be decoded.
        """
        with opened(
            self._target,
            where=self._where,
            options=_OPTIONS,
            open_s=self._open_s,
            silence_s=self._silence_s,
        ) as video:
            self.books.remark("clock", "")
            self.books.claim(video.frames_per_s)
            decoder = LiveDecoder(
                video.stream.codec_context,
                stands_alone=video.stands_alone,
                source=self.name,
                books=self.books,
                scaler=self._scaler,
            )
            try:
                yield self._decoded(video, decoder)
            finally:
                decoder.close()

    def interrupt(self) -> None:
        """Give nothing any more, from another thread; a wait ends with its deadline."""
        self._stopping.set()

    def _decoded(self, video: OpenVideo, decoder: LiveDecoder) -> Iterator[Frame]:
        times = CaptureTime(rate_hz=_MICROSECONDS, wrap_bits=None, remark=self._tell_of_clock)
        patience_s, last_ns = self._open_s, self._clock.monotonic_ns()
        packets = 0
        try:
            for packet in video.packets():
                if self._stopping.is_set():
                    raise SourceLostError(f"{self._where}: we were told to stop")
                packets += 1
                for frame in self._decode(packet, video, decoder, times):
                    self._sequence = max(self._sequence, frame.sequence)
                    yield frame
                    patience_s, last_ns = self._silence_s, self._clock.monotonic_ns()
                if self._clock.monotonic_ns() - last_ns > patience_s * 1e9:
                    trouble = f"; {decoder.last_trouble}" if decoder.last_trouble else ""
                    raise SourceLostError(
                        f"{self._where}: no picture for {patience_s:g} s, but {packets} packets{trouble}"
                    )
        except (av.FFmpegError, OSError) as trouble:
            raise SourceLostError(f"{self._where}: {words(trouble)}") from None
        raise SourceLostError(f"{self._where}: the stream ended after {packets} packets")

    def _decode(
        self, packet: av.Packet[av.VideoStream], video: OpenVideo, decoder: LiveDecoder, times: CaptureTime
    ) -> Iterator[Frame]:
        self._sequence += 1
        now_ns = self._clock.monotonic_ns()
        captured_at_ns, timed_by = self._time(video.seconds(packet), times, now_ns)
        if packet.is_corrupt:
            decoder.skip(DAMAGED)
        elif now_ns - captured_at_ns > self._lag_max_ns:
            decoder.skip(LATE)
        else:
            yield from decoder.decode(
                packet,
                is_key=packet.is_keyframe,
                sequence=self._sequence,
                captured_at_ns=captured_at_ns,
                timed_by=timed_by,
            )

    @staticmethod
    def _time(seconds: float | None, times: CaptureTime, now_ns: int) -> tuple[int, TimedBy]:
        if seconds is None:
            return now_ns, "arrival"
        return times.place(round(seconds * _MICROSECONDS), arrival_ns=now_ns)

    def _tell_of_clock(self, text: str) -> None:
        self.books.remark("clock", text)
