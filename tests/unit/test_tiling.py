"""Tiles cover every voxel once, and leave no seam where the network is local."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.bundles.volume_input import Input
from edge.bundles.volume_output import Output
from edge.inference.tiling import segment, starts
from edge.inference.volume_scores import Painter
from tests.builders.bundles import OFFSETS, SLOPES, document, labels_of

SHAPES = st.tuples(*[st.integers(1, 45)] * 3)


def given_input(**changes: Any) -> Input:
    """The tiny bundle's input, with tiles of 16."""
    small = {"pass_voxels_max": 4096, "tile_voxels": (16, 16, 16), "overlap_voxels": 4}
    written: dict[str, Any] = {**document(name="tiny")["input"], **small, **changes}
    return Input.model_validate_json(json.dumps(written))


def painter(**changes: Any) -> Painter:
    """The tiny bundle's, for scores."""
    written = {**document(name="tiny", decoder="logits")["output"], **changes}
    return Painter(Output.model_validate_json(json.dumps(written)))


def segmented(picture: NDArray[np.float32], given_: Input, network: Any) -> NDArray[np.uint8]:
    """Segment a picture of one channel."""
    return segment(picture[None], given_, network, painter())


class Local:
    """A network that looks at one voxel at a time, and remembers what it was shown."""

    def __init__(self, decoder: str) -> None:
        self._decoder = decoder
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, picture: NDArray[np.float32]) -> NDArray[np.uint8] | NDArray[np.float32]:
        assert picture.flags.c_contiguous
        self.shapes.append(picture.shape[1:])
        return logits_of(picture[0]) if self._decoder == "logits" else labels_of(picture[0])


def logits_of(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return picture * SLOPES[:, None, None, None] + OFFSETS[:, None, None, None]


@given(st.integers(1, 200), st.integers(2, 40), st.data())
def test_tiles_cover_an_axis_and_share_at_least_the_overlap(length: int, tile: int, data: Any) -> None:
    overlap = data.draw(st.integers(0, tile - 1))
    begin = starts(length, tile, overlap)
    reached = [start + tile for start in begin]
    assert begin[0] == 0
    assert reached[-1] >= length
    assert all(end - start >= overlap for end, start in zip(reached, begin[1:], strict=False))
    assert all(end <= max(length, tile) for end in reached)


@pytest.mark.parametrize("decoder", ["labels", "logits"])
@given(SHAPES, st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_tiles_of_a_local_network_give_the_same_labels_as_one_pass(
    decoder: str, shape: tuple[int, int, int], seed: int
) -> None:
    picture = np.random.default_rng(seed).random(shape, np.float32)
    network = Local(decoder)
    labels = segmented(picture, given_input(), network)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, logits_of(picture).argmax(axis=0))
    assert all(side % 4 == 0 for tile in network.shapes for side in tile)
    assert all(np.prod(tile) <= 4096 for tile in network.shapes)


def test_a_volume_that_fits_takes_one_pass() -> None:
    network = Local("labels")
    segmented(np.zeros((15, 16, 13), np.float32), given_input(), network)
    assert network.shapes == [(16, 16, 16)]


def test_the_middle_of_a_tile_outweighs_the_rim_of_its_neighbour() -> None:
    shown: list[int] = []

    def network(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        shown.append(len(shown))
        answer = np.zeros((3, *picture.shape[1:]), np.float32)
        answer[len(shown) % 2 + 1] = 1.0
        return answer

    given_ = given_input(pass_voxels_max=4096, overlap_voxels=8)
    labels = segmented(np.zeros((24, 16, 16), np.float32), given_, network)
    assert len(shown) == 2
    assert set(np.unique(labels[:12])) == {2}
    assert set(np.unique(labels[12:])) == {1}


def test_too_many_classes_for_sums_are_stitched(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(2).random((30, 20, 20), np.float32)
    monkeypatch.setattr("edge.inference.tiling.SUMS_BYTES_MAX", 1000)
    labels = segmented(picture, given_input(), Local("logits"))
    assert np.array_equal(labels, logits_of(picture).argmax(axis=0))


def test_memory_for_logits_does_not_grow_with_the_number_of_slices() -> None:
    peaks = []
    for slices in (64, 256):
        picture = np.zeros((slices, 32, 32), np.float32)
        tracemalloc.start()
        segmented(picture, given_input(), Local("logits"))
        peaks.append(tracemalloc.get_traced_memory()[1] - 2 * picture.nbytes)
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
