"""A picture finds its place in a network's input, and a box its way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundles.picture_classification import PictureClassification
from edge.bundles.pictures import Letterbox, Normalize, Scale
from edge.domain.errors import PictureRejectedError
from edge.domain.geometry import Geometry
from edge.inference.picture_canvas import Canvas
from edge.preprocess.pictures import ASPECT_MAX, letterbox, stretch
from edge.preprocess.tones import tones
from tests.builders.picture_bundles import picture_document
from tests.fakes.picture import FakePicture

SIDES = st.integers(8, 2000)
SHAPES = st.tuples(SIDES, SIDES).filter(lambda shape: max(shape) <= ASPECT_MAX * min(shape))
INPUTS = st.tuples(st.integers(8, 1024), st.integers(8, 1024))
PLACES = st.sampled_from([letterbox, stretch])
CORNERS = st.lists(
    st.tuples(*[st.floats(0, 1)] * 4),
    min_size=1,
    max_size=5,
)


@given(SHAPES, INPUTS, PLACES, CORNERS)
def test_a_box_comes_back_to_where_it_was_in_the_source(
    source: tuple[int, int], inside: tuple[int, int], place: Any, corners: list[tuple[float, ...]]
) -> None:
    geometry = place(source, input_shape_px=inside)
    boxes = np.array(corners) * [source[1], source[0], source[1], source[0]]
    seen = geometry.to_input(boxes)
    assert np.allclose(geometry.to_source(seen), boxes, atol=1e-6)
    assert (seen >= -1e-6).all()
    assert (seen <= np.array([inside[1], inside[0]] * 2) + 1e-6).all()


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
