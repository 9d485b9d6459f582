"""Masks return to the source, and what belongs together is told apart as the manifest says."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from scipy import ndimage

from edge.bundles.picture_outputs import LabelMapOutput, LogitsOutput, SigmoidOutput
from edge.domain.answer import PictureMask
from edge.domain.errors import InferenceError
from edge.domain.geometry import Geometry
from edge.inference.decoders.answers import answer
from edge.inference.decoders.masks import MaskPart, RawMask, decode_mask
from edge.inference.decoders.parting import filled
from edge.inference.decoders.placement import source_in_input
from edge.inference.decoders.raw import logit
from edge.inference.decoders.watershed import grow, join_shallow, peaks
from edge.preprocess.pictures import crop, letterbox, stretch
from tests.builders.detectors import CLASSES

Array = NDArray[np.float32]


def part(**said: Any) -> MaskPart:
    of: TypeAdapter[MaskPart] = TypeAdapter(LabelMapOutput | LogitsOutput | SigmoidOutput)
    return of.validate_json(json.dumps({"name": "out", "labels": CLASSES[:2]} | said))


def whole(height: int, width: int) -> Geometry:
    """A picture that is its own input."""
    return stretch((height, width), input_shape_px=(height, width))


def decoded(outputs: dict[str, Any], geometry: Geometry, **said: Any) -> RawMask:
    return decode_mask(outputs, part(**said), geometry=geometry)


# ── to the source ──────────────────────────────────────────────────────────────────────────────────────────


def fields(shape: tuple[float, float], geometry: Geometry, stride: int) -> Array:
    """Height over the rim of an ellipse in the middle of the source, on the grid of an output."""
    rows, columns = (np.arange(-(-side // stride)) + 0.5 for side in geometry.input_shape_px)
    grid = np.stack(np.meshgrid(columns * stride, rows * stride), axis=-1).reshape(-1, 2)
    x, y = geometry.to_source(np.hstack([grid, grid]))[:, :2].T
    radius = np.hypot(
        (x - geometry.source_shape_px[1] / 2) / shape[1], (y - geometry.source_shape_px[0] / 2) / shape[0]
    )
    return np.asarray(((1 - radius) * 20).reshape(len(rows), len(columns)), np.float32)


def ellipse(shape: tuple[float, float], source: tuple[int, int]) -> NDArray[np.bool_]:
    y, x = np.ogrid[: source[0], : source[1]]
    radius = np.hypot((x + 0.5 - source[1] / 2) / shape[1], (y + 0.5 - source[0] / 2) / shape[0])
    return np.asarray(radius <= 1)


def ring(mask: NDArray[np.bool_], width_px: int) -> NDArray[np.bool_]:
    """What lies within some pixels of the rim of a mask."""
    square = np.ones((3, 3), np.bool_)
    return np.asarray(
        ndimage.binary_dilation(mask, square, width_px) & ~ndimage.binary_erosion(mask, square, width_px)
    )


@settings(max_examples=15)
@given(
    source=st.tuples(st.integers(60, 200), st.integers(60, 200)),
    size=st.sampled_from([(64, 64), (96, 160), (128, 96)]),
)
@pytest.mark.parametrize("place", [letterbox, stretch])
@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("decoder", ["logits", "sigmoid", "labels"])
@pytest.mark.parametrize("at", ["source", "input"])
def test_a_mask_returns_to_the_source(
    at: str, decoder: str, stride: int, place: Any, source: tuple[int, int], size: tuple[int, int]
) -> None:
    geometry: Geometry = place(source, input_shape_px=size)
    shape = (source[0] * 0.4, source[1] * 0.35)
    field = fields(shape, geometry, stride)
    outputs = {
        "logits": np.stack([np.zeros_like(field), field])[np.newaxis],
        "sigmoid": field[np.newaxis, np.newaxis],
        "labels": (field > 0).astype(np.int64)[np.newaxis],
    }
    more: dict[str, dict[str, Any]] = {
        "logits": {"decided_at": at},
        "sigmoid": {"decided_at": at, "thresholds": [0.5]},
        "labels": {},
    }
    found = decoded(
        {"out": outputs[decoder]},
        geometry,
        decoder=decoder,
        stride_px=stride,
        labels=CLASSES[:1],
        **more[decoder],
    )
    wanted = ellipse(shape, source)
    source_px = max(source[0] / geometry.height_px, source[1] / geometry.width_px)  # of one of the input
    is_smooth = at == "source" and decoder != "labels"
    within_px = 1 + source_px * (0.25 * stride if is_smooth else stride)
    assert not ((found.labels == 1) != wanted)[~ring(wanted, int(np.ceil(within_px)))].any()
    assert found.things.max() == 1


@settings(max_examples=40)
@given(
    source=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    place=st.sampled_from([letterbox, stretch, partial(crop, shorter_px=40)]),
    stride=st.sampled_from([1, 4]),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    smooth_px=st.sampled_from([0.0, 1.5]),
    seed=st.integers(0, 9999),
)
def test_it_is_decided_as_if_every_pixel_had_been_asked_about(
    source: tuple[int, int], place: Any, stride: int, layout: str, smooth_px: float, seed: int
) -> None:
    geometry: Geometry = place(source, input_shape_px=(32, 40))
    random = np.random.default_rng(seed).normal(size=(3, 32 // stride, 40 // stride))
    scores = np.asarray([ndimage.gaussian_filter(one, smooth_px) for one in random], np.float32)
    grid = source_in_input(geometry).coarser(stride)
    each = np.stack([grid.linear(one) for one in scores])
    rows, columns = source_in_input(geometry).outside((32, 40))
    outputs = {"out": np.moveaxis(scores, 0, -1 if layout == "NHWC" else 0)[np.newaxis]}
    said: dict[str, Any] = {"layout": layout, "stride_px": stride}

    found = decoded(outputs, geometry, decoder="logits", **said).labels
    second, highest = np.sort(each, axis=0)[1:]
    is_clear = (highest - second > 1e-3) & ~rows[:, np.newaxis] & ~columns
    assert np.array_equal(found[is_clear], each.argmax(axis=0)[is_clear])

    least = [0.5, 0.6, 0.55]
    found = decoded(outputs, geometry, decoder="sigmoid", labels=CLASSES[:3], thresholds=least, **said).labels
    over = each - np.array([logit(one) for one in least])[:, np.newaxis, np.newaxis]
    wanted = np.max((over > 0) * np.arange(1, 4)[:, np.newaxis, np.newaxis], axis=0)
    is_clear = (np.abs(over) > 1e-3).all(axis=0) & ~rows[:, np.newaxis] & ~columns
    assert np.array_equal(found[is_clear], wanted[is_clear])


def test_what_a_cropped_input_does_not_show_is_background() -> None:
    geometry = Geometry(
        source_shape_px=(10, 20), input_shape_px=(10, 10), top_px=0, left_px=-5, height_px=10, width_px=20
    )
    found = decoded({"out": np.ones((1, 10, 10), np.uint8)}, geometry, decoder="labels")
    smooth = decoded(
        {"out": np.full((1, 1, 10, 10), 9, np.float32)},
        geometry,
        decoder="sigmoid",
        thresholds=[0.5],
        labels=CLASSES[:1],
    )
    assert np.flatnonzero(found.labels.sum(axis=0)).tolist() == list(range(5, 15))
    assert np.array_equal(found.labels, smooth.labels)


# ── what a pixel is ────────────────────────────────────────────────────────────────────────────────────────


def test_the_highest_wins_and_the_first_channel_is_background() -> None:
    scores = np.array([[[1, 0, 0]], [[0, 1, 0]], [[0, 0, 1]]], np.float32)[np.newaxis]
    found = decoded({"out": scores}, whole(1, 3), decoder="logits")
    last = decoded({"out": np.moveaxis(scores, 1, -1)}, whole(1, 3), decoder="logits", layout="NHWC")
    without = decoded({"out": scores[:, 1:]}, whole(1, 3), decoder="logits", has_background=False)
    assert found.labels.tolist() == last.labels.tolist() == [[0, 1, 2]]
    assert without.labels.tolist() == [[1, 1, 2]]


@pytest.mark.parametrize("form", ["logits", "probabilities"])
def test_each_label_has_its_threshold_and_the_later_one_wins(form: str) -> None:
    shares = np.array([[[0.9, 0.9, 0.3, 0.1]], [[0.6, 0.8, 0.8, 0.6]]], np.float32)[np.newaxis]
    values = shares if form == "probabilities" else np.log(shares / (1 - shares))
    found = decoded({"out": values}, whole(1, 4), decoder="sigmoid", thresholds=[0.5, 0.7], scores_are=form)
    assert found.labels.tolist() == [[1, 2, 2, 0]]


def test_labels_of_the_graph_are_taken_as_they_are() -> None:
    found = decoded({"out": np.array([[[[0, 2, 1]]]], np.int32)}, whole(1, 3), decoder="labels")
    first = decoded(
        {"out": np.array([[[0, 1]]], np.uint8)}, whole(1, 2), decoder="labels", has_background=False
    )
    assert found.labels.tolist() == [[0, 2, 1]]
    assert first.labels.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("outputs", "said", "message"),
    [
        (np.full((1, 8, 8), 3, np.int64), {"decoder": "labels"}, "holds labels 3 to 3, wanted 0 to 2"),
        (np.full((1, 8, 8), -1, np.int64), {"decoder": "labels"}, "holds labels -1 to -1, wanted 0 to 2"),
        (
            np.zeros((1, 8, 8), np.float32),
            {"decoder": "labels"},
            r"is float32 .*, wanted whole numbers \(1, 8, 8\)",
        ),
        (np.zeros((1, 4, 4), np.uint8), {"decoder": "labels"}, r"is uint8 \(1, 4, 4\), wanted whole numbers"),
        (np.zeros((1, 2, 8, 8), np.float32), {"decoder": "logits"}, r"wanted float \(1, 3, 8, 8\)"),
        (np.zeros((1, 3, 4, 4), np.float32), {"decoder": "logits"}, r"wanted float \(1, 3, 8, 8\)"),
        (np.full((1, 3, 8, 8), np.nan, np.float32), {"decoder": "logits"}, "holds NaN or infinity"),
        (
            np.full((1, 2, 8, 8), 4, np.float32),
            {"decoder": "sigmoid", "thresholds": [0.5, 0.5], "scores_are": "probabilities"},
            "holds 4 to 4, wanted probabilities",
        ),
    ],
)
def test_other_masks_than_promised_are_an_error(outputs: Any, said: dict[str, Any], message: str) -> None:
    with pytest.raises(InferenceError, match=f"output 'out' .*{message}|output 'out' {message}"):
        decoded({"out": outputs}, whole(8, 8), **said)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"decoder": "sigmoid", "thresholds": [0.5]}, "thresholds: seen 1, wanted 2"),
        (
            {"decoder": "labels", "things": {"by": "boundary", "border": {"output": "out"}}},
            "holds labels and no maps",
        ),
        (
            {"decoder": "logits", "things": {"by": "boundary", "border": {"output": "out"}}},
            "first 3 channels",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        part(**said)


# ── what belongs together ──────────────────────────────────────────────────────────────────────────────────

TWO = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [2, 2, 0, 2]], np.uint8)


@pytest.mark.parametrize(("neighbours", "things"), [(4, 4), (8, 3)])
def test_pieces_of_one_label_that_touch_are_one_thing(neighbours: int, things: int) -> None:
    rule = {"by": "components", "neighbours": neighbours}
    found = decoded({"out": TWO[np.newaxis]}, whole(3, 4), decoder="labels", things=rule)
    assert sorted(set(found.things.ravel().tolist())) == list(range(things + 1))
    assert np.array_equal(found.things > 0, TWO > 0)


@settings(max_examples=30)
@given(seed=st.integers(0, 9999), sides=st.tuples(st.integers(1, 14), st.integers(1, 14)))
@pytest.mark.parametrize("neighbours", [4, 8])
def test_pieces_are_those_that_each_label_has_by_itself(
    neighbours: int, sides: tuple[int, int], seed: int
) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, sides).astype(np.uint8)
    rule = {"by": "components", "neighbours": neighbours}
    found = decoded({"out": labels[np.newaxis]}, whole(*sides), decoder="labels", things=rule)
    structure = np.ones((3, 3)) if neighbours == 8 else None
    wanted = np.zeros(sides, np.int64)
    for label in (1, 2):
        numbered, _ = ndimage.label(labels == label, structure)
        wanted[labels == label] = numbered[labels == label] + wanted.max()
    pairs = set(zip(wanted.ravel().tolist(), found.things.ravel().tolist(), strict=True))
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})
    assert (0, 0) in pairs or labels.all()
    assert np.array_equal(found.labels, labels)


@settings(max_examples=30)
@given(
    size=st.tuples(st.floats(20, 60), st.floats(6, 14)),
    angle=st.floats(-80, 80),
    ratio=st.sampled_from([0.0, 1.0, 1.6]),
)
def test_a_line_of_text_is_a_rectangle_as_it_lies_and_grows(
    size: tuple[float, float], angle: float, ratio: float
) -> None:
    line = cv2.boxPoints(((60.0, 60.0), size, angle))
    labels = np.zeros((1, 120, 120), np.uint8)
    cv2.fillConvexPoly(labels[0], np.round(line * 16).astype(np.int32), 1, shift=4)
    rule = {"by": "rectangles", "grow_ratio": ratio}
    found = decoded({"out": labels}, whole(120, 120), decoder="labels", things=rule)
    margin = ratio * size[0] * size[1] / (size[0] + size[1])  # on both sides together
    corners = cv2.boxPoints(((60.0, 60.0), (size[0] + margin, size[1] + margin), angle))
    wanted = cv2.fillConvexPoly(
        np.zeros((120, 120), np.uint8), np.round(corners * 16).astype(int), 1, shift=4
    )
    overlap = np.count_nonzero((found.things == 1) & (wanted > 0))
    assert found.things.max() == 1
    assert 2 * overlap / (np.count_nonzero(found.things) + np.count_nonzero(wanted)) > 0.85


def test_a_word_within_the_margin_of_a_larger_one_stays_and_specks_are_none() -> None:
    labels = np.zeros((1, 60, 120), np.uint8)
    labels[0, 10:30, 10:110], labels[0, 34:38, 40:60], labels[0, 55, 5] = 1, 2, 1
    rule = {"by": "rectangles", "grow_ratio": 1.6, "side_min_px": 3}
    found = decoded({"out": labels}, whole(60, 120), decoder="labels", things=rule)
    assert found.things.max() == 2
    assert found.labels[20, 60] == 1
    assert found.labels[36, 50] == 2
    assert found.labels[55, 5] == 0


def test_small_things_are_none_and_the_rest_is_counted_without_gaps() -> None:
    found = decoded({"out": TWO[np.newaxis]}, whole(3, 4), decoder="labels", area_min_px=2)
    assert found.labels.tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [2, 2, 0, 0]]
    assert found.things.tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [2, 2, 0, 0]]


def test_the_smallest_area_is_in_pixels_of_the_input() -> None:
    geometry = stretch((60, 80), input_shape_px=(6, 8))
    labels = np.zeros((1, 6, 8), np.uint8)
    labels[0, :2, :2], labels[0, 4, 4] = 1, 1
    scores = np.stack([1 - labels[0], labels[0]])[np.newaxis].astype(np.float32)
    for found in (
        decoded({"out": labels}, geometry, decoder="labels", area_min_px=3),
        decoded({"out": scores}, geometry, decoder="logits", labels=CLASSES[:1], area_min_px=3),
    ):
        assert found.things.max() == 1
        assert found.labels[:15, :15].all()


@settings(max_examples=30)
@given(seed=st.integers(0, 9999), share=st.floats(0.3, 0.7))
def test_holes_are_filled_as_a_slow_loop_fills_them(seed: int, share: float) -> None:
    things = np.zeros((12, 12), np.int32)
    ndimage.label(np.random.default_rng(seed).random((12, 12)) < share, np.ones((3, 3)), output=things)
    wanted = things.copy()
    holes, count = ndimage.label(things == 0)
    for hole in range(1, count + 1):
        inside = holes == hole
        around = set(things[ndimage.binary_dilation(inside)].tolist()) - {0}
        is_open = inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any()
        wanted[inside] = around.pop() if len(around) == 1 and not is_open else 0
    assert np.array_equal(filled(things), wanted)


def test_a_filled_hole_has_the_label_of_its_thing() -> None:
    labels = np.array([[2, 2, 2], [2, 0, 2], [2, 2, 2]], np.uint8)
    found = decoded({"out": labels[np.newaxis]}, whole(3, 3), decoder="labels", fill_holes=True)
    assert (found.labels == 2).all()
    assert (found.things == 1).all()


def discs(gap_px: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two discs of radius 10 beside each other that overlap."""
    y, x = np.mgrid[:40, :60]
    return np.hypot(y - 20, x - 20) <= 10, np.hypot(y - 20, x - 20 - gap_px) <= 10


