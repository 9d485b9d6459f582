"""What became of a series, and the findings that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.domain.errors import EdgeError, FormatError, UnsupportedError
from edge.domain.finding import Code, Finding, Observation, SeriesSeen, Verdict
from edge.domain.image import Segmentation
from edge.domain.ports import Clock
from edge.domain.study import Series
from edge.findings.identity import KeyedHash
from edge.findings.ids import uuid7
from edge.studies.role_played import RolePlayed

UNROUTED = "intake"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """What became of one series.

    Attributes:
        findings: At least one, unless the series plays a role: then its study is spoken of. Silence is not a
            result.
        roles: Of the series, in pipelines that look at several together.
        segmentations: (pipeline, answer) of every volume that was assessed.
        refusal: Why the series must be looked at by a person, or "".
        is_damaged: Some of its bytes are not what they claim to be.
    """

    findings: tuple[Finding, ...]
    segmentations: tuple[tuple[str, Segmentation], ...] = ()
    refusal: str = ""
    is_damaged: bool = False
    roles: tuple[RolePlayed, ...] = ()


class Assessing(Protocol):
    """The path for one series, without a journal."""

    def assess(self, series: Series) -> Result:
        """Look at one series; expected trouble is a finding that says NOT_ASSESSED with the reason."""

    def name(self, series: Series) -> str:
        """Name a series in the log: its keyed hash, never its UID."""

    def give_up(self, series: Series, reason: str) -> Result:
        """Say that nobody could look at a series, for a reason outside the path."""


class SeriesVoice:
    """Turns what was observed in a series into findings about it."""

    def __init__(self, identity: KeyedHash, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock

    def name(self, series: Series) -> str:
        """Name a series in the log: its keyed hash, never its UID."""
        return self._identity.subject(series.series_uid)

    def finding(self, series: Series, pipeline: str, observation: Observation) -> Finding:
        """Return what a pipeline says about a series; no model has spoken yet."""
        return Finding(
            finding_id=uuid7(self._clock),
            pipeline=pipeline,
            subject=self._identity.subject(series.series_uid),
            study=self._identity.study(series.study_uid),
            revision=series.revision,
            observation=observation,
            seen=SeriesSeen(
                modality=series.modality,
                instances=len(series.instances),
                closed_because=series.closed_because.value,
            ),
            model=None,
            observed_at_ns=self._clock.utc_ns(),
        )

    def unassessed(self, series: Series, pipeline: str, code: Code, reason: str) -> Finding:
        """Return that a pipeline could not look for something, and why."""
        observation = Observation(code=code, verdict=Verdict.NOT_ASSESSED, reason=reason)
        return self.finding(series, pipeline, observation)


class ByFormat:
    """Sends each series to whoever can read its format."""

    def __init__(self, by_format: Mapping[str, Assessing], otherwise: Assessing) -> None:
        self._by_format = by_format
        self._otherwise = otherwise

    def assess(self, series: Series) -> Result:
        """Look at one series."""
        return self._for(series).assess(series)

    def name(self, series: Series) -> str:
        """Name a series in the log."""
        return self._otherwise.name(series)

    def give_up(self, series: Series, reason: str) -> Result:
        """Say that nobody could look at a series."""
        return self._for(series).give_up(series, reason)

    def _for(self, series: Series) -> Assessing:
        return self._by_format.get(series.instances[0].format, self._otherwise)


def joined(results: Sequence[Result]) -> Result:
    """Return several results about one series as one."""
    return Result(
        findings=tuple(finding for result in results for finding in result.findings),
        segmentations=tuple(pair for result in results for pair in result.segmentations),
        refusal="; ".join(dict.fromkeys(result.refusal for result in results if result.refusal)),
        is_damaged=any(result.is_damaged for result in results),
        roles=tuple(played for result in results for played in result.roles),
    )


def rest_of(series: Series) -> str:
    """Say that a series is a rest of what it was, or "".

    What an earlier revision said of the whole must not be replaced by what a rest of it shows.
    """
    if not series.let_go:
        return ""
    return (
        f"{len(series.instances)} instances are here, {series.let_go} more were before and their time "
        "has passed; wanted all of them again"
    )


def is_damage(trouble: EdgeError) -> bool:
    """Whether some bytes are not what they claim to be, rather than beyond what this build can read."""
    return isinstance(trouble, FormatError) and not isinstance(trouble, UnsupportedError)
