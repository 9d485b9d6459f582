"""A camera at this machine (V4L2), through OpenCV: PyAV has no V4L2, OpenCV tells the kernel's time.

OpenCV waits 10 s for a device that hangs, and nothing can end that wait. So a thread of its own reads, and
whoever waits for frames waits no longer than they were told to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import av
import cv2
import numpy as np

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame, TimedBy
from edge.domain.ports import Clock
from edge.kit.queues import Latest
from edge.sources.camera_picture import Scaler, VideoPicture
from edge.sources.live_books import LiveBooks

_AGE_MAX_NS = 2_000_000_000  # an older time is not of our monotonic clock
_STEP_S = 0.1
_FPS_MAX = 1000
_FAILURES_MAX = 5
_BUSY = "its last reader still waits for it"


class Device(Protocol):
    """What we use of `cv2.VideoCapture`."""

    def isOpened(self) -> bool:  # noqa: N802  # OpenCV's name
        """Whether it gives pictures."""

    def read(self) -> tuple[bool, Any]:
        """Wait for a picture: (True, (height, width, 3) BGR), or (False, None)."""

    def get(self, prop: int, /) -> float:
        """Return a property."""

    def set(self, prop: int, value: float, /) -> bool:
        """Wish for a property; whether it was taken."""

    def release(self) -> None:
        """Give it back."""


def open_v4l2(device: str) -> Device:
    """Open a device with OpenCV."""
    return cv2.VideoCapture(device, cv2.CAP_V4L2)


class DeviceCamera:
    """Frames of a V4L2 device."""

    def __init__(
        self,
        name: str,
        *,
        device: str,
        height_px: int | None = None,
        width_px: int | None = None,
        frames_per_s: float | None = None,
        open_s: float = 10.0,
        silence_s: float = 3.0,
        clock: Clock,
        books: LiveBooks,
        opens: Callable[[str], Device] = open_v4l2,
    ) -> None:
        """Store what the device needs.

        Args:
            name: Of the source in the configuration.
            device: `/dev/videoN`.
            height_px: Wished for; None: the device's own.
            width_px: Wished for; None: the device's own.
            frames_per_s: Wished for; None: the device's own.
            open_s: Time until the first picture.
            silence_s: Time between two.
            clock: Time; the monotonic one must be the system's where the kernel's times are to be used.
            books: Where losses are counted.
            opens: Opens a device; tests bring their own.
        """
        self.name = name
        self.books = books
        self._device = device
        self._wishes = {
            cv2.CAP_PROP_FRAME_HEIGHT: height_px,
            cv2.CAP_PROP_FRAME_WIDTH: width_px,
            cv2.CAP_PROP_FPS: frames_per_s,
        }
        self._open_s = open_s
        self._silence_s = silence_s
        self._clock = clock
        self._opens = opens
        self._scaler = Scaler()
        self._stopping = threading.Event()
        self._sequence = 0
        self._reader: threading.Thread | None = None

    @contextmanager
    def frames(self) -> Iterator[Iterator[Frame]]:
        """Read; the iterator gives each frame as it comes.

        Raises:
            SourceLostError: It cannot be opened, or gives no pictures any more.
        """
        if self._reader is not None and self._reader.is_alive():
            raise SourceLostError(f"{self._device}: {_BUSY}")
        visit = _Visit(self._clock)
        self._reader = threading.Thread(
            target=self._read, args=(visit,), name=f"{self.name} device", daemon=True
        )
        self._reader.start()
        try:
            yield self._taken(visit)
        finally:
            visit.ending.set()
            self._reader.join(_STEP_S)
            for _ in range(visit.newest.counts().held):
                self.books.lost("the device was closed")

    def interrupt(self) -> None:
        """End every wait, from another thread; the source gives nothing any more."""
        self._stopping.set()

    def _taken(self, visit: _Visit) -> Iterator[Frame]:
        patience_s = self._open_s
        while True:
            until_ns = self._clock.monotonic_ns() + round(patience_s * 1e9)
            while (frame := visit.newest.take(timeout_s=_STEP_S)) is None:
                if visit.newest.is_over:
                    raise SourceLostError(f"{self._device}: {visit.trouble}")
                if self._stopping.is_set():
                    raise SourceLostError(f"{self._device}: we were told to stop")
                if self._clock.monotonic_ns() > until_ns:
                    raise SourceLostError(f"{self._device}: no picture for {patience_s:g} s")
            yield frame
            patience_s = self._silence_s

    # ── the thread that waits for the device ──────────────────────────────────────────────────────────────

    def _read(self, visit: _Visit) -> None:
        capture = self._opens(self._device)
        try:
            if not capture.isOpened():
                visit.trouble = "cannot be opened; is it there, ours to read, and in nobody else's use?"
                return
            self._set_up(capture)
            self._read_on(capture, visit)
        except cv2.error as trouble:
            visit.trouble = f"OpenCV gave up on it: {trouble.err}"
        finally:
            visit.newest.close()
            capture.release()

    def _set_up(self, capture: Device) -> None:
        for prop, wish in self._wishes.items():
            if wish is not None:
                capture.set(prop, wish)
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.books.claim(rate if 0 < rate <= _FPS_MAX else None)

    def _read_on(self, capture: Device, visit: _Visit) -> None:
        failures = 0
        while not (visit.ending.is_set() or self._stopping.is_set()):
            is_read, picture = capture.read()
            if not is_read or picture is None:
                failures += 1
                if failures >= _FAILURES_MAX:
                    visit.trouble = f"gave nothing {failures} times in a row"
                    return
                visit.ending.wait(_STEP_S / failures)
                continue
            failures = 0
            self._put(capture, picture, visit)

    def _put(self, capture: Device, picture: Any, visit: _Visit) -> None:
        self._sequence += 1
        captured_at_ns, timed_by = self._time(capture.get(cv2.CAP_PROP_POS_MSEC))
        bgr = np.ascontiguousarray(picture, dtype=np.uint8)
        frame = Frame(
            source=self.name,
            sequence=self._sequence,
            captured_at_ns=captured_at_ns,
            timed_by=timed_by,
            content=VideoPicture(av.VideoFrame.from_ndarray(bgr, format="bgr24"), scaler=self._scaler),
        )
        overtaken = sum(visit.newest.counts().dropped.values())
        visit.newest.put(frame)
        overtaken = sum(visit.newest.counts().dropped.values()) - overtaken
        if overtaken:
            self.books.lost("we are behind", frames=overtaken)

    def _time(self, kernel_ms: float) -> tuple[int, TimedBy]:
        """Return when the kernel says that it came, where that is on our clock (CLOCK_MONOTONIC)."""
        now_ns = self._clock.monotonic_ns()
        captured_at_ns = round(kernel_ms * 1e6)
        if 0 <= now_ns - captured_at_ns <= _AGE_MAX_NS:
            return captured_at_ns, "stream"
        return now_ns, "arrival"


class _Visit:
    """One opening of the device; a reader that comes back late finds its own, and disturbs nobody."""

    def __init__(self, clock: Clock) -> None:
        self.newest: Latest[Frame] = Latest(1, clock=clock)
        self.ending = threading.Event()
        self.trouble = "it ended"
