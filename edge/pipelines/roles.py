"""Several series for one model, each in its role: T1, FLAIR; which is which somebody has said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edge.bundles.volume_input import Input
from edge.domain.errors import EdgeError, PictureRejectedError
from edge.domain.finding import Verdict
from edge.domain.image import Scan
from edge.domain.ports import Clock
from edge.domain.study import Series
from edge.findings.identity import KeyedHash
from edge.findings.policy import judge, told_apart
from edge.pipelines.result import Result, SeriesVoice, is_damage
from edge.pipelines.stations import Station
from edge.studies.pixels import build
from edge.studies.select import Rule, select
from edge.studies.together import refuse_apart


class RolesAssessor:
    """The path for series that are looked at together; it never raises expected trouble."""

    def __init__(
        self, *, pipeline: str, station: Station, given: Input, identity: KeyedHash, clock: Clock
    ) -> None:
        """Store what the path needs.

        Args:
            pipeline: Speaks in the findings.
            station: Of the bundle.
            given: Of its manifest: the roles.
            identity: Makes subjects.
            clock: Time.
        """
        self._pipeline = pipeline
        self._station = station
        self._given = given
        self._voice = SeriesVoice(identity, clock)
        self._clock = clock

    def assess(self, series: Mapping[str, Series]) -> Result:
        """Look at series together.

        Args:
            series: By role, at least one.

        Returns:
            Findings about the series of the model's first role, on whose grid the answer lies; about any
            where that one is missing.
        """
        lead = series.get(self._given.roles[0]) or next(iter(series.values()))
        started_ns = self._clock.monotonic_ns()
        if self._station.model is None or self._station.policy is None:
            return self._refused(lead, f"bundle {self._pipeline} is not in use: {self._station.refusal}")
        try:
            scans = self._scans(series)
            assembled_ms = (self._clock.monotonic_ns() - started_ns) / 1e6
            first, *rest = self._given.roles
            segmentation = self._station.model.infer(
                scans[first].volumes[0],
                deadline_s=self._station.deadline_s,
                others={role: scans[role].volumes[0] for role in rest},
            )
        except EdgeError as trouble:
            return self._refused(lead, str(trouble), is_damaged=is_damage(trouble))
        observations = judge(segmentation, self._station.policy)
        findings = tuple(
            replace(
                self._voice.finding(lead, self._pipeline, observation),
                model=self._station.model.stamp,
                latency_ms={"assemble": assembled_ms, **segmentation.latency_ms},
                notes=_notes(scans),
            )
            for observation in observations
        )
        if all(one.verdict is Verdict.NOT_ASSESSED for one in observations):
            return Result(findings=findings)
        shown = told_apart(segmentation, self._station.policy)
        return Result(findings=findings, segmentations=((self._pipeline, shown),))

    def _scans(self, series: Mapping[str, Series]) -> Mapping[str, Scan]:
        """Return the scan of each role.

        Raises:
            PictureRejectedError: A role is missing, or none of the model's.
            SeriesRejectedError: A series is no volume, or they do not belong together.
            NotSelectedError: A series shows nothing its role takes.
            FormatError: Something is damaged.
        """
        roles = self._given.roles
        if set(series) != set(roles):
            raise PictureRejectedError(
                f"{self._pipeline} takes {', '.join(roles)}; given: {', '.join(series)}"
            )
        refuse_apart(series)
        scans = {}
        for role, accepts in zip(roles, self._given.accepted, strict=True):
            wanted = Rule(pipeline=role, modalities=frozenset(kind.modality for kind in accepts))
            ((_, scans[role]),) = select(series[role], build(series[role]), [wanted])
        return scans

    def _refused(self, lead: Series, reason: str, *, is_damaged: bool = False) -> Result:
        finding = self._voice.unassessed(lead, self._pipeline, self._station.subject, reason)
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
