"""Several series for one model, each in its role: T1, FLAIR; which is which somebody has said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edge.bundles.volume_input import Input
from edge.domain.errors import EdgeError, InferenceError, PictureRejectedError
from edge.domain.finding import Code, Finding, Observation, RoleSeen, SeriesSeen, Verdict
from edge.domain.image import Scan
from edge.domain.ports import Clock
from edge.domain.study import Series
from edge.findings.identity import KeyedHash
from edge.findings.policy import judge, told_apart
from edge.pipelines.result import Result, SeriesVoice, is_damage
from edge.pipelines.stations import Station
from edge.pipelines.watching import Watch, nobody_watches, scanner_of
from edge.studies.apart import refuse_apart
from edge.studies.pixels import build
from edge.studies.select import Rule, select


class RolesAssessor:
    """The path for series that are looked at together; it never raises expected trouble."""

    def __init__(
        self,
        *,
        rule: Rule,
        station: Station,
        identity: KeyedHash,
        clock: Clock,
        watch: Watch = nobody_watches,
    ) -> None:
        """Store what the path needs.

        Args:
            rule: What each series has to be, but for its modality, which its role says; its pipeline speaks.
            station: Of the bundle.
            identity: Makes subjects.
            clock: Time.
            watch: Is shown every answer.
        """
        self._pipeline = rule.pipeline
        self._station = station
        self._rule = rule
        self._watch = watch
        self._identity = identity
        self._voice = SeriesVoice(identity, clock)
        self._clock = clock

    @property
    def subject(self) -> Code:
        """What is looked for."""
        return self._station.subject

    def assess(self, series: Mapping[str, Series]) -> Result:
        """Look at series together.

        Args:
            series: By role, at least one.

        Returns:
            Findings about the series of the model's first role, on whose grid the answer lies; about any
            where that one is missing.
        """
        given = self._station.given
        lead = (series.get(given.roles[0]) if given else None) or next(iter(series.values()))
        try:
            with self._station.held() as station:
                return self._look(series, station)
        except EdgeError as trouble:
            return self._refused(lead, str(trouble), is_damaged=is_damage(trouble))

    def _look(self, series: Mapping[str, Series], station: Station) -> Result:
        """Look with the model of this moment, which takes what its own bundle says.

        Raises:
            EdgeError: It could not look.
        """
        given = station.given
        if station.model is None or station.policy is None or given is None:
            raise InferenceError(f"bundle {self._pipeline} is not in use: {station.refusal}")
        started_ns = self._clock.monotonic_ns()
        scans = self._scans(series, given)
        assembled_ms = (self._clock.monotonic_ns() - started_ns) / 1e6
        first, *rest = given.roles
        segmentation = station.model.infer(
            scans[first].volumes[0],
            deadline_s=station.deadline_s,
            others={role: scans[role].volumes[0] for role in rest},
        )
        changed = self._watch(station.model.stamp, scanner_of(series[first].instances[0]), segmentation)
        observations = judge(segmentation, station.policy)
        findings = tuple(
            replace(
                self._finding(series[first], series, observation),
                model=station.model.stamp,
                latency_ms={"assemble": assembled_ms, **segmentation.latency_ms},
                notes=(*_notes(scans), *changed),
            )
            for observation in observations
        )
        if all(one.verdict is Verdict.NOT_ASSESSED for one in observations):
            return Result(findings=findings)
        shown = told_apart(segmentation, station.policy)
        return Result(findings=findings, segmentations=((self._pipeline, shown),))

    def _scans(self, series: Mapping[str, Series], given: Input) -> Mapping[str, Scan]:
        """Return the scan of each role.

        Raises:
            PictureRejectedError: A role is missing, or none of the model's.
            SeriesRejectedError: A series is no volume, or they do not belong together.
            NotSelectedError: A series shows nothing its role takes.
            FormatError: Something is damaged.
        """
        roles = given.roles
        if set(series) != set(roles):
            raise PictureRejectedError(
                f"{self._pipeline} takes {', '.join(roles)}; given: {', '.join(series)}"
            )
        refuse_apart(series)
        scans = {}
        for role, accepts in zip(roles, given.accepted, strict=True):
            modalities = frozenset(kind.modality for kind in accepts)
            wanted = replace(self._rule, pipeline=role, modalities=modalities)
            ((_, scans[role]),) = select(series[role], build(series[role]), [wanted])
        return scans

    def _finding(self, lead: Series, series: Mapping[str, Series], observation: Observation) -> Finding:
        finding = self._voice.finding(lead, self._pipeline, observation)
        assert isinstance(finding.seen, SeriesSeen), "it speaks of a series"
        roles = tuple(
            RoleSeen(
                role=role,
                subject=self._identity.subject(one.series_uid),
                number=None,
                revision=one.revision,
                instances=len(one.instances),
            )
            for role, one in series.items()
        )
        return replace(finding, seen=replace(finding.seen, roles=roles))

    def _refused(self, lead: Series, reason: str, *, is_damaged: bool = False) -> Result:
        finding = self._voice.unassessed(lead, self._pipeline, self.subject, reason)
        return Result(findings=(finding,), refusal=reason, is_damaged=is_damaged)


def _notes(scans: Mapping[str, Scan]) -> tuple[str, ...]:
    together = f"looked at together: {', '.join(scans)}"
    several = [
        f"{role}: the first of {len(scan.volumes)} volumes was assessed"
        for role, scan in scans.items()
        if len(scan.volumes) > 1
    ]
    noted: dict[str, list[str]] = {}
    for role, scan in scans.items():
        for note in scan.notes:
            noted.setdefault(note, []).append(role)
    return (together, *several, *(f"{', '.join(roles)}: {note}" for note, roles in noted.items()))
