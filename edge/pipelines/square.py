"""Pictures whose pixels are no squares: seen as a person would see them; the answer is carried back."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.domain.answer import Detections, Keypoints, PictureAnswer, PictureMask
from edge.domain.frame import Picture

Shape = tuple[int, int]
_Number = TypeVar("_Number", bound=np.generic)


class SquarePicture:
    """A `Picture` that is as high and wide as what it shows; scaled in one pass with everything else.

    Args:
        picture: In pixels as they were stored.
        aspect: Height of such a pixel over its width.
    """

    def __init__(self, picture: Picture, *, aspect: float) -> None:
        self._picture = picture
        height_px, width_px = picture.shape_px
        self.shape_px: Shape = (  # the side with the longer pixels grows: nothing is lost
            (round(height_px * aspect), width_px) if aspect > 1 else (height_px, round(width_px / aspect))
        )

    def planes(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """Return (3, height_px, width_px) uint8 planes, R, G, B: converted and scaled in one pass."""
        return self._picture.planes(height_px=height_px, width_px=width_px)

    def rgb(self) -> NDArray[np.uint8]:
        """Return (height, width, 3) uint8 RGB at full size."""
        height_px, width_px = self.shape_px
        return np.ascontiguousarray(np.moveaxis(self.planes(height_px=height_px, width_px=width_px), 0, -1))

    def luma(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """Return (height_px, width_px) uint8 brightness."""
        return self._picture.luma(height_px=height_px, width_px=width_px)


def as_stored(answer: PictureAnswer, *, seen_px: Shape, stored_px: Shape) -> PictureAnswer:
    """Carry an answer back to the pixels as they were stored.

    Args:
        answer: In pixels of what was seen.
        seen_px: (height, width) of that.
        stored_px: (height, width) of what was stored.
    """
    factors = np.array([stored_px[1] / seen_px[1], stored_px[0] / seen_px[0]], np.float32)
    match answer:
        case Detections():
            boxes = answer.boxes_px * np.concatenate([factors, factors])
            return replace(answer, boxes_px=boxes, points_px=answer.points_px * factors)
        case Keypoints():
            return replace(answer, points_px=answer.points_px * factors)
        case PictureMask():
            return replace(
                answer, labels=_sized(answer.labels, stored_px), things=_sized(answer.things, stored_px)
            )
        case _:
            return answer


def _sized(mask: NDArray[_Number], shape_px: Shape) -> NDArray[_Number]:
    """Take the nearest pixel for each."""
    rows, columns = (
        np.minimum((np.arange(wanted) + 0.5) * there / wanted, there - 1).astype(np.intp)
        for wanted, there in zip(shape_px, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]
