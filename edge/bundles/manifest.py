"""What a bundle says about itself: `manifest.yaml`, for each task one strict tree with units and ranges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edge.bundles.document import read_document
from edge.bundles.edits import places
from edge.bundles.picture_classification import PictureClassification
from edge.bundles.picture_detection import PictureDetection
from edge.bundles.picture_embedding import PictureEmbedding
from edge.bundles.picture_keypoints import PictureKeypoints
from edge.bundles.picture_regression import PictureRegression
from edge.bundles.picture_segmentation import PictureSegmentation
from edge.bundles.picture_tasks import PictureManifest
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import BundleRejectedError

Manifest = VolumeSegmentation | PictureManifest | SpectraRegression

TASKS: Final[Mapping[str, type[Manifest]]] = {
    "volume-segmentation": VolumeSegmentation,
    "picture-classification": PictureClassification,
    "picture-detection": PictureDetection,
    "picture-segmentation": PictureSegmentation,
    "picture-keypoints": PictureKeypoints,
    "picture-regression": PictureRegression,
    "picture-embedding": PictureEmbedding,
    "spectra-regression": SpectraRegression,
}
UNNAMED: Final = "volume-segmentation"  # the task of a manifest that names none


def parse(text: str, *, origin: str) -> Manifest:
    """Read a manifest.

    Args:
        text: YAML.
        origin: Names it in errors.

    Returns:
        The manifest of its task; it says nothing yet about the files it names.

    Raises:
        BundleRejectedError: Everything that is wrong, each with its path.
    """
    document = read_document(text, origin=origin)
    try:
        _refuse_unfinished(document, origin)
        return _kind_of(document, origin).model_validate_json(json.dumps(document))
    except (TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise BundleRejectedError(f"{origin}: holds what JSON cannot: {error}") from error
        problems = (_problem(wrong) for wrong in error.errors())
        raise BundleRejectedError(f"{origin}: {'; '.join(problems)}") from error


def _refuse_unfinished(document: object, origin: str) -> None:
    unfinished = "; ".join(f"{path}: {wanted}" for path, wanted in places(document))
    if unfinished:
        raise BundleRejectedError(f"{origin}: still to be filled in, each marked EDIT: {unfinished}")


def _kind_of(document: object, origin: str) -> type[Manifest]:
    task = document.get("task", UNNAMED) if isinstance(document, dict) else UNNAMED
    if not isinstance(task, str) or task not in TASKS:
        raise BundleRejectedError(f"{origin}: task: seen {task!r}, wanted one of {', '.join(TASKS)}")
    return TASKS[task]


def _problem(wrong: ErrorDetails) -> str:
    path = ".".join(map(str, wrong["loc"])) or "manifest"
    seen = "" if isinstance(wrong["input"], dict | list) else f", seen {str(wrong['input'])[:60]}"
    return f"{path}: {wrong['msg'].removeprefix('Value error, ')}{seen}"
