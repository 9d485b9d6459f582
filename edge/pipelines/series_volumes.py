"""The path of volumes: a series becomes scans, and each model meant for it is shown the one that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edge.domain.errors import EdgeError, InferenceError, NotSelectedError
from edge.domain.finding import Finding, Verdict
from edge.domain.image import Scan
from edge.domain.ports import Clock
from edge.domain.study import Series
from edge.findings.identity import KeyedHash
from edge.findings.policy import judge, told_apart
from edge.pipelines.result import Result, SeriesVoice, is_damage
from edge.pipelines.stations import A_SERIES, Station
from edge.pipelines.watching import Watch, nobody_watches, scanner_of
from edge.studies.pixels import build
from edge.studies.select import Rule, select


class VolumesAssessor:
    """Looks at the volumes of a series; expected trouble is a finding that says NOT_ASSESSED and why."""

    def __init__(
        self,
        *,
        rules: Sequence[Rule],
        stations: Mapping[str, Station],
        identity: KeyedHash,
        clock: Clock,
        watch: Watch = nobody_watches,
    ) -> None:
        self._watch = watch
        self._rules = rules
        self._stations = stations
        self._voice = SeriesVoice(identity, clock)
        self._clock = clock

    def assess(self, series: Series, pipelines: Sequence[str]) -> dict[str, Result]:
        """Look at a series; say what each of the pipelines, which are meant for it, has to say."""
        started_ns = self._clock.monotonic_ns()
        try:
            scans = build(series)
        except EdgeError as trouble:
            return self.refuse(series, pipelines, trouble)
        assembled_ms = (self._clock.monotonic_ns() - started_ns) / 1e6
        rules = [rule for rule in self._rules if rule.pipeline in pipelines]
        return {rule.pipeline: self._select_and_look(series, scans, rule, assembled_ms) for rule in rules}

    def refuse(self, series: Series, pipelines: Sequence[str], trouble: EdgeError) -> dict[str, Result]:
        """Say for each pipeline that it could not look; why its bundle cannot be used goes before that."""
        return {name: self._refused(series, name, self._without_model(name) or trouble) for name in pipelines}

    def _without_model(self, name: str) -> InferenceError | None:
        station = self._stations.get(name)
        if station is None or station.policy is not None:
            return None
        return InferenceError(f"bundle of pipeline {name} is not in use: {station.refusal}")

    def _refused(self, series: Series, name: str, trouble: EdgeError) -> Result:
        reason = str(trouble)
        return Result(
            findings=(self._unassessed(series, name, reason),),
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
            return self._refused(series, rule.pipeline, misfit)
        return self._look(series, name, scan, assembled_ms, others=len(scans) - 1)

    def _look(self, series: Series, name: str, scan: Scan, assembled_ms: float, *, others: int) -> Result:
        try:
            with self._stations[name].held() as station:
                return self._ask(series, name, scan, assembled_ms, station=station, others=others)
        except EdgeError as trouble:
            return self._refused(series, name, trouble)

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
        changed = self._watch(station.model.stamp, scanner_of(series.instances[0]), segmentation)
        observations = judge(segmentation, station.policy)
        findings = tuple(
            replace(
                self._voice.finding(series, name, observation),
                model=station.model.stamp,
                latency_ms={"assemble": assembled_ms, **segmentation.latency_ms},
                notes=(*_notes(scan, others), *changed),
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


def _notes(scan: Scan, others: int) -> tuple[str, ...]:
    notes = list(scan.notes)
    if scan.name:
        notes.insert(0, f"scan {scan.name} of the series")
    if len(scan.volumes) > 1:
        notes.append(f"the first of {len(scan.volumes)} volumes was assessed")
    if others:
        notes.append(f"{others} more scan{'s' * (others > 1)} of the series (phase, maps …) not assessed")
    return tuple(notes)
