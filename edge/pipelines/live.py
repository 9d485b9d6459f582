"""The live path: the newest frame becomes an answer, observations, events, findings in the outbox.

    source ─▶ Latest ─▶ frame ─▶ look ─▶ tracker ─▶ findings ─▶ outbox

One `Live` is one pipeline on one source, in a thread of its own. Frames may be lost, each loss is counted
with its reason; a finding may not. Where no frame is assessed for the gap, it says so: NOT_ASSESSED.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from edge.domain.errors import StorageFullError
from edge.domain.finding import Code, Finding, ModelStamp, Observation, Verdict
from edge.domain.frame import Frame
from edge.domain.health import StageHealth
from edge.domain.ports import Clock
from edge.findings.identity import KeyedHash
from edge.findings.ids import uuid7
from edge.findings.track import Event, Pace, Said, Tracker
from edge.kit.journal import Entry, Journal
from edge.kit.log import Log
from edge.kit.queues import Latest
from edge.kit.recent import Recent
from edge.kit.room import when_there_is_room
from edge.kit.stage import Stage
from edge.pipelines.looked import Looked
from edge.pipelines.stream_voice import StreamVoice

STEP_S = 0.25  # longest wait before gaps, summaries and the stop are looked after
STOPPED = "the appliance was stopped"
STALE = "stale"
AHEAD = "stamped ahead of now"
OVERFULL = "more things at once than can be followed: of the rest nothing is said"

_Answer = TypeVar("_Answer")


IsPresent = Callable[[Code, str], bool]


class Look(Protocol):
    """How a pipeline reads a frame: with a model, or by measuring."""

    @property
    def subject(self) -> Code:
        """What is looked for."""

    @property
    def stamp(self) -> ModelStamp | None:
        """Which weights speak; None where none do."""

    @property
    def refusal(self) -> str:
        """Why it cannot look at all, or ""."""

    def __call__(self, frame: Frame, *, is_present: IsPresent) -> Looked:
        """Read one frame.

        Args:
            frame: The newest.
            is_present: Whether something stands as PRESENT so far: for thresholds with hysteresis.

        Raises:
            EdgeError: It could not look.
        """


class Onlooker(Protocol):
    """Who wants to know what was assessed: the privacy gate, whoever draws snapshots. Must not take long."""

    def assessed(self, frame: Frame, looked: Looked) -> None:
        """A frame was assessed."""

    def missed(self, reason: str) -> None:
        """A frame could not be assessed, or none came for the gap."""


class Live:
    """One pipeline on one source.

    Attributes:
        latency_ms: From the capture of a frame to what it shows.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        source: str,
        frames: Latest[Frame],
        look: Look,
        pace: Pace,
        age_max_ms: float,
        losses: Callable[[], Mapping[str, int]],
        trouble: Callable[[], str],
        journal: Journal,
        envelope: Callable[[Finding, int], Entry],
        identity: KeyedHash,
        stage: Stage,
        clock: Clock,
        beat: Callable[[], None],
        onlookers: Sequence[Onlooker] = (),
        after: Event | None = None,
    ) -> None:
        """Store what the path needs.

        Args:
            pipeline: Its name.
            source: Name of the source.
            frames: Where its newest frames wait.
            look: How a frame is read.
            pace: How quickly and how often something is said.
            age_max_ms: A frame older than this is not looked at any more; nor is one stamped so far ahead of
                now, for how old that is nobody knows.
            losses: Frames that were lost before they came here, by reason, since the start.
            trouble: Why the source gives no frames, "" where nothing is known.
            journal: Holds the outbox that `envelope` names.
            envelope: Encodes a finding, given when its frame was captured (UTC, ns).
            identity: Makes the source's subject.
            stage: The books.
            clock: Time.
            beat: Called at least once a second.
            onlookers: Are shown each frame that was assessed, with what it showed.
            after: What another, whose place it takes, has left standing: that nobody looks.
        """
        self._source = source
        self._frames = frames
        self._look = look
        self._tracker = Tracker(pace, subject=look.subject, utc_ns=clock.utc_ns, new_id=lambda: uuid7(clock))
        self._age_max_ms = age_max_ms
        self._losses = losses
        self._trouble = trouble
        self._journal = journal
        self._envelope = envelope
        self._voice = StreamVoice(
            pipeline=pipeline,
            source=source,
            subject=identity.subject(f"source {source}"),
            losses=self._all_losses,
            clock=clock,
        )
        self._stage = stage
        self._clock = clock
        self._beat = beat
        self._onlookers = onlookers
        self._log = Log(stage.name)
        self._stopping = threading.Event()
        self._because, self._is_for_good = STOPPED, False
        self._last_trouble = ""
        if after is not None:
            self._tracker.take_over(after)
        self.latency_ms = Recent()

    def run(self) -> None:
        """Look at frames until `stop`; the body of the thread."""
        try:
            while not self._stopping.is_set():
                self.work_once(timeout_s=STEP_S)
            self._end()
        except StorageFullError as full:  # only at a stop: until then whoever has to say something waits
            self._log.error("the end of what was seen could not be written down", because=full)

    def _end(self) -> None:
        """End every event; while another is about to look it stands that nobody does."""
        now_ns = self._clock.monotonic_ns()
        ended = self._tracker.close(now_ns=now_ns, reason=self._because)
        if self._is_for_good:
            ended += self._tracker.leave(now_ns=now_ns)
        self._say(ended, None, Looked(observations=()))

    @property
    def name(self) -> str:
        """Name of its stage, and of its thread."""
        return self._stage.name

    @property
    def left(self) -> Event | None:
        """What stands when it has ended and another takes its place: that nobody looks."""
        return self._tracker.left

    @property
    def gap(self) -> str:
        """Why no frame has been assessed for too long; "" while some are."""
        return self._tracker.gap

    @property
    def not_followed(self) -> int:
        """How many boxes nothing was said of, since there were too many at once."""
        return self._tracker.overfull

    def stop(self, *, because: str = STOPPED, is_for_good: bool = False) -> None:
        """End after the frame in hand.

        Args:
            because: Is said of the time from now on, for which nothing is assessed.
            is_for_good: This pipeline looks at this source no more; that, too, ends then.
        """
        if not self._stopping.is_set():
            self._because, self._is_for_good = because, is_for_good
            self._stopping.set()

    def health(self) -> StageHealth:
        """Return the books from the hand-over on: what came in has left, was lost, set aside, or is here."""
        worked, waiting = self._stage.health(), self._frames.counts()  # in this order no frame is in both
        between = waiting.out - worked.taken  # taken out, and not yet in the stage's own books
        return replace(
            worked,
            taken=waiting.taken,
            dropped=dict(Counter(waiting.dropped) + Counter(worked.dropped)),
            held=waiting.held + between + worked.held,
            note=worked.note or (OVERFULL if self._tracker.is_overfull else ""),
        )

    def work_once(self, *, timeout_s: float) -> bool:
        """Look at the newest frame, or at how long there was none; return whether there was one."""
        self._beat()
        frame = self._frames.take(timeout_s=timeout_s)
        if frame is not None:
            self._look_at(frame)
        elif self._frames.is_over:
            self._stopping.wait(timeout_s)  # a recording that is over: nothing makes us wait any more
        self._idle()
        return frame is not None

    def _look_at(self, frame: Frame) -> None:
        age_ms = (self._clock.monotonic_ns() - frame.captured_at_ns) / 1e6
        if abs(age_ms) > self._age_max_ms:
            self._stage.dropped(STALE if age_ms > 0 else AHEAD)
            seen = f"{age_ms:.0f} ms old" if age_ms > 0 else f"stamped {-age_ms:.0f} ms ahead of now"
            self._last_trouble = f"the newest frame is {seen}, wanted at most {self._age_max_ms:g} ms"
            return
        self._stage.work(
            f"frame {frame.sequence}", partial(self._assess, frame, age_ms), set_aside=self._failed
        )

    def _assess(self, frame: Frame, age_ms: float) -> str | None:
        """Look at one frame and say what has to be said; return why it could not be looked at, if so."""
        if self._look.refusal:
            return self._look.refusal
        looked = self._look(frame, is_present=self._tracker.is_present)
        self._last_trouble = ""
        now_ns = self._clock.monotonic_ns()
        captured_ns = min(frame.captured_at_ns, now_ns)  # what is ahead of now must not put off the gap
        self.latency_ms.add((now_ns - captured_ns) / 1e6)
        said = self._tracker.update(looked.observations, now_ns=captured_ns, answered_ns=now_ns)
        for onlooker in self._onlookers:
            onlooker.assessed(frame, looked)
        timed = replace(looked, latency_ms={"arrive": max(age_ms, 0.0), **looked.latency_ms})
        self._say(said, frame, timed)
        return None

    def _failed(self, reason: str) -> None:
        self._last_trouble = reason
        for onlooker in self._onlookers:
            onlooker.missed(reason)

    def _idle(self) -> None:
        """Say that nobody looks, once that has lasted too long."""
        trouble = self._trouble()
        if trouble:
            for onlooker in self._onlookers:
                onlooker.missed(trouble)
        because = self._look.refusal or trouble or self._last_trouble or "no frame came"
        reason = f"no frame of {self._source} was assessed: {because}"
        said = self._tracker.idle(now_ns=self._clock.monotonic_ns(), reason=reason)
        self._say(said, None, Looked(observations=()))

    def _say(self, said: Sequence[Said], frame: Frame | None, looked: Looked) -> None:
        """Put findings into the outbox; wait where the disk is full."""
        for one in said:
            stamp = looked.stamp or self._look.stamp
            finding = self._voice.finding(one, frame=frame, looked=looked, stamp=stamp)
            captured_utc_ns = self._clock.utc_ns()
            if frame is not None:
                captured_utc_ns -= max(0, self._clock.monotonic_ns() - frame.captured_at_ns)
            entry = self._with_room(partial(self._written, finding, captured_utc_ns))
            self._with_room(partial(self._journal.put, entry))

    def _written(self, finding: Finding, captured_utc_ns: int) -> Entry:
        """Encode a finding; where one of its numbers cannot be, say that: nothing would be silence."""
        try:
            return self._envelope(finding, captured_utc_ns)
        except ValueError as trouble:
            seen, reason = finding.observation, f"what was seen cannot be written down: {trouble}"
            unsaid = Observation(
                code=seen.code, segment=seen.segment, verdict=Verdict.NOT_ASSESSED, reason=reason
            )
            return self._envelope(replace(finding, observation=unsaid), captured_utc_ns)

    def _all_losses(self) -> Counter[str]:
        return Counter(self._losses()) + Counter(self.health().dropped)

    def _with_room(self, act: Callable[[], _Answer]) -> _Answer:
        def wait(seconds: float) -> bool:
            self._beat()
            return self._stopping.wait(seconds)

        return when_there_is_room(act, stage=self._stage, wait=wait)
