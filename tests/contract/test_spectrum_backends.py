"""Both backends for spectra, our own and rampy, give the same; run where rampy is installed."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.domain.spectral import Spectrum
from edge.formats.spectrum_files import read_spectrum
from edge.formats.spectrum_points import Hints
from edge.preprocess import spectrum_rampy
from edge.preprocess.baseline import Baseline, baseline
from edge.preprocess.peak_shapes import Shape
from edge.preprocess.peaks import Peak, PeakRules, fit
from tests.builders.spectra import raman

pytest.importorskip(
    "rampy", reason="rampy (GPL, an optional extra) is not installed: pip install edge[raman]"
)

CORPUS_SPECTRA = (
    "docs/notebooks/data/LS4.txt",
    "docs/notebooks/data/NS4.txt",
    "examples/Iron_AmMin_paper/raw/BD1469.txt",
    "examples/Iron_AmMin_paper/raw/VG175_.txt",
)
BASELINE_TOLERANCE = 1e-4  # of the spectrum's range; measured: 8e-6
PEAK_TOLERANCE = 1e-4  # of a peak's width, height and area; measured: 2e-6


@pytest.fixture(params=["built", *(pytest.param(name, marks=pytest.mark.corpus) for name in CORPUS_SPECTRA)])
def spectrum(request: pytest.FixtureRequest, corpus: Path) -> Spectrum:
    """A Raman spectrum of ours, or one of the corpus."""
    if request.param == "built":
        return raman()[0]
    return read_spectrum(corpus / "rampy-spectra" / request.param, hints=Hints(kind="raman"))


def is_sound(peak: Peak) -> bool:
    """Whether a fit says something: two optimisers need not stop at the same place in a flat valley."""
    return peak.has_converged and not peak.is_at_limit and peak.position_uncertainty < 0.05 * peak.width


def ends_of(spectrum: Spectrum) -> tuple[tuple[float, float], ...]:
    low, high = float(spectrum.axis[0]), float(spectrum.axis[-1])
    return ((low, low + 60), (high - 60, high))


@pytest.mark.parametrize(
    "how",
    [
        Baseline(method="arpls", smoothness=1e7, ratio=0.01),
        Baseline(method="als", smoothness=1e6, iterations_max=20),
        Baseline(method="drpls", smoothness=1e6),
        Baseline(method="rubberband"),
        Baseline(method="polynomial", degree=2),
    ],
    ids=lambda how: how.method,
)
def test_both_backends_give_the_same_baseline(how: Baseline, spectrum: Spectrum) -> None:
    regions = ends_of(spectrum) if how.method == "polynomial" else ()
    asked = replace(how, regions=regions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rampy's own, about what SciPy will change
        theirs = spectrum_rampy.baseline(spectrum, asked)
    ours = baseline(spectrum, asked)
    assert np.abs(ours - theirs).max() < BASELINE_TOLERANCE * np.ptp(spectrum.values)


@pytest.mark.parametrize("shape", ["gauss", "lorentz", "pseudo-voigt"])
def test_both_backends_give_the_same_peaks(shape: Shape, spectrum: Spectrum) -> None:
    flat = replace(spectrum, values=spectrum.values - baseline(spectrum, Baseline(smoothness=1e7)))
    rules = PeakRules(shape=shape, width_min=4, prominence_share=0.05)
    ours, theirs = fit(flat, rules), fit(flat, rules, fit_group=spectrum_rampy.fit_group)
    assert len(ours) == len(theirs) > 0
    sound = [pair for pair in zip(ours, theirs, strict=True) if is_sound(pair[0])]
    assert sound
    for one, other in sound:
        assert abs(one.position - other.position) < PEAK_TOLERANCE * one.width
        assert other.height == pytest.approx(one.height, rel=PEAK_TOLERANCE)
        assert other.width == pytest.approx(one.width, rel=PEAK_TOLERANCE)
        assert other.area == pytest.approx(one.area, rel=PEAK_TOLERANCE)
        assert other.position_uncertainty == pytest.approx(one.position_uncertainty, rel=1e-2)
