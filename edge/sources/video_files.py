"""Whether a file is a video, told by opening it, and how long it says it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer

from edge.domain.errors import FormatError, UnsupportedError

ENDS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts"),
    *(".wmv", ".asf", ".flv", ".mxf", ".ogv", ".3gp", ".vob", ".dv", ".mjpeg", ".mjpg", ".h264", ".264"),
    *(".h265", ".265", ".hevc"),
)
"""What such files are usually called."""

HEAD_BYTES = 1024
_CONTAINERS = frozenset(
    (
        *("mov", "mp4", "matroska", "webm", "mpegts", "avi", "mpeg", "mpegvideo", "asf", "flv", "mxf", "ogg"),
        *("dv", "h264", "hevc", "mjpeg"),
    )
)
_OPTIONS = {"protocol_whitelist": "file"}  # a playlist in disguise opens nothing else
_WITHIN_S = (20.0, 20.0)
_BEGINS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"0&\xb2u\x8ef\xcf\x11",  # ASF
    b"FLV\x01",
    b"OggS",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01",  # MXF
)
_STILLS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")  # photographs in the boxes of MP4
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_TS_PACKETS = ((0, 188), (4, 192))  # the second has a time before each packet


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutVideo:
    """What a container says about its first video track.

    Attributes:
        codec: FFmpeg's name.
        length_s: As the container announces it, or None; measured by nobody.
        frames: As the container announces them, or None.
        frames_per_s: Or None.
    """

    codec: str
    length_s: float | None
    frames: int | None
    frames_per_s: float | None

    @property
    def frames_likely(self) -> int | None:
        """How many frames there are, as announced, or reckoned from length and rate; None: not known."""
        if self.frames is not None or self.length_s is None or self.frames_per_s is None:
            return self.frames
        return round(self.length_s * self.frames_per_s)


def begins_like_video(head: bytes) -> bool:
    """Whether a file with these first bytes, up to `HEAD_BYTES`, may be a container for video."""
    is_riff = head[:4] == b"RIFF" and head[8:11] == b"AVI"
    is_ts = any(
        len(head) > at + 2 * step and all(head[at + n * step] == 0x47 for n in range(3))
        for at, step in _TS_PACKETS
    )
    is_mp4 = head[4:8] in _MP4_BOXES and head[8:12] not in _STILLS
    return head.startswith(_BEGINS) or is_riff or is_ts or is_mp4


def about(path: Path) -> AboutVideo:
    """Open a video and say what it is; nothing is decoded.

    Raises:
        FormatError: It cannot be opened, or is no video.
        UnsupportedError: It holds sound only, or video in a codec that this build does not have.
    """
    try:
        with av.open(f"file:{path}", options=_OPTIONS, timeout=_WITHIN_S) as container:
            return _about(container, path)
    except (av.FFmpegError, OSError) as trouble:
        raise FormatError(f"{path.name}: no video that can be opened: {trouble.strerror}") from None


def _about(container: InputContainer, path: Path) -> AboutVideo:
    if not _CONTAINERS & set(container.format.name.split(",")):
        raise FormatError(f"{path.name}: {container.format.name}, wanted a container for video")
    if not container.streams.video:
        raise UnsupportedError(f"{path.name}: holds no video")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise UnsupportedError(f"{path.name}: its video is in a codec that we do not have")
    rate = float(stream.average_rate) if stream.average_rate else None
    length_s = None
    if stream.duration is not None and stream.time_base is not None:
        length_s = float(stream.duration * stream.time_base)
    elif container.duration is not None and len(container.streams) == 1:
        length_s = container.duration / av.time_base
    return AboutVideo(
        codec=stream.codec_context.name,
        length_s=length_s,
        frames=stream.frames or None,
        frames_per_s=rate,
    )
