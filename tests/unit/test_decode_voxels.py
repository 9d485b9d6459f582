"""Run by run, a label map is cleaned up to the voxel as when each voxel is looked at by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from edge.inference import voxel_runs
from edge.inference.decode import decode
from edge.inference.voxel_runs import holes, strays
from tests.builders.volumes import volume
from tests.unit.test_decode import output

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

BY_RUNS, BY_VOXELS = 0, 10**9  # however short the runs are


def largest(mask: Mask) -> Mask:
    """The largest piece, of several alike the first."""
    numbered, count = ndimage.label(mask)
    return np.asarray(numbered == 1 + np.bincount(numbered.ravel(), minlength=2)[1:].argmax()) & (count > 0)


def enclosed(mask: Mask) -> Mask:
    numbered, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    return np.asarray(numbered > 1)[1:-1, 1:-1, 1:-1]


def filled(labels: Labels) -> Labels:
    hole, framed = np.pad(enclosed(labels > 0), 1), np.pad(labels, 1)
    while (framed[hole] == 0).any():
        beside = [np.roll(framed, way, axis) for axis in range(3) for way in (-1, 1)]
        framed = np.where(hole & (framed == 0), np.max(beside, axis=0), framed)
    return framed[1:-1, 1:-1, 1:-1]


@st.composite
def maps(draw: st.DrawFn) -> Labels:
    """Labels 0 to 2: noise, smooth noise, and patterns, in any order of memory."""
    shape = draw(st.tuples(*[st.integers(1, 12)] * 3))
    random = np.random.default_rng(draw(st.integers(0, 9999)))
    smooth = ndimage.gaussian_filter(random.normal(size=shape), draw(st.sampled_from([0.0, 0.7, 1.5])))
    k, j, i = np.indices(shape)
    pattern = draw(
        st.sampled_from(
            [
                smooth > np.quantile(smooth, draw(st.floats(0.02, 0.98))),
                (k + j + i) % 2 > 0,
                (k % 2) + (j % 2) + (i % 2) < 2,
                k % 2 == 0,
                j % 2 == 0,
                i % 2 == 0,
                np.max([abs(k - 6), abs(j - 6), abs(i - 6)], axis=0) % 2 == 0,  # shells, one within the other
                np.zeros(shape, np.bool_),
                np.ones(shape, np.bool_),
            ]
        )
    )
    labels = (pattern * random.integers(1, 3, size=shape)).astype(np.uint8)
    turn = draw(st.permutations(range(3)))
    return np.ascontiguousarray(labels.transpose(turn)).transpose(np.argsort(turn))


@pytest.mark.parametrize("torn_voxels", [BY_RUNS, BY_VOXELS])
@given(maps())
@settings(max_examples=100, deadline=None)
def test_strays_and_holes_are_those_of_scipy(torn_voxels: int, labels: Labels) -> None:
    framed = np.pad(np.ascontiguousarray(labels > 0), 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(voxel_runs, "TORN_VOXELS", torn_voxels)
        stray, voxels = strays(framed)
        hole = holes(framed)
    kept = largest(framed)
    assert stray.tolist() == np.flatnonzero(framed & ~kept).tolist()
    assert voxels == kept.sum()
    assert hole.tolist() == np.flatnonzero(np.pad(enclosed(framed[1:-1, 1:-1, 1:-1]), 1)).tolist()


@pytest.mark.parametrize("torn_voxels", [BY_RUNS, BY_VOXELS])
@given(st.booleans(), st.sampled_from(["union", "label"]), st.booleans(), maps())
@settings(max_examples=80, deadline=None)
def test_a_map_is_cleaned_up_to_the_voxel(
    torn_voxels: int, largest_only: bool, pieces_of: str, fill_holes: bool, labels: Labels
) -> None:
    given_labels = labels.copy(order="K")
    given_labels.flags.writeable = False
    grid = volume(np.zeros(labels.shape, np.float32))
    said = output(
        largest_component_only=largest_only,
        pieces_of=pieces_of,
        fill_holes=fill_holes,
        field_of_view={"margin_mm": 2.0, "contact_min_mm2": 0.0, "continuing_labels": ["core"]},
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(voxel_runs, "TORN_VOXELS", torn_voxels)
        result = decode(given_labels, grid=grid, source=grid, output=said)
    masks = {"union": [labels > 0], "label": [labels == 1, labels == 2]}[pieces_of]
    kept = np.where(np.any([largest(mask) for mask in masks], axis=0) | (not largest_only), labels, 0)
    assert np.array_equal(result.labels, filled(kept) if fill_holes else kept)
    assert result.labels.flags.c_contiguous
    assert result.raw_ml == pytest.approx(np.count_nonzero(labels) / 1000)
    assert result.largest_ml == pytest.approx(largest(labels > 0).sum() / 1000)
    reaching = np.argwhere(kept == 1)
    ends = [(way, axis, 0, 2) for axis, way in enumerate("IAR")]
    ends += [(way, axis, labels.shape[axis] - 2, labels.shape[axis]) for axis, way in enumerate("SPL")]
    faces = {way for way, axis, low, high in ends if ((low <= reaching) & (reaching < high))[:, axis].any()}
    assert result.touched_faces == faces


def test_labels_given_stay_the_callers_own() -> None:
    labels = np.ones((1, 1, 5), np.uint8)
    grid = volume(np.zeros(labels.shape, np.float32))
    result = decode(labels, grid=grid, source=grid, output=output())
    assert labels.flags.writeable
    assert not np.shares_memory(labels, result.labels)
