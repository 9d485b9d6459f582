"""A label map becomes a segmentation of the volume that was asked about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.bundles.volume_output import Output
from edge.domain.image import Segmentation, Volume
from edge.inference.decode import decode
from edge.preprocess.orient import orient
from edge.preprocess.resample import resample
from tests.builders.bundles import document
from tests.builders.volumes import grids, volume


def output(**changes: Any) -> Output:
    """The tiny bundle's output: labels `shell` and `core`."""
    written = {**document(name="tiny")["output"], **changes}
    field = {**written["field_of_view"], **changes.pop("field_of_view", {})}
    field["continuing_labels"] = tuple(field["continuing_labels"])
    return Output.model_validate({**written, "field_of_view": field, "labels": tuple(written["labels"])})


def decoded(labels: NDArray[np.uint8], *, spacing_mm: float = 2.0, **changes: Any) -> Segmentation:
    """Decode on a grid whose axes run to the right, front and top; the source is the same grid."""
    turn = np.array([[0.0, 0, -1], [0, -1, 0], [1, 0, 0]])  # columns, in LPS: i to the top, j front, k right
    grid = volume(
        np.zeros(labels.shape, np.float32),
        spacing_mm=(spacing_mm,) * 3,
        turn=turn,
    )
    return decode(labels, grid=grid, source=grid, output=output(**changes))


def ball(side: int, *, centre: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
    place = np.indices((side,) * 3) - np.reshape(centre, (3, 1, 1, 1))
    return np.asarray((place**2).sum(axis=0) < radius**2)


def test_only_the_largest_piece_stays_and_both_volumes_are_told() -> None:
    large, small = ball(40, centre=(15, 15, 15), radius=8), ball(40, centre=(32, 32, 32), radius=4)
    result = decoded((large | small).astype(np.uint8))
    assert np.array_equal(result.labels > 0, large)
    assert result.raw_ml == pytest.approx((large.sum() + small.sum()) * 0.008)
    assert result.largest_ml == pytest.approx(large.sum() * 0.008)
    assert result.volume_ml(1, 2) == pytest.approx(result.largest_ml)
    kept = decoded((large | small).astype(np.uint8), largest_component_only=False)
    assert np.array_equal(kept.labels > 0, large | small)


def test_pieces_of_different_labels_that_touch_are_one_piece() -> None:
    labels = ball(30, centre=(15, 15, 15), radius=10).astype(np.uint8)
    labels[ball(30, centre=(15, 15, 15), radius=5)] = 2
    assert np.array_equal(decoded(labels).labels, labels)


def test_a_hole_gets_the_nearest_label_and_a_bay_stays_open() -> None:
    solid = ball(30, centre=(15, 15, 15), radius=11).astype(np.uint8)
    solid[ball(30, centre=(15, 15, 15), radius=7)] = 2
    pierced = solid.copy()
    pierced[15, 15, 15] = pierced[14, 15, 16] = pierced[15, 15, 6] = 0
    pierced[10, 10, :12] = 0
    filled = decoded(pierced).labels
    assert (filled[15, 15, 15], filled[14, 15, 16], filled[15, 15, 6]) == (2, 2, 1)
    assert not filled[10, 10, :12].any()
    assert np.array_equal(decoded(pierced, fill_holes=False).labels, pierced)


def test_nothing_found_is_an_empty_segmentation_with_volumes_of_zero() -> None:
    result = decoded(np.zeros((8, 9, 10), np.uint8))
    assert (result.raw_ml, result.largest_ml, result.touched_faces) == (0.0, 0.0, frozenset())
    assert not result.labels.any()


@pytest.mark.parametrize(
    ("centre", "faces"),
    [
        ((20, 20, 20), ""),
        ((35, 20, 20), "R"),
        ((4, 20, 20), "L"),
        ((20, 35, 20), "A"),
        ((20, 4, 20), "P"),
        ((20, 20, 35), "S"),
        ((20, 20, 4), "I"),
        ((4, 20, 35), "LS"),
    ],
)
def test_a_face_that_cuts_the_organ_is_named_by_its_direction(
    centre: tuple[float, float, float], faces: str
) -> None:
    result = decoded(ball(40, centre=centre, radius=9).astype(np.uint8))
    assert result.touched_faces == frozenset(faces)


def test_a_slab_of_few_slices_touches_top_and_bottom() -> None:
    labels = ball(40, centre=(20, 20, 20), radius=9).astype(np.uint8)[:, :, 18:21]
    assert decoded(labels).touched_faces == frozenset("SI")


def test_a_tip_at_the_rim_and_a_label_that_continues_by_nature_do_not_count() -> None:
    labels = ball(40, centre=(20, 20, 14), radius=9).astype(np.uint8)
    labels[20, 20, :8] = 1
    assert decoded(labels).touched_faces == frozenset()
    labels[18:23, 18:23, :8] = 2
    field = document(name="tiny")["output"]["field_of_view"]
    assert decoded(labels).touched_faces == frozenset("I")
    passing = {**field, "continuing_labels": ["core"]}
    assert decoded(labels, field_of_view=passing).touched_faces == frozenset()


def test_the_extent_is_told_along_the_axes_of_the_patient() -> None:
    source = volume(
        np.zeros((10, 20, 30), np.float32),
        spacing_mm=(5.0, 2.0, 1.0),
        turn=np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    )
    result = decode(np.zeros((10, 20, 30), np.uint8), grid=source, source=source, output=output())
    assert result.extent_mm == (50.0, 30.0, 40.0)


@given(grids(side_max=14), st.sampled_from(["RAS", "LPS", "SPL"]))
@settings(max_examples=30, deadline=None)
def test_labels_lie_on_the_grid_of_the_source_and_keep_their_volume(grid: Volume, axes: str) -> None:
    prepared = orient(resample(grid, spacing_mm=min(grid.spacing_mm)), axes=axes)
    whole = np.ones(prepared.voxels.shape, np.uint8)
    result = decode(whole, grid=prepared, source=grid, output=output())
    assert result.labels.shape == grid.voxels.shape
    assert not result.labels.flags.writeable
    assert result.labels.mean() > 0.6  # the last voxel of an axis may lie beyond the other grid
    assert np.prod([s * n for s, n in zip(grid.spacing_mm, grid.voxels.shape, strict=True)]) == pytest.approx(
        np.prod(result.extent_mm)
    )
