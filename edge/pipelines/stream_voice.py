"""Turns what a tracker has to say about a stream, a camera or a recording, into findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge.domain.finding import Finding, ModelStamp, StreamSeen
from edge.domain.frame import Frame, Thermogram
from edge.domain.ports import Clock
from edge.findings.ids import uuid7
from edge.findings.track import Said
from edge.pipelines.looked import Looked


class StreamVoice:
    """Speaks for one pipeline on one source; used by one thread."""

    def __init__(
        self,
        *,
        pipeline: str,
        source: str,
        subject: str,
        losses: Callable[[], Mapping[str, int]],
        clock: Clock,
    ) -> None:
        """Store what every finding says.

        Args:
            pipeline: Its name.
            source: Name of the source, or of the recording.
            subject: Keyed hash of the source.
            losses: Frames that were lost, by reason, since the start.
            clock: Time.
        """
        self._pipeline = pipeline
        self._source = source
        self._subject = subject
        self._losses = losses
        self._clock = clock
        self._lost_before: dict[str, Mapping[str, int]] = {}

    def finding(
        self, said: Said, *, frame: Frame | None, looked: Looked, stamp: ModelStamp | None
    ) -> Finding:
        """Return one finding about one event.

        Args:
            said: What is to be said.
            frame: The newest, or None where there is none.
            looked: How it was read.
            stamp: Which weights spoke; None where none did.
        """
        content = frame.content if frame is not None else None
        return Finding(
            finding_id=uuid7(self._clock),
            pipeline=self._pipeline,
            subject=self._subject,
            study="",
            revision=said.revision,
            observation=said.observation,
            seen=StreamSeen(
                source=self._source,
                event_id=said.event_id,
                phase=said.phase,
                began_at_ns=said.began_utc_ns,
                frames=said.frames,
                lost=self._lost_since(said),
                timed_by=frame.timed_by if frame is not None else None,
                calibration=content.calibration if isinstance(content, Thermogram) else None,
            ),
            model=stamp,
            latency_ms=looked.latency_ms,
            notes=looked.notes,
            observed_at_ns=self._clock.utc_ns(),
        )

    def _lost_since(self, said: Said) -> dict[str, int]:
        """Return the losses since the event began, and forget those of an event that is over."""
        now = self._losses()
        before = self._lost_before.setdefault(said.event_id, dict(now))
        if said.phase == "end":
            del self._lost_before[said.event_id]
        since = {reason: count - before.get(reason, 0) for reason, count in now.items()}
        return {reason: count for reason, count in since.items() if count > 0}
