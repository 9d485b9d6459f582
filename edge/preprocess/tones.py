"""Steps for the numbers of a picture: what becomes of its bytes, in the network's order of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundles.pictures import Keep, Letterbox, Normalize, Offset, PictureStep, Scale

Channels = Literal["RGB", "BGR", "GREY"]


@dataclass(frozen=True, slots=True, eq=False)
class Tones:
    """What becomes of a byte, for each channel: all steps on numbers as one factor and one summand.

    Attributes:
        gain: (channels, 1, 1) float32.
        offset: (channels, 1, 1) float32.
        fill: (channels, 1, 1) float32: what stands in the borders.
    """

    gain: NDArray[np.float32]
    offset: NDArray[np.float32]
    fill: NDArray[np.float32]

    def put(self, planes: NDArray[np.uint8], *, into: NDArray[Any]) -> None:
        """Write planes as the network wants them.

        Args:
            planes: (channels, h, w), in the network's order.
            into: The same shape, uint8, float32 or float16; it need not be contiguous.
        """
        if len(into) > 1 and into.strides[0] == into.itemsize:  # channels last: NumPy took five times as long
            pixels = into.transpose(1, 2, 0)
            if into.dtype == np.uint8:
                cv2.merge(list(planes), dst=pixels)
            elif into.dtype == np.float32:
                cv2.merge(list(planes * self.gain + self.offset), dst=pixels)
            else:
                np.copyto(pixels, cv2.merge(list(planes * self.gain + self.offset)), casting="same_kind")
        elif into.dtype == np.uint8:
            np.copyto(into, planes)
        elif into.dtype == np.float16:  # halves would round twice
            np.copyto(into, planes * self.gain + self.offset, casting="same_kind")
        else:
            np.multiply(planes, self.gain, out=into, dtype=np.float32, casting="unsafe")
            if self.offset.any():
                into += self.offset


def tones(steps: Sequence[PictureStep], *, channels: Channels = "RGB") -> Tones:
    """Fold all steps after the fitting one into one."""
    depth = 1 if channels == "GREY" else 3
    gain, offset, fill = np.ones(depth), np.zeros(depth), np.zeros(depth)
    for step in steps:
        if isinstance(step, Letterbox | Keep):
            fill = _as_channels(step.fill_rgb, channels)
        if isinstance(step, Scale):
            gain, offset = gain / step.divide_by, offset / step.divide_by
        if isinstance(step, Offset):
            offset = offset + np.array(step.add)
        if isinstance(step, Normalize):
            std = np.array(step.std)
            gain, offset = gain / std, (offset - np.array(step.mean)) / std
    shape, fill = (depth, 1, 1), fill * gain + offset
    return Tones(*(row.reshape(shape).astype(np.float32) for row in (gain, offset, fill)))


def _as_channels(rgb: tuple[int, int, int], channels: Channels) -> NDArray[np.float64]:
    """Return a colour as the network's channels have it; grey is its luma (BT.601)."""
    match channels:
        case "RGB":
            return np.array(rgb, np.float64)
        case "BGR":
            return np.array(rgb[::-1], np.float64)
        case "GREY":
            return np.array([round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2])], np.float64)
