"""The path of one recording: every frame is looked at, in its order, and becomes events and findings.

    frames ─▶ look ─▶ tracker ─▶ findings

Nothing is dropped and nothing waits: time is that of the recording, counted from its first frame and laid
onto the wall clock as if it had begun to play when it was opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edge.domain.errors import EdgeError
from edge.domain.finding import Finding
from edge.domain.frame import Frame
from edge.domain.ports import Clock
from edge.findings.identity import KeyedHash
from edge.findings.ids import uuid7
from edge.findings.track import Pace, Said, Tracker
from edge.pipelines.live import Look
from edge.pipelines.looked import Looked
from edge.pipelines.stream_voice import StreamVoice

_NS = 1_000_000_000


class Recorded:
    """One pipeline on one recording.

    Attributes:
        frames: How many it was shown.
        unassessed: How many of them could not be looked at.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        source: str,
        look: Look,
        pace: Pace,
        losses: Callable[[], Mapping[str, int]],
        identity: KeyedHash,
        clock: Clock,
        is_still: bool = False,
        told: Callable[[float, Frame, Looked], None] = lambda _s, _frame, _looked: None,
    ) -> None:
        """Store what the path needs.

        Args:
            pipeline: Its name.
            source: Name of the recording.
            look: How a frame is read.
            pace: How quickly and how often something is said, in the time of the recording.
            losses: Frames that could not be read, by reason, so far.
            identity: Makes the recording's subject.
            clock: Says when it was opened.
            is_still: It has one frame only: nothing is said of when, and it has no end.
            told: Is shown each frame that was assessed: seconds into the recording, the frame, what was seen.
        """
        self._source = source
        self._look = look
        self._pace = pace
        self._losses = losses
        self._is_still = is_still
        self._told = told
        self._played = _Played(began_utc_ns=clock.utc_ns())
        self._tracker = Tracker(
            pace, subject=look.subject, utc_ns=self._played.utc_ns, new_id=lambda: uuid7(self._played)
        )
        self._voice = StreamVoice(
            pipeline=pipeline,
            source=source,
            subject=identity.subject(f"recording {source}"),
            losses=losses,
            clock=self._played,
        )
        self._first_ns: int | None = None
        self._assessed_ns: int | None = None
        self._lost_then = 0
        self._last: Frame | None = None
        self._has_spoken = False
        self._trouble = ""
        self.frames = self.unassessed = 0

    def seconds_in(self, utc_ns: int) -> float:
        """Return where in the recording a time of one of its findings is."""
        return (utc_ns - self._played.began_utc_ns) / _NS

    def see(self, frame: Frame) -> Sequence[Finding]:
        """Look at the next frame; return what has to be said now."""
        self._first_ns = frame.captured_at_ns if self._first_ns is None else self._first_ns
        now_ns = max(frame.captured_at_ns - self._first_ns, self._played.at_ns)  # some clocks step back
        self.frames += 1
        missed = self._missed(now_ns)
        self._played.at_ns = now_ns
        try:
            looked = self._look(frame, is_present=self._tracker.is_present)
        except EdgeError as trouble:
            self.unassessed += 1
            self._trouble = str(trouble)
            return (*missed, *self._say(self._tracker.idle(now_ns=now_ns, reason=self._why_not()), None))
        said = self._tracker.update(looked.observations, now_ns=now_ns)
        self._last = frame
        self._told(now_ns / _NS, frame, looked)
        self._assessed_ns, self._lost_then = now_ns, self._lost()
        return (*missed, *self._say(said, frame, looked))

    def end(self, because: str) -> Sequence[Finding]:
        """End every event; what was never looked at, or never lasted long enough, is NOT_ASSESSED.

        Args:
            because: Why there are no more frames, in words.
        """
        if self._is_still and self._has_spoken:
            return ()
        now_ns = self._played.at_ns
        reason = because
        if self._trouble or self._look.refusal:
            reason = self._why_not()
        elif self._assessed_ns is not None:
            reason = f"{because} before anything had lasted {self._pace.settle_s:g} s"
        resumed = self._tracker.update((), now_ns=now_ns) if self._has_spoken else ()
        closing = self._tracker.close(now_ns=now_ns, reason=reason)
        # The tracker says that nobody looks any more, which goes without saying once a recording has spoken.
        ends = [one for one in closing if one.phase == "end" or not self._has_spoken]
        return self._say((*resumed, *ends), self._last)

    def _missed(self, now_ns: int) -> Sequence[Finding]:
        """Say that frames between the last one and this could not be read, where that lasted too long."""
        gap_ns = round(self._pace.gap_s * _NS)
        before_ns = self._assessed_ns
        if before_ns is None or now_ns - before_ns <= gap_ns or self._lost() == self._lost_then:
            return ()
        self._played.at_ns = before_ns + gap_ns
        reason = f"frames of {self._source} could not be read"
        return self._say(self._tracker.idle(now_ns=before_ns + gap_ns, reason=reason), None)

    def _lost(self) -> int:
        return sum(self._losses().values())

    def _why_not(self) -> str:
        return f"{self._source} was not assessed: {self._look.refusal or self._trouble}"

    def _say(
        self, said: Sequence[Said], frame: Frame | None, looked: Looked | None = None
    ) -> Sequence[Finding]:
        self._has_spoken = self._has_spoken or bool(said)
        seen = looked or Looked(observations=())
        where = () if self._is_still else (f"{self._played.at_ns / _NS:.2f} s into the recording",)
        placed = replace(seen, notes=(*seen.notes, *where))
        stamp = seen.stamp or self._look.stamp
        return [self._voice.finding(one, frame=frame, looked=placed, stamp=stamp) for one in said]


class _Played:
    """The time of a recording, as if it had begun to play when it was opened."""

    def __init__(self, *, began_utc_ns: int) -> None:
        self.began_utc_ns = began_utc_ns
        self.at_ns = 0

    def monotonic_ns(self) -> int:
        """Return how far into the recording we are."""
        return self.at_ns

    def utc_ns(self) -> int:
        """Return the same on the wall clock."""
        return self.began_utc_ns + self.at_ns
