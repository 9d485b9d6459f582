"""Resampling and orientation keep every point of the patient where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from edge.domain.errors import PictureRejectedError
from edge.domain.image import Volume
from edge.preprocess.crop import crop_foreground
from edge.preprocess.orient import directions, onto, orient
from edge.preprocess.resample import fit, resample
from tests.builders.volumes import grids, ramp, volume, volume_like

AXES = st.sampled_from(["RAS", "LPS", "SPL", "AIR", "IRP", "SAR"])


def trilinear(source: Volume, result: Volume) -> np.ndarray:
    """What scipy reads out of `source` at the centres of `result`, by way of the patient."""
    inverse = np.linalg.inv(source.patient_from_voxel) @ result.patient_from_voxel
    k, j, i = np.indices(result.voxels.shape)
    places = np.stack([i, j, k, np.ones_like(i)]).reshape(4, -1)
    at = (inverse @ places)[2::-1].reshape(3, *result.voxels.shape)
    return ndimage.map_coordinates(
        source.voxels.astype(np.float64), at, order=1, mode="nearest", prefilter=False
    )


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_a_grid_that_keeps_its_size_is_resampled_all_the_same(dtype: Any) -> None:
    noise = np.random.default_rng(1).normal(0, 300, (4, 40, 50)).astype(dtype, copy=False)
    grid = volume(noise, spacing_mm=(1.0, 0.99, 1.01))
    result = resample(grid, spacing_mm=1.0)
    assert result.voxels.shape == noise.shape
    assert np.abs(result.voxels - trilinear(grid, result)).max() < 1.01


def test_where_the_last_voxel_is_half_filled_all_sides_are_counted_alike() -> None:
    grid = volume(np.ones((3, 10, 3), np.float32), spacing_mm=(1.0, 1.9, 0.4))  # 10 · 1.9 / 0.4 = 47.5
    assert resample(grid, spacing_mm=0.4).voxels.shape == (8, 48, 3)


@given(grids(), st.floats(0.5, 6.0), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_resampling_equals_trilinear_interpolation_at_the_places_the_affine_names(
    grid: Volume, spacing_mm: float, seed: int
) -> None:
    spacing_mm = max(spacing_mm, max(grid.spacing_mm) / 4)
    spacing_mm = min(spacing_mm, 2 * min(grid.spacing_mm))
    noise = np.random.default_rng(seed).normal(0, 300, grid.voxels.shape).astype(np.float32)
    source = volume_like(grid, noise)
    result = resample(source, spacing_mm=spacing_mm)
    assert result.spacing_mm == (spacing_mm,) * 3
    assert np.abs(result.voxels - trilinear(source, result)).max() < 0.05


@given(grids(side_max=20), st.floats(0.5, 5.0))
@settings(max_examples=60, deadline=None)
def test_a_point_of_the_patient_keeps_its_value_however_much_the_volume_shrinks(
    grid: Volume, spacing_mm: float
) -> None:
    source = ramp(grid)
    assume_mm = [n * s for n, s in zip(grid.voxels.shape, grid.spacing_mm, strict=True)]
    result = resample(source, spacing_mm=min(spacing_mm, min(assume_mm) / 3))
    inner = (slice(1, -1),) * 3
    wanted = ramp(result).voxels[inner]
    reach = 3.0 * (max(grid.spacing_mm) + result.spacing_mm[0])  # one voxel at the edge, slope below 3
    assert np.abs(result.voxels[inner] - wanted).max(initial=0) < reach


def test_shrinking_a_fine_checkerboard_gives_its_mean_and_not_its_squares() -> None:
    board = (np.indices((48, 48, 48)).sum(axis=0) % 2 * 1000).astype(np.float32)
    result = resample(volume(board, spacing_mm=(0.5, 0.5, 0.5)), spacing_mm=2.0)
    assert np.allclose(result.voxels, 500.0)


def test_hounsfield_units_stay_int16_and_within_one_of_the_exact_value() -> None:
    voxels = np.random.default_rng(3).integers(-1000, 2000, (9, 20, 21)).astype(np.int16)
    source = volume(voxels, spacing_mm=(2.5, 0.8, 0.8), unit="hounsfield", modality="CT")
    result = resample(source, spacing_mm=1.0)
    assert result.voxels.dtype == np.int16
    assert np.abs(result.voxels - trilinear(source, result)).max() <= 1.0


def test_a_single_slice_is_repeated_through_its_thickness() -> None:
    source = volume(np.arange(20, dtype=np.float32).reshape(1, 4, 5), spacing_mm=(6.0, 1.0, 1.0))
    result = resample(source, spacing_mm=1.0)
    assert result.voxels.shape == (6, 4, 5)
    assert np.array_equal(result.voxels, np.repeat(source.voxels, 6, axis=0))


def test_slices_smaller_than_one_voxel_are_refused() -> None:
    with pytest.raises(PictureRejectedError, match="smaller than one of 20 mm"):
        resample(volume(np.zeros((9, 4, 4), np.float32)), spacing_mm=20.0)


@given(grids(), AXES)
@settings(max_examples=60, deadline=None)
def test_orienting_moves_no_voxel_in_the_patient(grid: Volume, axes: str) -> None:
    source = ramp(grid)
    turned = orient(source, axes=axes)
    assert directions(turned) == axes
    assert np.allclose(ramp(turned).voxels, turned.voxels, atol=0.01)
    assert sorted(turned.voxels.ravel()) == sorted(source.voxels.ravel())


@given(grids(), AXES)
@settings(max_examples=60, deadline=None)
def test_labels_return_exactly_from_another_order_of_axes(grid: Volume, axes: str) -> None:
    labels = np.random.default_rng(0).integers(0, 9, grid.voxels.shape).astype(np.uint8)
    turned = orient(volume_like(grid, labels.astype(np.float32)), axes=axes)
    back = onto(turned.voxels.astype(np.uint8), placed=turned.patient_from_voxel, grid=grid)
    assert np.array_equal(back, labels)


@given(grids(side_max=9), AXES, st.floats(0.3, 3.0))
@settings(max_examples=60, deadline=None)
def test_labels_return_from_a_finer_grid_to_the_voxels_they_were_drawn_on(
    grid: Volume, axes: str, fraction: float
) -> None:
    spacing_mm = fraction * min(grid.spacing_mm)
    model = orient(resample(grid, spacing_mm=spacing_mm), axes=axes)
    k, j, i = np.indices(model.voxels.shape)
    places = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ model.patient_from_voxel.T
    middle = places.reshape(-1, 4).mean(axis=0)
    labels = (places[..., 0] > middle[0]).astype(np.uint8) + 1
    back = onto(labels, placed=model.patient_from_voxel, grid=grid)
    k, j, i = np.indices(grid.voxels.shape)
    source = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ grid.patient_from_voxel.T
    wanted = (source[..., 0] > middle[0]).astype(np.uint8) + 1
    clear = (np.abs(source[..., 0] - middle[0]) > 2 * spacing_mm) & (back > 0)
    assert np.array_equal(back[clear], wanted[clear])
    assert (back > 0).mean() > 0.2


def test_labels_outside_of_their_grid_are_background() -> None:
    small = volume(np.zeros((2, 2, 2), np.float32), origin_mm=(1.0, 1.0, 1.0))
    large = volume(np.zeros((4, 4, 4), np.float32))
    back = onto(np.full((2, 2, 2), 7, np.uint8), placed=small.patient_from_voxel, grid=large)
    wanted = np.zeros((4, 4, 4), np.uint8)
    wanted[1:3, 1:3, 1:3] = 7
    assert np.array_equal(back, wanted)


@given(grids(), st.tuples(*[st.one_of(st.none(), st.floats(0.5, 1.9))] * 3), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_each_axis_gets_its_spacing_and_none_leaves_it(
    grid: Volume, factors: tuple[float | None, ...], seed: int
) -> None:
    noise = np.random.default_rng(seed).normal(0, 300, grid.voxels.shape).astype(np.float32)
    source = volume_like(grid, noise)
    wanted = [factor and factor * side for factor, side in zip(factors, grid.spacing_mm, strict=True)]
    result = resample(source, spacing_mm=tuple(wanted))
    assert result.spacing_mm == tuple(one or side for one, side in zip(wanted, grid.spacing_mm, strict=True))
    assert np.abs(result.voxels - trilinear(source, result)).max() < 0.05


@given(grids(), st.tuples(*[st.one_of(st.none(), st.integers(6, 24))] * 3), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_volume_that_is_fitted_keeps_its_faces_and_its_values(
    grid: Volume, shape: tuple[int | None, ...], seed: int
) -> None:
    noise = np.random.default_rng(seed).normal(0, 300, grid.voxels.shape).astype(np.float32)
    source = volume_like(grid, noise)
    result = fit(source, shape_voxels=shape)
    assert result.voxels.shape == tuple(new or old for new, old in zip(shape, noise.shape, strict=True))
    for edge in (-0.5, 1.0):
        ends = [[edge if edge < 0 else n - 0.5 for n in reversed(one.voxels.shape)] for one in (grid, result)]
        before, after = (
            one.patient_from_voxel @ (*end, 1.0) for one, end in zip((grid, result), ends, strict=True)
        )
        assert np.allclose(before, after, atol=1e-6)
    shrinks = max(old / new for old, new in zip(noise.shape, result.voxels.shape, strict=True))
    reach = 0.05 if shrinks <= 2 else 2000  # averages are no interpolation
    assert np.abs(result.voxels - trilinear(source, result)).max() < reach


@given(grids(), st.integers(0, 3), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_cropping_moves_no_voxel_and_keeps_all_that_is_bright_in_any_channel(
    grid: Volume, margin: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    spots = [(random.random(grid.voxels.shape) > 0.97).astype(np.float32) for _ in range(2)]
    spots[0][1, 1, 1] = 1
    channels = [volume_like(grid, ramp(grid).voxels * spot) for spot in spots]
    made = crop_foreground(channels, above=-1e9, margin_voxels=margin)
    assert made[0].voxels.shape == grid.voxels.shape
    bright = [volume_like(grid, spot) for spot in spots]
    cropped = crop_foreground(bright, above=0.5, margin_voxels=margin)
    assert [one.voxels.sum() for one in cropped] == [spot.sum() for spot in spots]
    place = ramp(cropped[0]).voxels
    assert np.allclose(
        np.sort(place[cropped[0].voxels > 0]), np.sort(ramp(grid).voxels[spots[0] > 0]), atol=0.02
    )


def test_nothing_bright_leaves_nothing_to_look_at() -> None:
    with pytest.raises(PictureRejectedError, match="none is above 0, wanted something to look at"):
        crop_foreground([volume(np.zeros((4, 4, 4), np.float32))], above=0, margin_voxels=0)