def told_apart(found: RawMask, left: NDArray[np.bool_], right: NDArray[np.bool_]) -> None:
    assert found.things.max() == 2
    assert np.array_equal(found.labels > 0, left | right)
    assert np.array_equal(found.things > 0, left | right)
    owner = found.things[20, 15]
    both = left & right
    assert (found.things[left & ~both & (np.arange(60) < 25)] == owner).all()
    assert (found.things[right & ~both & (np.arange(60) > 32)] == 3 - owner).all()


def test_a_border_parts_what_touches() -> None:
    left, right = discs(16)
    border = np.where(left & right, 6.0, -6.0)
    scores = np.stack([np.where(left | right, 5.0, -5.0), border])[np.newaxis].astype(np.float32)
    rule = {"by": "boundary", "border": {"output": "out", "channel": 1}}
    found = decoded(
        {"out": scores}, whole(40, 60), decoder="sigmoid", thresholds=[0.5], labels=CLASSES[:1], things=rule
    )
    told_apart(found, left, right)


def test_peaks_of_a_distance_part_what_touches() -> None:
    left, right = discs(16)
    height = np.maximum(ndimage.distance_transform_edt(left), ndimage.distance_transform_edt(right))
    outputs = {
        "out": np.stack([~(left | right), left | right])[np.newaxis].astype(np.float32),
        "far": height[np.newaxis, np.newaxis].astype(np.float32),
    }
    rule = {"by": "distance", "height": {"output": "far"}, "height_min": 3, "apart_min_px": 4}
    found = decoded(outputs, whole(40, 60), decoder="logits", labels=CLASSES[:1], things=rule)
    told_apart(found, left, right)


