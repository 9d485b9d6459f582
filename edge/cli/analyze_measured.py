"""Cubes and spectra of the command line: measured, asked about, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundles.spectra_regression import SpectraRegression
from edge.cli import overlay_cube, overlay_map, overlay_spectrum
from edge.cli.analyze_models import Models
from edge.cli.desk import Answer, Desk
from edge.domain.answer import Estimates
from edge.domain.finding import Finding, Observation
from edge.domain.study import Series
from edge.findings.cube_policy import CubePolicy
from edge.findings.cube_reading import CubeReading
from edge.findings.spectrum_policy import SpectrumPolicy
from edge.findings.spectrum_reading import SpectrumReading
from edge.formats.cube_names import stem_of
from edge.formats.spectrum_points import Hints
from edge.pipelines.measured import FileAssessor, Reading
from edge.pipelines.readings import EstimatesCube, MeasuresCube, MeasuresSpectrum
from edge.pipelines.stations import SpectraStation

CUBE, SPECTRUM = "hyperspectral", "spectrum"
PANEL_REFLECTANCE = 1.0
DEADLINE_S = 600.0


def assess(
    measured: Sequence[Series], models: Models, desk: Desk, *, hints: Hints, measures_cubes: bool
) -> Iterator[Answer]:
    """Look at every cube and spectrum, and write what was asked for as soon as it is known.

    Args:
        measured: Each of one file.
        models: Who may be asked about cubes.
        desk: Where pictures go.
        hints: What spectra are, where they do not say.
        measures_cubes: Whether cubes are measured beside what bundles say of them.

    Raises:
        StorageFullError: A picture cannot be written.
    """
    drawing = _Drawing(models, hints=hints, measures_cubes=measures_cubes)
    assessor = FileAssessor(readings=drawing.readings, identity=models.identity, clock=models.clock)
    for number, series in enumerate(measured, start=1):
        path = series.instances[0].path
        name = desk.unique(stem_of(path) if series.instances[0].format == "cube" else path.stem)
        desk.progress(f"measurement {number} of {len(measured)}: {name}")
        drawing.forget()
        result = assessor.assess(series)
        if desk.out is not None:
            for pipeline, page in drawing.pages(result.findings):
                desk.picture(f"{name}.{pipeline}", page)
        yield Answer(
            name=name,
            findings=result.findings,
            trouble=f"{path}: {result.refusal}" if result.is_damaged else "",
            is_damaged=result.is_damaged,
        )


class _Drawing:
    """How files are read, and what was seen of the last one."""

    def __init__(self, models: Models, *, hints: Hints, measures_cubes: bool) -> None:
        self._cube_policy, self._spectrum_policy = CubePolicy(), SpectrumPolicy()
        self.forget()
        cubes: list[tuple[str, Reading]] = [
            (name, self._estimating(name, station)) for name, station in models.spectra
        ]
        if measures_cubes:
            measuring = MeasuresCube(
                self._cube_policy, panel_reflectance=PANEL_REFLECTANCE, told=self._see_cube
            )
            cubes.insert(0, (CUBE, measuring))
        spectra = MeasuresSpectrum(self._spectrum_policy, hints=hints, told=self._see_spectrum)
        self.readings: Mapping[str, Sequence[tuple[str, Reading]]] = {
            "cube": cubes,
            "spectrum": [(SPECTRUM, spectra)],
        }

    def forget(self) -> None:
        """Begin with the next file."""
        self._cube: CubeReading | None = None
        self._spectrum: SpectrumReading | None = None
        self._maps: list[tuple[str, SpectraRegression, NDArray[np.bool_], Estimates]] = []

    def pages(self, findings: Sequence[Finding]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield a page for each pipeline, with how it is called."""
        if self._cube is not None:
            title, lines = _words(findings, CUBE)
            yield CUBE, overlay_cube.draw(self._cube, self._cube_policy, title=title, lines=lines)
        if self._spectrum is not None:
            title, lines = _words(findings, SPECTRUM)
            yield (
                SPECTRUM,
                overlay_spectrum.draw(self._spectrum, self._spectrum_policy, title=title, lines=lines),
            )
        for name, manifest, whole, answer in self._maps:
            title, lines = _words(findings, name)
            for place, quantity in enumerate(manifest.output.quantities):
                values = np.full(whole.shape, np.nan, np.float32)
                values[whole] = answer.values[:, place]
                called = f"{name}.{quantity.name}" if len(manifest.output.quantities) > 1 else name
                yield called, overlay_map.draw(values, quantity, title=title, lines=lines)

    def _estimating(self, name: str, station: SpectraStation) -> EstimatesCube:
        def told(whole: NDArray[np.bool_], answer: Estimates) -> None:
            assert station.manifest is not None, "it has answered"
            self._maps.append((name, station.manifest, whole, answer))

        return EstimatesCube(station, deadline_s=DEADLINE_S, panel_reflectance=PANEL_REFLECTANCE, told=told)

    def _see_cube(self, reading: CubeReading) -> None:
        self._cube = reading

    def _see_spectrum(self, reading: SpectrumReading) -> None:
        self._spectrum = reading


def _words(findings: Sequence[Finding], pipeline: str) -> tuple[str, list[str]]:
    """Return a title, and what else to write below: reasons and notes."""
    said = [one for one in findings if one.pipeline == pipeline]
    verdicts = list(dict.fromkeys(one.observation.verdict for one in said))
    title = f"{pipeline}: {verdicts[0].value}" if len(verdicts) == 1 else pipeline
    lines = [_statement(one.observation, has_verdict=len(verdicts) > 1) for one in said]
    lines += [note for one in said for note in one.notes]
    return title, [line for line in dict.fromkeys(lines) if line]


def _statement(observation: Observation, *, has_verdict: bool) -> str:
    """Say what a picture does not show: the verdict where there are several, and the reason."""
    verdict = observation.verdict.value if has_verdict else ""
    said = "; ".join(part for part in (verdict, observation.reason) if part)
    where = f", {observation.segment}" if observation.segment else ""
    return f"{observation.code.meaning}{where}: {said}" if said else ""
