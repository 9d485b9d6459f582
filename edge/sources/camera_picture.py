"""A picture as its decoder left it: converted and scaled in one pass, and only when somebody looks."""

from __future__ import annotations

import threading

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_HEIGHT_PX = 720  # from here on what names no matrix is BT.709, below BT.601, as everybody assumes
_KINDS_MAX = 16


class Scaler:
    """Keeps what swscale set up, for each thread and conversion: setting up costs a frame's time."""

    def __init__(self) -> None:
        self._mine = threading.local()

    def scale(self, frame: av.VideoFrame, *, height_px: int, width_px: int, kind: str) -> av.VideoFrame:
        """Return the frame in another size and pixel format, with the matrix and range it was made with."""
        kept: dict[tuple[int, int, str], VideoReformatter] = self._mine.__dict__.setdefault("kept", {})
        key = height_px, width_px, kind
        if key not in kept:
            if len(kept) >= _KINDS_MAX:
                kept.clear()
            kept[key] = VideoReformatter()
        is_hd = frame.colorspace == _UNSPECIFIED and frame.height >= _HD_HEIGHT_PX
        return kept[key].reformat(
            frame,
            width=width_px,
            height=height_px,
            format=kind,
            src_colorspace=Colorspace.ITU709 if is_hd else None,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA,  # the fast one moves boxes by a pixel of the source
            threads=1,
        )


class VideoPicture:
    """A `Picture` over a decoded frame; safe to look at from several threads."""

    __slots__ = ("_frame", "_lock", "_scaler")

    def __init__(self, frame: av.VideoFrame, *, scaler: Scaler) -> None:
        """Keep the frame; nobody may write into it from now on.

        Args:
            frame: As decoded.
            scaler: Of the source; shared by all its pictures.
        """
        self._frame = frame
        self._scaler = scaler
        self._lock = threading.Lock()  # PyAV changes the frame's colour tags while it converts

    @property
    def shape_px(self) -> tuple[int, int]:
        """(height, width) as it was captured."""
        return self._frame.height, self._frame.width

    def planes(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """Return (3, height_px, width_px) uint8 planes, R, G, B: converted and scaled in one pass."""
        scaled = self._scaled("gbrp", height_px, width_px)
        planes = np.empty((3, height_px, width_px), np.uint8)
        for plane, channel in zip(scaled.planes, (1, 2, 0), strict=True):  # G, B, R
            planes[channel] = _rows(plane, height_px)[:, :width_px]
        return planes

    def rgb(self) -> NDArray[np.uint8]:
        """Return (height, width, 3) uint8 RGB at full size."""
        height_px, width_px = self.shape_px
        scaled = self._scaled("rgb24", height_px, width_px)
        return np.array(_rows(scaled.planes[0], height_px)[:, : 3 * width_px]).reshape(height_px, width_px, 3)

    def luma(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """Return (height_px, width_px) uint8 brightness, 0 to 255; only the Y plane is read."""
        scaled = self._scaled("gray", height_px, width_px)
        return np.array(_rows(scaled.planes[0], height_px)[:, :width_px])

    def _scaled(self, kind: str, height_px: int, width_px: int) -> av.VideoFrame:
        with self._lock:
            return self._scaler.scale(self._frame, height_px=height_px, width_px=width_px, kind=kind)


def _rows(plane: VideoPlane, height_px: int) -> NDArray[np.uint8]:
    """View a plane, (height_px, bytes of a line)."""
    return np.asarray(memoryview(plane), np.uint8)[: plane.line_size * height_px].reshape(height_px, -1)
