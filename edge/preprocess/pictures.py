"""Steps that fit pictures: the place of a picture in the input of a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, assert_never

from edge.bundles.pictures import (
    Crop,
    Keep,
    Letterbox,
    Normalize,
    Offset,
    PictureInput,
    PictureStep,
    Scale,
    Stretch,
)
from edge.domain.errors import PictureRejectedError
from edge.domain.geometry import Geometry

ASPECT_MAX = 16  # a picture so many times longer than wide is none

Shape = tuple[int, int]
Placing = Callable[[Shape], Geometry]


def placing(fitting: PictureStep, given: PictureInput) -> Placing:
    """Return the function that gives a picture of some (height, width) its place in a network's input.

    Args:
        fitting: First step of a manifest, one of those that fit.
        given: What the network takes; a free size follows the picture's.
    """
    fixed = given.shape_px
    match fitting:
        case Letterbox(align=align):
            if fixed is not None:
                return lambda shape_px: letterbox(shape_px, input_shape_px=fixed, align=align)
            return lambda shape_px: letterbox(
                shape_px, input_shape_px=_room(shape_px, given), align=align, scale_max=1.0
            )
        case Stretch():
            return lambda shape_px: stretch(shape_px, input_shape_px=fixed or _room(shape_px, given))
        case Crop(shorter_px=shorter_px):
            assert fixed is not None, "the manifest sees to it that a crop has a size"
            return lambda shape_px: crop(shape_px, input_shape_px=fixed, shorter_px=shorter_px)
        case Keep():
            return lambda shape_px: keep(shape_px, given)
        case Scale() | Offset() | Normalize():
            raise AssertionError(f"the manifest sees to it that {fitting.step} is not the first step")
        case _:
            assert_never(fitting)


def letterbox(
    source_shape_px: Shape,
    *,
    input_shape_px: Shape,
    align: Literal["centre", "corner"] = "centre",
    scale_max: float = math.inf,
) -> Geometry:
    """Place a picture in an input, as large as it fits, without stretching it.

    Args:
        source_shape_px: (height, width) of the picture.
        input_shape_px: (height, width) of the network's input.
        align: In the middle, or in the corner at the top left.
        scale_max: It is not enlarged beyond this.

    Raises:
        PictureRejectedError: A side is zero, or longer than 16 times the other.
    """
    _check_shape(source_shape_px)
    fits = (inner / outer for inner, outer in zip(input_shape_px, source_shape_px, strict=True))
    scale = min(*fits, scale_max)
    height, width = (
        min(inner, max(1, round(outer * scale)))
        for inner, outer in zip(input_shape_px, source_shape_px, strict=True)
    )
    is_centred = align == "centre"
    return Geometry(
        source_shape_px=source_shape_px,
        input_shape_px=input_shape_px,
        top_px=(input_shape_px[0] - height) // 2 * is_centred,
        left_px=(input_shape_px[1] - width) // 2 * is_centred,
        height_px=height,
        width_px=width,
    )


def stretch(source_shape_px: Shape, *, input_shape_px: Shape) -> Geometry:
    """Let a picture fill an input, each axis scaled by itself.

    Raises:
        PictureRejectedError: A side is zero, or longer than 16 times the other.
    """
    _check_shape(source_shape_px)
    return Geometry(
        source_shape_px=source_shape_px,
        input_shape_px=input_shape_px,
        top_px=0,
        left_px=0,
        height_px=input_shape_px[0],
        width_px=input_shape_px[1],
    )


def crop(source_shape_px: Shape, *, input_shape_px: Shape, shorter_px: int) -> Geometry:
    """Scale a picture by its shorter side, and let the input see its middle.

    Args:
        source_shape_px: (height, width) of the picture.
        input_shape_px: (height, width) of the network's input.
        shorter_px: Of the picture's shorter side, scaled; at least the longer side of the input.

    Raises:
        PictureRejectedError: A side is zero, or longer than 16 times the other.
    """
    _check_shape(source_shape_px)
    scale = shorter_px / min(source_shape_px)
    height, width = (max(shorter_px, round(side * scale)) for side in source_shape_px)
    return Geometry(
        source_shape_px=source_shape_px,
        input_shape_px=input_shape_px,
        top_px=-((height - input_shape_px[0]) // 2),
        left_px=-((width - input_shape_px[1]) // 2),
        height_px=height,
        width_px=width,
    )


def keep(source_shape_px: Shape, given: PictureInput) -> Geometry:
    """Leave a picture its size, in the corner of an input that is as large or a little larger.

    Raises:
        PictureRejectedError: A side is zero, longer than 16 times the other, or longer than the input may be.
    """
    _check_shape(source_shape_px)
    room = tuple(_multiple(side, given.multiple_of_px) for side in source_shape_px)
    longest_px = given.side_max_px or 0
    if max(room) > longest_px:
        height, width = source_shape_px
        raise PictureRejectedError(
            f"picture is {width} x {height} px, the network takes sides of at most {longest_px} px"
        )
    return Geometry(
        source_shape_px=source_shape_px,
        input_shape_px=(room[0], room[1]),
        top_px=0,
        left_px=0,
        height_px=source_shape_px[0],
        width_px=source_shape_px[1],
    )


def _room(source_shape_px: Shape, given: PictureInput) -> Shape:
    """Return the size of a free input: the picture's, scaled down where it is too long, up to a multiple."""
    _check_shape(source_shape_px)
    assert given.side_max_px is not None, "the manifest sees to it that a free size has a limit"
    scale = min(1.0, given.side_max_px / max(source_shape_px))
    height, width = (
        min(given.side_max_px, _multiple(max(1, round(side * scale)), given.multiple_of_px))
        for side in source_shape_px
    )
    return height, width


def _multiple(side_px: int, of_px: int) -> int:
    return math.ceil(side_px / of_px) * of_px


def _check_shape(shape_px: Shape) -> None:
    height, width = shape_px
    if min(shape_px) < 1 or max(shape_px) > ASPECT_MAX * min(shape_px):
        raise PictureRejectedError(
            f"picture is {width} x {height} px, wanted sides of at least 1 that differ at most "
            f"{ASPECT_MAX} times"
        )
