"""A live source that shows what the test gives it, and is lost, over or stuck when the test says so."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame
from edge.domain.ports import Clock

WAITING_MAX = 1024


class FakePicture:
    """A grey picture of (height, width) luma."""

    def __init__(self, luma: NDArray[np.uint8]) -> None:
        self._luma = luma
        self.trouble: Exception | None = None

    @property
    def shape_px(self) -> tuple[int, int]:
        return self._luma.shape[0], self._luma.shape[1]

    def planes(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        return np.repeat(self.luma(height_px=height_px, width_px=width_px)[None], 3, axis=0)

    def rgb(self) -> NDArray[np.uint8]:
        return np.repeat(self._luma[..., None], 3, axis=2)

    def luma(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        if self.trouble is not None:
            raise self.trouble
        rows = np.arange(height_px) * self._luma.shape[0] // height_px
        columns = np.arange(width_px) * self._luma.shape[1] // width_px
        return self._luma[np.ix_(rows, columns)]


def noise(seed: int, *, height_px: int = 36, width_px: int = 64) -> FakePicture:
    """Return a picture with enough in it to be seen."""
    return FakePicture(np.random.default_rng(seed).integers(40, 200, (height_px, width_px), np.uint8))


class FakeFrameSource:
    """Gives frames until it is told otherwise; `refusals` are met first, one at each opening."""

    def __init__(self, name: str = "camera", *, clock: Clock, silence_s: float = 0.5) -> None:
        self.name = name
        self.refusals: list[Exception] = []
        self.openings = 0
        self.hangs = threading.Event()
        self._goes_on = threading.Event()
        self._clock = clock
        self._silence_s = silence_s
        self._sequence = 0
        self._inbox: queue.Queue[FakePicture | Exception | None] = queue.Queue(maxsize=WAITING_MAX)

    def show(self, picture: FakePicture | None = None) -> None:
        """Let a frame come."""
        self._inbox.put(noise(self._inbox.qsize()) if picture is None else picture)

    def lose(self, trouble: Exception) -> None:
        """Let it fail after what was shown."""
        self._inbox.put(trouble)

    def end(self) -> None:
        """Let the recording be over after what was shown."""
        self._inbox.put(None)

    def hang(self) -> None:
        """Come back from nothing any more, as native code may."""
        self._goes_on.clear()
        self.hangs.set()

    def go_on(self) -> None:
        """Come back."""
        self.hangs.clear()
        self._goes_on.set()

    @contextmanager
    def frames(self) -> Iterator[Iterator[Frame]]:
        self.openings += 1
        if self.refusals:
            raise self.refusals.pop(0)
        yield self._shown()

    def _shown(self) -> Iterator[Frame]:
        while True:
            try:
                shown = self._inbox.get(timeout=self._silence_s)
            except queue.Empty:
                raise SourceLostError(f"{self.name}: no picture for {self._silence_s:g} s") from None
            if self.hangs.is_set():
                self._goes_on.wait(30.0)
            if shown is None:
                return
            if isinstance(shown, Exception):
                raise shown
            self._sequence += 1
            yield Frame(
                source=self.name,
                sequence=self._sequence,
                captured_at_ns=self._clock.monotonic_ns(),
                timed_by="arrival",
                content=shown,
            )
