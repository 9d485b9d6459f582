"""The pictures of a file on disk, a still or a video, as a camera would have given them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av

from edge.domain.errors import FormatError
from edge.sources.camera_picture import Scaler, VideoPicture

_FILES_ONLY = {"protocol_whitelist": "file"}  # a playlist in disguise opens nothing else
_FPS_ASSUMED = 25  # where a stream has no times


def read_pictures(path: Path, *, per_second: float) -> Iterator[tuple[float, VideoPicture]]:
    """Decode a still, or a video from which only some frames are taken.

    Args:
        path: What to read.
        per_second: Frames of a video that are taken in each second, above 0; the rest is decoded and let go.

    Yields:
        Seconds since the beginning, and the picture.

    Raises:
        FormatError: It cannot be decoded, or no picture is in it.
    """
    scaler = Scaler()
    due_s: float | None = None
    try:
        with av.open(f"file:{path}", options=_FILES_ONLY) as container:
            if not container.streams.video:
                raise FormatError(f"{path.name}: no picture is in it")
            for number, frame in enumerate(container.decode(video=0)):
                at_s = frame.time if frame.time is not None else number / _FPS_ASSUMED
                if due_s is not None and at_s < due_s:
                    continue
                due_s = (at_s if due_s is None else due_s) + 1 / per_second
                yield at_s, VideoPicture(frame, scaler=scaler)
    except (av.error.FFmpegError, OSError) as trouble:
        raise FormatError(f"{path.name}: cannot be read: {trouble.strerror or trouble}") from trouble
    if due_s is None:
        raise FormatError(f"{path.name}: no picture is in it")
