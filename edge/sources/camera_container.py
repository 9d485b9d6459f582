"""Video in a container, opened with PyAV: what a stream over HTTP and a file have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer

from edge.domain.errors import SourceLostError

_FPS_MAX = 1000
_ALONE = frozenset({"mjpeg", "png", "rawvideo"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenVideo:
    """The first video track of a container.

    Attributes:
        container: Open.
        stream: Its track.
        frames_per_s: As the container says, or None.
        stands_alone: Every picture can be decoded by itself.
    """

    container: InputContainer
    stream: av.VideoStream
    frames_per_s: float | None
    stands_alone: bool

    def packets(self) -> Iterator[av.Packet[av.VideoStream]]:
        """Yield its packets; the empty one at the end is left out.

        Raises:
            av.FFmpegError: It cannot be read any further.
        """
        for packet in self.container.demux(self.stream):
            if packet.size:
                yield packet

    def seconds(self, packet: av.Packet[av.VideoStream]) -> float | None:
        """Return when a packet is shown, in seconds of its own clock; None where it does not say."""
        timestamp = packet.pts if packet.pts is not None else packet.dts
        time_base = packet.time_base or self.stream.time_base
        return None if timestamp is None or time_base is None else float(timestamp * time_base)


@contextmanager
def opened(
    target: str, *, where: str, options: Mapping[str, str], open_s: float, silence_s: float
) -> Iterator[OpenVideo]:
    """Open a container and its first video track.

    Args:
        target: An address or a path; may hold a password.
        where: The same for messages, without it.
        options: For FFmpeg.
        open_s: Time it may take.
        silence_s: Time each packet may take.

    Raises:
        SourceLostError: It cannot be opened, or holds no video that we can decode.
    """
    try:
        container = av.open(target, options=dict(options), timeout=(open_s, silence_s))
    except (av.FFmpegError, OSError) as trouble:
        raise SourceLostError(f"{where}: cannot be opened: {words(trouble)}") from None
    with container:
        if not container.streams.video:
            raise SourceLostError(f"{where}: holds no video")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise SourceLostError(f"{where}: its video is in a codec that we do not have")
        yield OpenVideo(
            container=container,
            stream=stream,
            frames_per_s=_rate(stream.average_rate),
            stands_alone=stream.codec_context.name in _ALONE,
        )


def words(trouble: OSError | av.FFmpegError) -> str:
    """Say what happened; the whole message would repeat the address, and a password in it."""
    if isinstance(trouble, av.error.ExitError):
        return "nothing came in the time it was given"
    return trouble.strerror or type(trouble).__name__


def _rate(rate: Fraction | None) -> float | None:
    return float(rate) if rate and 0 < rate <= _FPS_MAX else None
