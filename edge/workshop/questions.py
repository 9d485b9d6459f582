"""Inputs of a golden check, made of samples by the steps of the engine; and what its npz holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.manifest import Manifest
from edge.bundles.picture_classification import PictureClassification
from edge.bundles.picture_detection import PictureDetection
from edge.bundles.picture_embedding import PictureEmbedding
from edge.bundles.picture_keypoints import PictureKeypoints
from edge.bundles.picture_regression import PictureRegression
from edge.bundles.picture_segmentation import PictureSegmentation
from edge.bundles.pictures import Keep, Letterbox, PictureBundle, PictureInput
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import BundleRejectedError
from edge.domain.frame import Picture
from edge.domain.image import Volume
from edge.domain.ports import Clock
from edge.inference.golden import Exam
from edge.inference.picture_agreement import proves_nothing
from edge.inference.picture_canvas import Canvas
from edge.inference.picture_exams import PictureExam
from edge.inference.spectra import SpectraExam
from edge.inference.volumes import VolumeExam, in_order
from edge.preprocess.pictures import placing
from edge.preprocess.steps import prepare_channels

Item = NDArray[Any]
Arrays = Mapping[str, NDArray[Any]]
Sample = Picture | Sequence[Volume] | NDArray[np.float32]

HALF_MAX: Final = 2048.0  # up to here half precision is exact to one
SLICES_MAX: Final = 4  # of a volume, where the network sees slices


@dataclass(frozen=True, slots=True)
class Room:
    """How large an input may be made: golden files stay small, searches quick.

    Attributes:
        side_px: Of pictures of a free size.
        side_voxels: Of volumes of a free size.
    """

    side_px: int = 320
    side_voxels: int = 96


def items(manifest: Manifest, samples: Sequence[Sample], room: Room = Room()) -> list[Item]:  # frozen
    """Bring samples to what the golden file holds, by the steps of the engine.

    Args:
        manifest: Of the bundle.
        samples: Pictures; or volumes, one for each channel; or (n, bands) spectra.
        room: Bounds for inputs of a free size.

    Returns:
        All of one shape: (channels, h, w) uint8 as fitted; (channels, d, h, w) float32 as prepared, cut out
        where most is; (bands,) float32.

    Raises:
        PictureRejectedError: A sample is not something the model can honestly work on.
    """
    match manifest:
        case PictureBundle():
            return _fitted(
                [one for one in samples if not isinstance(one, np.ndarray | Sequence)], manifest, room
            )
        case VolumeSegmentation():
            return _cut(
                [_prepared(manifest, one) for one in samples if isinstance(one, Sequence)], manifest, room
            )
        case SpectraRegression():
            return [row for one in samples if isinstance(one, np.ndarray) for row in one.astype(np.float32)]


def groups_of_items(samples: Sequence[Sample], groups: Sequence[str]) -> list[str]:
    """Return of each of the `items` what it was taken of: an array of spectra becomes many of them.

    Args:
        samples: Of the manifest's kind, all of them.
        groups: One of each sample, or none at all.
    """
    if not groups:
        return []
    each = zip(samples, groups, strict=True)
    return [group for one, group in each for _ in range(len(one) if isinstance(one, np.ndarray) else 1)]


def exam(manifest: Manifest, given: Sequence[Item], clock: Clock) -> Exam:
    """Ask those; what is right is not known yet, `against` says it."""
    stacked = np.stack(given)
    match manifest:
        case PictureBundle():
            return PictureExam(stacked, (), manifest)
        case VolumeSegmentation():
            return VolumeExam(stacked, np.zeros((len(given), *given[0].shape[1:]), np.uint8), manifest)
        case SpectraRegression():
            unknown = np.full((len(given), len(manifest.output.quantities)), np.nan, np.float32)
            return SpectraExam(stacked, unknown, manifest, clock)


def arrays(manifest: Manifest, given: Sequence[Item], answers: Sequence[NDArray[Any]]) -> Arrays:
    """Lay questions and answers out as the golden npz of the task has them."""
    stacked = np.stack(given)
    match manifest:
        case VolumeSegmentation():
            half = stacked.astype(np.float16)
            image = half if np.array_equal(half, stacked) else stacked
            return {"image": image, "labels": np.stack(answers).astype(np.uint8)}
        case SpectraRegression():
            return {"spectra": stacked, "estimates": answers[0]}
        case PictureDetection():
            which = [np.full(len(one), number) for number, one in enumerate(answers)]
            rows = np.concatenate(answers)
            found = {"boxes": rows[:, :4], "classes": rows[:, 4].astype(np.int64), "scores": rows[:, 5]}
            return {"image": stacked, "picture": np.concatenate(which).astype(np.int64), **found}
        case PictureSegmentation():
            maps = np.stack(answers)
            return {
                "image": stacked,
                "labels": maps[:, 0].astype(np.uint8),
                "things": maps[:, 1].astype(np.int32),
            }
        case PictureKeypoints():
            points = np.stack(answers)
            return {"image": stacked, "points": points[..., :2], "scores": points[..., 2]}
        case PictureClassification():
            return {"image": stacked, "scores": np.stack(answers)}
        case PictureRegression():
            return {"image": stacked, "estimates": np.stack(answers)}
        case PictureEmbedding():
            return {"image": stacked, "vectors": np.stack(answers)}


def nothing_proven(manifest: Manifest, answers: Sequence[NDArray[Any]]) -> str:
    """Return why these answers would be given by somebody who does not look, or ""."""
    match manifest:
        case PictureBundle():
            return proves_nothing(answers, manifest)
        case VolumeSegmentation():
            return "" if any(one.any() for one in answers) else "all labels are background"
        case SpectraRegression():
            known = answers[0][~np.isnan(answers[0]).any(axis=1)]
            return "" if len(known) > 1 and np.ptp(known, axis=0).min() > 0 else "no two estimates differ"


def digest(item: Item) -> str:
    """Name an input by its content."""
    seen = hashlib.sha256(f"{item.dtype} {item.shape}".encode())
    seen.update(np.ascontiguousarray(item).tobytes())
    return seen.hexdigest()[:24]


# ── pictures ───────────────────────────────────────────────────────────────────────────────────────────────


def _fitted(samples: Sequence[Picture], manifest: Any, room: Room) -> list[Item]:
    """Fit pictures by the manifest's first step; of a free size all get that of the first one."""
    given, fitting = manifest.input, manifest.preprocessing[0]
    if given.is_free and samples:
        multiple = given.multiple_of_px
        side = min(given.side_max_px, max(multiple, room.side_px // multiple * multiple))
        small = given.model_copy(update={"side_max_px": side})
        shape_px = placing(Letterbox(step="letterbox", fill_rgb=(0, 0, 0)), small)(
            samples[0].shape_px
        ).input_shape_px
        given = _sized(given, shape_px)
        if isinstance(fitting, Keep):
            fitting = Letterbox(step="letterbox", fill_rgb=fitting.fill_rgb)
    channels = "GREY" if given.channels == "GREY" else "RGB"
    plain = given.model_copy(update={"dtype": "uint8", "layout": "NCHW", "channels": channels})
    canvas = Canvas(plain, [fitting])
    drawn = []
    for sample in samples:
        canvas.draw(sample)
        drawn.append(canvas.pixels[0].copy())
    return drawn


def _sized(given: PictureInput, shape_px: tuple[int, int]) -> PictureInput:
    fixed = {"height_px": shape_px[0], "width_px": shape_px[1], "multiple_of_px": 1, "side_max_px": None}
    return given.model_copy(update=fixed)


# ── volumes ────────────────────────────────────────────────────────────────────────────────────────────────


def _prepared(manifest: VolumeSegmentation, volumes: Sequence[Volume]) -> NDArray[np.float32]:
    """Prepare one case as the model does: (channels, d, h, w) in the order of the layout."""
    first, *others = volumes
    roles = manifest.input.roles
    if len(volumes) != len(roles):
        raise BundleRejectedError(
            f"{manifest.name} takes {', '.join(roles)}; a case has {len(volumes)} volumes"
        )
    channels = in_order(manifest, first, dict(zip(roles[1:], others, strict=True)))
    prepared = prepare_channels(channels, manifest.preprocessing, roles=roles)
    return np.stack([np.moveaxis(one.voxels, manifest.slice_axis, 0) for one in prepared], dtype=np.float32)


def _cut(cases: Sequence[NDArray[np.float32]], manifest: VolumeSegmentation, room: Room) -> list[Item]:
    """Cut one piece of a common shape out of each case, around the middle of what is bright."""
    given = manifest.input
    if not cases:
        return []
    shape = []
    for axis, (tile, multiple) in enumerate(zip(given.tile, given.multiple, strict=True)):
        shortest = min(case.shape[1 + axis] for case in cases)
        most = min(tile, max(multiple, room.side_voxels // multiple * multiple))
        side = tile if given.shape_voxels else min(most, -(-shortest // multiple) * multiple)
        shape.append(min(SLICES_MAX, shortest) if given.slices and axis == 0 else side)
    return [_piece(case, shape) for case in cases]


def _piece(case: NDArray[np.float32], shape: Sequence[int]) -> Item:
    missing = [(0, max(0, side - seen)) for side, seen in zip(shape, case.shape[1:], strict=True)]
    case = np.pad(case, [(0, 0), *missing])
    bright = case[0] > case[0].mean()
    windows = []
    for axis, side in enumerate(shape):
        profile = bright.sum(axis=tuple(other for other in range(3) if other != axis)).astype(np.float64)
        middle = float((profile * np.arange(len(profile))).sum() / (profile.sum() or 1))
        low = int(np.clip(round(middle - side / 2), 0, case.shape[1 + axis] - side))
        windows.append(slice(low, low + side))
    piece = np.ascontiguousarray(case[(slice(None), *windows)])
    # what is stored is what is asked: half the bytes where that loses little
    return piece.astype(np.float16).astype(np.float32) if np.abs(piece).max() <= HALF_MAX else piece
