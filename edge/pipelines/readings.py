"""How pipelines read measured files: cubes and spectra, by measuring or with a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.domain.answer import Estimates
from edge.domain.errors import FormatError, InferenceError, PictureRejectedError
from edge.domain.finding import Code, ModelStamp
from edge.domain.spectral import Cube
from edge.domain.study import Instance
from edge.findings import cube, cube_reading, estimates, spectrum, spectrum_reading
from edge.findings.cube_policy import CubePolicy
from edge.findings.spectrum_policy import SpectrumPolicy
from edge.formats.cube_files import read_cube
from edge.formats.cube_recording import CUBE_BYTES_MAX
from edge.formats.spectrum_files import read_spectrum
from edge.formats.spectrum_points import Hints
from edge.pipelines.looked import Looked
from edge.pipelines.stations import A_SERIES, SpectraStation
from edge.pipelines.watching import Watch, nobody_watches, scanner_of
from edge.preprocess.cube_bands import resample
from edge.preprocess.cube_pixels import is_whole
from edge.preprocess.spectrum_backend import OWN, Backend

A_SPECTRUM = Code("99EDGE", "spectrum", "Spectrum")
A_CUBE = Code("99EDGE", "cube", "Hyperspectral cube")


def _nobody(_told: object) -> None:
    """Tell nobody."""


_Content = TypeVar("_Content")


class MeasuresCube:
    """Measures what a policy asks for: anomalies, materials, indices."""

    subject = A_CUBE
    stamp: ModelStamp | None = None

    def __init__(
        self,
        policy: CubePolicy,
        *,
        panel_reflectance: float,
        bytes_max: int = CUBE_BYTES_MAX,
        told: Callable[[cube_reading.CubeReading], None] = _nobody,
    ) -> None:
        """Store what is needed.

        Args:
            policy: What is asked of each cube.
            panel_reflectance: Of the white panel, 0 to 1.
            bytes_max: Largest cube, float32.
            told: Is shown what was measured of each cube.
        """
        self._policy = policy
        self._panel_reflectance = panel_reflectance
        self._bytes_max = bytes_max
        self._told = told

    def __call__(self, instance: Instance) -> Looked:
        """Read one cube."""
        clock = _Stopwatch()
        found = _cube_of(instance, self._panel_reflectance, self._bytes_max)
        clock.lap("read")
        reading = cube_reading.read(found, self._policy)
        observations = cube.judge(reading, self._policy)
        clock.lap("measure")
        self._told(reading)
        return Looked(observations=observations, latency_ms=clock.laps_ms, notes=found.notes)


class EstimatesCube:
    """Asks a model about the spectrum in every pixel."""

    def __init__(
        self,
        station: SpectraStation,
        *,
        deadline_s: float,
        panel_reflectance: float,
        bytes_max: int = CUBE_BYTES_MAX,
        told: Callable[[NDArray[np.bool_], Estimates], None] = lambda _whole, _answer: None,
        watch: Watch = nobody_watches,
    ) -> None:
        """Store what is needed.

        Args:
            station: A model, or why there is none.
            deadline_s: Longest time one cube may take.
            panel_reflectance: Of the white panel, 0 to 1.
            bytes_max: Largest cube, float32.
            told: Is shown which pixels, (height, width), the model was asked about, and what it answered: a
                row for each of them.
            watch: Is shown every answer.
        """
        self._watch = watch
        self._station = station
        self._deadline_s = deadline_s
        self._panel_reflectance = panel_reflectance
        self._bytes_max = bytes_max
        self._told = told

    @property
    def subject(self) -> Code:
        """What is looked for."""
        manifest = self._station.manifest
        return manifest.policy.looked_for.code() if manifest else A_SERIES

    @property
    def stamp(self) -> ModelStamp | None:
        """Which weights speak."""
        return self._station.model.stamp if self._station.model else None

    def __call__(self, instance: Instance) -> Looked:
        """Read one cube.

        Raises:
            InferenceError: There is no model, or it failed.
            PictureRejectedError: The cube is not in reflectance, or lacks wavelengths.
        """
        with self._station.held() as station:
            return self._read(instance, station)

    def _read(self, instance: Instance, station: SpectraStation) -> Looked:
        clock = _Stopwatch()
        model, manifest = station.model, station.manifest
        if model is None or manifest is None:
            raise InferenceError(station.refusal)
        found = _cube_of(instance, self._panel_reflectance, self._bytes_max)
        if found.unit != manifest.input.unit:
            raise PictureRejectedError(
                f"the cube is in {found.unit}, {manifest.name} takes {manifest.input.unit}: "
                "a white reference beside it makes it so"
            )
        clock.lap("read")
        banded = resample(found, wavelengths_nm=model.wavelengths_nm)
        whole = is_whole(banded.values)
        spectra = banded.values[whole]
        if not len(spectra):
            raise PictureRejectedError("no pixel of the cube has a value in every band")
        clock.lap("bands")
        answer = model.estimate(np.ascontiguousarray(spectra), deadline_s=self._deadline_s)
        said = estimates.judge(answer, manifest.policy, manifest.output)
        self._told(whole, answer)
        changed = self._watch(model.stamp, scanner_of(instance), answer)
        return Looked(
            observations=(said,),
            latency_ms={**clock.laps_ms, **answer.latency_ms},
            notes=(*found.notes, *changed),
            stamp=model.stamp,
        )


class MeasuresSpectrum:
    """Measures what a policy asks for: baseline, noise, peaks."""

    subject = A_SPECTRUM
    stamp: ModelStamp | None = None

    def __init__(
        self,
        policy: SpectrumPolicy,
        *,
        hints: Hints,
        backend: Backend = OWN,
        told: Callable[[spectrum_reading.SpectrumReading], None] = _nobody,
    ) -> None:
        """Store what is needed.

        Args:
            policy: What is asked of each spectrum.
            hints: What the site knows of its files.
            backend: Who computes.
            told: Is shown what was measured of each spectrum.
        """
        self._policy = policy
        self._hints = hints
        self._backend = backend
        self._told = told

    def __call__(self, instance: Instance) -> Looked:
        """Read one spectrum."""
        clock = _Stopwatch()
        found = _readable(instance, lambda: read_spectrum(instance.path, hints=self._hints))
        clock.lap("read")
        reading = spectrum_reading.read(found, self._policy, self._backend)
        observations = spectrum.judge(reading, self._policy)
        clock.lap("measure")
        self._told(reading)
        return Looked(observations=observations, latency_ms=clock.laps_ms, notes=found.notes)


class _Stopwatch:
    """Time per stage, in ms."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._since_ns = time.monotonic_ns()

    def lap(self, stage: str) -> None:
        """End a stage; the next one begins."""
        now_ns = time.monotonic_ns()
        self.laps_ms[stage] = (now_ns - self._since_ns) / 1e6
        self._since_ns = now_ns


def _cube_of(instance: Instance, panel_reflectance: float, bytes_max: int) -> Cube:
    return _readable(
        instance,
        lambda: read_cube(instance.path, panel_reflectance=panel_reflectance, bytes_max=bytes_max),
    )


def _readable(instance: Instance, read: Callable[[], _Content]) -> _Content:
    """Read a file; what is wrong with it is said with the file's own number, never with its name.

    Raises:
        FormatError: It is damaged, or cannot be read.
        PictureRejectedError: Its references do not fit.
    """
    label = f"{instance.format} {instance.sha256[:12]}"
    try:
        return read()
    except (FormatError, PictureRejectedError) as trouble:
        raise type(trouble)(f"{label}: {trouble}") from trouble
    except OSError as trouble:
        raise FormatError(f"{label}: cannot be read: {trouble.strerror}") from trouble
