"""Steps on cubes, against plain NumPy, against truth that was put in, and with pixels that are missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from edge.domain.errors import PictureRejectedError
from edge.preprocess.cube_anomaly import rx, rx_limit
from edge.preprocess.cube_bands import is_near_infrared, near_infrared, resample, select
from edge.preprocess.cube_components import mnf, pca
from edge.preprocess.cube_indices import normalised_difference, ratio
from edge.preprocess.cube_similarity import classes_of, spectral_angles
from edge.preprocess.spectral import derivative, snv
from tests.builders.cubes import cube, scene

SEEDS = st.integers(0, 2**32 - 1)


def holed(values: np.ndarray) -> np.ndarray:
    """The same values with one pixel that has no value in one band."""
    copy = values.copy()
    copy[2, 3, 4] = np.nan
    return copy


# ── bands ─────────────────────────────────────────────────────────────────────────────────────────


def test_near_infrared_is_700_to_900_nm() -> None:
    axis = np.array([699.9, 700.0, 800.0, 900.0, 900.1])
    assert is_near_infrared(axis).tolist() == [False, True, True, True, False]
    part = near_infrared(cube(np.ones((2, 2, 5)), axis))
    assert part.wavelengths_nm.tolist() == [700, 800, 900]
    with pytest.raises(PictureRejectedError, match="no band from 700 to 900 nm"):
        near_infrared(cube(np.ones((2, 2, 2)), np.array([400.0, 600.0])))


def test_resampling_linearly_is_what_numpy_does() -> None:
    seen, _, _ = scene()
    wanted = np.linspace(510, 990, 37)
    got = resample(seen, wavelengths_nm=wanted)
    alone = np.apply_along_axis(lambda s: np.interp(wanted, seen.wavelengths_nm, s), 2, seen.values)
    assert np.allclose(got.values, alone, atol=1e-6)
    assert got.notes == ("24 bands resampled to 37 linearly",)


def test_resampling_with_a_width_keeps_flat_spectra_and_widens_lines() -> None:
    axis = np.linspace(500, 1000, 501)
    line = np.exp(-4 * np.log(2) * ((axis - 750) / 20) ** 2)
    got = resample(cube(np.stack([line, np.ones(501)])[None], axis), wavelengths_nm=axis[50:451], fwhm_nm=15)
    assert np.allclose(got.values[0, 1], 1, atol=1e-6)
    above = got.wavelengths_nm[got.values[0, 0] > got.values[0, 0].max() / 2]
    assert above[-1] - above[0] == pytest.approx(np.hypot(20, 15), abs=1.5)


def test_what_is_missing_stays_missing_only_where_it_counts() -> None:
    values = holed(scene()[0].values)
    seen = cube(values, scene()[0].wavelengths_nm)
    got = resample(seen, wavelengths_nm=seen.wavelengths_nm[[0, 4, 10]])
    assert np.isnan(got.values[2, 3]).tolist() == [False, True, False]
    assert np.isnan(got.values).sum() == 1


def test_wavelengths_outside_a_cube_are_refused() -> None:
    seen, _, _ = scene()
    with pytest.raises(PictureRejectedError, match="a cube from 500 to 1000 nm, wanted 490 to 600 nm"):
        resample(seen, wavelengths_nm=np.array([490.0, 600.0]))
    with pytest.raises(PictureRejectedError, match="no band within 1 nm of 510 nm"):
        resample(seen, wavelengths_nm=np.array([510.0]), fwhm_nm=2)
    with pytest.raises(PictureRejectedError, match="no band from 100 to 200"):
        select(seen, low_nm=100, high_nm=200)


# ── SNV and derivatives ───────────────────────────────────────────────────────────────────────────


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.1, 20), st.floats(-5, 5))
def test_snv_forgets_gain_and_offset(seed: int, gain: float, offset: float) -> None:
    plain = np.random.default_rng(seed).random((5, 6, 30))
    first = snv(plain)
    assert np.allclose(first.mean(axis=-1), 0, atol=1e-9)
    assert np.allclose(first.std(axis=-1, ddof=1), 1)
    assert np.allclose(snv(plain * gain + offset), first, atol=1e-6)


def test_snv_of_a_flat_or_broken_spectrum_is_no_number() -> None:
    values = np.array([[[3, 3, 3], [1, np.nan, 2], [1, 2, 3]]], np.float32)
    assert np.isnan(snv(values)[0, :2]).all()
    assert snv(values)[0, 2].tolist() == [-1, 0, 1]


@pytest.mark.parametrize("order", [0, 1, 2])
def test_derivatives_are_those_of_scipy(order: int) -> None:
    values = scene()[0].values
    axis = scene()[0].wavelengths_nm
    got = derivative(values, axis, order=order, window_points=7, degree=3)
    step = axis[1] - axis[0]
    wanted = savgol_filter(values.astype(np.float64), 7, 3, deriv=order, delta=step, axis=-1)
    assert got.dtype == np.float32
    assert np.allclose(got, wanted, atol=1e-6)


def test_the_derivative_of_a_parabola_is_exact_up_to_the_ends() -> None:
    axis = np.linspace(0, 10, 41)
    got = derivative(axis**2, axis, order=1, window_points=5, degree=2)
    assert np.allclose(got, 2 * axis)


def test_uneven_or_few_bands_have_no_derivative() -> None:
    axis = np.array([500.0, 510, 530, 540, 550])
    with pytest.raises(PictureRejectedError, match="10 to 20 apart, wanted evenly spaced"):
        derivative(np.ones((2, 5)), axis, order=1, window_points=3, degree=2)
    with pytest.raises(PictureRejectedError, match="5 bands, wanted at least the 7"):
        derivative(np.ones((2, 5)), np.arange(5.0), order=1, window_points=7, degree=2)


# ── components ────────────────────────────────────────────────────────────────────────────────────


def test_principal_components_give_the_cube_back() -> None:
    values = scene()[0].values
    found = pca(values, components=24)
    planes = found.of(values)
    assert np.allclose(planes @ found.back + found.mean, values, atol=1e-5)
    assert (np.diff(found.strengths) <= 0).all()
    flat = planes.reshape(-1, 24).astype(np.float64)
    assert np.allclose(np.cov(flat.T), np.diag(found.strengths), atol=1e-6)


def test_minimum_noise_fraction_has_noise_of_one_and_strengths_in_order() -> None:
    values = scene(noise=0.02)[0].values
    found = mnf(values, components=24)
    planes = found.of(values).astype(np.float64)
    steps = (planes[:-1, :-1] - planes[1:, 1:]).reshape(-1, 24)
    assert np.allclose(np.cov(steps.T) / 2, np.eye(24), atol=1e-3)
    assert np.allclose(np.cov(planes.reshape(-1, 24).T), np.diag(found.strengths), rtol=1e-3, atol=1e-3)
    assert np.allclose(planes @ found.back + found.mean, values, atol=1e-4)


def test_missing_pixels_are_not_counted_and_stay_missing() -> None:
    values = scene()[0].values
    for transform in (pca, mnf):
        planes = transform(holed(values), components=1).of(holed(values))
        assert np.isnan(planes[2, 3]).all()
        assert np.isfinite(planes).sum() == planes.size - 1
        assert np.allclose(
            transform(values, components=1).of(values)[5, 5], planes[5, 5], rtol=0.1, atol=0.05
        )


def test_too_few_pixels_or_bands_without_noise_are_refused() -> None:
    with pytest.raises(PictureRejectedError, match="20 whole pixels for 24 bands"):
        pca(scene()[0].values[:4, :5], components=2)
    constant = np.ones((30, 30, 3), np.float32)
    with pytest.raises(PictureRejectedError, match="noise of some bands is zero"):
        mnf(constant, components=2)


# ── RX ────────────────────────────────────────────────────────────────────────────────────────────


def normal(seed: int, *, side: int = 90, bands: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(bands, bands))
    return (rng.normal(size=(side, side, bands)) @ mixing).astype(np.float32)


def test_scores_of_normal_pixels_follow_chi_square() -> None:
    scores = rx(normal(1))
    for quantile in (0.5, 0.9, 0.99):
        share = float((scores > rx_limit(bands=12, quantile=quantile)).mean())
        assert share == pytest.approx(1 - quantile, rel=0.35)


def test_trimmed_scores_of_normal_pixels_follow_chi_square_too() -> None:
    scores = rx(normal(2), trim_share=0.05)
    assert float((scores > rx_limit(bands=12, quantile=0.99)).mean()) == pytest.approx(0.01, rel=0.35)


def test_what_is_put_in_is_found_and_does_not_hide_itself() -> None:
    values = normal(3)
    values[40:60, 40:60] += np.linspace(3, -3, 12, dtype=np.float32) * values.std()
    target = np.zeros(values.shape[:2], bool)
    target[40:60, 40:60] = True
    plain, trimmed = rx(values), rx(values, trim_share=0.1)
    limit = rx_limit(bands=12, quantile=0.9999)
    assert (trimmed[target] > limit).mean() > 0.95
    assert (trimmed[target] > limit).mean() > (plain[target] > limit).mean() + 0.1
    assert (trimmed[~target] > limit).mean() < 0.001


def test_shrinking_helps_where_pixels_are_few() -> None:
    few, many = normal(4, side=7), normal(4)
    change_few = np.median(np.abs(rx(few, shrink=True) / rx(few) - 1))
    change_many = np.median(np.abs(rx(many, shrink=True) / rx(many) - 1))
    assert change_many < 0.1 < change_few
    same = many.copy()
    same[..., 3] = same[..., 4]  # what has no inverse has one again
    assert np.isfinite(rx(same, shrink=True)).all()


def test_pixels_without_a_value_have_no_score() -> None:
    scores = rx(holed(normal(5)))
    assert np.isnan(scores[2, 3])
    assert np.isnan(scores).sum() == 1


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(PictureRejectedError, match="25 whole pixels for 12 bands, wanted at least 36"):
        rx(normal(6, side=5))
    flat = normal(6)
    flat[..., 3] = 7
    with pytest.raises(PictureRejectedError, match="all pixels are the same"):
        rx(flat)
    twice = normal(6)
    twice[..., 3] = twice[..., 4]
    with pytest.raises(PictureRejectedError, match="bands that say the same"):
        rx(twice)


# ── SAM and indices ───────────────────────────────────────────────────────────────────────────────


def test_each_material_is_told_by_its_angle_whatever_the_light() -> None:
    seen, truth, spectra = scene()
    classes = classes_of(spectral_angles(seen.values, spectra), angle_max=0.1)
    assert (classes == truth).mean() > 0.999


def test_no_class_and_nothing_measured_are_two_things() -> None:
    values = np.array([[[1, 0, 0], [0, 0, 0], [1, np.nan, 0], [0, 1, 1]]], np.float32)
    angles = spectral_angles(values, np.array([[1.0, 0, 0], [1.0, 0.1, 0]]))
    assert angles[0, 0, 0] == pytest.approx(0, abs=1e-3)
    assert angles[0, 0, 1] == pytest.approx(np.arctan(0.1), abs=1e-3)
    assert classes_of(angles, angle_max=0.5).tolist() == [[0, -2, -2, -1]]


def test_indices_are_what_their_names_say() -> None:
    axis = np.array([650.0, 660, 670, 800, 810])
    seen = cube(np.array([[[1, 2, 3, 6, 10], [0, 0, 0, 0, 0]]], np.float32), axis)
    index = normalised_difference(seen, first_nm=805, second_nm=660, width_nm=20)
    assert index[0, 0] == pytest.approx((8 - 2) / (8 + 2))
    assert np.isnan(index[0, 1])
    assert ratio(seen, first_nm=805, second_nm=660, width_nm=20)[0, 0] == pytest.approx(4)
    assert np.isnan(ratio(seen, first_nm=805, second_nm=660, width_nm=20)[0, 1])
    with pytest.raises(PictureRejectedError, match="no band within 20 nm of 500 nm"):
        ratio(seen, first_nm=805, second_nm=500, width_nm=20)


def test_steps_leave_their_input_alone() -> None:
    seen, _, spectra = scene()
    before = seen.values.copy()
    snv(seen.values)
    derivative(seen.values, seen.wavelengths_nm, order=1, window_points=5, degree=2)
    rx(seen.values, trim_share=0.1, shrink=True)
    mnf(seen.values, components=3).of(seen.values)
    spectral_angles(seen.values, spectra)
    assert np.array_equal(seen.values, before)
