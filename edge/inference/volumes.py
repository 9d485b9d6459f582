"""Models that segment volumes: prepare, ask the network tile by tile, decode; and their golden check."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.store import Bundle
from edge.bundles.volume_segmentation import Golden, Output, VolumeSegmentation
from edge.domain.errors import BundleRejectedError, InferenceError, PictureRejectedError
from edge.domain.finding import ModelStamp
from edge.domain.image import Segmentation, Volume
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.decode import decode
from edge.inference.golden import Agreement, golden_path, read_arrays
from edge.inference.session import Session, check_form
from edge.inference.tiling import segment
from edge.preprocess.steps import prepare


class VolumeSegmenter:
    """A bundle as a `Model`; the network serves one caller at a time.

    Args:
        manifest: Of the bundle.
        session: Warm; closed with the model.
        stamp: Which weights speak.
        clock: Measures, and times deadlines.
    """

    def __init__(
        self, manifest: VolumeSegmentation, *, session: Session, stamp: ModelStamp, clock: Clock
    ) -> None:
        self.stamp = stamp
        self._manifest = manifest
        self._session = session
        self._clock = clock
        self._turn = threading.Lock()

    def infer(self, volume: Volume, *, deadline_s: float) -> Segmentation:
        """Segment a volume; trouble is an exception, never an empty answer.

        Raises:
            PictureRejectedError: The volume is not something the model can honestly work on.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed.
        """
        deadline = Deadline(self._clock, deadline_s)
        began_ns = self._clock.monotonic_ns()
        prepared = self._prepare(volume)
        prepared_ns = self._clock.monotonic_ns()
        labels = self._ask(prepared, deadline)
        asked_ns = self._clock.monotonic_ns()
        segmentation = decode(labels, grid=prepared, source=volume, output=self._manifest.output)
        decoded_ns = self._clock.monotonic_ns()
        latency_ms = {
            "preprocess": (prepared_ns - began_ns) / 1e6,
            "infer": (asked_ns - prepared_ns) / 1e6,
            "decode": (decoded_ns - asked_ns) / 1e6,
        }
        return replace(segmentation, latency_ms=MappingProxyType(latency_ms))

    def close(self) -> None:
        """Free the network, after whoever is using it."""
        with self._turn:
            self._session.close()

    def _prepare(self, volume: Volume) -> Volume:
        name = self._manifest.name
        accepted = [f"{kind.modality} in {kind.unit}" for kind in self._manifest.input.accepts]
        if f"{volume.modality} in {volume.unit}" not in accepted:
            raise PictureRejectedError(
                f"volume is {volume.modality} in {volume.unit}, {name} takes {', '.join(accepted)}"
            )
        prepared = prepare(volume, self._manifest.preprocessing)
        if prepared.voxels.size > self._manifest.input.volume_voxels_max:
            raise PictureRejectedError(
                f"volume has {prepared.voxels.size} voxels at {prepared.spacing_mm} mm, {name} "
                f"takes up to {self._manifest.input.volume_voxels_max}"
            )
        return prepared

    def _ask(self, prepared: Volume, deadline: Deadline) -> NDArray[np.uint8]:
        picture = np.ascontiguousarray(prepared.voxels, np.float32)
        if not self._turn.acquire(timeout=deadline.remaining_s()):
            raise deadline.exceeded(f"{self._manifest.name}: waiting for its turn")
        try:
            return segment(
                picture,
                self._manifest.input,
                lambda tile: ask(self._session, tile, self._manifest.output, deadline),
            )
        finally:
            self._turn.release()


def ask(
    session: Session, picture: NDArray[np.float32], output: Output, deadline: Deadline
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Run a network and check that the answer has the form its manifest promises.

    Args:
        session: Warm.
        picture: (d, h, w), prepared; contiguous.
        output: Of the manifest.
        deadline: Of the whole answer.

    Returns:
        Labels, (d, h, w) uint8; or logits, (1 + labels, d, h, w) float32.

    Raises:
        DeadlineExceededError: It took too long.
        InferenceError: The runtime failed, or the answer is not what was promised.
    """
    answer = session.run(picture[None, None], deadline)[output.name]
    classes = 1 + len(output.labels)
    if output.decoder == "labels":
        check_form(answer, shape=(1, *picture.shape), dtype=np.uint8, name=output.name)
        if answer.size and int(answer.max()) >= classes:
            raise InferenceError(f"output {output.name!r} holds label {answer.max()}, wanted below {classes}")
        return np.asarray(answer[0], np.uint8)
    check_form(answer, shape=(1, classes, *picture.shape), dtype=np.float32, name=output.name)
    return np.asarray(answer[0], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class VolumeExam:
    """Prepared pictures and the labels they must give, both (n, d, h, w)."""

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    output: Output
    wanted: Golden

    def answers(self, session: Session, deadline: Deadline) -> list[NDArray[Any]]:
        """Return the labels of each picture.

        Raises:
            InferenceError: The runtime failed, or an answer is not what was promised.
        """
        each = [ask(session, image, self.output, deadline) for image in self.images]
        return [answer if answer.ndim == 3 else answer.argmax(axis=0) for answer in each]

    def agreement(self, answers: list[NDArray[Any]]) -> Agreement:
        """Compare by Dice, 0 to 1: of everything that is not background, and the mean over the labels."""
        seen = np.stack(answers).astype(np.uint8)
        present = [label for label in np.union1d(np.unique(seen), np.unique(self.labels)) if label]
        each = [_dice(seen == label, self.labels == label) for label in present]
        union, mean = _dice(seen > 0, self.labels > 0), float(np.mean(each)) if each else 1.0
        is_enough = union >= self.wanted.union_dice_min and mean >= self.wanted.label_dice_min
        shortfall = (
            f"golden check: union Dice {union:.4f}, wanted {self.wanted.union_dice_min:g}; "
            f"label Dice {mean:.4f}, wanted {self.wanted.label_dice_min:g}"
        )
        return Agreement({"union_dice": union, "label_dice": mean}, "" if is_enough else shortfall)

    def against(self, answers: list[NDArray[Any]]) -> VolumeExam:
        """Return the same pictures with other labels as what is right."""
        return replace(self, labels=np.stack(answers).astype(np.uint8))


def read_volume_exam(bundle: Bundle, manifest: VolumeSegmentation) -> VolumeExam:
    """Read the golden volumes of a bundle.

    Raises:
        BundleRejectedError: They are not what the format says, or prove nothing.
    """
    path = golden_path(bundle)
    image, labels = read_arrays(bundle, "image", "labels")
    if image.ndim != 5 or image.shape[1] != 1 or image.dtype.kind != "f":
        raise BundleRejectedError(f"{path}: image is {image.dtype} {image.shape}, wanted float (n,1,d,h,w)")
    shape = (len(image), *image.shape[2:])
    if labels.shape != shape or labels.dtype != np.uint8:
        raise BundleRejectedError(f"{path}: labels are {labels.dtype} {labels.shape}, wanted uint8 {shape}")
    multiple = manifest.input.multiple_of_voxels
    if any(side % multiple for side in shape[1:]):
        raise BundleRejectedError(f"{path}: image is {image.shape}, wanted sides in multiples of {multiple}")
    if not labels.any():
        raise BundleRejectedError(f"{path}: all labels are background, which proves nothing")
    images = np.ascontiguousarray(image[:, 0], np.float32)
    return VolumeExam(images, labels, manifest.output, manifest.golden)


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    total = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2 * int(np.count_nonzero(one & other)) / total if total else 1.0
