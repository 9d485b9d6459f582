"""Pictures to access units, as a camera does it: no frame is held back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from edge.domain.errors import ConfigurationError
from edge.simulate.time_code import TimeCode, band_height_px, draw_time_code

Codec = Literal["h264", "h265", "mjpeg"]
SIDE_PX_MAX, FPS_MAX = 4096, 120
JPEG_SIDE_PX_MAX = 2040  # RFC 2435 counts in blocks of 8, in one byte
_GREY = 128
_ENCODERS: Final = {"h264": "libx264", "h265": "libx265", "mjpeg": "mjpeg"}

Rgb = NDArray[np.uint8]
Planes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """One encoded picture.

    Attributes:
        content: Annex B byte stream (H.264, H.265), or one JPEG.
        is_key: A receiver can begin with it.
        frame_number: As its time code says.
        shown_after_s: How much later it is shown than it is sent; 0 without B frames.
    """

    content: bytes
    is_key: bool
    frame_number: int
    shown_after_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoForm:
    """How a camera encodes.

    Attributes:
        codec: H.264, H.265 or Motion JPEG.
        height_px: To be encoded: 144 to 4096, a multiple of 4.
        width_px: To be encoded: 256 to 4096, a multiple of 8.
        fps: Frames a second, above 0 to 120.
        bit_rate_kbps: Of H.264 and H.265.
        key_interval_s: Time between key frames.
        b_frames: 0 to 3 between two others; only for files, as they hold frames back.
    """

    codec: Codec = "h264"
    height_px: int = 720
    width_px: int = 1280
    fps: float = 25.0
    bit_rate_kbps: int = 3000
    key_interval_s: float = 1.0
    b_frames: int = 0

    @property
    def key_interval(self) -> int:
        """Frames from one key frame to the next."""
        return max(round(self.fps * self.key_interval_s), 1)

    def check(self) -> None:
        """Return where pictures can be drawn and encoded like this.

        Raises:
            ConfigurationError: They cannot.
        """
        has_height = 144 <= self.height_px <= SIDE_PX_MAX and self.height_px % 4 == 0
        has_width = 256 <= self.width_px <= SIDE_PX_MAX and self.width_px % 8 == 0
        if not has_height or not has_width:
            raise ConfigurationError(
                f"a picture of {self.width_px}x{self.height_px}, wanted a width from 256 to {SIDE_PX_MAX} "
                f"that is a multiple of 8, and a height from 144 to {SIDE_PX_MAX} that is a multiple of 4"
            )
        is_too_large = max(self.height_px, self.width_px) > JPEG_SIDE_PX_MAX or self.height_px % 8
        if self.codec == "mjpeg" and is_too_large:
            raise ConfigurationError(
                f"Motion JPEG of {self.width_px}x{self.height_px}: RTP carries up to {JPEG_SIDE_PX_MAX} px, "
                "with sides that are multiples of 8"
            )
        if not 0 < self.fps <= FPS_MAX:
            raise ConfigurationError(f"{self.fps:g} frames a second, wanted more than 0, at most {FPS_MAX}")


def to_planes(picture: Rgb) -> Planes:
    """Convert (height, width, 3) RGB to I420 planes: (height * 3 / 2, width), BT.601 in limited range."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)


def stamp(planes: Planes, code: TimeCode) -> None:
    """Draw a time code into I420 planes; its band has no colour."""
    height_px = planes.shape[0] * 2 // 3
    draw_time_code(planes[:height_px], code)
    half_px = band_height_px(height_px) // 2
    for first in (height_px, height_px * 5 // 4):
        chroma = planes[first : first + height_px // 4].reshape(height_px // 2, -1)
        chroma[:half_px] = _GREY


class Encoder:
    """One encoder; without B frames every picture comes out as soon as it went in."""

    def __init__(self, form: VideoForm) -> None:
        """Choose how.

        Raises:
            ConfigurationError: Nothing can be encoded like this.
        """
        form.check()
        self.form = form
        self._fed = 0
        self._numbers: dict[int, int] = {}  # frame numbers of what is inside, by presentation time
        context = av.CodecContext.create(_ENCODERS[form.codec], "w")
        assert isinstance(context, VideoCodecContext), "a video encoder encodes video"
        context.width, context.height = form.width_px, form.height_px
        context.framerate = Fraction(form.fps).limit_denominator(1001)
        context.time_base = 1 / context.framerate
        context.thread_count = 1
        if form.codec == "mjpeg":
            # RFC 2435 carries no Huffman tables: the receiver knows those of the standard
            context.pix_fmt, context.options = "yuvj420p", {"huffman": "default", "qmin": "3", "qmax": "5"}
        else:
            context.pix_fmt = "yuv420p"
            context.bit_rate = form.bit_rate_kbps * 1000
            context.gop_size, context.max_b_frames = form.key_interval, form.b_frames
            context.options = _options(form)
        self._context = context

    def encode(self, planes: Planes, *, frame_number: int, as_key: bool = False) -> Iterator[AccessUnit]:
        """Encode I420 planes; yields what is ready: without B frames the picture itself."""
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        if self.form.codec == "mjpeg":
            frame = frame.reformat(format="yuvj420p", src_color_range="MPEG", dst_color_range="JPEG")
        frame.pts = self._fed
        frame.pict_type = PictureType.I if as_key or self._fed == 0 else PictureType.NONE
        self._numbers[self._fed] = frame_number
        self._fed += 1
        yield from self._units(frame)

    def rest(self) -> Iterator[AccessUnit]:
        """Yield what the encoder still holds; it takes nothing more."""
        yield from self._units(None)

    def _units(self, frame: av.VideoFrame | None) -> Iterator[AccessUnit]:
        for packet in self._context.encode(frame):
            assert packet.pts is not None, "what has been encoded has a time"
            assert packet.dts is not None, "what has been encoded has a time"
            yield AccessUnit(
                content=bytes(packet),
                is_key=packet.is_keyframe,
                frame_number=self._numbers.pop(packet.pts),
                shown_after_s=(packet.pts - packet.dts) / self.form.fps,
            )


def _options(form: VideoForm) -> dict[str, str]:
    """Return options of x264 and x265: what a camera would choose, and one slice a frame."""
    inner = f"keyint={form.key_interval}:min-keyint=1:scenecut=0:bframes={form.b_frames}:repeat-headers=1"
    if form.codec == "h265":
        return {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "x265-params": f"{inner}:log-level=none:pools=none:frame-threads=1:open-gop=0",
        }
    options = {"preset": "ultrafast", "forced-idr": "1", "x264-params": inner}
    return options if form.b_frames else {**options, "tune": "zerolatency"}
