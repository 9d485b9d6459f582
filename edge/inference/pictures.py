"""Models that judge whole pictures: fit, ask the network, decode to scores; and their golden check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.picture_classification import Letterbox, PictureClassification, PictureOutput
from edge.bundles.store import Bundle
from edge.domain.answer import Scores
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.domain.finding import ModelStamp
from edge.domain.frame import Picture
from edge.domain.geometry import Geometry
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.golden import Agreement, golden_path, read_arrays
from edge.inference.pool import Pool
from edge.inference.session import Session, check_form
from edge.preprocess.pictures import letterbox, stretch, tones


class Canvas:
    """A network's input for pictures, filled again for each; one caller at a time.

    Args:
        manifest: Says size, type and steps.
    """

    def __init__(self, manifest: PictureClassification) -> None:
        given = manifest.input
        self._shape_px = (given.height_px, given.width_px)
        self._place = letterbox if isinstance(manifest.preprocessing[0], Letterbox) else stretch
        self._tones = tones(manifest.preprocessing)
        self._geometry: Geometry | None = None
        self.pixels: NDArray[Any] = np.zeros((1, 3, *self._shape_px), given.dtype)

    def draw(self, picture: Picture) -> Geometry:
        """Convert, scale and place a picture in one pass.

        Returns:
            The way back from the canvas to the picture.

        Raises:
            PictureRejectedError: It is no picture that can be placed.
        """
        geometry = self._geometry
        if geometry is None or geometry.source_shape_px != picture.shape_px:
            geometry = self._place(picture.shape_px, input_shape_px=self._shape_px)
            self.pixels[:] = self._tones.fill  # where the last one lay, another may leave a border
            self._geometry = geometry
        rows = slice(geometry.top_px, geometry.top_px + geometry.height_px)
        columns = slice(geometry.left_px, geometry.left_px + geometry.width_px)
        planes = picture.planes(height_px=geometry.height_px, width_px=geometry.width_px)
        self._tones.put(planes, into=self.pixels[0, :, rows, columns])
        return geometry

    def paste(self, planes: NDArray[np.uint8]) -> None:
        """Fill the whole canvas with planes, (3, height, width), that were fitted before."""
        self._tones.put(planes, into=self.pixels[0])
        self._geometry = None


class PictureClassifier:
    """A bundle as a `PictureModel`; as many callers at once as it has sessions.

    Args:
        manifest: Of the bundle.
        sessions: Warm, at least one; closed with the model.
        stamp: Which weights speak.
        clock: Measures, and times deadlines.
    """

    def __init__(
        self,
        manifest: PictureClassification,
        *,
        sessions: Sequence[Session],
        stamp: ModelStamp,
        clock: Clock,
    ) -> None:
        self.stamp = stamp
        self._output = manifest.output
        self._names = tuple(one.name for one in manifest.output.classes)
        self._clock = clock
        self._pool = Pool([(session, Canvas(manifest)) for session in sessions], name=manifest.name)

    def look(self, picture: Picture, *, deadline_s: float) -> Scores:
        """Score the classes; trouble is an exception.

        Raises:
            PictureRejectedError: The picture is not something the model can honestly work on.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed.
        """
        deadline = Deadline(self._clock, deadline_s)
        with self._pool.seat(deadline) as (session, canvas):
            began_ns = self._clock.monotonic_ns()
            canvas.draw(picture)
            drawn_ns = self._clock.monotonic_ns()
            raw = session.run(canvas.pixels, deadline)[self._output.name]
            asked_ns = self._clock.monotonic_ns()
        values = scores(raw, self._output)
        decoded_ns = self._clock.monotonic_ns()
        latency_ms = {
            "preprocess": (drawn_ns - began_ns) / 1e6,
            "infer": (asked_ns - drawn_ns) / 1e6,
            "decode": (decoded_ns - asked_ns) / 1e6,
        }
        return Scores(names=self._names, values=values, latency_ms=MappingProxyType(latency_ms))

    def close(self) -> None:
        """Free the network, after whoever is using it."""
        for session, _ in self._pool.drain():
            session.close()


def scores(raw: NDArray[Any], output: PictureOutput) -> NDArray[np.float32]:
    """Decode what a network said about one picture.

    Args:
        raw: Of the graph.
        output: Of the manifest.

    Returns:
        (classes,) float32, 0 to 1.

    Raises:
        InferenceError: It is not what the manifest promises.
    """
    check_form(raw, shape=(1, len(output.classes)), dtype=np.float32, name=output.name)
    row = raw[0].astype(np.float64)
    if output.decoder == "softmax":
        powers = np.exp(row - row.max())
        row = powers / powers.sum()
    elif output.decoder == "sigmoid":
        row = 0.5 * (1 + np.tanh(0.5 * row))  # the same as 1 / (1 + exp(-x)), and never overflows
    elif row.min() < -ROUNDING or row.max() > 1 + ROUNDING:
        raise InferenceError(
            f"output {output.name!r} holds {row.min():g} to {row.max():g}, wanted probabilities, 0 to 1"
        )
    return np.asarray(row.clip(0, 1), np.float32)


ROUNDING = 1e-3  # a probability may leave 0 to 1 by so much in low precision


@dataclass(frozen=True, slots=True, eq=False)
class PictureExam:
    """Fitted pictures, (n, 3, h, w) uint8, and the scores they must get, (n, classes)."""

    images: NDArray[np.uint8]
    scores: NDArray[np.float32]
    manifest: PictureClassification

    def answers(self, session: Session, deadline: Deadline) -> list[NDArray[Any]]:
        """Return the scores of each picture.

        Raises:
            InferenceError: The runtime failed, or an answer is not what was promised.
        """
        canvas, output = Canvas(self.manifest), self.manifest.output
        each = []
        for image in self.images:
            canvas.paste(image)
            each.append(scores(session.run(canvas.pixels, deadline)[output.name], output))
        return each

    def agreement(self, answers: list[NDArray[Any]]) -> Agreement:
        """Compare by the score that is farthest off."""
        error, wanted = float(np.abs(np.stack(answers) - self.scores).max()), self.manifest.golden
        is_near = error <= wanted.score_error_max
        shortfall = f"golden check: a score is off by {error:.4f}, wanted at most {wanted.score_error_max:g}"
        return Agreement({"score_error": error}, "" if is_near else shortfall)

    def against(self, answers: list[NDArray[Any]]) -> PictureExam:
        """Return the same pictures with other scores as what is right."""
        return replace(self, scores=np.stack(answers))


def read_picture_exam(bundle: Bundle, manifest: PictureClassification) -> PictureExam:
    """Read the golden pictures of a bundle.

    Raises:
        BundleRejectedError: They are not what the format says, or prove nothing.
    """
    path, given = golden_path(bundle), manifest.input
    image, wanted = read_arrays(bundle, "image", "scores")
    shape = (len(image) if image.ndim else 0, 3, given.height_px, given.width_px)
    if image.shape != shape or image.dtype != np.uint8:
        raise BundleRejectedError(f"{path}: image is {image.dtype} {image.shape}, wanted uint8 {shape}")
    rows = (len(image), len(manifest.output.classes))
    if wanted.shape != rows or wanted.dtype.kind != "f":
        raise BundleRejectedError(f"{path}: scores are {wanted.dtype} {wanted.shape}, wanted float {rows}")
    if not (wanted.size and wanted.min() >= 0 and wanted.max() <= 1):
        raise BundleRejectedError(f"{path}: scores must be 0 to 1")
    if np.ptp(wanted, axis=0).max() <= 2 * manifest.golden.score_error_max:
        raise BundleRejectedError(f"{path}: all pictures get the same scores, which proves nothing")
    return PictureExam(image, wanted.astype(np.float32), manifest)
