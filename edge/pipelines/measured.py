"""The path of measured files: a cube or a spectrum that somebody took becomes observations and findings.

They come through the same journal as studies and are never dropped: each is a series of one file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from edge.domain.errors import EdgeError
from edge.domain.finding import Code, ModelStamp
from edge.domain.ports import Clock
from edge.domain.study import Instance, Series
from edge.findings.identity import KeyedHash
from edge.pipelines.looked import Looked
from edge.pipelines.result import UNROUTED, Result, SeriesVoice, is_damage, joined
from edge.pipelines.stations import A_SERIES


class Reading(Protocol):
    """How a pipeline reads one measured file: with a model, or by measuring."""

    @property
    def subject(self) -> Code:
        """What is looked for."""

    @property
    def stamp(self) -> ModelStamp | None:
        """Which weights speak; None where none do."""

    def __call__(self, instance: Instance) -> Looked:
        """Read one file.

        Raises:
            EdgeError: It could not be read, or not be looked at; the message says why.
        """


class FileAssessor:
    """The path for one measured file: never raises expected trouble, it says NOT_ASSESSED with the reason."""

    def __init__(
        self,
        *,
        readings: Mapping[str, Sequence[tuple[str, Reading]]],
        identity: KeyedHash,
        clock: Clock,
    ) -> None:
        """Store what is needed.

        Args:
            readings: For each source, its pipelines by name, and how they read.
            identity: Makes subjects.
            clock: Time.
        """
        self._readings = readings
        self._voice = SeriesVoice(identity, clock)

    def assess(self, series: Series) -> Result:
        """Read every file of a series with every pipeline of its source."""
        return joined([self._assess(series, instance) for instance in series.instances])

    def name(self, series: Series) -> str:
        """Name a series in the log: its keyed hash."""
        return self._voice.name(series)

    def give_up(self, series: Series, reason: str) -> Result:
        """Say that nobody could look, for a reason outside the path."""
        return Result(findings=(self._voice.unassessed(series, UNROUTED, A_SERIES, reason),), refusal=reason)

    def _assess(self, series: Series, instance: Instance) -> Result:
        readings = self._readings.get(instance.source, ())
        if not readings:
            reason = f"source {instance.source}: no pipeline is configured for it"
            return Result(findings=(self._voice.unassessed(series, UNROUTED, A_SERIES, reason),))
        return joined([self._read(series, instance, name, reading) for name, reading in readings])

    def _read(self, series: Series, instance: Instance, pipeline: str, reading: Reading) -> Result:
        try:
            looked = reading(instance)
        except EdgeError as trouble:
            return Result(
                findings=(self._voice.unassessed(series, pipeline, reading.subject, str(trouble)),),
                refusal=str(trouble),
                is_damaged=is_damage(trouble),
            )
        return Result(
            findings=tuple(
                replace(
                    self._voice.finding(series, pipeline, observation),
                    model=looked.stamp or reading.stamp,
                    latency_ms=looked.latency_ms,
                    notes=looked.notes,
                )
                for observation in looked.observations
            )
        )
