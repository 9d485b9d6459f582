"""A thermal camera at this machine that gives 16 bits for each pixel; not run on real hardware."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import SourceLostError, UnsupportedError
from edge.domain.frame import Frame, TimedBy
from edge.domain.ports import Clock
from edge.domain.thermal import RawThermogram
from edge.preprocess.thermal import thermogram
from edge.preprocess.thermal_site import SiteCalibration
from edge.sources.live_books import LiveBooks

_STEP_S = 0.1
_AGE_MAX_NS = 2_000_000_000  # an older time is not of our monotonic clock


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Y16Picture:
    """One picture of the device.

    Attributes:
        counts: (height, width) uint16.
        captured_at_ns: Monotonic, as the driver says; None where it does not.
        number: As the driver counts; a gap is a picture that it had to drop.
        is_damaged: The driver says that something is missing.
    """

    counts: NDArray[np.uint16]
    captured_at_ns: int | None
    number: int
    is_damaged: bool = False


class Y16Stream(Protocol):
    """A device that was opened."""

    def read(self, *, timeout_s: float) -> Y16Picture | None:
        """Return the oldest picture that waits; None where none comes within the time.

        Raises:
            SourceLostError: The device is gone.
        """


class Y16Device(Protocol):
    """A device that can be opened."""

    def opened(self) -> AbstractContextManager[Y16Stream]:
        """Set the device up and let it run until the `with` ends.

        Raises:
            SourceLostError: It is not there, not ours, in use, or gives no 16 bits.
        """


class ThermalDevice:
    """Thermograms of a device."""

    def __init__(
        self,
        name: str,
        *,
        device: Y16Device,
        site: SiteCalibration,
        telemetry_rows: int = 0,
        open_s: float = 10.0,
        silence_s: float = 3.0,
        clock: Clock,
        books: LiveBooks,
    ) -> None:
        """Store what the device needs.

        Args:
            name: Of the source in the configuration.
            device: `edge.sources.thermal_v4l2.V4l2Y16`, or another.
            site: What a count means, and what lies between the camera and what it looks at.
            telemetry_rows: Rows at the lower edge that are no picture, 0 or more.
            open_s: Time until the first picture.
            silence_s: Time between two.
            clock: Time; the monotonic one must be the system's where the driver's times are to be used.
            books: Where losses are counted.
        """
        self.name = name
        self.books = books
        self._device = device
        self._site = site
        self._telemetry_rows = telemetry_rows
        self._open_s = open_s
        self._silence_s = silence_s
        self._clock = clock
        self._stopping = threading.Event()
        self._sequence = 0
        self._number: int | None = None

    @contextmanager
    def frames(self) -> Iterator[Iterator[Frame]]:
        """Read; the iterator gives the newest frame that waits, or waits for the next.

        Raises:
            SourceLostError: It cannot be opened, or gives no pictures any more.
        """
        if self._site.scale is None:
            raise SourceLostError(f"{self.name}: a device says no scale, wanted one from the site")
        with self._device.opened() as stream:
            self._number = None
            yield self._taken(stream)

    def interrupt(self) -> None:
        """End every wait, from another thread; the source gives nothing any more."""
        self._stopping.set()

    def _taken(self, stream: Y16Stream) -> Iterator[Frame]:
        patience_s = self._open_s
        while True:
            picture = self._newest(stream, patience_s)
            frame = self._frame(picture)
            if frame is not None:
                patience_s = self._silence_s
                yield frame

    def _newest(self, stream: Y16Stream, patience_s: float) -> Y16Picture:
        """Wait for a picture, and pass over all that wait behind a newer one."""
        until_ns = self._clock.monotonic_ns() + round(patience_s * 1e9)
        while (picture := stream.read(timeout_s=_STEP_S)) is None:
            if self._stopping.is_set():
                raise SourceLostError(f"{self.name}: we were told to stop")
            if self._clock.monotonic_ns() > until_ns:
                raise SourceLostError(f"{self.name}: no picture for {patience_s:g} s")
        self._count(picture)
        while (newer := stream.read(timeout_s=0.0)) is not None:
            self.books.lost("we are behind")
            picture = newer
            self._count(picture)
        return picture

    def _count(self, picture: Y16Picture) -> None:
        """Number a picture so that what the driver dropped is a gap."""
        missed = 0 if self._number is None else picture.number - self._number - 1
        if 0 < missed < 1 << 31:
            self._sequence += missed
            self.books.lost("the driver dropped it", frames=missed)
        self._number = picture.number
        self._sequence += 1

    def _frame(self, picture: Y16Picture) -> Frame | None:
        height = picture.counts.shape[0] - self._telemetry_rows
        if picture.is_damaged or height < 1:
            reason = "the driver says that it is damaged" if picture.is_damaged else "it is telemetry only"
            self.books.set_aside(f"frame {self._sequence}", reason=reason)
            return None
        try:
            seen = thermogram(RawThermogram(counts=picture.counts[:height]), self._site)
        except UnsupportedError as trouble:
            raise SourceLostError(f"{self.name}: {trouble}") from trouble
        captured_at_ns, timed_by = self._time(picture.captured_at_ns)
        return Frame(
            source=self.name,
            sequence=self._sequence,
            captured_at_ns=captured_at_ns,
            timed_by=timed_by,
            content=seen,
        )

    def _time(self, told_ns: int | None) -> tuple[int, TimedBy]:
        now_ns = self._clock.monotonic_ns()
        if told_ns is not None and 0 <= now_ns - told_ns <= _AGE_MAX_NS:
            return told_ns, "stream"
        return now_ns, "arrival"
