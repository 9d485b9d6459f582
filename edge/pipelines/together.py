"""The queue `together`: series in their roles wait there for the others of their study, then are looked at.

A series enters it in the transaction that ends the series; the study's findings enter the outbox in the one
that ends the wait. So a crash repeats work, and loses no role that came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
from edge.studies.assemble import FINISHED, closed_series
from edge.studies.gather import Due, Gathering
from edge.studies.intake import EVERY_STATE
from edge.studies.role_played import QUEUE, RolePlayed, bystander_key, is_ambiguous, played_of

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
            gathered = self._gathered(lease)
            reason = f"the process ended {lease.attempt} times while it looked at these series together"
            self._log.error("set aside", study=self._assessor.name(gathered), because=reason)
            self._conclude(lease, gathered, self._assessor.give_up(gathered, reason), wait)
        first = {item.group: item for item in reversed(self._journal.items(QUEUE))}
        for item in first.values():
            self._wait_for(played_of(item), since_ns=item.created_ns)

    def take_back(self) -> int:
        """Try again every study that was set aside; return of how many series in their roles that is."""
        aside = self._journal.items(QUEUE, states=("set_aside",))
        for played in {one.group: one for one in map(played_of, aside)}.values():
            self._journal.take_back(QUEUE, played.group)
            self._wait_for(played)
        return len(aside)

    def worth_noting(self, roles: Sequence[RolePlayed]) -> list[RolePlayed]:
        """Return what the queue needs of a series that ends, before the transaction that ends it.

        That is every role; a bystander while nothing was said of the study, where nobody waits there yet or
        could tell its role.
        """
        return [
            one
            for one in roles
            if one.roles
            or (
                (one.refusal or not self._gathering.knows(one.group))
                and not self._journal.closings(QUEUE, one.group)
            )
        ]

    def came(self, played: RolePlayed) -> None:
        """Note that a series is in the queue."""
        if self._gathering.knows(played.group):
            self._note([played])
        else:
            self._wait_for(played)

    def _wait_for(self, played: RolePlayed, *, since_ns: int | None = None) -> None:
        """Wait for what a study lacks by what the journal has of it; since when (UTC), before a restart."""
        items = self._journal.items(QUEUE, group=played.group, states=EVERY_STATE)
        said = [played_of(item) for item in items if item.state in FINISHED]
        here = [played, *map(played_of, items)]  # retention may have been quicker
        self._note(here, since_ns=since_ns, is_ambiguous=is_ambiguous(said))

    def _note(
        self, here: Sequence[RolePlayed], *, since_ns: int | None = None, is_ambiguous: bool = False
    ) -> None:
        first, roles = here[0], {role for one in here for role in one.roles}
        missing = self._gathering.came(
            first.group,
            pipeline=first.pipeline,
            study_uid=first.study_uid,
            series={one.series_uid for one in here if one.roles},
            roles=roles,
            since_ns=since_ns,
            is_ambiguous=is_ambiguous,
        )
        if missing:
            has, lacks = ",".join(sorted(roles)), ",".join(sorted(missing))
            study = self._assessor.name(Gathered.of(here))
            self._log.info("a study waits", study=study, pipeline=first.pipeline, has=has, waits_for=lacks)

    def due(self, growing: Mapping[str, str]) -> list[Due]:
        """Return which studies are to be looked at now; see `Gathering.due`."""
        return self._gathering.due(growing)

    def work(self, due: Due, wait: Callable[[float], bool]) -> None:
        """Look at a study that is due.

        Args:
            due: Which.
            wait: Sleeps for some seconds while there is no room; returns whether it is time to stop.
        """
        taking = partial(self._journal.lease_group, QUEUE, due.group, unmissed=bystander_key(due.group))
        lease = self._with_room(taking, wait)
        if lease is None:
            return
        gathered = replace(self._gathered(lease), waited_s=due.waited_s)

        def step() -> str | None:
            result = self._assessor.assess(gathered, self._series)
            return self._conclude(lease, gathered, result, wait, last_ns=due.last_ns)

        def give_up(reason: str) -> None:
            result = self._assessor.give_up(gathered, reason)
            self._conclude(lease, gathered, result, wait, last_ns=due.last_ns)

        self._stage.work(self._assessor.name(gathered), step, set_aside=give_up)

    def _gathered(self, lease: Lease) -> Gathered:
        """Return what there is of a study."""
        items = self._journal.items(QUEUE, group=lease.group, states=EVERY_STATE)
        return Gathered.of(map(played_of, items), revision=max(lease.closing, 1), let_go=lease.let_go)

    def _series(self, played: RolePlayed) -> Series:
        return closed_series(
            self._journal, played.series_uid, played.closed_because, revision=played.revision
        )

    def _conclude(
        self,
        lease: Lease,
        gathered: Gathered,
        result: Result,
        wait: Callable[[float], bool],
        *,
        last_ns: int = 0,
    ) -> str | None:
        """Write findings and the end of the wait in one transaction."""
        last_received_ns = max(one.received_at_ns for one in gathered.everybody)
        if gathered.waited_s:  # it was asked for, and is no delay of ours
            last_received_ns = max(last_received_ns, last_ns) + round(gathered.waited_s * 1e9)
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