@pytest.mark.parametrize("unit", ["px", "cells"])
def test_pixels_that_point_to_centres_part_what_touches(unit: str) -> None:
    left, right = discs(16)
    is_left = (np.arange(60) < 28)[np.newaxis]
    y, x = np.mgrid[:40, :60]
    offsets = np.stack([20 - y, np.where(is_left, 20, 36) - x])
    heat = np.zeros((40, 60))
    heat[20, 20], heat[20, 36] = 0.9, 0.8
    labels = np.where(left, 1, np.where(right, 2, 0))
    outputs = {
        "out": labels[np.newaxis].astype(np.int64),
        "centre": heat[np.newaxis, np.newaxis].astype(np.float32),
        "offset": offsets[np.newaxis].astype(np.float32),
    }
    rule = {
        "by": "centre-offset",
        "centre": {"output": "centre"},
        "offset_y": {"output": "offset", "channel": 0},
        "offset_x": {"output": "offset", "channel": 1},
        "offset_unit": unit,
    }
    found = decoded(outputs, whole(40, 60), decoder="labels", things=rule)
    told_apart(found, left, right)
    for thing in (1, 2):
        assert (
            len(set(found.labels[found.things == thing].tolist())) == 1
        )  # of the two labels that most pixels have


def test_a_piece_without_a_seed_is_a_thing_of_its_own() -> None:
    mask = np.zeros((9, 9), np.float32)
    mask[1:3, 1:3], mask[6, 6] = 9, 9
    border = np.where(mask > 0, 9, -9)
    border[1, 1] = -9
    scores = np.stack([mask - 4, border])[np.newaxis].astype(np.float32)
    rule = {"by": "boundary", "border": {"output": "out", "channel": 1}}
    found = decoded(
        {"out": scores}, whole(9, 9), decoder="sigmoid", thresholds=[0.5], labels=CLASSES[:1], things=rule
    )
    assert found.things.max() == 2
    assert np.array_equal(found.things > 0, mask > 0)


