"""The imaging path: a complete series becomes a volume, an answer, findings, and envelopes in the outbox.

    intake journal ─▶ series ─▶ scans ─▶ model ─▶ policy ─▶ findings ─▶ outbox

`Assessor` is that path for one series, without a journal: `edge analyze` calls it as it is. `Imaging` drives
it from the journal: findings enter the outbox in the same transaction that marks the series done, so a crash
repeats work but loses nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from edge.domain.errors import (
    EdgeError,
    NotSelectedError,
    SeriesRejectedError,
    StorageFullError,
)
from edge.domain.finding import Finding, Verdict
from edge.domain.image import Scan
from edge.domain.ports import Clock
from edge.domain.study import ClosedBecause, Series
from edge.findings.identity import KeyedHash
from edge.findings.policy import judge, told_apart
from edge.kit.journal import Entry, Journal, Lease
from edge.kit.log import Log
from edge.kit.room import when_there_is_room
from edge.kit.stage import Stage
from edge.pipelines.result import UNROUTED, Assessing, Result, SeriesVoice, is_damage, together
from edge.pipelines.stations import A_SERIES, Station
from edge.studies.assemble import Assembler, series_of
from edge.studies.pixels import build
from edge.studies.select import Rule, preselect, select

ATTEMPTS_MAX = 3
IDLE_S = 1.0

_Answer = TypeVar("_Answer")


class Assessor:
    """The path for one series: never raises expected trouble, it says NOT_ASSESSED with the reason."""

    def __init__(
        self, *, rules: Sequence[Rule], stations: Mapping[str, Station], identity: KeyedHash, clock: Clock
    ) -> None:
        self._rules = rules
        self._stations = stations
        self._voice = SeriesVoice(identity, clock)
        self._clock = clock

    def assess(self, series: Series) -> Result:
        """Look at one series with every pipeline that is meant for it."""
        started_ns = self._clock.monotonic_ns()
        try:
            meant_for = preselect(series, self._rules)
        except NotSelectedError as nobody:
            return Result(findings=(self._unassessed(series, UNROUTED, str(nobody)),))
        try:
            _refuse_a_rest(series)
            scans = build(series)
        except EdgeError as trouble:
            return self._refused(series, meant_for, trouble)
        assembled_ms = (self._clock.monotonic_ns() - started_ns) / 1e6
        rules = [rule for rule in self._rules if rule.pipeline in meant_for]
        return together([self._select_and_look(series, scans, rule, assembled_ms) for rule in rules])

    def name(self, series: Series) -> str:
        """Name a series in the log: its keyed hash, never its UID."""
        return self._voice.name(series)

    def give_up(self, series: Series, reason: str) -> Result:
        """Say that nobody could look at a series, for a reason outside the path."""
        return Result(findings=(self._unassessed(series, UNROUTED, reason),), refusal=reason)

    def _refused(self, series: Series, meant_for: Sequence[str], trouble: EdgeError) -> Result:
        reason = str(trouble)
        findings = tuple(self._unassessed(series, name, reason) for name in meant_for)
        return Result(
            findings=findings,
            refusal="" if isinstance(trouble, NotSelectedError) else reason,
            is_damaged=is_damage(trouble),
        )

    def _select_and_look(
        self, series: Series, scans: Sequence[Scan], rule: Rule, assembled_ms: float
    ) -> Result:
        """Look with one pipeline; each that was meant for the series says something, whatever others say."""
        try:
            [(name, scan)] = select(series, scans, [rule])
        except NotSelectedError as misfit:
            return self._refused(series, [rule.pipeline], misfit)
        return self._look(series, name, scan, assembled_ms, others=len(scans) - 1)

    def _look(self, series: Series, name: str, scan: Scan, assembled_ms: float, *, others: int) -> Result:
        try:
            with self._stations[name].held() as station:
                return self._ask(series, name, scan, assembled_ms, station=station, others=others)
        except EdgeError as trouble:
            return self._refused(series, [name], trouble)

    def _ask(
        self, series: Series, name: str, scan: Scan, assembled_ms: float, *, station: Station, others: int
    ) -> Result:
        """Look with the model of this moment.

        Raises:
            EdgeError: It could not look.
        """
        if station.model is None or station.policy is None:
            reason = f"bundle of pipeline {name} is not in use: {station.refusal}"
            return Result(findings=(self._unassessed(series, name, reason),), refusal=reason)
        segmentation = station.model.infer(scan.volumes[0], deadline_s=station.deadline_s)
        observations = judge(segmentation, station.policy)
        findings = tuple(
            replace(
                self._voice.finding(series, name, observation),
                model=station.model.stamp,
                latency_ms={"assemble": assembled_ms, **segmentation.latency_ms},
                notes=_notes(scan, others),
            )
            for observation in observations
        )
        if all(one.verdict is Verdict.NOT_ASSESSED for one in observations):
            return Result(findings=findings)
        return Result(findings=findings, segmentations=((name, told_apart(segmentation, station.policy)),))

    def _unassessed(self, series: Series, pipeline: str, reason: str) -> Finding:
        station = self._stations.get(pipeline)
        code = station.subject if station else A_SERIES
        return self._voice.unassessed(series, pipeline, code, reason)


def _refuse_a_rest(series: Series) -> None:
    """What an earlier revision said of the whole must not be replaced by what a rest of it shows."""
    if series.let_go:
        raise SeriesRejectedError(
            f"{len(series.instances)} instances are here, {series.let_go} more were before and their time "
            "has passed; wanted all of them again"
        )


def _notes(scan: Scan, others: int) -> tuple[str, ...]:
    notes = list(scan.notes)
    if scan.name:
        notes.insert(0, f"scan {scan.name} of the series")
    if len(scan.volumes) > 1:
        notes.append(f"the first of {len(scan.volumes)} volumes was assessed")
    if others:
        notes.append(f"{others} more scan{'s' * (others > 1)} of the series (phase, maps …) not assessed")
    return tuple(notes)


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
    ) -> None:
        """Store what the path needs.

        Args:
            journal: Holds the queue `intake`, and the outbox that `envelope` names.
            assembler: Says which series are complete.
            assessor: Looks at one series.
            envelope: Encodes a finding for the outbox, given when its last instance arrived (UTC, ns).
            stage: The books.
            beat: Called at least once a second while idle, and before each series.
        """
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
        """Assess every series that is complete now; return whether there was one."""
        due = self._assembler.due()
        for series_key, because in due:
            if self._stopping.is_set():
                break
            self._beat()
            lease = self._with_room(partial(self._journal.lease_group, "intake", series_key))
            if lease is not None:
                self._work(lease, because)
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

        def wait(seconds: float) -> bool:
            self._beat()
            return self._stopping.wait(seconds)

        return when_there_is_room(act, stage=self._stage, wait=wait)

    def _conclude(self, lease: Lease, series: Series, result: Result) -> str | None:
        """Write findings and the end of the series in one transaction."""
        last_received_ns = max(instance.received_at_ns for instance in series.instances)
        entries = [
            self._with_room(partial(self._envelope, finding, last_received_ns)) for finding in result.findings
        ]
        if result.refusal:
            self._with_room(partial(self._journal.set_aside, lease, reason=result.refusal, then=entries))
            return result.refusal
        self._with_room(partial(self._journal.done, lease, then=entries))
        self._log.info(
            "series assessed",
            series=self._assessor.name(series),
            instances=len(series.instances),
            findings=len(entries),
        )
        return None
