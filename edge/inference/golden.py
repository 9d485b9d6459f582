"""The golden check: an input of the bundle, and whether the network still answers it as it did."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundles.store import Bundle
from edge.domain.errors import BundleRejectedError


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Prepared pictures and the labels they must give, both (n, d, h, w)."""

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two label maps are, 0 to 1.

    Attributes:
        union_dice: Dice of everything that is not background.
        label_dice: Mean Dice over the labels that occur.
    """

    union_dice: float
    label_dice: float

    def shortfall(self, bundle: Bundle) -> str:
        """Say what the manifest asks for and is not reached, or ""."""
        wanted = bundle.manifest.golden
        if self.union_dice >= wanted.union_dice_min and self.label_dice >= wanted.label_dice_min:
            return ""
        return (
            f"golden check: union Dice {self.union_dice:.4f}, wanted {wanted.union_dice_min:g}; "
            f"label Dice {self.label_dice:.4f}, wanted {wanted.label_dice_min:g}"
        )


def read_golden(bundle: Bundle) -> Golden:
    """Read the golden npz of a bundle.

    Raises:
        BundleRejectedError: It is not what the format says.
    """
    path = bundle.path / bundle.manifest.golden.file
    try:
        with np.load(io.BytesIO(bundle.golden()), allow_pickle=False) as arrays:
            image, labels = arrays["image"], arrays["labels"]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BundleRejectedError(f"{path}: {error}, wanted an npz with `image` and `labels`") from error
    if image.ndim != 5 or image.shape[1] != 1 or image.dtype.kind != "f":
        raise BundleRejectedError(f"{path}: image is {image.dtype} {image.shape}, wanted float (n,1,d,h,w)")
    shape = (len(image), *image.shape[2:])
    if labels.shape != shape or labels.dtype != np.uint8:
        raise BundleRejectedError(f"{path}: labels are {labels.dtype} {labels.shape}, wanted uint8 {shape}")
    multiple = bundle.manifest.input.multiple_of_voxels
    if any(side % multiple for side in shape[1:]):
        raise BundleRejectedError(f"{path}: image is {image.shape}, wanted sides in multiples of {multiple}")
    if not labels.any():
        raise BundleRejectedError(f"{path}: all labels are background, which proves nothing")
    return Golden(np.ascontiguousarray(image[:, 0], np.float32), labels)


def agreement(seen: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> Agreement:
    """Compare two label maps of one shape."""
    present = [label for label in np.union1d(np.unique(seen), np.unique(wanted)) if label]
    each = [_dice(seen == label, wanted == label) for label in present]
    return Agreement(_dice(seen > 0, wanted > 0), float(np.mean(each)) if each else 1.0)


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    total = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2 * int(np.count_nonzero(one & other)) / total if total else 1.0