@settings(max_examples=25)
@given(seed=st.integers(0, 9999))
def test_each_pixel_goes_to_the_seed_that_reaches_it_over_the_lowest_pass(seed: int) -> None:
    noise = np.random.default_rng(seed)
    relief = noise.permutation(64).reshape(8, 8).astype(np.float32)
    inside = np.asarray(noise.random((8, 8)) < 0.9)
    seeds = np.zeros((8, 8), np.int32)
    numbered, count = ndimage.label(inside)
    for piece in range(1, count + 1):
        places = np.argwhere(numbered == piece)
        for place in places[noise.permutation(len(places))[:3]]:
            seeds[tuple(place)] = seeds.max() + 1
    grown = grow(seeds, inside=inside, relief=relief)
    passes = np.stack([slow_pass(seeds == seed, inside, relief) for seed in range(1, int(seeds.max()) + 1)])
    assert np.array_equal(grown > 0, inside)
    assert np.array_equal(grown[seeds > 0], seeds[seeds > 0])
    chosen = np.take_along_axis(passes, np.maximum(grown - 1, 0)[np.newaxis], axis=0)[0]
    assert np.array_equal(chosen[inside], passes.min(axis=0)[inside])


def slow_pass(seed: NDArray[np.bool_], inside: NDArray[np.bool_], relief: Array) -> Array:
    """Return how high one must climb to each pixel from a seed, found by trying until nothing gets lower."""
    height = np.where(seed, 0, np.inf)
    for _ in range(64):
        near = np.pad(height, 1, constant_values=np.inf)
        up, down, left, right = near[:-2, 1:-1], near[2:, 1:-1], near[1:-1, :-2], near[1:-1, 2:]
        step = np.pad(relief, 1, constant_values=np.inf)
        sides = (step[:-2, 1:-1], step[2:, 1:-1], step[1:-1, :-2], step[1:-1, 2:])
        ways = [
            np.maximum(np.maximum(a, b), relief) for a, b in zip((up, down, left, right), sides, strict=True)
        ]
        height = np.where(inside, np.minimum(height, np.min(ways, axis=0)), np.inf)
    return height.astype(np.float32)


