"""Windows, z-scores, percentiles and N4, against plain NumPy and golden values."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundles.volume_steps import Orient, Percentile, Resample, Step, When, Window
from edge.domain.errors import PictureRejectedError
from edge.preprocess.intensity import percentile, scale_percentiles, scale_range, window, zscore
from edge.preprocess.n4 import n4
from edge.preprocess.steps import STEPS, TOGETHER, prepare, prepare_channels
from tests.builders.volumes import volume

SEEDS = st.integers(0, 2**32 - 1)


def noise(seed: int, *, shape: tuple[int, int, int] = (5, 11, 13)) -> np.ndarray:
    return np.random.default_rng(seed).normal(200, 90, shape).clip(0).astype(np.float32)


def test_golden_values_of_every_intensity_step() -> None:
    picture = volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 4)
    assert window(picture, low=0, high=10).voxels[0, 0].tolist() == [0, 0, 0, 0]
    assert window(picture, low=0, high=10).voxels[1, 2].tolist() == [10, 10, 10, 10]
    assert zscore(picture, over="all").voxels[0, 0, 0] == pytest.approx(-11.5 / np.sqrt(575 / 12))
    assert zscore(picture, over="foreground").voxels[0, 0, 4 - 4] == pytest.approx(-14 / np.sqrt(30))
    scaled = percentile(picture, low_percent=0, high_percent=100, foreground_above=0, clip_high=1.2)
    assert scaled.voxels[0, 0].tolist() == pytest.approx([0, 1 / 23, 2 / 23, 3 / 23])


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_z_score_has_mean_0_and_deviation_1(seed: int) -> None:
    scored = zscore(volume(noise(seed)), over="all").voxels
    assert abs(float(scored.mean())) < 1e-4
    assert float(scored.std()) == pytest.approx(1, abs=1e-4)


@given(SEEDS, st.floats(0.1, 50), st.floats(-100, 100))
@settings(max_examples=20, deadline=None)
def test_percentile_scaling_forgets_gain_and_the_z_score_gain_and_offset(
    seed: int, gain: float, offset: float
) -> None:
    plain = noise(seed)
    arguments = {"low_percent": 0.5, "high_percent": 99.8, "foreground_above": 0.02, "clip_high": 1.2}
    one = percentile(volume(plain), **arguments).voxels
    other = percentile(volume(plain * np.float32(gain)), **arguments).voxels
    assert np.allclose(one, other, atol=1e-3)
    moved = plain * np.float32(gain) + np.float32(offset)
    assert np.allclose(
        zscore(volume(plain), over="all").voxels, zscore(volume(moved), over="all").voxels, atol=1e-2
    )


def test_percentiles_of_a_large_volume_are_those_of_all_its_voxels() -> None:
    voxels = noise(1, shape=(128, 128, 128))
    scaled = percentile(
        volume(voxels), low_percent=0.5, high_percent=99.8, foreground_above=0.02, clip_high=1.2
    )
    low, high = np.percentile(voxels, 0.5), np.percentile(voxels[voxels > 0.02 * voxels.max()], 99.8)
    assert np.abs(scaled.voxels - ((voxels - low) / (high - low)).clip(0, 1.2)).max() < 0.01


def test_a_volume_without_contrast_is_refused() -> None:
    picture = volume(np.full((4, 5, 6), 7, np.int16))
    with pytest.raises(PictureRejectedError, match="standard deviation 0, wanted voxels that differ"):
        zscore(picture, over="all")
    with pytest.raises(PictureRejectedError, match="99 % below 7, wanted voxels that differ"):
        percentile(picture, low_percent=1, high_percent=99, foreground_above=0, clip_high=1)


def test_one_hot_voxel_does_not_darken_the_rest() -> None:
    voxels = noise(1, shape=(40, 60, 60))
    arguments = {"low_percent": 0.5, "high_percent": 99.8, "foreground_above": 0.02, "clip_high": 1.2}
    before = percentile(volume(voxels.copy()), **arguments).voxels
    voxels[20, 30, 30] = 1e6
    after = percentile(volume(voxels), **arguments).voxels
    assert np.abs(np.delete(after.ravel() - before.ravel(), 20 * 3600 + 30 * 60 + 30)).max() < 0.01


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_voxel_that_is_no_number_is_refused_by_its_slice(bad: float) -> None:
    voxels = noise(5)
    voxels[3, 4, 8] = bad
    with pytest.raises(PictureRejectedError, match="slice 3 holds NaN or infinity"):
        percentile(volume(voxels), low_percent=1, high_percent=99, foreground_above=0, clip_high=1)
    with pytest.raises(PictureRejectedError, match="slice 3 holds NaN or infinity"):
        zscore(volume(voxels), over="all")


def test_n4_evens_out_a_slope_of_brightness() -> None:
    k, j, i = np.indices((24, 40, 40)).astype(np.float32)
    ball = ((k - 12) / 10) ** 2 + ((j - 20) / 17) ** 2 + ((i - 20) / 17) ** 2 < 1
    truth = np.where(ball, 100 + 40 * ((i // 5 + j // 5) % 2), 2).astype(np.float32)
    biased = truth * np.exp(0.5 * (i - 20) / 20).astype(np.float32)
    even = n4(volume(biased), shrink=2, iterations=(20, 10)).voxels
    before, after = ((picture / truth)[ball] for picture in (biased, even))
    assert after.std() / after.mean() < 0.7 * before.std() / before.mean()
    assert np.array_equal(even, n4(volume(biased), shrink=2, iterations=(20, 10)).voxels)


def test_n4_refuses_what_has_no_field() -> None:
    for voxels in (np.zeros((8, 8, 8), np.float32), noise(0, shape=(2, 8, 8))):
        with pytest.raises(PictureRejectedError, match="N4"):
            n4(volume(voxels), shrink=4, iterations=(5,))


def test_every_step_of_the_manifest_has_a_function_with_its_parameters() -> None:
    (union, _) = get_args(Step)
    models: dict[str, Any] = {
        get_args(each.model_fields["step"].annotation)[0]: each for each in get_args(union)
    }
    functions: dict[str, Callable[..., object]] = {**STEPS, **TOGETHER}
    assert sorted(functions) == sorted(models)
    for name, model in models.items():
        parameters = list(inspect.signature(functions[name]).parameters)[1:]
        assert sorted(parameters) == sorted(set(model.model_fields) - {"step", "when"})


def test_a_step_is_done_only_for_the_modality_it_is_meant_for() -> None:
    steps = (Window(step="window", low=-150, high=200, when=When(modality=("CT",))),)
    voxels = np.array([[[-1000, 0, 3000]]], np.int16)
    head = volume(voxels, unit="hounsfield", modality="CT")
    assert prepare(head, steps).voxels.tolist() == [[[-150, 0, 200]]]
    assert prepare(volume(voxels), steps).voxels is voxels


def test_a_window_wider_than_the_numbers_changes_nothing_but_the_open_end() -> None:
    voxels = np.array([[[-5, 0, 32767]]], np.int16)
    assert window(volume(voxels), low=0, high=1e9).voxels.tolist() == [[[0, 0, 32767]]]
    assert window(volume(voxels), low=-2.5, high=2.5).voxels.tolist() == [[[-2, 0, 2]]]


def test_steps_leave_their_input_alone_and_hand_on_what_nobody_can_write() -> None:
    voxels = noise(2, shape=(8, 9, 10))
    before = voxels.copy()
    steps = (
        Resample(step="resample", spacing_mm=0.7),
        Orient(step="orient", axes="RAS"),
        Percentile(
            step="percentile", low_percent=0.5, high_percent=99.8, foreground_above=0.02, clip_high=1.2
        ),
    )
    result = prepare(volume(voxels), steps)
    assert np.array_equal(voxels, before)
    assert not result.voxels.flags.writeable
    assert np.array_equal(prepare(volume(voxels), steps).voxels, result.voxels)


# ── the steps of MONAI and nnU-Net, against what those say ───────────────────────────────────────────


def test_golden_values_of_ranges_and_given_statistics() -> None:
    picture = volume(np.array([[[-200, -57, 53.5, 164, 900]]], np.float32))
    arguments: dict[str, Any] = {"low": -57, "high": 164, "to_low": 0, "to_high": 1}
    clipped = scale_range(picture, **arguments, clip=True)
    assert clipped.voxels.ravel().tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    assert scale_range(picture, **arguments, clip=False).voxels[0, 0, 0] == pytest.approx(-143 / 221)
    scored = zscore(window(picture, low=-100, high=300), mean=100.0, std=50.0)
    assert scored.voxels.ravel().tolist() == pytest.approx([-4, -3.14, -0.93, 1.28, 4])
    assert clipped.unit == scored.unit == "normalised"


@given(SEEDS, st.floats(-5, 5), st.floats(0.1, 5))
@settings(max_examples=20, deadline=None)
def test_a_range_that_is_mapped_there_and_back_is_the_same(seed: int, low: float, width: float) -> None:
    picture = noise(seed)
    there = scale_range(volume(picture), low=0, high=400, to_low=low, to_high=low + width, clip=False)
    back = scale_range(there, low=low, high=low + width, to_low=0, to_high=400, clip=False)
    assert np.allclose(back.voxels, picture, atol=0.01)


def test_the_z_score_of_what_is_not_zero_leaves_zeros() -> None:
    picture = noise(3)
    picture[:, :4] = 0
    scored = zscore(volume(picture), over="nonzero").voxels
    assert not scored[picture == 0].any()
    assert abs(float(scored[picture != 0].mean())) < 1e-4
    assert float(scored[picture != 0].std()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("over", ["all", "nonzero"])
def test_percentiles_are_those_of_numpy_and_the_ends_are_exact(over: str) -> None:
    voxels = noise(4, shape=(20, 60, 60))
    voxels[3, 4, 5] = 5000
    arguments: dict[str, Any] = {"over": over, "to_low": -1.0, "to_high": 1.0}
    counted = voxels[voxels != 0] if over == "nonzero" else voxels.ravel()
    low, high = np.percentile(counted, [2, 98])
    scaled = scale_percentiles(volume(voxels), low_percent=2, high_percent=98, clip=True, **arguments).voxels
    assert np.allclose(scaled, ((voxels - low) / (high - low) * 2 - 1).clip(-1, 1), atol=1e-3)
    whole = scale_percentiles(volume(voxels), low_percent=0, high_percent=100, clip=False, **arguments).voxels
    assert float(whole.max()) == pytest.approx(1, abs=1e-5)
    assert float(whole.ravel()[counted.argmin() if over == "all" else voxels.argmin()]) <= -1 + 1e-5


def test_a_volume_of_one_value_has_no_percentiles_to_scale_by() -> None:
    arguments: dict[str, Any] = {"over": "nonzero", "to_low": 0, "to_high": 1, "clip": True}
    for value in (0, 7):
        flat = volume(np.full((4, 5, 6), value, np.float32))
        with pytest.raises(PictureRejectedError, match="wanted voxels that differ"):
            scale_percentiles(flat, low_percent=0, high_percent=100, **arguments)


def test_a_step_may_be_for_one_role() -> None:
    steps = (Window(step="window", low=0, high=1, when=When(role=("FLAIR",))),)
    channels = [volume(np.full((2, 2, 2), 5, np.float32)) for _ in range(2)]
    first, second = prepare_channels(channels, steps, roles=["T1", "FLAIR"])
    assert (first.voxels.max(), second.voxels.max()) == (5, 1)
