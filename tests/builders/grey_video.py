"""Videos of plain grey pictures, each as bright as it is asked to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np


def write_grey_video(
    path: Path, levels: Sequence[int], *, fps: int = 25, codec: str = "mjpeg", side_px: int = 64
) -> Path:
    """Write a video; the container is told by the name.

    Args:
        path: Where to.
        levels: Brightness of each frame, 0 to 255.
        fps: Frames a second.
        codec: FFmpeg's name of an encoder.
        side_px: Of the square pictures.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = side_px
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for level in levels:
            picture = np.full((side_px, side_px, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
