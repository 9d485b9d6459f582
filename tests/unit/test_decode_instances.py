"""Masks that each thing has for itself return to the source, each inside of its box."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from edge.bundles.picture_outputs import InstancesOutput, MaskOutput
from edge.domain.answer import PictureMask
from edge.domain.errors import InferenceError
from edge.domain.geometry import Geometry
from edge.inference.decoders.answers import answer
from edge.preprocess.pictures import letterbox, stretch
from tests.builders.detectors import CLASSES, Scene, Thing, scenes

Array = NDArray[np.float32]
NUMBERS = 6
V8 = {
    "decoder": "yolov8",
    "tables": ["out"],
    "scores_are": "probabilities",
    "unread_numbers": NUMBERS,
    "iou_max": 1,
}
V5 = V8 | {"decoder": "yolov5"}
GIVEN = {"decoder": "boxes", "boxes": "boxes", "scores": "scores", "labels": "labels"}
few = settings(max_examples=10)


def part(detector: dict[str, Any], **said: Any) -> InstancesOutput:
    of: TypeAdapter[Any] = TypeAdapter(MaskOutput)
    document = {"decoder": "instances", "detector": {"classes": CLASSES} | detector} | said
    made = of.validate_json(json.dumps(document))
    assert isinstance(made, InstancesOutput)
    return made


def bulge(box: tuple[float, ...], x: Array, y: Array) -> Array:
    """Above 0 inside of the ellipse that fills a box."""
    cx, cy, w, h = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
    return np.asarray(6 * (1 - np.hypot((x - cx) / w * 2, (y - cy) / h * 2)), np.float32)


def middles(shape: tuple[int, int], stride: int) -> tuple[Array, Array]:
    rows, columns = (np.arange(side // stride, dtype=np.float32) * stride + stride / 2 for side in shape)
    return columns[np.newaxis], rows[:, np.newaxis]


def outputs_of(scene: Scene, family: str) -> dict[str, Array]:
    """Boxes, and masks as prototypes, of the input or of boxes."""
    count = len(scene.things)
    x, y = middles(scene.shape, 4)
    planes = [bulge(thing.box, x, y) for thing in scene.things]
    if family in ("yolov8", "yolov5"):
        columns = 4 + (family == "yolov5") + len(CLASSES)
        table = np.zeros((30, columns + NUMBERS), np.float32)
        for number, thing in enumerate(scene.things):
            row = table[7 + 2 * number]
            row[:4] = [*thing.middle, *thing.sides]
            row[columns - len(CLASSES) + thing.kind] = thing.score
            row[4 : columns - len(CLASSES)] = 1
            row[columns + number] = 2
        prototypes = np.stack([*planes, *[np.full((len(y), x.size), 9, np.float32)] * (NUMBERS - count)])
        table = table.T if family == "yolov8" else table
        return {"out": table[np.newaxis], "protos": (prototypes[np.newaxis] / 2).astype(np.float32)}
    u, v = middles((28, 28), 1)
    of_boxes = np.tile(bulge((0, 0, 28, 28), u, v), (count, 1, 1, 1))
    of_input = np.array(planes, np.float32).reshape(count, 1, len(y), x.size)
    return {
        "boxes": scene.boxes,
        "scores": np.array(scene.scores, np.float32),
        "labels": np.array(scene.kinds, np.float32),
        "masks": of_boxes if family == "box" else of_input,
    }


PARTS = {
    "yolov8": part(V8, prototypes="protos"),
    "yolov5": part(V5, prototypes="protos"),
    "box": part(GIVEN, masks="masks", masks_of="box"),
    "input": part(GIVEN, masks="masks"),
}


def drawn(scene: Scene, geometry: Geometry, *, shrunk_px: float) -> Array:
    """Which thing each pixel of the source shows, one after the other; ellipses smaller by some pixels."""
    x, y = middles(geometry.source_shape_px, 1)
    things = np.zeros(geometry.source_shape_px, np.float32)
    boxes = geometry.to_source(scene.boxes.astype(np.float64))
    for number, (x0, y0, x1, y1) in reversed(list(enumerate(boxes, start=1))):
        smaller = (x0 + shrunk_px, y0 + shrunk_px, x1 - shrunk_px, y1 - shrunk_px)
        things[bulge(smaller, x, y) > 0] = number
    return things


@few
@given(scenes(side_min_px=24.0))
@pytest.mark.parametrize("family", PARTS)
@pytest.mark.parametrize("source_times", [1, 2])
def test_masks_of_things_return_to_the_source(source_times: int, family: str, scene: Scene) -> None:
    source = (scene.shape[0] * source_times, scene.shape[1] * source_times)
    geometry = stretch(source, input_shape_px=scene.shape)
    found = answer(outputs_of(scene, family), PARTS[family], geometry=geometry)
    assert isinstance(found, PictureMask)
    within_px = 2.5 * source_times
    inner, outer = drawn(scene, geometry, shrunk_px=within_px), drawn(scene, geometry, shrunk_px=-within_px)
    assert (found.things > 0)[inner > 0].all()
    assert not found.things[outer == 0].any()
    kinds = np.array([0, *(kind + 1 for kind in scene.kinds)])
    sure = (inner == outer) & (inner == drawn(scene, geometry, shrunk_px=0)) & (found.things == inner)
    assert np.array_equal(found.labels[sure], kinds[inner[sure].astype(int)])


def zeros(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def whole() -> Geometry:
    return letterbox((64, 64), input_shape_px=(64, 64))


def two_that_overlap() -> Scene:
    return Scene((64, 64), (Thing((0, 0, 40, 40), 1, 0.9), Thing((20, 20, 60, 60), 0, 0.8)))


@pytest.mark.parametrize("family", PARTS)
def test_the_thing_that_scores_more_has_the_pixel(family: str) -> None:
    scene = two_that_overlap()
    found = answer(outputs_of(scene, family), PARTS[family], geometry=whole())
    assert isinstance(found, PictureMask)
    assert found.names == ("cup", "jar", "pan")
    assert (found.labels[30, 30], found.things[30, 30]) == (2, 1)
    assert (found.labels[45, 45], found.things[45, 45]) == (1, 2)
    assert (found.labels[2, 60], found.things[2, 60]) == (0, 0)


def test_what_is_left_of_a_thing_must_be_large_enough() -> None:
    twice = stretch((128, 128), input_shape_px=(64, 64))
    made = part(GIVEN, masks="masks", masks_of="box", area_min_px=1300)
    found = answer(outputs_of(two_that_overlap(), "box"), made, geometry=twice)
    assert isinstance(found, PictureMask)
    assert found.things.max() == 0
    made = part(
        GIVEN, masks="masks", masks_of="box", area_min_px=1220
    )  # an ellipse has 1257, less the overlap
    found = answer(outputs_of(two_that_overlap(), "box"), made, geometry=twice)
    assert isinstance(found, PictureMask)
    assert (found.things.max(), found.labels.max()) == (1, 2)


@pytest.mark.parametrize(
    ("family", "changed", "message"),
    [
        (
            "yolov8",
            {"protos": zeros(1, 5, 16, 16)},
            r"'protos' .*float \(1, 6, 16, 16\)",
        ),
        ("yolov8", {"protos": zeros(1, 6, 16, 16) + np.nan}, "'protos' holds NaN or infinity"),
        (
            "box",
            {"masks": zeros(3, 1, 28, 28)},
            r"'masks' .*float \(2, 1, rows, columns\)",
        ),
        (
            "input",
            {"masks": zeros(2, 1, 28, 28)},
            r"'masks' .*float \(2, 1, 16, 16\)",
        ),
    ],
)
def test_other_masks_than_promised_are_an_error(family: str, changed: dict[str, Array], message: str) -> None:
    outputs = outputs_of(two_that_overlap(), family) | changed
    with pytest.raises(InferenceError, match=f"output {message}"):
        answer(outputs, PARTS[family], geometry=whole())


@pytest.mark.parametrize(
    ("detector", "said", "message"),
    [
        (V8, {}, "give either `prototypes` or `masks`"),
        (V8, {"masks": "m"}, "`masks` go with a detector `boxes`"),
        (V8 | {"unread_numbers": 0}, {"prototypes": "p"}, "need `tables` with unread_numbers"),
        (V8, {"prototypes": "p", "masks_of": "box"}, "prototypes cover the input"),
    ],
)
def test_masks_go_with_what_they_are_made_of(
    detector: dict[str, Any], said: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        part(detector, **said)
