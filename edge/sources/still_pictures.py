"""A still picture as a camera would have given it: the same form, converted and scaled in the same way."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from edge.sources.camera_picture import Scaler, VideoPicture


def picture_of(rgb: NDArray[np.uint8]) -> VideoPicture:
    """Return a `Picture` over (height, width, 3) uint8 RGB; a model sees it as it sees a frame of a video."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    return VideoPicture(frame, scaler=Scaler())
