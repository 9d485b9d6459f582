"""Models that segment volumes: prepare, ask the network tile by tile, decode; and their golden check."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.store import Bundle
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import BundleRejectedError, PictureRejectedError
from edge.domain.finding import ModelStamp
from edge.domain.image import Segmentation, Volume
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.decode import decode
from edge.inference.drift_statistics import of_volume
from edge.inference.golden import Agreement, golden_path, read_arrays
from edge.inference.session import Session
from edge.inference.volume_network import Picture, look
from edge.preprocess.regrid import regrid
from edge.preprocess.steps import prepare_channels


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

    def infer(
        self, volume: Volume, *, deadline_s: float, others: Mapping[str, Volume] = MappingProxyType({})
    ) -> Segmentation:
        """Segment a volume; trouble is an exception, never an empty answer.

        Args:
            volume: What the first channel is given; the answer lies on its grid.
            deadline_s: For all of it.
            others: What further channels are given, by role; they are brought to the grid of the first.

        Raises:
            PictureRejectedError: The model cannot honestly work on the volume, or another one is missing.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed.
        """
        deadline = Deadline(self._clock, deadline_s)
        manifest = self._manifest
        began_ns = self._clock.monotonic_ns()
        grid, picture = self._prepare(volume, others)
        prepared_ns = self._clock.monotonic_ns()
        labels = self._ask(picture, deadline)
        asked_ns = self._clock.monotonic_ns()
        segmentation = decode(
            np.moveaxis(labels, 0, manifest.slice_axis),
            grid=grid,
            source=volume,
            output=manifest.output,
            components=manifest.policy.components,
        )
        decoded_ns = self._clock.monotonic_ns()
        latency_ms = {
            "preprocess": (prepared_ns - began_ns) / 1e6,
            "infer": (asked_ns - prepared_ns) / 1e6,
            "decode": (decoded_ns - asked_ns) / 1e6,
        }
        segmentation = replace(segmentation, latency_ms=MappingProxyType(latency_ms))
        if manifest.drift is None:
            return segmentation
        roles = manifest.input.roles
        sources = [volume, *(others[role] for role in roles[1:])]
        statistics = of_volume(sources, picture, segmentation, roles=roles)
        return replace(segmentation, statistics=MappingProxyType(statistics))

    def close(self) -> None:
        """Free the network, after whoever is using it."""
        with self._turn:
            self._session.close()

    def _prepare(self, volume: Volume, others: Mapping[str, Volume]) -> tuple[Volume, Picture]:
        """Return the grid that the network works on, and its picture, (channels, d, h, w) in its layout."""
        manifest = self._manifest
        channels = in_order(manifest, volume, others)
        prepared = prepare_channels(channels, manifest.preprocessing, roles=manifest.input.roles)
        grid = prepared[0]
        if grid.voxels.size > manifest.input.volume_voxels_max:
            raise PictureRejectedError(
                f"volume has {grid.voxels.size} voxels at {grid.spacing_mm} mm, {manifest.name} "
                f"takes up to {manifest.input.volume_voxels_max}"
            )
        voxels = [np.moveaxis(one.voxels, manifest.slice_axis, 0) for one in prepared]
        is_alone = len(voxels) == 1  # no copy where there is nothing to join
        picture = (
            np.ascontiguousarray(voxels[0], np.float32)[None]
            if is_alone
            else np.stack(voxels, dtype=np.float32)
        )
        if not np.isfinite(picture.sum(dtype=np.float64)):
            raise PictureRejectedError(
                f"volume of {volume.voxels.shape} voxels holds NaN or infinity, wanted numbers"
            )
        return grid, picture

    def _ask(self, picture: Picture, deadline: Deadline) -> NDArray[np.uint8]:
        if not self._turn.acquire(timeout=deadline.remaining_s()):
            raise deadline.exceeded(f"{self._manifest.name}: waiting for its turn")
        try:
            return look(self._session, picture, self._manifest, deadline)
        finally:
            self._turn.release()


def in_order(manifest: VolumeSegmentation, volume: Volume, others: Mapping[str, Volume]) -> list[Volume]:
    """Return what each channel is given, in the graph's order, on the grid of the first.

    Raises:
        PictureRejectedError: A role is missing or unknown, a volume of a kind that its channel does not take,
            or one that shows another part of the patient.
    """
    first, *rest = manifest.input.roles
    if set(others) != set(rest):
        given = ", ".join([first, *others]) if rest else f"{len(others) + 1} series"
        wanted = ", ".join(manifest.input.roles) if rest else "one series"
        raise PictureRejectedError(f"{manifest.name} takes {wanted}; given: {given}")
    channels = [volume, *(others[role] for role in rest)]
    for role, one, accepts in zip(manifest.input.roles, channels, manifest.input.accepted, strict=True):
        accepted = [f"{kind.modality} in {kind.unit}" for kind in accepts]
        if f"{one.modality} in {one.unit}" not in accepted:
            which = f"{role} of {manifest.name}" if rest else manifest.name
            raise PictureRejectedError(
                f"volume is {one.modality} in {one.unit}, {which} takes {', '.join(accepted)}"
            )
    return [
        volume,
        *(regrid(one, grid=volume, role=role) for role, one in zip(rest, channels[1:], strict=True)),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class VolumeExam:
    """Prepared pictures, (n, channels, d, h, w), and the labels they must give, (n, d, h, w)."""

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    manifest: VolumeSegmentation

    def answers(self, session: Session, deadline: Deadline) -> list[NDArray[Any]]:
        """Return the labels of each picture.

        Raises:
            InferenceError: The runtime failed, or an answer is not what was promised.
        """
        return [look(session, image, self.manifest, deadline) for image in self.images]

    def agreement(self, answers: list[NDArray[Any]]) -> Agreement:
        """Compare by Dice, 0 to 1: of everything that is not background, and the mean over the labels."""
        seen = np.stack(answers).astype(np.uint8)
        present = [label for label in np.union1d(np.unique(seen), np.unique(self.labels)) if label]
        each = [_dice(seen == label, self.labels == label) for label in present]
        union, mean = _dice(seen > 0, self.labels > 0), float(np.mean(each)) if each else 1.0
        wanted = self.manifest.golden
        is_enough = union >= wanted.union_dice_min and mean >= wanted.label_dice_min
        shortfall = (
            f"golden check: union Dice {union:.4f}, wanted {wanted.union_dice_min:g}; "
            f"label Dice {mean:.4f}, wanted {wanted.label_dice_min:g}"
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
    channels = len(manifest.input.roles)
    if image.ndim != 5 or image.shape[1] != channels or image.dtype.kind != "f":
        wanted = f"float (n,{channels},d,h,w)"
        raise BundleRejectedError(f"{path}: image is {image.dtype} {image.shape}, wanted {wanted}")
    shape = (len(image), *image.shape[2:])
    if labels.shape != shape or labels.dtype != np.uint8:
        raise BundleRejectedError(f"{path}: labels are {labels.dtype} {labels.shape}, wanted uint8 {shape}")
    multiples = manifest.input.multiple
    if any(side % multiple for side, multiple in zip(shape[1:], multiples, strict=True)):
        each = multiples[0] if len(set(multiples)) == 1 else multiples
        raise BundleRejectedError(f"{path}: image is {image.shape}, wanted sides in multiples of {each}")
    if not labels.any():
        raise BundleRejectedError(f"{path}: all labels are background, which proves nothing")
    return VolumeExam(np.ascontiguousarray(image, np.float32), labels, manifest)


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    total = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2 * int(np.count_nonzero(one & other)) / total if total else 1.0