def joined(things: list[int], height: list[float], *, prominence_min: float) -> Any:
    """Things along one line that remain, by the number of the peak they belong to."""
    line, heights = np.array([things], np.int32), np.array([height], np.float32)
    return join_shallow(line, heights, prominence_min=prominence_min)[0].tolist()


@pytest.mark.parametrize(
    ("prominence_min", "remain"),
    [(0.25, [1, 1, 1, 2, 2]), (0.26, [1, 1, 1, 1, 1]), (0.0, [1, 1, 1, 2, 2])],
)
def test_a_peak_stays_that_rises_exactly_as_much_as_it_must(prominence_min: float, remain: list[int]) -> None:
    height = [0.5, 1.0, 0.5, 0.5, 0.75]  # the second rises by a quarter above the pass
    assert joined([1, 1, 1, 2, 2], height, prominence_min=prominence_min) == remain


@pytest.mark.parametrize(
    ("height", "remain"),
    [
        ([8, 5.5, 6, 5, 7], [1, 1, 1, 3, 3]),  # the one between is shallow, the last is not
        ([8, 7.5, 7.9, 7.4, 7.8], [1, 1, 1, 1, 1]),  # each hangs on the one before
        ([6, 5.5, 7, 6.5, 8], [3, 3, 3, 3, 3]),
        ([8, 5, 6.5, 6, 6.8], [1, 1, 3, 3, 3]),  # the last two are deep together
    ],
)
def test_of_a_chain_what_hangs_together_is_one(height: list[float], remain: list[int]) -> None:
    assert joined([1, 1, 2, 3, 3], height, prominence_min=1.0) == remain


