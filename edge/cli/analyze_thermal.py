"""Thermal pictures and sequences of the command line: every frame measured, the hottest one drawn."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.cli import overlay_thermal
from edge.cli.analyze_models import Models
from edge.cli.desk import Answer, Desk
from edge.domain.errors import FormatError
from edge.domain.finding import Finding, Observation
from edge.domain.frame import Frame, Thermogram
from edge.findings.thermal_policy import ThermalPolicy
from edge.findings.track import Pace
from edge.pipelines.looked import Looked
from edge.pipelines.looks import ThermalLook
from edge.pipelines.recorded import Recorded
from edge.preprocess.thermal_site import SiteCalibration
from edge.sources.thermal import thermograms

PIPELINE = "thermal"
PERIOD_S = 1 / 9  # between frames of a sequence without times, as in the configuration


def assess(
    files: Sequence[Path], models: Models, desk: Desk, *, site: SiteCalibration, pace: Pace
) -> Iterator[Answer]:
    """Measure every picture of every file, in its order.

    Args:
        files: Of thermal cameras.
        models: Time and subjects; nobody is asked.
        desk: Where pictures go.
        site: What goes before what the files say.
        pace: How often something is said; nothing has to settle, for each frame is a measurement.

    Raises:
        StorageFullError: A picture cannot be written.
    """
    for path in files:
        yield _assessed(
            path, desk.unique(path.stem), models, desk, site=site, pace=replace(pace, settle_s=0.0)
        )


def _assessed(
    path: Path, name: str, models: Models, desk: Desk, *, site: SiteCalibration, pace: Pace
) -> Answer:
    policy = ThermalPolicy()
    hottest = _Hottest()
    frames = _frames(path, name, site)
    trouble, first = _some(frames, 2)
    recorded = Recorded(
        pipeline=PIPELINE,
        source=name,
        look=ThermalLook(policy),
        pace=pace,
        losses=dict,
        identity=models.identity,
        clock=models.clock,
        is_still=len(first) == 1 and not trouble,
        told=hottest.see,
    )
    findings: list[Finding] = []
    began_s = time.monotonic()
    try:
        for frame in itertools.chain(first, frames):
            findings += recorded.see(frame)
            desk.progress(f"{name}: {recorded.frames} frames, {_rate(recorded.frames, began_s)}")
    except FormatError as damage:
        trouble = trouble or str(damage)
    findings += recorded.end(trouble or f"{name} is over")
    if recorded.frames > 1:
        desk.say(f"{name}: {recorded.frames} frames, {_rate(recorded.frames, began_s)}")
    if desk.out is not None and hottest.thermogram is not None:
        verdicts = ", ".join(dict.fromkeys(one.observation.verdict.value for one in findings))
        where = f"the hottest of {recorded.frames} frames, {hottest.at_s:.2f} s into the recording"
        desk.picture(
            f"{name}.{PIPELINE}",
            overlay_thermal.draw(
                hottest.thermogram,
                title=f"{PIPELINE}: {verdicts}",
                regions=[region for region in policy.regions if region.name != "whole picture"],
                observations=hottest.observations,
                lines=[where] if recorded.frames > 1 else [],
            ),
        )
    return Answer(
        name=name,
        findings=tuple(findings),
        trouble=f"{path}: {trouble.removeprefix(f'{path.name}: ')}" if trouble else "",
        is_damaged=bool(trouble),
    )


class _Hottest:
    """The frame with the highest maximum."""

    def __init__(self) -> None:
        self.thermogram: Thermogram | None = None
        self.observations: tuple[Observation, ...] = ()
        self.at_s = 0.0
        self._celsius = -np.inf

    def see(self, at_s: float, frame: Frame, looked: Looked) -> None:
        """Look at one frame."""
        assert isinstance(frame.content, Thermogram), "this path reads thermograms only"
        celsius = frame.content.celsius
        warmest = float(np.nanmax(celsius)) if np.isfinite(celsius).any() else -np.inf
        if self.thermogram is None or warmest > self._celsius:
            self.thermogram, self.observations = frame.content, looked.observations
            self.at_s, self._celsius = at_s, warmest


def _frames(path: Path, name: str, site: SiteCalibration) -> Iterator[Frame]:
    """Yield the pictures of a file with its own times, or a steady pace where it has none.

    Raises:
        FormatError: It is damaged; the pictures before the damage have come.
    """
    at_s, before_s = 0.0, None
    for sequence, (recorded_s, seen) in enumerate(thermograms(path, site), start=1):
        is_timed = recorded_s is not None and before_s is not None
        step_s = (recorded_s or 0.0) - (before_s or 0.0) if is_timed else PERIOD_S
        at_s += 0.0 if sequence == 1 else step_s if step_s > 0 else PERIOD_S
        before_s = recorded_s
        yield Frame(
            source=name,
            sequence=sequence,
            captured_at_ns=round(at_s * 1e9),
            timed_by="stream",
            content=seen,
        )


def _some(frames: Iterator[Frame], count: int) -> tuple[str, list[Frame]]:
    """Return the first frames, and what was wrong with the file if it ends among them."""
    some: list[Frame] = []
    try:
        some.extend(itertools.islice(frames, count))
    except FormatError as damage:
        return str(damage), some
    return "", some


def _rate(frames: int, began_s: float) -> str:
    return f"{frames / max(time.monotonic() - began_s, 1e-9):.0f} a second"
