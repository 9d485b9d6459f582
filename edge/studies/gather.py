"""When is a study looked at together: a state machine with events and a clock, without a thread of its own.

    a series in a role ─▶ every role is there ─────────────────────────────▶ due
                       └▶ quiet for `wait_s` after the study's last object ─▶ due, and who is missing is said

Where it was said that a role is ambiguous, what comes after that is waited for in the same way: sixty late
series change nothing of it sixty times, and one more look tells of all.

What it knows is in the journal. At a restart the waiting begins anew, as nobody could send meanwhile; but not
the day after which a study is spoken of in any case, so that no number of restarts keeps it silent.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from edge.domain.ports import Clock
from edge.domain.study import Instance

LONGEST_S: Final = 86_400.0  # a study that objects never cease to come for is spoken of after a day


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a pipeline waits for.

    Attributes:
        roles: All of them must be there.
        wait_s: After the last object of the study; then it is said which did not come.
    """

    roles: frozenset[str]
    wait_s: float


@dataclass(frozen=True, slots=True)
class Due:
    """A study that a pipeline is to look at now.

    Attributes:
        group: As the journal calls it.
        waited_s: So long something more of the study was waited for; 0 where nobody waited.
        last_ns: When the last object of the study came (UTC), as far as this process knows.
    """

    group: str
    waited_s: float
    last_ns: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How many studies wait for their roles; which they are the log says.

    Attributes:
        pipeline: Looks at them.
        studies: So many.
        oldest_s: So long ago the first role of the oldest of them came.
        lacks: How many lack each role.
    """

    pipeline: str
    studies: int
    oldest_s: float
    lacks: Mapping[str, int]


@dataclass(slots=True)
class _Study:
    """A study on its way, for one pipeline."""

    pipeline: str
    study_uid: str
    first_ns: int
    last_ns: int
    is_ambiguous: bool
    series: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)


class Gathering:
    """Knows every study of which a series plays a role; safe to use from many threads.

    Args:
        clock: Time; the wall clock only for what waited before a restart.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._awaited: Mapping[str, Awaited] = {}
        self._studies: dict[str, _Study] = {}

    def follow(self, awaited: Mapping[str, Awaited]) -> None:
        """Wait for this from now on, by name of the pipeline, also where a study waits already."""
        with self._lock:
            self._awaited = dict(awaited)

    def knows(self, group: str) -> bool:
        """Whether a study waits already."""
        with self._lock:
            return group in self._studies

    def came(
        self,
        group: str,
        *,
        pipeline: str,
        study_uid: str,
        series: Collection[str],
        roles: Collection[str],
        since_ns: int | None = None,
        is_ambiguous: bool = False,
    ) -> frozenset[str]:
        """Note that series came in roles, beside those that are known already.

        Args:
            group: As the journal calls pipeline and study.
            pipeline: That looks at it.
            study_uid: Of the series; "" where it names none, and nobody else can be waited for.
            series: In a role, as they are assembled.
            roles: That they play.
            since_ns: When the first of them came (UTC), where that was before a restart; None: it came now.
            is_ambiguous: That was said of the study already.

        Returns:
            The roles that are waited for yet; none where that is not news.
        """
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            begun_ns = now_ns if since_ns is None else now_ns - max(0, self._clock.utc_ns() - since_ns)
            is_news = group not in self._studies or not self._studies[group].roles.issuperset(roles)
            begun = _Study(pipeline, study_uid, begun_ns, now_ns, is_ambiguous)
            study = self._studies.setdefault(group, begun)
            study.first_ns, study.last_ns = min(begun_ns, study.first_ns), now_ns
            study.is_ambiguous |= is_ambiguous
            study.series.update(series)
            study.roles.update(roles)
            return self._missing(study) if is_news else frozenset()

    def kept(self, instance: Instance) -> None:
        """Note that an object of a study arrived: its others may be on their way."""
        with self._lock:
            for study in self._studies.values():
                if study.study_uid == instance.study_uid:
                    study.last_ns = self._clock.monotonic_ns()

    def due(self, growing: Mapping[str, str]) -> list[Due]:
        """Return what is to be looked at now, and forget it.

        Args:
            growing: Series that are on their way in, each with its study: one may play the role that is
                missing, or come again with more of what is here.
        """
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            waited = {group: self._waited_s(study, now_ns, growing) for group, study in self._studies.items()}
            since_ns = self._clock.utc_ns() - now_ns
            due = [
                Due(group, seconds, since_ns + self._studies[group].last_ns)
                for group, seconds in waited.items()
                if seconds is not None
            ]
            for one in due:
                del self._studies[one.group]
            return due

    def waiting(self) -> list[Waiting]:
        """Return what is waited for now, of each pipeline that waits."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            studies: defaultdict[str, list[_Study]] = defaultdict(list)
            for study in self._studies.values():
                if self._missing(study):
                    studies[study.pipeline].append(study)
            return [
                Waiting(
                    pipeline=pipeline,
                    studies=len(each),
                    oldest_s=(now_ns - min(study.first_ns for study in each)) / 1e9,
                    lacks=Counter(role for study in each for role in sorted(self._missing(study))),
                )
                for pipeline, each in studies.items()
            ]

    def _missing(self, study: _Study) -> frozenset[str]:
        """Return which roles are waited for; none where nobody can, or wants to, look any more."""
        awaited = self._awaited.get(study.pipeline)
        return awaited.roles - study.roles if awaited is not None and study.study_uid else frozenset()

    def _waited_s(self, study: _Study, now_ns: int, growing: Mapping[str, str]) -> float | None:
        """Return how long was waited in vain; None where it is not over."""
        missing = self._missing(study)
        awaited = self._awaited.get(study.pipeline)
        if now_ns - study.first_ns >= LONGEST_S * 1e9:
            return LONGEST_S if missing else 0.0
        if awaited is None or not study.study_uid or not (missing or study.is_ambiguous):
            return None if study.series & growing.keys() else 0.0
        is_over = now_ns - study.last_ns >= awaited.wait_s * 1e9 and study.study_uid not in growing.values()
        return awaited.wait_s if is_over else None