def test_peaks_of_one_height_on_a_plateau_are_one_thing_and_apart_they_are_two() -> None:
    assert len(set(joined([1, 1, 2, 2], [3, 3, 3, 3], prominence_min=0.5))) == 1
    assert joined([1, 1, 2, 2], [3, 2, 2, 3], prominence_min=0.5) == [1, 1, 2, 2]
    assert len(set(joined([1, 2, 3, 4], [3, 2.9, 3, 3], prominence_min=0.5))) == 1


def test_things_that_do_not_touch_are_never_joined() -> None:
    assert joined([1, 1, 0, 2, 2], [3, 3, 3, 3, 3], prominence_min=9) == [1, 1, 0, 2, 2]
    assert joined([0, 0], [1, 2], prominence_min=1) == [0, 0]


def hills(seed: int) -> tuple[Array, NDArray[np.bool_], NDArray[np.int32]]:
    """Heights that all differ, what lies inside, and a seed on each peak."""
    noise = np.random.default_rng(seed)
    height = noise.permutation(100).reshape(10, 10).astype(np.float32)
    inside = np.asarray(noise.random((10, 10)) < 0.9)
    cross = ndimage.generate_binary_structure(2, 1)
    highest = ndimage.maximum_filter(np.where(inside, height, -1), footprint=cross, mode="nearest")
    seeds = np.zeros((10, 10), np.int32)
    is_peak = inside & (height >= highest)
    seeds[is_peak] = np.arange(1, np.count_nonzero(is_peak) + 1)
    return height, inside, seeds


