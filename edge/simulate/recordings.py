"""Pre-encoded footage in files: made once from a scene, read into memory, looped by the server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.video.stream import VideoStream

from edge.domain.errors import ConfigurationError, FormatError, UnsupportedError
from edge.simulate.encoding import AccessUnit, Codec, VideoForm
from edge.simulate.footage import Recording, drawn, encoded
from edge.simulate.scenes import CASE_S, SceneName

RECORDING_BYTES_MAX = 512 * 1024 * 1024
RENDERING = 1  # part of the names of cached files: counts up when the scenes change
_CONTAINERS: Final = {"h264": ".ts", "h265": ".ts", "mjpeg": ".mkv"}
_NAMES: Final[dict[Codec, str]] = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg"}
_ANNEX_B: Final = {"h264": "h264_mp4toannexb", "h265": "hevc_mp4toannexb"}


def prepare(
    path: Path,
    *,
    scene_name: SceneName,
    form: VideoForm,
    duration_s: float | None = None,
    seed: int = 1,
    has_time_code: bool = True,
) -> Path:
    """Draw and encode a scene into a file.

    Args:
        path: `.ts` for H.264 and H.265, `.mkv` for Motion JPEG; replaced when it is whole.
        scene_name: What is drawn.
        form: How it is encoded; B frames are allowed here.
        duration_s: How long it is; by default a whole round of `case`, 10 s of the others.
        seed: Of the scene.
        has_time_code: Whether each picture says its frame number.

    Raises:
        ConfigurationError: The name does not fit the codec, or nothing can be encoded like this.
    """
    wanted = _CONTAINERS[form.codec]
    if path.suffix != wanted:
        raise ConfigurationError(f"{path.name}: {form.codec} is written to files that end with {wanted}")
    length_s = duration_s or (CASE_S[-1] if scene_name == "case" else 10.0)
    frames = max(round(length_s * form.fps), 1)
    pictures = drawn(scene_name, form, frames=frames, seed=seed, has_time_code=has_time_code)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        _write(unfinished, encoded(pictures, form), form)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def prepared(
    folder: Path,
    *,
    scene_name: SceneName,
    form: VideoForm,
    duration_s: float | None = None,
    seed: int = 1,
    has_time_code: bool = True,
) -> Path:
    """Return a file as `prepare` makes it, from the folder where it is there already."""
    size = f"{form.width_px}x{form.height_px}-{form.fps:g}fps-{form.bit_rate_kbps}k"
    how = f"{form.codec}-key{form.key_interval}-b{form.b_frames}"
    length = ("" if duration_s is None else f"-{duration_s:g}s") + ("" if has_time_code else "-plain")
    name = f"{scene_name}{length}-{size}-{how}-seed{seed}-v{RENDERING}{_CONTAINERS[form.codec]}"
    path = folder / name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        prepare(
            path,
            scene_name=scene_name,
            form=form,
            duration_s=duration_s,
            seed=seed,
            has_time_code=has_time_code,
        )
    return path


def load(path: Path) -> Recording:
    """Read the video of a file into memory: one that `prepare` made, or any with H.264, H.265 or Motion JPEG.

    Raises:
        FormatError: It cannot be read, or is larger than 512 MiB.
        UnsupportedError: It has no video of a codec that a camera would send.
    """
    try:
        if path.stat().st_size > RECORDING_BYTES_MAX:
            raise FormatError(f"{path.name}: larger than {RECORDING_BYTES_MAX >> 20} MiB, which memory takes")
        with av.open(str(path)) as container:
            form = _form(container, path)
            units = list(_units(container, form))
    except (av.FFmpegError, OSError) as trouble:
        raise FormatError(f"{path.name}: cannot be read: {trouble.strerror}") from trouble
    first = next((number for number, unit in enumerate(units) if unit.is_key), None)
    if first is None:
        raise FormatError(f"{path.name}: has no key frame")
    return Recording(units[first:], form)


def _write(path: Path, units: Iterator[AccessUnit], form: VideoForm) -> None:
    rate = Fraction(form.fps).limit_denominator(1001)
    with av.open(str(path), "w") as container:
        stream = container.add_mux_stream(
            _NAMES[form.codec], rate=rate, width=form.width_px, height=form.height_px
        )
        for number, unit in enumerate(units):
            packet = av.Packet(unit.content)
            packet.stream = stream
            packet.time_base = 1 / rate
            packet.dts = number
            packet.pts = number + round(unit.shown_after_s * form.fps)
            packet.duration = 1
            packet.is_keyframe = unit.is_key
            container.mux(packet)


def _form(container: InputContainer, path: Path) -> VideoForm:
    streams = container.streams.video
    codecs = {name: codec for codec, name in _NAMES.items()}
    if not streams or streams[0].codec_context.name not in codecs:
        seen = streams[0].codec_context.name if streams else "none"
        raise UnsupportedError(f"{path.name}: its video is {seen}, wanted H.264, H.265 or Motion JPEG")
    video = streams[0]
    rate = video.average_rate or video.guessed_rate or Fraction(25)
    return VideoForm(
        codec=codecs[video.codec_context.name],
        height_px=video.codec_context.height,
        width_px=video.codec_context.width,
        fps=float(rate),
    )


def _units(container: InputContainer, form: VideoForm) -> Iterator[AccessUnit]:
    """Yield access units in the order of the file, with frame numbers in the order of showing."""
    video = container.streams.video[0]
    packets = [packet for packet in _annex_b(container, video, form) if packet.size]
    start = min(packet.pts for packet in packets if packet.pts is not None)
    dts_first = packets[0].dts
    for number, packet in enumerate(packets):
        assert packet.pts is not None, "a container gives times"
        assert packet.time_base is not None, "a container gives times"
        shown_s = float((packet.pts - start) * packet.time_base)
        late_s = 0.0 if dts_first is None else float((start - dts_first) * packet.time_base)
        yield AccessUnit(
            content=bytes(packet),
            is_key=packet.is_keyframe,
            frame_number=round(shown_s * form.fps),
            shown_after_s=max(round(late_s * form.fps) + round(shown_s * form.fps) - number, 0) / form.fps,
        )


def _annex_b(
    container: InputContainer, video: VideoStream, form: VideoForm
) -> Iterator[av.Packet[VideoStream]]:
    """Demultiplex; what lies in boxes (MP4, Matroska) becomes a byte stream with its parameter sets."""
    extradata = video.codec_context.extradata
    if form.codec == "mjpeg" or not extradata or extradata[0] != 1:
        yield from container.demux(video)
        return
    unpack = BitStreamFilterContext(_ANNEX_B[form.codec], video)
    for packet in container.demux(video):
        if packet.size:
            yield from unpack.filter(packet)
