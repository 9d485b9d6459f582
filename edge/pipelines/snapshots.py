"""Pictures of cameras for a person: only where the privacy gate is open, with what was seen drawn in."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import PixelsHeldBackError
from edge.domain.finding import Observation
from edge.domain.frame import Frame, Thermogram
from edge.findings.gate import Gate
from edge.pipelines.looked import Looked

Rgb = NDArray[np.uint8]
BLOCKS = 24  # a picture of 24 blocks across shows nobody's face
JPEG_QUALITY = 85
_GREEN = (80, 220, 120)


class Gatekeeper:
    """Tells a gate what the pipeline that guards a camera has seen."""

    def __init__(self, gate: Gate, *, bundle_sha256: str) -> None:
        """Store the gate, and which weights speak where an answer does not say so."""
        self._gate = gate
        self._bundle_sha256 = bundle_sha256

    def assessed(self, frame: Frame, looked: Looked) -> None:
        """Pass the score on; an answer without one shuts the gate."""
        scores = [one.score for one in looked.observations if one.score is not None]
        if len(scores) != 1:
            self._gate.shut(f"{len(scores)} scores for one picture, wanted one")
            return
        spoke = looked.stamp.sha256 if looked.stamp else self._bundle_sha256
        self._gate.look(scores[0], bundle_sha256=spoke, captured_at_ns=frame.captured_at_ns)

    def missed(self, reason: str) -> None:
        """Shut the gate."""
        self._gate.shut(reason)


class Album:
    """Keeps the newest assessed frame of each camera, and gives its picture out where that is allowed.

    Args:
        gates: Of the cameras whose pictures may leave at all, by name.
        blur: What is made unrecognisable before a picture leaves; `everything` leaves coarse blocks.
    """

    def __init__(self, gates: Mapping[str, Gate], *, blur: Literal["nothing", "everything"]) -> None:
        self._gates = gates
        self._blur = blur
        self._lock = threading.Lock()
        self._newest: dict[str, tuple[Frame, Looked]] = {}

    def assessed(self, frame: Frame, looked: Looked) -> None:
        """Keep the newest."""
        with self._lock:
            self._newest[frame.source] = frame, looked

    def missed(self, reason: str) -> None:
        """Nothing is kept of what was not assessed."""

    def snapshot(self, source: str) -> Rgb:
        """Return the newest assessed picture of a camera, (height, width, 3) RGB.

        Raises:
            PixelsHeldBackError: Its pictures never leave, the gate is shut, or there is no picture.
        """
        gate = self._gates.get(source)
        if gate is None:
            raise PixelsHeldBackError(
                f"{source}: its pictures never leave; wanted snapshots: gated, and a pipeline that guards it"
            )
        with self._lock:
            newest = self._newest.get(source)
        if newest is None:
            raise PixelsHeldBackError(f"{source}: no picture was assessed yet")
        frame, looked = newest
        passage = gate.passage(captured_at_ns=frame.captured_at_ns)
        if not passage.is_open:
            raise PixelsHeldBackError(f"{source}: counts as {passage.side}: {passage.reason}")
        if isinstance(frame.content, Thermogram):
            raise PixelsHeldBackError(f"{source}: shows no colours")
        picture = frame.content.rgb()
        if self._blur == "everything":
            picture = coarse(picture)
        return with_observations(picture, looked.observations)


def coarse(picture: Rgb) -> Rgb:
    """Return a picture of which only `BLOCKS` blocks across are left."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (BLOCKS, max(1, BLOCKS * height // width)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def with_observations(picture: Rgb, observations: tuple[Observation, ...]) -> Rgb:
    """Draw boxes, and what holds for the whole picture, into a copy."""
    drawn = picture.copy()
    height = drawn.shape[0]
    size = max(0.4, height / 900)
    line = 0
    for one in observations:
        words = f"{one.code.meaning}: {one.verdict.value}" + (
            "" if one.score is None else f" {one.score:.2f}"
        )
        if one.box_px is None:
            line += 1
            place = (round(12 * size), round(30 * size * line))
        else:
            left, top, wide, high = (round(edge) for edge in one.box_px)
            cv2.rectangle(drawn, (left, top), (left + wide, top + high), _GREEN, max(1, round(2 * size)))
            place = (left, max(round(14 * size), top - 4))
        for colour, thick in (((0, 0, 0), 3), (_GREEN, 1)):
            cv2.putText(
                drawn,
                words,
                place,
                cv2.FONT_HERSHEY_SIMPLEX,
                size,
                colour,
                max(1, round(thick * size)),
                cv2.LINE_AA,
            )
    return np.asarray(drawn, np.uint8)


def to_jpeg(picture: Rgb, *, bytes_max: int) -> bytes:
    """Encode a picture, (height, width, 3) RGB, smaller and smaller until it fits."""
    while True:
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        is_done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        assert is_done, "a picture can be encoded"
        if encoded.size <= bytes_max or min(picture.shape[:2]) < 2 * BLOCKS:
            return encoded.tobytes()
        half = (picture.shape[1] // 2, picture.shape[0] // 2)
        picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8)


def to_png(picture: Rgb) -> bytes:
    """Encode a picture, (height, width, 3) RGB."""
    is_done, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert is_done, "a picture can be encoded"
    return encoded.tobytes()
