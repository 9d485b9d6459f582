"""The queue `together`: series in their roles wait there for the others of their study, then are looked at.

A series enters it in the transaction that ends the series; the study's findings enter the outbox in the one
that ends the wait. So a crash repeats work, and loses no role that came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

from edge.domain.finding import Finding
from edge.domain.study import Series
from edge.kit.journal import Entry, Journal, Lease
from edge.kit.log import Log
from edge.kit.room import when_there_is_room
from edge.kit.stage import Stage
from edge.pipelines.result import Result
from edge.pipelines.study_roles import Gathered
from edge.studies.assemble import closed_series
from edge.studies.gather import Due, Gathering
from edge.studies.intake import EVERY_STATE
from edge.studies.role_played import QUEUE, RolePlayed, played_of

ATTEMPTS_MAX = 3
_Answer = TypeVar("_Answer")


class StudyAssessing(Protocol):
    """The path for series that are looked at together, without a journal."""

    def assess(self, gathered: Gathered, series_of: Callable[[RolePlayed], Series]) -> Result:
        """Look at a study; expected trouble is a finding that says NOT_ASSESSED with the reason."""

    def give_up(self, gathered: Gathered, reason: str) -> Result:
        """Say that nobody could look at a study."""

    def name(self, gathered: Gathered) -> str:
        """Name a study in the log: its keyed hash, never its UID."""


class Together:
    """Takes studies out of the queue `together`, in the thread that puts their series into it."""

    def __init__(
        self,
        *,
        journal: Journal,
        gathering: Gathering,
        assessor: StudyAssessing,
        envelope: Callable[[Finding, int], Entry],
        stage: Stage,
    ) -> None:
        """Store what the path needs.

        Args:
            journal: Holds the queues `intake` and `together`, and the outbox that `envelope` names.
            gathering: Says which studies are due.
            assessor: Looks at one study for one pipeline.
            envelope: Encodes a finding for the outbox, given when its last object arrived (UTC, ns).
            stage: The books.
        """
        self._journal = journal
        self._gathering = gathering
        self._assessor = assessor
        self._envelope = envelope
        self._stage = stage
        self._log = Log(stage.name)

    def take_up(self, wait: Callable[[float], bool]) -> None:
        """Try again what was in hand when the process died, and wait on for what waited."""
        for lease in self._journal.interrupted(QUEUE):
            if lease.attempt < ATTEMPTS_MAX:
                self._journal.retry(lease, after_s=0.0, reason="the process ended while it was in hand")
                continue
            gathered = self._gathered(lease, waited_s=0.0)
            reason = f"the process ended {lease.attempt} times while it looked at these series together"
            self._log.error("set aside", study=self._assessor.name(gathered), because=reason)
            self._conclude(lease, gathered, self._assessor.give_up(gathered, reason), wait)
        first = {item.group: item for item in reversed(self._journal.items(QUEUE))}
        for item in first.values():
            self.came(played_of(item), since_ns=item.created_ns)

    def take_back(self) -> int:
        """Try again every study that was set aside; return of how many series in their roles that is."""
        aside = self._journal.items(QUEUE, states=("set_aside",))
        for played in {one.group: one for one in map(played_of, aside)}.values():
            self._journal.take_back(QUEUE, played.group)
            self.came(played)
        return len(aside)

    def came(self, played: RolePlayed, *, since_ns: int | None = None) -> None:
        """Note that a series is in the queue; since when (UTC), where that was before a restart."""
        items = self._journal.items(QUEUE, group=played.group, states=EVERY_STATE)
        here = [played_of(item) for item in items]
        roles = {role for one in here for role in one.roles}
        missing = self._gathering.came(
            played.group,
            pipeline=played.pipeline,
            study_uid=played.study_uid,
            series={one.series_uid for one in here},
            roles=roles,
            since_ns=since_ns,
        )
        if missing:
            has, lacks = ",".join(sorted(roles)), ",".join(sorted(missing))
            study = self._assessor.name(Gathered(played=tuple(here), revision=1))
            self._log.info("a study waits", study=study, pipeline=played.pipeline, has=has, waits_for=lacks)

    def due(self, growing: Mapping[str, str]) -> list[Due]:
        """Return which studies are to be looked at now; see `Gathering.due`."""
        return self._gathering.due(growing)

    def work(self, due: Due, wait: Callable[[float], bool]) -> None:
        """Look at a study that is due.

        Args:
            due: Which.
            wait: Sleeps for some seconds while there is no room; returns whether it is time to stop.
        """
        lease = self._with_room(partial(self._journal.lease_group, QUEUE, due.group), wait)
        if lease is None:
            return
        gathered = self._gathered(lease, waited_s=due.waited_s)

        def step() -> str | None:
            return self._conclude(lease, gathered, self._assessor.assess(gathered, self._series), wait)

        def give_up(reason: str) -> None:
            self._conclude(lease, gathered, self._assessor.give_up(gathered, reason), wait)

        self._stage.work(self._assessor.name(gathered), step, set_aside=give_up)

    def _gathered(self, lease: Lease, *, waited_s: float) -> Gathered:
        """Return what there is of a study: of each series what was said of it last."""
        items = self._journal.items(QUEUE, group=lease.group, states=EVERY_STATE)
        newest = {played.series_uid: played for played in map(played_of, items)}  # in order of arrival
        return Gathered(
            played=tuple(newest.values()),
            revision=max(lease.closing, 1),
            waited_s=waited_s,
            let_go=lease.let_go,
        )

    def _series(self, played: RolePlayed) -> Series:
        return closed_series(
            self._journal, played.series_uid, played.closed_because, revision=played.revision
        )

    def _conclude(
        self, lease: Lease, gathered: Gathered, result: Result, wait: Callable[[float], bool]
    ) -> str | None:
        """Write findings and the end of the wait in one transaction."""
        last_received_ns = max(played.received_at_ns for played in gathered.played)
        last_received_ns += round(gathered.waited_s * 1e9)  # the wait was asked for: it is no delay of ours
        entries = [
            self._with_room(partial(self._envelope, finding, last_received_ns), wait)
            for finding in result.findings
        ]
        if result.refusal:
            aside = partial(self._journal.set_aside, lease, reason=result.refusal, then=entries)
            self._with_room(aside, wait)
            return result.refusal
        self._with_room(partial(self._journal.done, lease, then=entries), wait)
        self._log.info(
            "study assessed",
            study=self._assessor.name(gathered),
            pipeline=gathered.pipeline,
            series=len(gathered.played),
            findings=len(entries),
        )
        return None

    def _with_room(self, act: Callable[[], _Answer], wait: Callable[[float], bool]) -> _Answer:
        return when_there_is_room(act, stage=self._stage, wait=wait)
