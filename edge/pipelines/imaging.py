"""The imaging path: a complete series becomes a volume or pictures, answers, findings, and envelopes.

    intake journal ─▶ series ─▶ scans    ─▶ model ─▶ policy ─▶ findings ─▶ outbox
                             ├▶ pictures ─▶ model ─▶ policy ─┤
                             └▶ roles ─▶ queue `together`: study ─▶ model ─▶ policy ─┘

`Assessor` is that path for one series, without a journal: `edge analyze` calls it as it is. `Imaging` drives
it from the journal: findings enter the outbox in the same transaction that marks the series done, so a crash
repeats work but loses nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from edge.domain.errors import NotSelectedError, SeriesRejectedError, StorageFullError
from edge.domain.finding import Finding
from edge.domain.ports import Clock
from edge.domain.study import ClosedBecause, Series
from edge.findings.identity import KeyedHash
from edge.kit.journal import Entry, Journal, Lease
from edge.kit.log import Log
from edge.kit.room import when_there_is_room
from edge.kit.stage import Stage
from edge.pipelines.casting import Cast, no_roles
from edge.pipelines.result import UNROUTED, Assessing, Result, SeriesVoice, joined, rest_of
from edge.pipelines.series_pictures import PicturesAssessor, Told
from edge.pipelines.series_volumes import VolumesAssessor
from edge.pipelines.stations import A_SERIES, Station, Viewer
from edge.pipelines.together import Together
from edge.pipelines.watching import Watch, nobody_watches
from edge.studies.assemble import Assembler, series_of
from edge.studies.role_played import RolePlayed, entry_of
from edge.studies.select import Rule, preselect

ATTEMPTS_MAX = 3
IDLE_S = 1.0

_Answer = TypeVar("_Answer")


class Assessor:
    """The path for one series: never raises expected trouble, it says NOT_ASSESSED with the reason."""

    def __init__(
        self,
        *,
        rules: Sequence[Rule],
        stations: Mapping[str, Station],
        viewers: Mapping[str, Viewer] = MappingProxyType({}),
        identity: KeyedHash,
        clock: Clock,
        beat: Callable[[], None] = lambda: None,
        told: Told = lambda _pipeline, _picture, _looked: None,
        watch: Watch = nobody_watches,
        cast: Cast = no_roles,
    ) -> None:
        """Store what the path needs.

        Args:
            rules: Of all pipelines that look at a series by itself, in their order.
            stations: Of those that look at volumes.
            viewers: Of those that look at pictures.
            identity: Makes subjects.
            clock: Time.
            beat: Called before each picture.
            told: Is shown each picture that was assessed.
            watch: Is shown every answer.
            cast: Says which roles a series plays in pipelines that look at several together.
        """
        self._rules = rules
        self._cast = cast
        self._viewers = viewers
        self._voice = SeriesVoice(identity, clock)
        self._volumes = VolumesAssessor(
            rules=rules, stations=stations, identity=identity, clock=clock, watch=watch
        )
        self._pictures = PicturesAssessor(
            viewers=viewers, identity=identity, clock=clock, beat=beat, told=told, watch=watch
        )

    def assess(self, series: Series) -> Result:
        """Look at one series with every pipeline that is meant for it."""
        casting = self._cast(series)
        try:
            meant_for = preselect(series, self._rules)
        except NotSelectedError as nobody:
            if casting.played:  # of its study something will be said
                return Result(findings=(), roles=(*casting.played, *casting.bystanding))
            reason = casting.misfit or str(nobody)
            return Result(findings=(self._voice.unassessed(series, UNROUTED, A_SERIES, reason),))
        return replace(self._assess(series, meant_for), roles=(*casting.played, *casting.bystanding))

    def _assess(self, series: Series, meant_for: Sequence[str]) -> Result:
        of_pictures = [name for name in meant_for if name in self._viewers]
        of_volumes = [name for name in meant_for if name not in self._viewers]
        rest = rest_of(series)
        if rest:
            refused = self._pictures.refuse(series, of_pictures, rest)
            said = {**self._volumes.refuse(series, of_volumes, SeriesRejectedError(rest)), **refused}
        else:
            said = self._volumes.assess(series, of_volumes) if of_volumes else {}
            said |= self._pictures.assess(series, of_pictures) if of_pictures else {}
        return joined([said[name] for name in meant_for])

    def name(self, series: Series) -> str:
        """Name a series in the log: its keyed hash, never its UID."""
        return self._voice.name(series)

    def give_up(self, series: Series, reason: str) -> Result:
        """Say that nobody could look at a series, for a reason outside the path; reads none of it."""
        finding = self._voice.unassessed(series, UNROUTED, A_SERIES, reason)
        return Result(findings=(finding,), refusal=reason)


class Imaging:
    """Takes complete series out of the intake journal, one after the other, until it is stopped."""

    def __init__(
        self,
        *,
        journal: Journal,
        assembler: Assembler,
        assessor: Assessing,
        envelope: Callable[[Finding, int], Entry],
        stage: Stage,
        beat: Callable[[], None],
        studies: Together | None = None,
    ) -> None:
        """Store what the path needs.

        Args:
            journal: Holds the queue `intake`, and the outbox that `envelope` names.
            assembler: Says which series are complete.
            assessor: Looks at one series.
            envelope: Encodes a finding for the outbox, given when its last instance arrived (UTC, ns).
            stage: The books.
            beat: Called at least once a second while idle, and before each series.
            studies: Where series in their roles wait for the others; None where no series plays a role.
        """
        self._studies = studies
        self._journal = journal
        self._assembler = assembler
        self._assessor = assessor
        self._envelope = envelope
        self._stage = stage
        self._beat = beat
        self._log = Log(stage.name)
        self._stopping = threading.Event()
        self._woken = threading.Event()

    def take_up(self) -> None:
        """Try again what was in hand when the process died, unless it has killed us too often."""
        for lease in self._journal.interrupted("intake"):
            if lease.attempt < ATTEMPTS_MAX:
                self._journal.retry(lease, after_s=0.0, reason="the process ended while it was in hand")
                continue
            series = series_of(self._journal, lease, ClosedBecause.DEADLINE)
            reason = f"the process ended {lease.attempt} times while it worked on this series"
            self._log.error("set aside", series=self._assessor.name(series), because=reason)
            self._conclude(lease, series, self._assessor.give_up(series, reason))
        if self._studies is not None:
            self._studies.take_up(self._wait)

    def run(self) -> None:
        """Work until `stop`; the body of the thread `imaging`."""
        try:
            while not self._stopping.is_set():
                self._beat()
                if not self.work_once():
                    self._woken.wait(min(IDLE_S, self._assembler.next_due_s()))
                    self._woken.clear()
        except StorageFullError as full:  # only at a stop: until then it waits; the next start takes it up
            self._log.error("stopped while there was no room", because=full)

    def stop(self) -> None:
        """End after the series in hand; what waits stays in the journal."""
        self._stopping.set()
        self._woken.set()

    def wake(self) -> None:
        """Look again which series are complete: something arrived, or an association closed."""
        self._woken.set()

    def work_once(self) -> bool:
        """Assess every series that is complete now, then every study; return whether there was one."""
        due = self._assembler.due()
        for series_key, because in due:
            if self._stopping.is_set():
                break
            self._beat()
            lease = self._with_room(partial(self._journal.lease_group, "intake", series_key))
            if lease is not None:
                self._work(lease, because)
        return self._work_on_studies() or bool(due)

    def _work_on_studies(self) -> bool:
        """Look at every study that is due; return whether there was one."""
        if self._studies is None or self._stopping.is_set():
            return False
        due = self._studies.due(self._assembler.studies_growing())
        for one in due:
            if self._stopping.is_set():
                break
            self._beat()
            self._studies.work(one, self._wait)
        return bool(due)

    def _work(self, lease: Lease, because: ClosedBecause) -> None:
        series = series_of(self._journal, lease, because)

        def step() -> str | None:
            return self._conclude(lease, series, self._assessor.assess(series))

        def give_up(reason: str) -> None:
            self._conclude(lease, series, self._assessor.give_up(series, reason))

        self._stage.work(self._assessor.name(series), step, set_aside=give_up)

    def _with_room(self, act: Callable[[], _Answer]) -> _Answer:
        """Wait on a full disk: it is no fault of the series, and retention makes room."""
        return when_there_is_room(act, stage=self._stage, wait=self._wait)

    def _wait(self, seconds: float) -> bool:
        self._beat()
        return self._stopping.wait(seconds)

    def _worth_noting(self, result: Result) -> Sequence[RolePlayed]:
        return self._studies.worth_noting(result.roles) if self._studies is not None else result.roles

    def _conclude(self, lease: Lease, series: Series, result: Result) -> str | None:
        """Write findings, the roles it plays, and the end of the series in one transaction."""
        last_received_ns = max(instance.received_at_ns for instance in series.instances)
        entries = [
            self._with_room(partial(self._envelope, finding, last_received_ns)) for finding in result.findings
        ]
        roles = self._worth_noting(result)
        then = [*entries, *map(entry_of, roles)]
        if result.refusal:
            self._with_room(partial(self._journal.set_aside, lease, reason=result.refusal, then=then))
        else:
            self._with_room(partial(self._journal.done, lease, then=then))
            self._log.info(
                "series assessed",
                series=self._assessor.name(series),
                instances=len(series.instances),
                findings=len(entries),
                roles=sum(bool(played.roles) for played in roles),
            )
        for played in roles:
            assert self._studies is not None, "who has roles to give has studies to look at"
            self._studies.came(played)
        return result.refusal or None
