"""Steps on single spectra: noise, spikes, baselines, peaks, each against a truth that was put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.errors import PictureRejectedError
from edge.preprocess.baseline import Baseline, Method, baseline, rubberband
from edge.preprocess.peak_shapes import Shape, area_of, curve, jacobian
from edge.preprocess.peaks import PeakRules, fit
from edge.preprocess.spectrum import despike, noise, normalise, smooth
from edge.preprocess.whittaker import smooth as whittaker
from tests.builders.spectra import gauss, lorentz, raman, spectrum

METHODS: list[Method] = ["arpls", "airpls", "als", "drpls", "rubberband", "polynomial"]
AXIS = np.linspace(400.0, 1800.0, 1200)


# ── noise, spikes, smoothing ──────────────────────────────────────────────────────────────────────


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 50))
def test_noise_is_told_whatever_peaks_and_baseline_do(seed: int, sigma: float) -> None:
    seen, _ = raman(noise=sigma, seed=seed)
    assert noise(seen.values) == pytest.approx(sigma, rel=0.35)


def test_noise_that_neighbours_share_is_seen() -> None:
    white = np.random.default_rng(0).normal(0, 1, 4000)
    shared = np.convolve(white, np.ones(2) / np.sqrt(2), mode="same")  # of standard deviation 1 again
    assert noise(shared) == pytest.approx(1, rel=0.2)


def test_spikes_go_and_lines_stay() -> None:
    truth, _ = raman(noise=2)
    values = truth.values.copy()
    places = [100, 333, 334, 777, 1100]
    values[places] += [400, 900, 700, 90, 3000]
    mended, count = despike(replace(truth, values=values))
    assert count == 4
    assert np.abs(mended.values - truth.values).max() < 12
    assert mended.notes == ("4 spikes taken out",)


@pytest.mark.parametrize("fwhm_points", [3.0, 4.0, 6.0, 20.0])
@pytest.mark.parametrize("height", [20.0, 100.0, 10_000.0])
@pytest.mark.parametrize("shift", [0.0, 0.3, 0.5])
def test_a_line_as_narrow_as_a_spectrometer_makes_it_is_no_spike(
    fwhm_points: float, height: float, shift: float
) -> None:
    axis = np.arange(500.0)
    values = np.random.default_rng(1).normal(0, 1, 500) + gauss(axis, height, 250 + shift, fwhm_points)
    seen = spectrum(values, axis)
    assert np.abs(despike(seen)[0].values - values)[240:260].max() == 0


def test_whittakers_smoother_solves_what_it_says() -> None:
    rng = np.random.default_rng(0)
    for points in (5, 6, 40):
        y, weights = rng.normal(size=points), rng.random(points)
        differences = np.diff(np.eye(points), 2, axis=0)
        alone = np.linalg.solve(np.diag(weights) + 50 * differences.T @ differences, weights * y)
        assert np.allclose(whittaker(y, smoothness=50, weights=weights), alone)
    with pytest.raises(PictureRejectedError, match="4 points, wanted 5"):
        whittaker(np.ones(4), smoothness=1)


def test_smoothing_brings_a_noisy_spectrum_nearer_to_its_truth() -> None:
    truth, _ = raman(noise=0)
    noisy, _ = raman(noise=10)
    before = np.std(noisy.values - truth.values)
    for smoothed in (smooth(noisy, method="savitzky-golay"), smooth(noisy, method="whittaker")):
        assert np.std(smoothed.values - truth.values) < 0.65 * before


def test_normalising_makes_what_it_says() -> None:
    seen, _ = raman()
    assert np.trapezoid(normalise(seen, method="area").values, seen.axis) == pytest.approx(1)
    assert normalise(seen, method="max").values.max() == pytest.approx(1)
    assert normalise(seen, method="snv").values.std(ddof=1) == pytest.approx(1)
    for method in ("area", "max", "snv"):
        with pytest.raises(PictureRejectedError):
            normalise(spectrum(np.zeros(9)), method=method)


# ── baselines ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("how", "off_max"),
    [
        (Baseline(method="arpls", smoothness=1e7), 8),
        (Baseline(method="airpls", smoothness=1e7, iterations_max=20), 12),
        (Baseline(method="als", smoothness=1e7, asymmetry=0.01), 12),
        (Baseline(method="drpls", smoothness=1e7), 8),
        (Baseline(method="polynomial", degree=6), 25),
        (
            Baseline(
                method="polynomial", degree=4, regions=((400, 680), (820, 950), (1060, 1350), (1560, 1800))
            ),
            8,
        ),
    ],
)
def test_a_baseline_lies_where_it_was_put(how: Baseline, off_max: float) -> None:
    seen, truth = raman(noise=2)
    assert np.abs(baseline(seen, how) - truth)[20:-20].max() < off_max


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10, deadline=None)
@given(gain=st.floats(1e-6, 1e6), seed=st.integers(0, 1000))
def test_a_baseline_does_not_care_for_the_unit_of_the_ordinate(
    method: Method, gain: float, seed: int
) -> None:
    seen, _ = raman(seed=seed, points=300)
    how = Baseline(method=method, smoothness=1e5)
    one = baseline(seen, how)
    other = baseline(replace(seen, values=seen.values * gain), how) / gain
    assert np.allclose(one, other, atol=1e-3 * np.ptp(seen.values))


# drPLS also wants a small slope (its D₁), and takes one that has no noise on it for a peak.
@pytest.mark.parametrize("method", [method for method in METHODS if method != "drpls"])
@pytest.mark.parametrize("values", [np.zeros(50), np.full(50, 7.0), np.arange(50.0), -(np.arange(50.0) ** 2)])
def test_a_spectrum_without_peaks_is_all_baseline(method: Method, values: np.ndarray) -> None:
    found = baseline(spectrum(values), Baseline(method=method, smoothness=100, degree=2))
    assert np.isfinite(found).all()
    inside = values if method != "rubberband" else rubberband(np.arange(50.0), values)
    assert np.allclose(found, inside, atol=0.05 * max(1, np.ptp(values)))


def test_a_rubberband_never_crosses_the_spectrum() -> None:
    seen, _ = raman(noise=5)
    band = baseline(seen, Baseline(method="rubberband"))
    assert (band <= seen.values + 1e-9).all()
    assert band[0] == seen.values[0]
    assert band[-1] == seen.values[-1]
    assert (np.diff(np.diff(band) / np.diff(seen.axis)) > -1e-9).all()


def test_too_few_points_are_refused() -> None:
    with pytest.raises(PictureRejectedError, match="3 points, wanted 5"):
        baseline(spectrum(np.ones(3)), Baseline())
    with pytest.raises(PictureRejectedError, match="0 points without peaks"):
        baseline(raman()[0], Baseline(method="polynomial", regions=((1, 2),)))


# ── peaks ─────────────────────────────────────────────────────────────────────────────────────────

SHAPES: list[Shape] = ["gauss", "lorentz", "pseudo-voigt"]


@pytest.mark.parametrize("shape", SHAPES)
def test_slopes_are_those_of_the_curve(shape: Shape) -> None:
    parameters = np.array([[3.0, 700, 40, 0.3], [2.0, 730, 25, 0.8]])
    parameters[:, 3] = {"gauss": 0, "lorentz": 1}.get(shape, parameters[:, 3])
    free = {"pseudo-voigt": 4}.get(shape, 3)
    slopes = jacobian(AXIS, parameters, shape).reshape(AXIS.size, 2, free)
    for peak in range(2):
        for place in range(free):
            step = 1e-5 * np.maximum(1, np.abs(parameters[peak, place]))
            more, less = parameters.copy(), parameters.copy()
            more[peak, place] += step
            less[peak, place] -= step
            wanted = (curve(AXIS, more, shape) - curve(AXIS, less, shape)) / (2 * step)
            assert np.allclose(slopes[:, peak, place], wanted, atol=1e-7)


@pytest.mark.parametrize("mixing", [0.0, 0.4, 1.0])
def test_the_area_is_the_integral(mixing: float) -> None:
    axis = np.linspace(-20_000, 20_000, 2_000_001)
    whole = np.trapezoid(curve(axis, np.array([[5.0, 3.0, 20.0, mixing]]), "pseudo-voigt"), axis)
    assert area_of(5, 20, mixing) == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_peaks_come_out_as_they_were_put_in(shape: Shape) -> None:
    clean = {"gauss": gauss, "lorentz": lorentz}[shape]
    put_in = [(300.0, 750.0, 18.0), (150.0, 1004.0, 12.0), (220.0, 1450.0, 30.0), (90.0, 1490.0, 20.0)]
    values = sum((clean(AXIS, *peak) for peak in put_in), np.zeros_like(AXIS))
    values += np.random.default_rng(0).normal(0, 1, AXIS.size)
    found = fit(spectrum(values, AXIS), PeakRules(shape=shape))
    assert len(found) == 4
    for peak, (height, position, width) in zip(found, put_in, strict=True):
        assert abs(peak.position - position) < 5 * peak.position_uncertainty
        assert abs(peak.height - height) < 5 * peak.height_uncertainty
        assert abs(peak.width - width) < 5 * peak.width_uncertainty
        assert peak.area == pytest.approx(area_of(height, width, float(shape == "lorentz")), rel=0.1)
        assert peak.has_converged
        assert not peak.is_at_limit


def test_uncertainties_are_as_large_as_the_scatter_of_many_fits() -> None:
    rng = np.random.default_rng(1)
    axis = np.arange(200.0)
    clean = gauss(axis, 50, 100, 20)
    fits = [
        fit(spectrum(clean + rng.normal(0, 2, 200), axis), PeakRules(shape="gauss", prominence_share=0.3))[0]
        for _ in range(150)
    ]
    for name in ("position", "height", "width", "area"):
        scatter = np.std([getattr(one, name) for one in fits])
        said = np.mean([getattr(one, f"{name}_uncertainty") for one in fits])
        assert said == pytest.approx(scatter, rel=0.25), name


def test_noise_alone_has_no_peaks() -> None:
    rng = np.random.default_rng(2)
    counts = [len(fit(spectrum(rng.normal(0, 1, 1000)), PeakRules())) for _ in range(20)]
    assert sum(counts) == 0


def test_a_flat_spectrum_has_no_peaks() -> None:
    assert fit(spectrum(np.zeros(100)), PeakRules()) == ()


def test_a_comb_of_peaks_is_fitted_within_its_limits() -> None:
    axis = np.arange(2000.0)
    values = sum((gauss(axis, 100, at, 12) for at in range(50, 1990, 25)), np.zeros_like(axis))
    values += np.random.default_rng(0).normal(0, 0.5, axis.size)
    found = fit(spectrum(values, axis), PeakRules(shape="gauss", peaks_max=40, evaluations_max=30))
    assert len(found) == 40
