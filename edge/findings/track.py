"""One event for one thing seen in many frames: association, settling, summaries, and the gap that is said.

What a frame shows comes in as observations. One without a box is a statement about the whole picture or a
named region: its event lasts as long as its verdict does. One with a box is a thing that moves: its event
lasts as long as it is found again near where it was. Nothing here has a thread or a clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from edge.domain.finding import Code, Observation, Verdict

Phase = Literal["begin", "summary", "end"]
Key = tuple[str, str]  # code value and segment
UNSTEADY = "the verdict changes from frame to frame, none of them lasts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How quickly something is said, and how often.

    Attributes:
        settle_s: A new verdict, or a new thing, must last this long before it is said.
        vanish_s: A thing that was not found again for this long is over.
        summary_s: Pause between two findings about an event that does not change.
        gap_s: Without an assessed frame for this long everything counts as not assessed.
        overlap_min: Intersection over union from which two boxes may be one thing, 0 to 1.
        things_max: More moving things than this at once are not followed; the first stay.
    """

    settle_s: float
    vanish_s: float
    summary_s: float
    gap_s: float
    overlap_min: float = 0.2
    things_max: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something to be said about one event, now.

    Attributes:
        event_id: The same for everything said about the event.
        phase: `begin`, `summary`, `end`.
        revision: Counts what is said about the event, from 1.
        observation: As of now.
        began_utc_ns: When the event began.
        frames: How many frames it rests on.
    """

    event_id: str
    phase: Phase
    revision: int
    observation: Observation
    began_utc_ns: int
    frames: int


@dataclass(slots=True)
class Event:
    """One thing that lasts."""

    observation: Observation
    event_id: str
    began_ns: int
    began_utc_ns: int
    last_ns: int
    frames: int = 0
    revision: int = 0
    said_ns: int = 0

    def say(self, phase: Phase, now_ns: int) -> Said:
        """Say how it is now."""
        self.revision += 1
        self.said_ns = now_ns
        return Said(
            event_id=self.event_id,
            phase=phase,
            revision=self.revision,
            observation=self.observation,
            began_utc_ns=self.began_utc_ns,
            frames=self.frames,
        )


@dataclass(slots=True)
class _Statement:
    """What holds for the picture or a region, and what may be about to replace it.

    Attributes:
        steady_ns: When what stands was last seen; where nothing stands, when the first verdict came.
    """

    steady_ns: int
    standing: Event | None = None
    coming: Event | None = None


@dataclass(slots=True)
class _Things:
    """Moving things of one kind."""

    events: list[Event] = field(default_factory=list)


class Tracker:
    """The events of one source as one pipeline sees them; used by one thread."""

    def __init__(
        self, pace: Pace, *, subject: Code, utc_ns: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        """Store the rules.

        Args:
            pace: How quickly, and how often.
            subject: What is looked for: the code of a finding that says that nobody could look.
            utc_ns: Labels events.
            new_id: Names them, UUIDv7.
        """
        self._pace = pace
        self._subject = subject
        self._utc_ns = utc_ns
        self._new_id = new_id
        self._statements: dict[Key, _Statement] = {}
        self._things: dict[Key, _Things] = {}
        self._gap: Event | None = None
        self._assessed_ns: int | None = None
        self._overfull = 0
        self._is_overfull = False

    @property
    def overfull(self) -> int:
        """How many boxes were not followed because there were too many at once."""
        return self._overfull

    @property
    def is_overfull(self) -> bool:
        """Whether a box of the newest frame was not followed. Safe to ask from another thread."""
        return self._is_overfull

    @property
    def gap(self) -> str:
        """Why nothing is assessed, as last said; "" while something is. Safe to ask from another thread."""
        gap = self._gap
        return "" if gap is None else gap.observation.reason

    def is_present(self, code: Code, segment: str = "") -> bool:
        """Whether something stands as PRESENT: what hysteresis needs to know."""
        statement = self._statements.get((code.value, segment))
        is_stated = (
            statement is not None
            and statement.standing is not None
            and statement.standing.observation.verdict is Verdict.PRESENT
        )
        things = self._things.get((code.value, segment))
        return is_stated or (things is not None and bool(things.events))

    def update(
        self, observations: Sequence[Observation], *, now_ns: int, answered_ns: int | None = None
    ) -> tuple[Said, ...]:
        """Take in what one assessed frame shows.

        Args:
            observations: Of one frame, in source pixels.
            now_ns: Monotonic time of that frame.
            answered_ns: When it was assessed: from here on a gap is measured; left out: `now_ns`.

        Returns:
            What has to be said now, ends before beginnings.
        """
        self._assessed_ns = now_ns if answered_ns is None else answered_ns
        said: list[Said] = []
        if self._gap is not None:
            said.append(self._gap.say("end", now_ns))
            self._gap = None
        boxed: dict[Key, list[Observation]] = {key: [] for key in self._things}
        for observation in observations:
            key = (observation.code.value, observation.segment)
            if observation.box_px is None:
                said += self._state(key, observation, now_ns)
            else:
                boxed.setdefault(key, []).append(observation)
        left_out = self._overfull
        for key, found in boxed.items():
            said += self._follow(key, found, now_ns)
        self._is_overfull = self._overfull > left_out
        return (*said, *self._summaries(now_ns))

    def idle(self, *, now_ns: int, reason: str) -> tuple[Said, ...]:
        """Say what has to be said while no frame is assessed: the gap, once it is too long.

        Args:
            now_ns: Monotonic.
            reason: What is known about why there is no frame, in words.
        """
        if self._assessed_ns is None:
            self._assessed_ns = now_ns
        if now_ns - self._assessed_ns < _ns(self._pace.gap_s):
            return ()
        if self._gap is not None:
            self._gap.observation = self._unseen(reason)
            return tuple(self._summaries(now_ns))
        ends = [event.say("end", now_ns) for event in self._said_events()]
        self._statements.clear()
        self._things.clear()
        self._is_overfull = False
        self._gap = self._begun(self._unseen(reason), now_ns)
        return (*ends, self._gap.say("begin", now_ns))

    def close(self, *, now_ns: int, reason: str) -> tuple[Said, ...]:
        """End every event: nobody looks any more."""
        self._assessed_ns = now_ns - _ns(self._pace.gap_s)
        return self.idle(now_ns=now_ns, reason=reason)

    @property
    def left(self) -> Event | None:
        """What still stands after `close`: that nobody looks. Whoever looks next may take it over."""
        return self._gap

    def take_over(self, gap: Event) -> None:
        """Begin where another left off: that nobody looked ends with the first frame that is assessed."""
        self._gap = gap

    def leave(self, *, now_ns: int) -> tuple[Said, ...]:
        """End also that nobody looks: nobody will, and nothing is to be expected."""
        gap, self._gap = self._gap, None
        return () if gap is None else (gap.say("end", now_ns),)

    # ── statements ────────────────────────────────────────────────────────────────────────────────────────

    def _state(self, key: Key, observation: Observation, now_ns: int) -> Iterator[Said]:
        """Let a verdict stand once it has lasted; its numbers are those of the last frame.

        What stands and is not seen any more, while nothing else lasts either, does not stand for ever: nobody
        can say what holds.
        """
        statement = self._statements.setdefault(key, _Statement(now_ns))
        standing = statement.standing
        if standing is not None and standing.observation.verdict is observation.verdict:
            statement.coming, statement.steady_ns = None, now_ns
            _extend(standing, observation, now_ns)
            return
        coming = statement.coming
        if coming is None or coming.observation.verdict is not observation.verdict:
            coming = statement.coming = self._begun(observation, now_ns)
        _extend(coming, observation, now_ns)
        if now_ns - coming.began_ns < _ns(self._pace.settle_s):
            if not self._is_unsteady(statement, now_ns):
                return
            unclear = replace(
                observation, verdict=Verdict.NOT_ASSESSED, score=None, measurements=(), reason=UNSTEADY
            )
            coming = self._begun(unclear, now_ns)
        if standing is not None:
            yield standing.say("end", now_ns)
        statement.standing, statement.coming, statement.steady_ns = coming, None, now_ns
        yield coming.say("begin", now_ns)

    def _is_unsteady(self, statement: _Statement, now_ns: int) -> bool:
        """Whether a verdict is due that nobody can give."""
        standing = statement.standing
        if standing is not None and standing.observation.verdict is Verdict.NOT_ASSESSED:
            return False
        return now_ns - statement.steady_ns >= _ns(self._pace.settle_s + self._pace.gap_s)

    # ── moving things ─────────────────────────────────────────────────────────────────────────────────────

    def _follow(self, key: Key, found: Sequence[Observation], now_ns: int) -> Iterator[Said]:
        """Find known things again, begin new ones, end those that stayed away."""
        things = self._things.setdefault(key, _Things())
        again = _pairs(things.events, found, self._pace.overlap_min)
        for number, event in enumerate(things.events):
            if number in again:
                _extend(event, found[again[number]], now_ns)
                if event.revision == 0 and now_ns - event.began_ns >= _ns(self._pace.settle_s):
                    yield event.say("begin", now_ns)
        for event in [one for one in things.events if now_ns - one.last_ns >= self._patience_ns(one)]:
            things.events.remove(event)
            if event.revision:
                yield event.say("end", now_ns)
        known = set(again.values())
        for observation in (one for number, one in enumerate(found) if number not in known):
            if len(things.events) >= self._pace.things_max:
                self._overfull += 1
                continue
            event = self._begun(observation, now_ns)
            _extend(event, observation, now_ns)
            things.events.append(event)
            if self._pace.settle_s == 0:
                yield event.say("begin", now_ns)

    def _patience_ns(self, event: Event) -> int:
        """What nobody has been told of yet may flicker only as long as it would have to last."""
        patience_s = self._pace.vanish_s if event.revision else min(self._pace.vanish_s, self._pace.settle_s)
        return max(_ns(patience_s), 1)

    # ── both ──────────────────────────────────────────────────────────────────────────────────────────────

    def _said_events(self) -> Iterator[Event]:
        for statement in self._statements.values():
            if statement.standing is not None:
                yield statement.standing
        for things in self._things.values():
            yield from (event for event in things.events if event.revision)
        if self._gap is not None:
            yield self._gap

    def _summaries(self, now_ns: int) -> Iterator[Said]:
        for event in self._said_events():
            if now_ns - event.said_ns >= _ns(self._pace.summary_s):
                yield event.say("summary", now_ns)

    def _begun(self, observation: Observation, now_ns: int) -> Event:
        return Event(observation, self._new_id(), now_ns, self._utc_ns(), now_ns)

    def _unseen(self, reason: str) -> Observation:
        return Observation(code=self._subject, verdict=Verdict.NOT_ASSESSED, reason=reason)


def _extend(event: Event, observation: Observation, now_ns: int) -> None:
    event.observation = observation
    event.last_ns = now_ns
    event.frames += 1


def _pairs(events: Sequence[Event], found: Sequence[Observation], overlap_min: float) -> dict[int, int]:
    """Match events with boxes so that the sum of overlaps is largest; number of event → number of box."""
    if not events or not found:
        return {}
    known = _boxes([event.observation for event in events])
    overlaps = intersection_over_union(known, _boxes(found))
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if overlaps[row, column] >= overlap_min}


def _boxes(observations: Sequence[Observation]) -> NDArray[np.float64]:
    return np.array([observation.box_px for observation in observations], np.float64)


def intersection_over_union(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compare boxes with boxes.

    Args:
        some: (n, 4) left, top, width, height; sides above 0.
        others: (m, 4) the same.

    Returns:
        (n, m) area of the intersection over that of the union, 0 to 1.
    """
    begins = np.maximum(some[:, None, :2], others[None, :, :2])
    ends = np.minimum(some[:, None, :2] + some[:, None, 2:], others[None, :, :2] + others[None, :, 2:])
    common = np.clip(ends - begins, 0.0, None).prod(axis=2)
    areas = some[:, 2:].prod(axis=1)[:, None] + others[:, 2:].prod(axis=1)[None, :]
    union: NDArray[np.float64] = areas - common
    shares: NDArray[np.float64] = common / np.maximum(union, np.finfo(np.float64).tiny)
    return shares


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
