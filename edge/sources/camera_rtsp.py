"""A camera over RTSP: each picture is decoded as soon as its last packet is here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame
from edge.domain.ports import Clock
from edge.sources.camera_decoder import LiveDecoder
from edge.sources.camera_picture import Scaler
from edge.sources.capture_time import CaptureTime
from edge.sources.live_books import LiveBooks
from edge.sources.rtsp.access_unit import START, AccessUnit
from edge.sources.rtsp.address import Address
from edge.sources.rtsp.auth import Account
from edge.sources.rtsp.depacketise import Depacketiser
from edge.sources.rtsp.line import Deadline
from edge.sources.rtsp.rtcp import SenderReport
from edge.sources.rtsp.session import Session
from edge.sources.rtsp.setup import Transport, play

LATE = "late"
_TIMESTAMP_BITS = 32


class RtspCamera:
    """Frames of one video track; H.264, H.265 or Motion JPEG, over TCP or UDP."""

    def __init__(
        self,
        name: str,
        *,
        url: str,
        username: str = "",
        password: str = "",
        transport: Transport = "tcp",
        open_s: float = 5.0,
        silence_s: float = 5.0,
        lag_max_s: float = 1.0,
        access_unit_bytes_max: int = 8 << 20,
        clock: Clock,
        books: LiveBooks,
    ) -> None:
        """Store what the camera needs.

        Args:
            name: Of the source in the configuration.
            url: `rtsp://host[:port]/path`, without user name and password.
            username: Who we are, or "".
            password: Of that user; it goes to this host only, and is never written anywhere.
            transport: `tcp`: packets come with the control connection; `udp`: by themselves.
            open_s: Time until the first picture.
            silence_s: Time between two.
            lag_max_s: An access unit that is older is not decoded, nor what rests on it: we are behind.
            access_unit_bytes_max: A larger one is not taken in.
            clock: Time; the system's, for sockets wait on it.
            books: Where losses are counted.

        Raises:
            ConfigurationError: The address is none of ours.
        """
        self.name = name
        self.books = books
        self._address = Address.of(url)
        self._account = Account(username=username, password=password) if username else None
        self._transport: Transport = transport
        self._open_s = open_s
        self._silence_s = silence_s
        self._lag_max_ns = lag_max_s * 1e9
        self._bytes_max = access_unit_bytes_max
        self._clock = clock
        self._scaler = Scaler()
        self._stopping = threading.Event()
        self._sequence = self._began = 0

    @contextmanager
    def frames(self) -> Iterator[Iterator[Frame]]:
        """Play; the iterator gives each frame as it comes.

        Raises:
            SourceLostError: It cannot be opened, falls silent, or sends what cannot be decoded.
        """
        opening = Deadline(self._clock, self._open_s)
        playing = play(
            self._address,
            account=self._account,
            transport=self._transport,
            deadline=opening,
            clock=self._clock,
            stopping=self._stopping,
        )
        track = playing.description.track
        times = CaptureTime(
            rate_hz=track.clock_rate_hz, wrap_bits=_TIMESTAMP_BITS, remark=self._tell_of_clock
        )

        def hear(report: SenderReport) -> None:
            times.hear(seconds=report.seconds, timestamp=report.timestamp)

        decoder = LiveDecoder.of(track.encoding, source=self.name, books=self.books, scaler=self._scaler)
        decoder.announce(b"".join(START + unit for unit in track.parameter_sets))
        self.books.remark("clock", "")
        self.books.claim(track.frames_per_s)
        with Session(playing, hears=hear, clock=self._clock, stopping=self._stopping) as session:
            try:
                units = Depacketiser(track.encoding, bytes_max=self._bytes_max)
                yield self._decoded(session, decoder, times, units, until_first=opening)
            finally:
                decoder.close()

    def interrupt(self) -> None:
        """End every wait, from another thread; the source gives nothing any more."""
        self._stopping.set()

    def _decoded(
        self,
        session: Session,
        decoder: LiveDecoder,
        times: CaptureTime,
        packets: Depacketiser,
        *,
        until_first: Deadline,
    ) -> Iterator[Frame]:
        silence = until_first
        self._began = self._sequence
        while True:
            for packet in session.receive():
                for unit in packets.put(packet):
                    for frame in self._decode(unit, decoder, times):
                        self.books.claim(decoder.frames_per_s or self.books.claimed_fps)
                        self._sequence = max(self._sequence, frame.sequence)
                        yield frame
                        silence = Deadline(self._clock, self._silence_s)
            if silence.is_over:
                since_s = self._open_s if silence is until_first else self._silence_s
                trouble = decoder.last_trouble or packets.last_trouble
                raise SourceLostError(self._silent(session, since_s, trouble))

    def _silent(self, session: Session, since_s: float, trouble: str) -> str:
        came = f"{session.packets} packets ({session.missing} missing, {session.strays} strays)"
        units = f"{self._sequence - self._began} access units"
        because = f"; {trouble}" if trouble else ""
        return f"{self._address.public}: no picture for {since_s:g} s, but {came}, {units}{because}"

    def _decode(self, unit: AccessUnit, decoder: LiveDecoder, times: CaptureTime) -> Iterator[Frame]:
        self._sequence += 1
        captured_at_ns, timed_by = times.place(unit.timestamp, arrival_ns=unit.arrival_ns)
        if unit.damage:
            decoder.skip(unit.damage)
        elif self._clock.monotonic_ns() - captured_at_ns > self._lag_max_ns:
            decoder.skip(LATE)
        else:
            yield from decoder.decode(
                unit.content,
                is_key=unit.is_key,
                sequence=self._sequence,
                captured_at_ns=captured_at_ns,
                timed_by=timed_by,
            )

    def _tell_of_clock(self, text: str) -> None:
        self.books.remark("clock", text)
