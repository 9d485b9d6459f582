"""Steps for colour pictures: the place of a picture in a network's input, and its bytes as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundles.picture_classification import Letterbox, Normalize, PictureStep, Scale
from edge.domain.errors import PictureRejectedError
from edge.domain.geometry import Geometry

ASPECT_MAX = 16  # a picture so many times longer than wide is none


def letterbox(source_shape_px: tuple[int, int], *, input_shape_px: tuple[int, int]) -> Geometry:
    """Place a picture in the middle of an input, as large as it fits, without stretching it.

    Args:
        source_shape_px: (height, width) of the picture.
        input_shape_px: (height, width) of the network's input.

    Raises:
        PictureRejectedError: A side is zero, or longer than 16 times the other.
    """
    _check_shape(source_shape_px)
    scale = min(inner / outer for inner, outer in zip(input_shape_px, source_shape_px, strict=True))
    height, width = (
        min(inner, max(1, round(outer * scale)))
        for inner, outer in zip(input_shape_px, source_shape_px, strict=True)
    )
    return Geometry(
        source_shape_px=source_shape_px,
        input_shape_px=input_shape_px,
        top_px=(input_shape_px[0] - height) // 2,
        left_px=(input_shape_px[1] - width) // 2,
        height_px=height,
        width_px=width,
    )


def stretch(source_shape_px: tuple[int, int], *, input_shape_px: tuple[int, int]) -> Geometry:
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


def _check_shape(shape_px: tuple[int, int]) -> None:
    height, width = shape_px
    if min(shape_px) < 1 or max(shape_px) > ASPECT_MAX * min(shape_px):
        raise PictureRejectedError(
            f"picture is {width} x {height} px, wanted sides of at least 1 that differ at most "
            f"{ASPECT_MAX} times"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Tones:
    """What becomes of a byte, for R, G and B each: all steps on numbers as one factor and one summand.

    Attributes:
        gain: (3, 1, 1) float32.
        offset: (3, 1, 1) float32.
        fill: (3, 1, 1) float32: what stands in the borders.
    """

    gain: NDArray[np.float32]
    offset: NDArray[np.float32]
    fill: NDArray[np.float32]

    def put(self, planes: NDArray[np.uint8], *, into: NDArray[np.uint8] | NDArray[np.float32]) -> None:
        """Write planes, (3, h, w), as the network wants them; `into` has that shape."""
        if into.dtype == np.uint8:
            np.copyto(into, planes)
            return
        np.multiply(planes, self.gain, out=into, dtype=np.float32, casting="unsafe")
        if self.offset.any():
            into += self.offset


def tones(steps: Sequence[PictureStep]) -> Tones:
    """Fold all steps after the fitting one into one."""
    gain, offset, fill = np.ones(3), np.zeros(3), np.zeros(3)
    for step in steps:
        if isinstance(step, Letterbox):
            fill = np.array(step.fill_rgb, np.float64)
        if isinstance(step, Scale):
            gain, offset = gain / step.divide_by, offset / step.divide_by
        if isinstance(step, Normalize):
            std = np.array(step.std)
            gain, offset = gain / std, (offset - np.array(step.mean)) / std
    shape, fill = (3, 1, 1), fill * gain + offset
    return Tones(*(row.reshape(shape).astype(np.float32) for row in (gain, offset, fill)))
