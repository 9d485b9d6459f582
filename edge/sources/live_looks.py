"""What is noticed about the frames of a source as they pass: can anything be seen, do enough of them come."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from edge.domain.frame import Frame, Thermogram
from edge.preprocess.picture_quality import (
    FAULTS,
    HEIGHT_PX,
    WIDTH_PX,
    Fault,
    PictureQuality,
    QualityLimits,
)

UNSEEING: frozenset[Fault] = frozenset({"frozen", "black", "blinded"})
_LOOK_EVERY_NS = 200_000_000
_RATE_WINDOW_NS = 5_000_000_000
_RATE_FRAMES_MAX = 2048
_FAR_OFF = 2.2  # a camera that halves its rate in the dark is not far off
RATE = "rate"


class Looks:
    """Follows the frames of one source, in its thread."""

    def __init__(
        self,
        *,
        limits: QualityLimits | None,
        withholds: Collection[Fault] = UNSEEING,
        rate_is_judged: bool = True,
    ) -> None:
        """Begin.

        Args:
            limits: When a picture counts as faulty; None: pictures are not judged.
            withholds: Frames with one of these faults are not handed over: they show nothing, or not now.
            rate_is_judged: Whether a frame rate far from what the stream claims is said.
        """
        self._quality = None if limits is None else PictureQuality(limits)
        self._withholds = withholds
        self._rate_is_judged = rate_is_judged
        self._arrivals: deque[int] = deque(maxlen=_RATE_FRAMES_MAX)
        self._begun_ns = 0
        self._looked_ns: int | None = None
        self._faults: dict[Fault, str] = {}
        self._rate = ""
        self._failures = 0

    def begin(self, *, now_ns: int) -> None:
        """Begin with a source that was just opened."""
        self._arrivals.clear()
        self._begun_ns = now_ns
        self._looked_ns = None
        self._rate = ""
        self._faults = {}
        if self._quality is not None:
            self._quality.forget()

    def look(self, frame: Frame, *, now_ns: int, claimed_fps: float | None) -> None:
        """Take in a frame."""
        self._arrivals.append(now_ns)
        if self._looked_ns is not None and now_ns - self._looked_ns < _LOOK_EVERY_NS:
            return
        self._looked_ns = now_ns
        if self._quality is not None and not isinstance(frame.content, Thermogram):
            luma = frame.content.luma(height_px=HEIGHT_PX, width_px=WIDTH_PX)
            self._faults = self._quality.judge(luma, at_ns=now_ns)
        self._rate = self._judge_rate(now_ns, claimed_fps) if self._rate_is_judged else ""
        self._failures = 0

    def failed(self) -> int:
        """Note that a look failed; return how many did in a row."""
        self._failures += 1
        return self._failures

    def conditions(self) -> dict[str, str]:
        """Return everything that may be wrong, each with its reason or ""."""
        return {RATE: self._rate, **{fault: self._faults.get(fault, "") for fault in FAULTS}}

    @property
    def withheld(self) -> str:
        """Why the frame is not to be handed over, or ""."""
        return next((f"{fault} picture" for fault in self._faults if fault in self._withholds), "")

    def _judge_rate(self, now_ns: int, claimed_fps: float | None) -> str:
        """Say how far the rate is from what the stream claims, once it can be told."""
        while self._arrivals and now_ns - self._arrivals[0] > _RATE_WINDOW_NS:
            self._arrivals.popleft()
        if not claimed_fps or now_ns - self._begun_ns < _RATE_WINDOW_NS:
            return ""
        frames_per_s = len(self._arrivals) / (_RATE_WINDOW_NS / 1e9)
        if claimed_fps / _FAR_OFF <= frames_per_s <= claimed_fps * _FAR_OFF:
            return ""
        seen = f"{_about(frames_per_s)} a second, not {claimed_fps:g}"
        return self._rate or f"far from the frame rate it claims: {seen}"  # the same words while it lasts


def _about(frames_per_s: float) -> str:
    """Return a rate in steps, so that the words do not change with every look."""
    return "fewer than 1" if frames_per_s < 1 else f"about {float(f'{frames_per_s:.1g}'):g}"
