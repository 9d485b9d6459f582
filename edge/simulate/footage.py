"""Where the pictures of a camera come from: a scene drawn and encoded now, or a recording that goes round."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, Self

import av
import numpy as np

from edge.simulate.encoding import AccessUnit, Encoder, Planes, Rgb, VideoForm, stamp, to_planes
from edge.simulate.rtp import payloads
from edge.simulate.scenes import SceneName, scene
from edge.simulate.stream import Shot
from edge.simulate.textures import blurred
from edge.simulate.time_code import FRAME_NUMBER_MAX, TimeCode

STILL_FRAMES = 25
_DECODERS = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg"}


class LiveFootage:
    """A scene that is drawn and encoded as it is asked for, with the time in the picture."""

    def __init__(
        self,
        scene_name: SceneName,
        form: VideoForm,
        *,
        clock: Literal["monotonic", "utc"] = "monotonic",
        has_time_code: bool = True,
        blur_px: float = 0.0,
        seed: int = 1,
    ) -> None:
        """Choose what is seen.

        Args:
            scene_name: What is drawn.
            form: How it is encoded, without B frames.
            clock: Whose time is in the picture.
            has_time_code: Whether there is one at all.
            blur_px: Standard deviation of the blur, as of a lens that is fogged; 0 for none.
            seed: Of the scene.

        Raises:
            ConfigurationError: Nothing can be encoded like this.
        """
        assert form.b_frames == 0, "a live encoder holds no frame back"
        self._scene_name: SceneName = scene_name
        self._form, self._blur_px, self._seed = form, blur_px, seed
        self._encoder = Encoder(form)
        self._scene = scene(scene_name, height_px=form.height_px, width_px=form.width_px, seed=seed)
        self._clock: Literal["monotonic", "utc"] = clock
        self._has_time_code = has_time_code
        self._number = 0
        self._started_s: float | None = None
        self._next: Planes | None = None
        self._shown: Planes | None = None

    @property
    def form(self) -> VideoForm:
        """How it is encoded."""
        return self._form

    def first(self) -> bytes:
        """Return a key frame of an encoder like ours."""
        unit = next(Encoder(self._form).encode(self._draw(0.0), frame_number=0))
        return unit.content

    def make_ready(self) -> None:
        """Draw the next picture; what is left when it is due is its time code."""
        now_s = time.monotonic()
        if self._started_s is None:
            self._started_s = now_s
        if self._next is None:
            self._next = self._draw(now_s - self._started_s)

    def take(self, *, as_key: bool) -> Shot:
        """Encode the picture that is ready."""
        self.make_ready()
        planes, self._next = self._next, None
        assert planes is not None, "a picture was made ready"
        number = self._number
        self._number = (number + 1) & FRAME_NUMBER_MAX
        captured_s = time.monotonic()
        if self._has_time_code:
            stamp(planes, self._now(number))
        self._shown = planes
        unit = next(self._encoder.encode(planes, frame_number=number, as_key=as_key))
        return Shot(unit, payloads(unit.content, self._form.codec), captured_s)

    def present(self) -> Planes:
        """Return what was shown last, as I420 planes."""
        return self._draw(0.0) if self._shown is None else self._shown.copy()

    def varied(self, *, form: VideoForm | None = None, blur_px: float = 0.0) -> LiveFootage:
        """Return the same scene at another size, or blurred."""
        return LiveFootage(
            self._scene_name,
            form or self._form,
            clock=self._clock,
            has_time_code=self._has_time_code,
            blur_px=blur_px,
            seed=self._seed,
        )

    def _now(self, number: int) -> TimeCode:
        now_ns = time.monotonic_ns() if self._clock == "monotonic" else time.time_ns()
        return TimeCode(frame_number=number, clock=self._clock, time_us=now_ns // 1000)

    def _draw(self, at_s: float) -> Planes:
        picture = self._scene.picture(at_s)
        if self._blur_px:
            picture = blurred(picture, self._blur_px)
        return to_planes(picture)


class Recording:
    """Access units in memory that go round, cut into packets once; sending them costs next to nothing."""

    def __init__(self, units: Iterable[AccessUnit], form: VideoForm) -> None:
        """Keep a recording.

        Args:
            units: At least one, in the order of sending; the first is a key frame.
            form: How they are encoded.
        """
        self._form = form
        self._shots = [Shot(unit, payloads(unit.content, form.codec)) for unit in units]
        assert self._shots, "a recording has a picture"
        assert self._shots[0].unit.is_key, "a recording begins with a key frame"
        self._at = 0

    @classmethod
    def of(cls, pictures: Iterable[Planes], form: VideoForm) -> Self:
        """Encode pictures, as I420 planes."""
        return cls(encoded(pictures, form), form)

    @property
    def form(self) -> VideoForm:
        """How it is encoded."""
        return self._form

    @property
    def units(self) -> Sequence[AccessUnit]:
        """All of it."""
        return [shot.unit for shot in self._shots]

    def first(self) -> bytes:
        """Return the first key frame."""
        return self._shots[0].unit.content

    def make_ready(self) -> None:
        """Nothing is left to do."""

    def take(self, *, as_key: bool) -> Shot:
        """Return the next picture; for a key frame, go on to the next one there is."""
        while as_key and not self._shots[self._at].unit.is_key:
            self._at = (self._at + 1) % len(self._shots)
        shot = self._shots[self._at]
        self._at = (self._at + 1) % len(self._shots)
        return shot

    def present(self) -> Planes:
        """Return what was shown last, as I420 planes: decoded from the key frame before it."""
        last = (self._at - 1) % len(self._shots)
        key = max(number for number in range(last + 1) if self._shots[number].unit.is_key)
        decoder = av.CodecContext.create(_DECODERS[self._form.codec], "r")
        assert isinstance(decoder, av.VideoCodecContext), "a video decoder decodes video"
        shown: Planes | None = None
        for shot in [*self._shots[key : last + 1], None]:
            packet = None if shot is None else av.Packet(shot.unit.content)
            for frame in decoder.decode(packet):
                shown = np.asarray(frame.reformat(format="yuv420p").to_ndarray(), dtype=np.uint8)
        assert shown is not None, "a key frame gives a picture"
        return shown


def still(picture: Planes, form: VideoForm) -> Recording:
    """Return a recording of one picture that does not move: a frozen, black or blinded camera."""
    return Recording.of((picture for _ in range(STILL_FRAMES)), replace(form, b_frames=0))


def plain(level: int, form: VideoForm) -> Planes:
    """Return a grey picture as I420 planes: 16 is black, 235 is white."""
    planes = np.full((form.height_px * 3 // 2, form.width_px), 128, np.uint8)
    planes[: form.height_px] = level
    return planes


def drawn(
    scene_name: SceneName, form: VideoForm, *, frames: int, seed: int = 1, has_time_code: bool = True
) -> Iterator[Planes]:
    """Draw pictures of a scene; the time code of each has its frame number."""
    shown = scene(scene_name, height_px=form.height_px, width_px=form.width_px, seed=seed)
    for number in range(frames):
        picture: Rgb = shown.picture(number / form.fps)
        planes = to_planes(picture)
        if has_time_code:
            stamp(planes, TimeCode(frame_number=number))
        yield planes


def encoded(pictures: Iterable[Planes], form: VideoForm) -> Iterator[AccessUnit]:
    """Encode pictures in their order; frame numbers count from 0."""
    encoder = Encoder(form)
    for number, planes in enumerate(pictures):
        yield from encoder.encode(planes, frame_number=number)
    yield from encoder.rest()
