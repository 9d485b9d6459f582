"""A network's input for pictures: converted, scaled, placed and brought to its numbers in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.pictures import PictureInput, PictureStep
from edge.domain.frame import Picture
from edge.domain.geometry import Geometry
from edge.preprocess.pictures import placing
from edge.preprocess.tones import tones


class Canvas:
    """A network's input, filled again for each picture; one caller at a time.

    Args:
        given: What the network takes.
        steps: From a picture to that; the first one fits it.

    Attributes:
        pixels: (1, channels, height, width) or (1, height, width, channels), as the network has it; of a
            free size it is made anew where a picture has another shape than the last one.
    """

    def __init__(self, given: PictureInput, steps: Sequence[PictureStep]) -> None:
        self._given = given
        self._placing = placing(steps[0], given)
        self._tones = tones(steps, channels=given.channels)
        self._geometry: Geometry | None = None
        height_px, width_px = given.shape_px or (given.multiple_of_px, given.multiple_of_px)
        self._allot(height_px, width_px)

    @property
    def channels(self) -> str:
        """RGB, BGR or GREY."""
        return self._given.channels

    @property
    def shown(self) -> NDArray[Any]:
        """(channels, height, width) of what is drawn now, without borders; the next picture changes it."""
        planes: NDArray[Any] = self._planes
        geometry = self._geometry
        return planes if geometry is None else planes[(slice(None), *geometry.shown)]

    def draw(self, picture: Picture) -> Geometry:
        """Convert, scale and place a picture in one pass.

        Returns:
            The way back from the canvas to the picture.

        Raises:
            PictureRejectedError: It is no picture that can be placed.
        """
        geometry = self._geometry
        if geometry is None or geometry.source_shape_px != picture.shape_px:
            geometry = self._placing(picture.shape_px)
            if self._planes.shape[1:] != geometry.input_shape_px:
                self._allot(*geometry.input_shape_px)
            self._planes[:] = self._tones.fill  # where the last one lay, another may leave a border
            self._geometry = geometry
        shown = self._shown(picture, geometry.height_px, geometry.width_px)
        self._tones.put(
            shown[(slice(None), *geometry.taken)], into=self._planes[(slice(None), *geometry.shown)]
        )
        return geometry

    def paste(self, planes: NDArray[np.uint8]) -> Geometry:
        """Fill the whole canvas with planes that were fitted before.

        Args:
            planes: (channels, height, width): R, G, B, or grey, whatever the network's order.

        Returns:
            The way back to those planes.
        """
        shape_px = planes.shape[1], planes.shape[2]
        if self._planes.shape[1:] != shape_px:
            self._allot(*shape_px)
        self._tones.put(self._ordered(planes), into=self._planes)
        self._geometry = None
        return whole(shape_px)

    def _shown(self, picture: Picture, height_px: int, width_px: int) -> NDArray[np.uint8]:
        if self._given.channels == "GREY":
            return picture.luma(height_px=height_px, width_px=width_px)[None]
        return self._ordered(picture.planes(height_px=height_px, width_px=width_px))

    def _ordered(self, planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return planes[::-1] if self._given.channels == "BGR" else planes

    def _allot(self, height_px: int, width_px: int) -> None:
        """Make room; `_planes` sees it as (channels, height, width), whatever the network's layout."""
        depth, dtype = self._given.depth, self._given.dtype
        self.pixels: NDArray[Any]
        if self._given.layout == "NCHW":
            self.pixels = np.zeros((1, depth, height_px, width_px), dtype)
            self._planes = self.pixels[0]
        else:
            self.pixels = np.zeros((1, height_px, width_px, depth), dtype)
            self._planes = self.pixels[0].transpose(2, 0, 1)


def whole(shape_px: tuple[int, int]) -> Geometry:
    """Return the geometry of a picture, (height, width), that is the input itself."""
    return Geometry(
        source_shape_px=shape_px,
        input_shape_px=shape_px,
        top_px=0,
        left_px=0,
        height_px=shape_px[0],
        width_px=shape_px[1],
    )
