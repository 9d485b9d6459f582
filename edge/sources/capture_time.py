"""When a frame was captured: the sender's timestamps laid onto our own clock.

Each timestamp arrives late by a constant (camera, encoder, line) and by something that varies (queues on the
way, our own lateness). The least lateness of the last seconds is taken for the constant, so a frame that was
held up shows its age. The constant itself cannot be seen from here: what we call "captured" is when the
fastest packets leave the sender.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from edge.domain.frame import TimedBy

_BUCKET_NS = 1_000_000_000
_BACK_NS = 500_000_000  # B frames go back by a few frames, never by this much
_AHEAD_NS = 1_000_000_000
_BEHIND_NS = 10_000_000_000  # more than what queues on the way hold
_STANDING_NS = 1_000_000_000
_REPORTS_APART_S = 2.0
_RATE_OFF = 0.02  # crystals are off by 1e-4; a sender whose clock is off by more does not know its own time

Remark = Callable[[str], None]


class CaptureTime:
    """Lays the timestamps of one stream onto our monotonic clock."""

    def __init__(
        self, *, rate_hz: float, wrap_bits: int | None, remark: Remark, window_s: float = 10.0
    ) -> None:
        """Begin.

        Args:
            rate_hz: Of the timestamps.
            wrap_bits: They begin again at 0 after so many bits; None where they never do.
            remark: Is told where the sender's clock does what clocks do not; "" once that is over.
            window_s: How long the least lateness is remembered; a sender's clock that is slow by 1e-4 makes
                frames look older by 1e-4 of it.
        """
        self._ns = 1e9 / rate_hz
        self._rate_hz = rate_hz
        self._wrap = 0 if wrap_bits is None else 1 << wrap_bits
        self._remark = remark
        self._buckets: deque[tuple[int, float]] = deque(maxlen=max(2, round(window_s * 1e9) // _BUCKET_NS))
        self._last: int | None = None  # extended
        self._newest_ns = 0.0
        self._moved_ns = 0
        self._first_report: tuple[float, int] | None = None
        self._is_rate_off = False

    def place(self, timestamp: int, *, arrival_ns: int) -> tuple[int, TimedBy]:
        """Return when the frame with this timestamp was captured, in monotonic ns, and how that is known.

        Args:
            timestamp: As the sender wrote it.
            arrival_ns: Monotonic time at which its first packet came; never before that of the call before.
        """
        before = self._last
        self._last = extended = self._extend(timestamp)
        sent_ns = extended * self._ns
        lateness_ns = arrival_ns - sent_ns
        if before is None:
            self._anchor(sent_ns, lateness_ns, arrival_ns)
        jump = self._jump(sent_ns, lateness_ns)
        if jump:
            self._anchor(sent_ns, lateness_ns, arrival_ns)
            self._first_report = None
            self._remark(jump)
        if sent_ns > self._newest_ns:
            self._newest_ns, self._moved_ns = sent_ns, arrival_ns
        self._note(lateness_ns, arrival_ns)
        is_standing = arrival_ns - self._moved_ns > _STANDING_NS and extended == before
        if is_standing:
            self._remark("its timestamps stand still; frames are timed by their arrival")
        if is_standing or self._is_rate_off:
            return arrival_ns, "arrival"
        return min(arrival_ns, round(sent_ns + self._least_ns())), "stream"

    def hear(self, *, seconds: float, timestamp: int) -> None:
        """Compare the rate of the timestamps with the sender's own wall clock.

        Args:
            seconds: Its wall clock.
            timestamp: The same moment as the stream counts it.
        """
        if self._last is None:
            return
        extended = self._extend(timestamp)
        if self._first_report is None or seconds <= self._first_report[0]:
            self._first_report = seconds, extended
            return
        elapsed_s = seconds - self._first_report[0]
        if elapsed_s < _REPORTS_APART_S:
            return
        rate = (extended - self._first_report[1]) / self._rate_hz / elapsed_s
        self._first_report = seconds, extended  # each pair for itself: a wall clock that is set spoils one
        was_off, self._is_rate_off = self._is_rate_off, abs(rate - 1) > _RATE_OFF
        if self._is_rate_off:
            self._remark(
                f"its timestamps run at {rate:.2f} of the rate it names; frames are timed by their arrival"
            )
        elif was_off:
            self._remark("")

    def _extend(self, timestamp: int) -> int:
        if not self._wrap or self._last is None:
            return timestamp
        half = self._wrap >> 1
        return self._last + (timestamp - self._last + half) % self._wrap - half

    def _jump(self, sent_ns: float, lateness_ns: float) -> str:
        """Say what the sender's clock did, or "" where it went on."""
        back_ns = self._newest_ns - sent_ns
        if back_ns > _BACK_NS:
            return f"its clock went back by {back_ns / 1e9:.1f} s; times are taken anew"
        ahead_ns = self._least_ns() - lateness_ns
        if ahead_ns > _AHEAD_NS:
            return f"its clock jumped ahead by {ahead_ns / 1e9:.1f} s; times are taken anew"
        if -ahead_ns > _BEHIND_NS:
            return f"its clock fell behind by {-ahead_ns / 1e9:.1f} s; times are taken anew"
        return ""

    def _anchor(self, sent_ns: float, lateness_ns: float, arrival_ns: int) -> None:
        self._buckets.clear()
        self._buckets.append((arrival_ns // _BUCKET_NS, lateness_ns))
        self._newest_ns, self._moved_ns = sent_ns, arrival_ns

    def _note(self, lateness_ns: float, arrival_ns: int) -> None:
        """Remember the least lateness of each second, and forget what left the window."""
        bucket = arrival_ns // _BUCKET_NS
        assert self._buckets.maxlen, "the window has a length"
        while self._buckets and bucket - self._buckets[0][0] >= self._buckets.maxlen:
            self._buckets.popleft()
        if self._buckets and self._buckets[-1][0] == bucket:
            self._buckets[-1] = bucket, min(self._buckets[-1][1], lateness_ns)
        else:
            self._buckets.append((bucket, lateness_ns))

    def _least_ns(self) -> float:
        return min(least for _, least in self._buckets)
