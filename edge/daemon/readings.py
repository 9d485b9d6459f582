"""What the operator wrote about cubes and spectra, turned into how each source's files are read."""

from __future__ import annotations

from collections.abc import Mapping

from edge.config import spectral as options
from edge.config.pipelines import MeasuringPipeline
from edge.config.schema import Config
from edge.config.spectral import (
    HyperspectralPipeline,
    HyperspectralSource,
    PixelSpectraPipeline,
    SpectrumPipeline,
    SpectrumSource,
)
from edge.findings.cube_policy import AnomalyRules, CubePolicy, Index, Material, MaterialRules
from edge.findings.spectrum_policy import ExpectedPeak, SpectrumPolicy
from edge.formats.spectrum_points import Hints
from edge.inference.engine import Engine
from edge.pipelines.measured import Reading
from edge.pipelines.readings import EstimatesCube, MeasuresCube, MeasuresSpectrum
from edge.pipelines.stations import spectra_station
from edge.pipelines.watching import Watch
from edge.preprocess.baseline import Baseline
from edge.preprocess.peaks import PeakRules
from edge.preprocess.spectrum_backend import backend


def readings_of(config: Config, engine: Engine, watch: Watch) -> Mapping[str, list[tuple[str, Reading]]]:
    """Return for each source of cubes or spectra its pipelines by name, and how they read.

    Raises:
        ConfigurationError: rampy is wanted and not installed, or a rule cannot be.
    """
    return {
        source.name: [
            (pipeline.name, _reading(pipeline, source, engine, watch))
            for pipeline in config.pipelines
            if isinstance(pipeline, MeasuringPipeline) and source.name in pipeline.sources
        ]
        for source in config.sources
        if isinstance(source, HyperspectralSource | SpectrumSource)
    }


def _reading(
    pipeline: MeasuringPipeline,
    source: HyperspectralSource | SpectrumSource,
    engine: Engine,
    watch: Watch,
) -> Reading:
    if isinstance(source, SpectrumSource):
        assert isinstance(pipeline, SpectrumPipeline), "the configuration was checked: kinds agree"
        hints = Hints(kind=source.measures, axis_unit=source.axis_unit)
        return MeasuresSpectrum(
            _spectrum_policy(pipeline), hints=hints, backend=backend(pipeline.computed_by)
        )
    if isinstance(pipeline, PixelSpectraPipeline):
        return EstimatesCube(
            spectra_station(engine, pipeline.bundle),
            deadline_s=pipeline.deadline_s,
            panel_reflectance=source.panel_reflectance,
            watch=watch,
        )
    assert isinstance(pipeline, HyperspectralPipeline), "the configuration was checked: kinds agree"
    return MeasuresCube(_cube_policy(pipeline), panel_reflectance=source.panel_reflectance)


def _cube_policy(pipeline: HyperspectralPipeline) -> CubePolicy:
    materials = tuple(
        Material(name=one.name, wavelengths_nm=one.wavelengths_nm, values=one.values)
        for one in pipeline.materials
    )
    return CubePolicy(
        needs=pipeline.needs,
        anomaly=None if pipeline.anomaly is None else _anomaly(pipeline.anomaly),
        materials=MaterialRules(materials=materials, angle_max_rad=pipeline.angle_max_rad)
        if materials
        else None,
        indices=tuple(
            Index(
                name=one.name,
                kind=one.formula,
                first_nm=one.first_nm,
                second_nm=one.second_nm,
                width_nm=one.width_nm,
            )
            for one in pipeline.indices
        ),
    )


def _anomaly(rules: options.AnomalyRules) -> AnomalyRules:
    return AnomalyRules(quantile=rules.quantile, trim_share=rules.trim_share, area_min_px=rules.area_min_px)


def _spectrum_policy(pipeline: SpectrumPipeline) -> SpectrumPolicy:
    return SpectrumPolicy(
        axis_unit=pipeline.axis_unit,
        baseline=Baseline(method=pipeline.baseline, smoothness=pipeline.smoothness),
        peaks=PeakRules(shape=pipeline.shape, width_min=pipeline.width_min, width_max=pipeline.width_max),
        expected=tuple(
            ExpectedPeak(name=one.name, position=one.position, window=one.window) for one in pipeline.expected
        ),
        remove_spikes=pipeline.remove_spikes,
        snr_min=pipeline.snr_min,
    )
