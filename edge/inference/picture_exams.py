"""The golden check of picture tasks: fitted pictures of the bundle, and whether they get their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.picture_classification import PictureClassification
from edge.bundles.picture_detection import PictureDetection
from edge.bundles.picture_embedding import PictureEmbedding
from edge.bundles.picture_keypoints import PictureKeypoints
from edge.bundles.picture_regression import PictureRegression
from edge.bundles.picture_segmentation import PictureSegmentation
from edge.bundles.picture_tasks import PictureManifest
from edge.bundles.pictures import PictureInput
from edge.bundles.store import Bundle
from edge.domain.errors import BundleRejectedError
from edge.inference.deadline import Deadline
from edge.inference.golden import Agreement, golden_path, read_arrays
from edge.inference.picture_agreement import agreement, proves_nothing
from edge.inference.picture_answers import as_array, reading_of
from edge.inference.picture_canvas import Canvas
from edge.inference.session import Session

PICTURES_MAX = 1024
Wanted = Sequence[NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class PictureExam:
    """Fitted pictures, and what must be answered about each.

    Attributes:
        images: (n, channels, h, w) uint8: R, G, B or grey, whatever the network's order.
        wanted: For each an array as `as_array` makes it of the task's answers.
        manifest: Of the bundle.
    """

    images: NDArray[np.uint8]
    wanted: tuple[NDArray[Any], ...]
    manifest: PictureManifest

    def answers(self, session: Session, deadline: Deadline) -> list[NDArray[Any]]:
        """Return the answer about each picture.

        Raises:
            InferenceError: The runtime failed, or an answer is not what was promised.
        """
        canvas = Canvas(self.manifest.input, self.manifest.preprocessing)
        asked = self.manifest
        read = reading_of(asked.with_the_doubtful if isinstance(asked, PictureDetection) else asked)
        each = []
        for image in self.images:
            geometry = canvas.paste(image)
            outputs = session.run(canvas.pixels, deadline)
            each.append(as_array(read(outputs, geometry)))
        return each

    def agreement(self, answers: list[NDArray[Any]]) -> Agreement:
        """Compare in the numbers of the task."""
        return agreement(answers, self.wanted, self.manifest)

    def against(self, answers: list[NDArray[Any]]) -> PictureExam:
        """Return the same pictures with other answers as what is right."""
        return replace(self, wanted=tuple(answers))


def read_picture_exam(bundle: Bundle, manifest: PictureManifest) -> PictureExam:
    """Read the golden pictures of a bundle.

    Raises:
        BundleRejectedError: They are not what the format says, or prove nothing.
    """
    path = golden_path(bundle)
    reader = _Reader(bundle, path)
    match manifest:
        case PictureClassification():
            wanted = reader.scores(len(manifest.output.classes))
        case PictureDetection():
            wanted = reader.things(len(manifest.output.classes))
        case PictureSegmentation():
            wanted = reader.masks(len(manifest.output.labels), has_things=manifest.golden.things_f1_min > 0)
        case PictureKeypoints():
            wanted = reader.points(len(manifest.output.points))
        case PictureRegression():
            wanted = reader.rows("estimates", len(manifest.output.quantities), may_be_nan=True)
        case PictureEmbedding():
            wanted = reader.rows("vectors", manifest.output.features, may_be_nan=False)
    images = reader.images(manifest.input)
    reason = proves_nothing(wanted, manifest)
    if reason:
        raise BundleRejectedError(f"{path}: {reason}, which proves nothing")
    return PictureExam(images, tuple(wanted), manifest)


class _Reader:
    """Reads and checks the arrays of one golden npz."""

    def __init__(self, bundle: Bundle, path: str) -> None:
        self._bundle = bundle
        self._path = path
        self._count = 0

    def images(self, given: PictureInput) -> NDArray[np.uint8]:
        """Return the pictures; of a free size they all have one, which the input may have."""
        (image,) = read_arrays(self._bundle, "image")
        sides = given.shape_px or (image.shape[2:] if image.ndim == 4 else ("h", "w"))
        shape = (len(image) if image.ndim else 0, given.depth, *sides)
        if image.shape != shape or image.dtype != np.uint8:
            raise BundleRejectedError(
                f"{self._path}: image is {image.dtype} {image.shape}, wanted uint8 {shape}"
            )
        if len(image) > PICTURES_MAX:
            raise BundleRejectedError(f"{self._path}: {len(image)} pictures, wanted at most {PICTURES_MAX}")
        if given.is_free and any(
            side % given.multiple_of_px or side > (given.side_max_px or side) for side in image.shape[2:]
        ):
            raise BundleRejectedError(
                f"{self._path}: image is {image.shape[3]} x {image.shape[2]} px, wanted multiples of "
                f"{given.multiple_of_px} up to {given.side_max_px}"
            )
        return image

    def scores(self, classes: int) -> Wanted:
        """Return (classes,) scores of each picture."""
        (scores,) = self._floats(("scores", (classes,)))
        if not (scores.size and scores.min() >= 0 and scores.max() <= 1):
            raise BundleRejectedError(f"{self._path}: scores must be 0 to 1")
        return list(scores.astype(np.float32))

    def rows(self, name: str, width: int, *, may_be_nan: bool) -> Wanted:
        """Return (width,) numbers of each picture."""
        (rows,) = self._floats((name, (width,)))
        if not may_be_nan and not np.isfinite(rows).all():
            raise BundleRejectedError(f"{self._path}: {name} must be numbers")
        return list(rows.astype(np.float32))

    def points(self, count: int) -> Wanted:
        """Return (points, 3) x, y and score of each picture."""
        points, scores = self._floats(("points", (count, 2)), ("scores", (count,)))
        if not (np.isfinite(points).all() and scores.size and scores.min() >= 0 and scores.max() <= 1):
            raise BundleRejectedError(f"{self._path}: points must be numbers, scores 0 to 1")
        return list(np.concatenate([points, scores[..., None]], axis=2).astype(np.float32))

    def masks(self, labels: int, *, has_things: bool) -> Wanted:
        """Return (2, h, w) labels and things of each picture."""
        image, drawn = read_arrays(self._bundle, "image", "labels")
        wanted = (len(image), *image.shape[2:]) if image.ndim == 4 else ("n", "h", "w")
        things = read_arrays(self._bundle, "things")[0] if has_things else drawn
        for name, array in (("labels", drawn), ("things", things)):
            if array.shape != wanted or array.dtype.kind not in "ui":
                raise BundleRejectedError(
                    f"{self._path}: {name} are {array.dtype} {array.shape}, wanted integers {wanted}"
                )
        if drawn.size and (drawn.min() < 0 or drawn.max() > labels):
            raise BundleRejectedError(f"{self._path}: labels must be 0 to {labels}")
        return [np.stack(pair).astype(np.int32) for pair in zip(drawn, things, strict=True)]

    def things(self, classes: int) -> Wanted:
        """Return (things, 6) left, top, right, bottom, class, score of each picture."""
        image, picture, kinds = read_arrays(self._bundle, "image", "picture", "classes")
        boxes, scores = read_arrays(self._bundle, "boxes", "scores")
        things = len(picture) if picture.ndim else 0
        shapes = {
            "picture": picture.shape,
            "classes": kinds.shape,
            "scores": scores.shape,
            "boxes": boxes.shape,
        }
        if shapes != {"picture": (things,), "classes": (things,), "scores": (things,), "boxes": (things, 4)}:
            raise BundleRejectedError(
                f"{self._path}: {', '.join(f'{name} {shape}' for name, shape in shapes.items())}, wanted one "
                "row for each thing, boxes with 4 numbers"
            )
        count = len(image) if image.ndim else 0
        if picture.dtype.kind not in "ui" or kinds.dtype.kind not in "ui":
            raise BundleRejectedError(f"{self._path}: picture and classes must be integers")
        if things and not (
            picture.min() >= 0 and picture.max() < count and kinds.min() >= 0 and kinds.max() < classes
        ):
            raise BundleRejectedError(
                f"{self._path}: a thing is of a picture or class that there is not; there are {count} "
                f"pictures and {classes} classes"
            )
        rows = np.column_stack([boxes, kinds, scores]).astype(np.float32)
        if not np.isfinite(rows).all():
            raise BundleRejectedError(f"{self._path}: boxes and scores must be numbers")
        return [rows[picture == number] for number in range(count)]

    def _floats(self, *wanted: tuple[str, tuple[int, ...]]) -> list[NDArray[Any]]:
        """Return arrays of floats with a row for each picture."""
        image, *arrays = read_arrays(self._bundle, "image", *(name for name, _ in wanted))
        for (name, shape), array in zip(wanted, arrays, strict=True):
            rows = (len(image) if image.ndim else 0, *shape)
            if array.shape != rows or array.dtype.kind != "f":
                raise BundleRejectedError(
                    f"{self._path}: {name} are {array.dtype} {array.shape}, wanted float {rows}"
                )
        return arrays