@settings(max_examples=12)
@given(seed=st.integers(0, 9999), prominence_min=st.integers(0, 80))
def test_what_remains_are_the_peaks_that_a_slow_climb_finds_to_stand_out(
    seed: int, prominence_min: int
) -> None:
    height, inside, seeds = hills(seed)
    things = grow(seeds, inside=inside, relief=-height)
    found = join_shallow(things, height, prominence_min=prominence_min)
    wanted = set()
    for peak in np.argwhere(seeds > 0):
        place = tuple(peak)
        climb = slow_pass(inside & (height > height[place]), inside, 100 - height)[place]
        wanted |= {place} if height[place] - (100 - climb) >= prominence_min else set()
    tops = ndimage.maximum_position(height, found, np.unique(found[inside]))
    assert set(tops) == wanted
    assert np.array_equal(found > 0, inside)
    assert len(np.unique(found[things > 0])) == len(wanted)


@settings(max_examples=15)
@given(seed=st.integers(0, 9999), doubled=st.integers(-3, 3), raised=st.integers(-64, 64))
def test_neither_the_unit_of_the_height_nor_where_it_begins_matters(
    seed: int, doubled: int, raised: int
) -> None:
    height, inside, seeds = hills(seed)
    things, unit = grow(seeds, inside=inside, relief=-height), 2.0**doubled
    other = join_shallow(things, (height + raised) * np.float32(unit), prominence_min=20 * unit)
    assert np.array_equal(join_shallow(things, height, prominence_min=20), other)


@pytest.mark.parametrize("times", [1, 2, 3.5])
@pytest.mark.parametrize(("prominence_min", "things"), [(0.0, {4, 5}), (0.4, {2}), (0.9, {1})])
def test_peaks_stand_out_in_a_larger_picture_as_in_the_input(
    prominence_min: float, things: set[int], times: float
) -> None:
    left, right = discs(16)
    height = np.maximum(ndimage.distance_transform_edt(left), ndimage.distance_transform_edt(right)) / 10
    height[:, 18:23] -= 0.4  # a groove: shallow peaks in one thing, as a network draws them
    scores = np.stack([left | right, height])[np.newaxis].astype(np.float32)
    rule = {
        "by": "distance",
        "height": {"output": "out", "channel": 1},
        "height_min": 0.5,
        "apart_min_px": 1,
        "prominence_min": prominence_min,
    }
    geometry = stretch((round(40 * times), round(60 * times)), input_shape_px=(40, 60))
    found = decoded(
        {"out": scores},
        geometry,
        decoder="sigmoid",
        thresholds=[0.5],
        scores_are="probabilities",
        labels=CLASSES[:1],
        things=rule,
    )
    assert found.things.max() in things


def test_of_peaks_near_each_other_the_highest_counts() -> None:
    height = np.zeros((9, 30), np.float32)
    height[4, 4], height[4, 6], height[4, 20], height[4, 21] = 3, 2, 1, 1
    found = peaks(height, inside=height > 0, apart_px=3)
    assert [int(found[4, column] > 0) for column in (4, 6, 20, 21)] == [1, 0, 1, 1]
    assert found[4, 20] == found[4, 21] != found[4, 4]


def test_nothing_there_is_an_answer() -> None:
    rule = {"by": "distance", "height": {"output": "far"}, "height_min": 3}
    outputs: dict[str, NDArray[Any]] = {
        "out": np.zeros((1, 8, 8), np.uint8),
        "far": np.zeros((1, 1, 8, 8), np.float32),
    }
    found = answer(
        outputs, part(decoder="labels", things=rule, fill_holes=True, area_min_px=9), geometry=whole(8, 8)
    )
    assert isinstance(found, PictureMask)
    assert found.names == ("cup", "jar")
    assert not found.labels.any()
    assert not found.things.any()
