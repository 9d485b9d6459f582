"""A camera over RTSP as the appliance runs it, with everything that it says, and short deadlines."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Self

from edge.domain.frame import Frame
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.queues import Latest
from edge.preprocess.picture_quality import QualityLimits
from edge.sources.camera_rtsp import RtspCamera
from edge.sources.live import LiveSource
from edge.sources.live_books import LiveBooks
from edge.sources.live_looks import Looks
from edge.sources.rtsp.setup import Transport
from tests.waiting import until

OPEN_S, SILENCE_S = 2.0, 0.4
LATE_S = 1.0  # what a busy machine may add to a deadline


class WatchedCamera:
    """A source that runs while the `with` lasts."""

    def __init__(
        self,
        url: str,
        *,
        transport: Transport = "tcp",
        username: str = "",
        password: str = "",
        open_s: float = OPEN_S,
        limits: QualityLimits | None = None,
        rate_is_judged: bool = False,
    ) -> None:
        clock = SystemClock()
        self.books = LiveBooks("camera", clock=clock)
        self.camera = RtspCamera(
            "camera",
            url=url,
            transport=transport,
            username=username,
            password=password,
            open_s=open_s,
            silence_s=SILENCE_S,
            clock=clock,
            books=self.books,
        )
        self.newest: Latest[Frame] = Latest(2, clock=clock)
        self.said: list[tuple[str, str]] = []
        self.live = LiveSource(
            "camera",
            source=self.camera,
            interrupt=self.camera.interrupt,
            books=self.books,
            hand_overs=[self.newest],
            say=lambda state, why: self.said.append((state, why)),
            looks=Looks(limits=limits, rate_is_judged=rate_is_judged),
            open_s=open_s,
            silence_s=SILENCE_S,
            backoff=Backoff(min_s=0.02, max_s=0.05),
            clock=clock,
        )
        self._rooms = ExitStack()

    def __enter__(self) -> Self:
        self._rooms.enter_context(self.live)
        return self

    def __exit__(self, *_: object) -> None:
        self._rooms.close()
        assert self.live.health().balances

    def frame(self, *, within_s: float = 10.0) -> Frame:
        """Wait for the next frame."""
        frame = self.newest.take(timeout_s=within_s)
        assert frame is not None, f"no frame within {within_s} s: {self.said[-3:]}"
        return frame

    def frames_on(self, count: int) -> list[Frame]:
        """Wait for so many frames."""
        return [self.frame() for _ in range(count)]

    def until_it_says(self, state: str, why: str = "", *, within_s: float = 10.0) -> None:
        """Wait until it says so now."""
        until(
            lambda: any(state == said and why in reason for said, reason in self.said[-1:]),
            within_s=within_s,
            what=f"{state} {why!r}; it said {self.said[-4:]}",
        )

    def until_it_has_said(self, state: str, why: str, *, within_s: float = 10.0) -> None:
        """Wait until it has said so once."""
        until(
            lambda: any(state == said and why in reason for said, reason in list(self.said)),
            within_s=within_s,
            what=f"{state} {why!r}; it said {self.said[-4:]}",
        )
