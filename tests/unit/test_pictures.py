"""A picture finds its place in a network's input, and a box its way back."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundles.picture_classification import PictureClassification
from edge.bundles.pictures import Letterbox, Normalize, Offset, PictureInput, Scale, Stretch
from edge.domain.errors import PictureRejectedError
from edge.domain.geometry import Geometry
from edge.inference.picture_canvas import Canvas
from edge.preprocess.pictures import ASPECT_MAX, crop, letterbox, placing, stretch
from edge.preprocess.tones import tones
from tests.builders.picture_bundles import picture_document
from tests.fakes.picture import FakePicture

SIDES = st.integers(8, 2000)
SHAPES = st.tuples(SIDES, SIDES).filter(lambda shape: max(shape) <= ASPECT_MAX * min(shape))
INPUTS = st.tuples(st.integers(8, 1024), st.integers(8, 1024))
CORNERED = partial(letterbox, align="corner")


def cropped(source_shape_px: tuple[int, int], *, input_shape_px: tuple[int, int]) -> Geometry:
    return crop(source_shape_px, input_shape_px=input_shape_px, shorter_px=max(input_shape_px) + 7)


def followed(source_shape_px: tuple[int, int], *, input_shape_px: tuple[int, int]) -> Geometry:
    """A free size, whose longer side is at most that of the input."""
    given = free(side_max_px=max(8, max(input_shape_px) // 8 * 8))
    return placing(Letterbox(step="letterbox", fill_rgb=(0, 0, 0)), given)(source_shape_px)


def free(*, side_max_px: int) -> PictureInput:
    return PictureInput(
        name="i", layout="NCHW", channels="RGB", dtype="uint8", multiple_of_px=8, side_max_px=side_max_px
    )


PLACES = st.sampled_from([letterbox, CORNERED, stretch, followed])
ALL_PLACES = st.sampled_from([letterbox, CORNERED, stretch, followed, cropped])
CORNERS = st.lists(
    st.tuples(*[st.floats(0, 1)] * 4),
    min_size=1,
    max_size=5,
)


@given(SHAPES, INPUTS, ALL_PLACES, CORNERS)
def test_boxes_and_points_come_back_through_every_step(
    source: tuple[int, int], inside: tuple[int, int], place: Any, corners: list[tuple[float, ...]]
) -> None:
    geometry = place(source, input_shape_px=inside)
    boxes = np.array(corners) * [source[1], source[0], source[1], source[0]]
    assert np.allclose(geometry.to_source(geometry.to_input(boxes)), boxes, atol=1e-6)
    points = boxes.reshape(-1, 2, 2)
    assert np.allclose(geometry.points_to_source(geometry.points_to_input(points)), points, atol=1e-6)
    assert np.allclose(geometry.points_to_input(points).reshape(-1, 4), geometry.to_input(boxes), atol=1e-6)


@given(SHAPES, INPUTS, ALL_PLACES)
def test_what_the_input_shows_and_what_is_taken_of_the_picture_are_the_same_pixels(
    source: tuple[int, int], inside: tuple[int, int], place: Any
) -> None:
    geometry = place(source, input_shape_px=inside)
    for shown, taken, start, side, room in zip(
        geometry.shown,
        geometry.taken,
        (geometry.top_px, geometry.left_px),
        (geometry.height_px, geometry.width_px),
        geometry.input_shape_px,
        strict=True,
    ):
        assert shown.start - taken.start == start
        assert shown.stop - shown.start == taken.stop - taken.start >= 1
        assert 0 in (shown.start, taken.start)
        assert shown.stop == room or taken.stop == side


@given(SHAPES, st.integers(8, 1024))
def test_a_free_size_is_a_multiple_within_its_limit_and_enlarges_nothing(
    source: tuple[int, int], limit: int
) -> None:
    given_ = free(side_max_px=limit // 8 * 8)
    for step in (Letterbox(step="letterbox", fill_rgb=(0, 0, 0)), Stretch(step="stretch")):
        geometry = placing(step, given_)(source)
        assert all(side % 8 == 0 and side <= limit for side in geometry.input_shape_px)
    geometry = placing(Letterbox(step="letterbox", fill_rgb=(0, 0, 0)), given_)(source)
    assert geometry.height_px <= source[0]
    assert geometry.width_px <= source[1]


@given(SHAPES, INPUTS)
def test_a_crop_is_covered_by_the_picture_to_the_last_pixel(
    source: tuple[int, int], inside: tuple[int, int]
) -> None:
    geometry = cropped(source, input_shape_px=inside)
    assert geometry.shown == (slice(0, inside[0]), slice(0, inside[1]))
    assert abs(2 * -geometry.top_px - (geometry.height_px - inside[0])) <= 1
    assert abs(geometry.width_px / geometry.height_px / (source[1] / source[0]) - 1) < 1 / 8


@given(SHAPES, INPUTS, PLACES, CORNERS)
def test_a_box_comes_back_to_where_it_was_in_the_source(
    source: tuple[int, int], inside: tuple[int, int], place: Any, corners: list[tuple[float, ...]]
) -> None:
    geometry = place(source, input_shape_px=inside)
    boxes = np.array(corners) * [source[1], source[0], source[1], source[0]]
    seen = geometry.to_input(boxes)
    assert np.allclose(geometry.to_source(seen), boxes, atol=1e-6)
    assert (seen >= -1e-6).all()
    assert (seen <= np.array([*geometry.input_shape_px[::-1]] * 2) + 1e-6).all()


@given(SHAPES, INPUTS, PLACES)
def test_the_whole_source_is_what_the_picture_in_the_input_shows(
    source: tuple[int, int], inside: tuple[int, int], place: Any
) -> None:
    geometry: Geometry = place(source, input_shape_px=inside)
    left, top = geometry.left_px, geometry.top_px
    content = np.array([[left, top, left + geometry.width_px, top + geometry.height_px]], np.float64)
    assert np.allclose(geometry.to_source(content), [[0, 0, source[1], source[0]]], atol=1e-6)


@given(SHAPES, INPUTS)
def test_a_letterbox_is_in_the_middle_touches_two_borders_and_stretches_by_less_than_a_pixel(
    source: tuple[int, int], inside: tuple[int, int]
) -> None:
    geometry = letterbox(source, input_shape_px=inside)
    left_over = inside[0] - geometry.height_px, inside[1] - geometry.width_px
    assert min(left_over) == 0
    assert (geometry.top_px, geometry.left_px) == (left_over[0] // 2, left_over[1] // 2)
    scale = min(inside[0] / source[0], inside[1] / source[1])
    assert abs(geometry.height_px - source[0] * scale) < 1
    assert abs(geometry.width_px - source[1] * scale) < 1


@pytest.mark.parametrize("shape_px", [(0, 10), (10, 0), (10, 161), (161, 10)])
@pytest.mark.parametrize("place", [letterbox, stretch])
def test_what_is_no_picture_has_no_place(place: Any, shape_px: tuple[int, int]) -> None:
    with pytest.raises(PictureRejectedError, match=r"picture is \d+ x \d+ px, wanted sides of at least 1"):
        place(shape_px, input_shape_px=(64, 64))


def test_all_steps_on_numbers_are_one_factor_and_one_summand() -> None:
    steps = (
        Letterbox(step="letterbox", fill_rgb=(114, 0, 255)),
        Scale(step="scale", divide_by=255),
        Normalize(step="normalize", mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5)),
    )
    planes = np.random.default_rng(0).integers(0, 256, (3, 5, 7)).astype(np.uint8)
    mean, std = (np.reshape(row, (3, 1, 1)) for row in ((0.5, 0.4, 0.3), (0.2, 0.25, 0.5)))
    into = np.empty((3, 5, 7), np.float32)
    folded = tones(steps)
    folded.put(planes, into=into)
    assert np.allclose(into, (planes / 255 - mean) / std, atol=1e-5)
    assert np.allclose(folded.fill, (np.reshape([114, 0, 255], (3, 1, 1)) / 255 - mean) / std, atol=1e-5)


def test_numbers_stand_in_the_order_of_the_channels() -> None:
    steps = (
        Letterbox(step="letterbox", fill_rgb=(10, 20, 30)),
        Offset(step="offset", add=(1.0, 2.0, 3.0)),
        Normalize(step="normalize", mean=(0.0,), std=(2.0,)),
    )
    turned = tones(steps, channels="BGR")
    assert turned.offset.ravel().tolist() == [0.5, 1.0, 1.5]
    assert turned.fill.ravel().tolist() == [15.5, 11.0, 6.5]
    grey = tones((Letterbox(step="letterbox", fill_rgb=(10, 20, 30)),), channels="GREY")
    assert grey.fill.ravel().tolist() == [18.0]


def test_halves_are_rounded_once() -> None:
    steps = (Normalize(step="normalize", mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395)),)
    planes = np.arange(256, dtype=np.uint8)[None, None].repeat(3, axis=0)
    into = np.empty((3, 1, 256), np.float16)
    exact = np.empty((3, 1, 256), np.float32)
    folded = tones(steps)
    folded.put(planes, into=into)
    folded.put(planes, into=exact)
    assert np.array_equal(into, exact.astype(np.float16))


def test_layouts_and_orders_hold_the_same_picture() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
    drawn = {
        (layout, channels): canvas_of(layout, channels)
        for layout in ("NCHW", "NHWC")
        for channels in ("RGB", "BGR")
    }
    for one in drawn.values():
        one.draw(FakePicture(rgb))
    wanted = rgb.transpose(2, 0, 1)
    assert np.array_equal(drawn["NCHW", "RGB"].pixels[0], wanted)
    assert np.array_equal(drawn["NCHW", "BGR"].pixels[0], wanted[::-1])
    assert np.array_equal(drawn["NHWC", "RGB"].pixels[0], rgb)
    assert np.array_equal(drawn["NHWC", "BGR"].pixels[0], rgb[:, :, ::-1])
    assert all(one.pixels.flags.c_contiguous for one in drawn.values())


def canvas_of(layout: str, channels: str) -> Canvas:
    given_ = PictureInput.model_validate(
        {
            "name": "i",
            "layout": layout,
            "channels": channels,
            "dtype": "uint8",
            "height_px": 32,
            "width_px": 48,
        }
    )
    return Canvas(given_, (Stretch(step="stretch"),))


def canvas(*steps: dict[str, Any], dtype: str = "uint8") -> Canvas:
    document = picture_document(name="brightness", dtype=dtype, height_px=32, width_px=48)
    document["golden"]["sha256"] = "0" * 64
    document["variants"] = ({"precision": "fp32", "file": "m", "sha256": "0" * 64, "devices": ("cpu",)},)
    document["preprocessing"] = steps
    manifest = PictureClassification.model_validate(document, strict=False)
    return Canvas(manifest.input, manifest.preprocessing)


def test_a_tall_picture_stands_between_borders_of_the_declared_colour() -> None:
    drawn = canvas({"step": "letterbox", "fill_rgb": (1, 2, 3)})
    geometry = drawn.draw(FakePicture.grey(200, height_px=100, width_px=50))
    assert (geometry.left_px, geometry.width_px, geometry.top_px, geometry.height_px) == (16, 16, 0, 32)
    assert (drawn.pixels[0, :, :, 16:32] == 200).all()
    assert [set(np.unique(plane)) for plane in drawn.pixels[0, :, :, :16]] == [{1}, {2}, {3}]
    assert [set(np.unique(plane)) for plane in drawn.pixels[0, :, :, 32:]] == [{1}, {2}, {3}]


def test_nothing_of_a_wide_picture_is_left_in_the_borders_of_a_tall_one() -> None:
    drawn = canvas(
        {"step": "letterbox", "fill_rgb": (255, 255, 255)},
        {"step": "scale", "divide_by": 255},
        dtype="float32",
    )
    for shape in ((40, 100), (100, 40), (32, 48), (100, 40)):
        drawn.draw(FakePicture.grey(51, height_px=shape[0], width_px=shape[1]))
        share = float((drawn.pixels < 0.5).mean())
        geometry = letterbox(shape, input_shape_px=(32, 48))
        assert share == pytest.approx(geometry.height_px * geometry.width_px / (32 * 48))
    assert drawn.pixels.min() == pytest.approx(0.2)
    assert drawn.pixels.max() == pytest.approx(1.0)


def test_a_fitted_golden_picture_leaves_no_rest_of_itself_behind() -> None:
    drawn = canvas({"step": "letterbox", "fill_rgb": (9, 9, 9)})
    tall = FakePicture.grey(200, height_px=100, width_px=50)
    drawn.draw(tall)
    drawn.paste(np.zeros((3, 32, 48), np.uint8))
    drawn.draw(tall)
    assert set(np.unique(drawn.pixels)) == {9, 200}


def test_a_picture_is_converted_once() -> None:
    picture = FakePicture.grey(10)
    canvas({"step": "stretch"}).draw(picture)
    assert picture.conversions == 1
