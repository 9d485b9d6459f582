"""How live pipelines read a frame: with a model that judges the picture, or by measuring temperatures."""

from __future__ import annotations

import time

from edge.domain.errors import InferenceError
from edge.domain.finding import Code, ModelStamp
from edge.domain.frame import Frame, Thermogram
from edge.findings import pictures, thermal
from edge.findings.thermal_policy import ThermalPolicy
from edge.pipelines.live import IsPresent
from edge.pipelines.looked import Looked
from edge.pipelines.stations import PictureStation
from edge.pipelines.watching import Watch, nobody_watches

A_PICTURE = Code("SCT", "363679005", "Imaging")


class PictureLook:
    """Asks a model about a picture."""

    def __init__(self, station: PictureStation, *, deadline_s: float, watch: Watch = nobody_watches) -> None:
        """Store what is needed.

        Args:
            station: A model, or why there is none.
            deadline_s: Longest time one picture may take.
            watch: Is shown every answer.
        """
        self._station = station
        self._deadline_s = deadline_s
        self._watch = watch

    @property
    def subject(self) -> Code:
        """What is looked for."""
        manifest = self._station.manifest
        return manifest.policy.looked_for.code() if manifest else A_PICTURE

    @property
    def stamp(self) -> ModelStamp | None:
        """Which weights speak."""
        return self._station.model.stamp if self._station.model else None

    @property
    def refusal(self) -> str:
        """Why there is no model, or ""."""
        return self._station.refusal

    def __call__(self, frame: Frame, *, is_present: IsPresent) -> Looked:
        """Judge one picture.

        Raises:
            InferenceError: There is no model, or the frame is no colour picture, or the model failed.
            PictureRejectedError: The picture is not something the model can honestly work on.
        """
        with self._station.held() as station:
            model, manifest = station.model, station.manifest
            if model is None or manifest is None:
                raise InferenceError(station.refusal)
            if isinstance(frame.content, Thermogram):
                raise InferenceError(f"a thermogram of {frame.source}, {manifest.name} takes colour pictures")
            answer = model.look(frame.content, deadline_s=self._deadline_s)
            changed = self._watch(model.stamp, frame.source, answer)
            return Looked(
                observations=pictures.judge(answer, manifest, is_present=is_present),
                latency_ms=answer.latency_ms,
                notes=(*pictures.notes(manifest, shape_px=frame.content.shape_px), *changed),
                answer=answer,
                stamp=model.stamp,
            )


class ThermalLook:
    """Measures temperatures; no network is asked."""

    stamp: ModelStamp | None = None
    refusal = ""

    def __init__(self, policy: ThermalPolicy) -> None:
        """Store what is asked of each thermogram."""
        self._policy = policy

    @property
    def subject(self) -> Code:
        """What the temperatures are of."""
        return self._policy.looked_for

    def __call__(self, frame: Frame, *, is_present: IsPresent) -> Looked:
        """Measure one thermogram.

        Raises:
            InferenceError: The frame is no thermogram.
        """
        if not isinstance(frame.content, Thermogram):
            raise InferenceError(f"a colour picture of {frame.source}, wanted a thermogram")
        began_ns = time.monotonic_ns()
        observations = thermal.judge(frame.content, self._policy, is_present=is_present)
        measured_ms = (time.monotonic_ns() - began_ns) / 1e6
        return Looked(observations=observations, latency_ms={"measure": measured_ms})
